"""Cost-aware Bayesian optimization: the same for less."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from cloudtune.errors import MetricError, OptionError
from cloudtune.schedulers import SynchronousHyperbandScheduler, TrialScheduler
from cloudtune.schedulers.fifo import FIFOScheduler
from cloudtune.schedulers.hyperband import HyperbandScheduler
from cloudtune.searchers import bayesopt, bayesopt_cost
from cloudtune.searchers.base import Searcher
from cloudtune.searchers.bayesopt_cost import Cooling, CostOptions
from cloudtune.searchers.cost_models import BiasOnly, FullyConnected, LinearCost, LinearInValues
from cloudtune.searchers.cost_records import Account
from cloudtune.searchers.guided import GuidedSearcher
from cloudtune.searchers.problem import SearchProblem
from cloudtune.space import choice, ordinal, randint, uniform
from cloudtune.surrogates.ridge import STRENGTHS, ridge
from cloudtune.testing.mini_tuner import MiniTuner
from cloudtune.testing.searcher_contract import MakeSearcher, SearcherContract
from cloudtune.trial import Config, Mode
from tests.schedulers.told import Told

VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "cooling": {"cost_budget": 50.0, "exponent_cost": 0.5},
    "by resource": {"resource_attr": "epoch"},
    "the same for all": {"resource_attr": "epoch", "cost_model": "bias"},
}


@pytest.mark.parametrize("variant", VARIANTS)
class TestContract(SearcherContract):
    @pytest.fixture
    def make_searcher(self, variant: str) -> MakeSearcher:
        def made(space: Mapping[str, Any], seed: int) -> Searcher:
            problem = SearchProblem(space, None, seed, ("loss",), ("min",))
            return bayesopt_cost.make(problem, {"cost_attr": "seconds", **VARIANTS[variant]})

        return made

    def result(self, trial_id: int, config: Config, value: Any) -> dict[str, Any]:
        """Some costs are odd."""
        seconds = {3: math.nan, 4: 0.0, 5: -1.0, 6: math.inf}.get(trial_id, 1.0 + config.get("layers", 1))
        return {"loss": value, "seconds": seconds, "epoch": 9}


# -- where it should be good -------------------------------------------------------------------------------------------

SPACE = {"x": uniform(-5, 10), "y": uniform(0, 15)}


def branin(config: Config) -> float:
    """Three minima of 0.398, at x = -3.14, 3.14 and 9.42."""
    x, y = float(config["x"]), float(config["y"])
    valley = y - 5.1 / (4 * math.pi**2) * x**2 + 5 / math.pi * x - 6
    return valley**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10


def cost(config: Config) -> float:
    """From 1 to 100: the further right, the dearer."""
    return float(10 ** (2 * (config["x"] + 5) / 15))


def cost_until(searcher: Searcher, target: float, sign: float = 1.0, most: int = 60, **more: Any) -> float:
    """What all trials cost until one is below the target."""
    spent = 0.0
    for trial_id in range(most):
        config = searcher.suggest(trial_id)
        assert config is not None
        carried = searcher.carried(trial_id)
        if carried is not None:
            searcher.on_carried(trial_id, carried)
        searcher.on_trial_add(trial_id, config)
        searcher.register_pending(trial_id)
        result = {"loss": sign * branin(config), "seconds": cost(config), **more}
        searcher.on_result(trial_id, config, result, update=True)
        searcher.cleanup_pending(trial_id)
        spent += cost(config)
        if branin(config) < target:
            break
    return spent


def aware(seed: int, mode: Mode = "min", **options: Any) -> Searcher:
    problem = SearchProblem(SPACE, [], seed, ("loss",), (mode,))
    return bayesopt_cost.make(problem, {"cost_attr": "seconds", **options})


def plain(seed: int) -> Searcher:
    return bayesopt.make(SearchProblem(SPACE, [], seed, ("loss",), ("min",)), {})


SEEDS = range(30, 38)


def test_a_target_is_reached_for_less() -> None:
    spent = [cost_until(aware(seed), 0.45) for seed in SEEDS]
    assert sum(spent) < 0.5 * sum(cost_until(plain(seed), 0.45) for seed in SEEDS)


def test_a_target_is_reached_for_less_with_a_rough_idea_of_the_cost() -> None:
    """This cost is not linear in x."""
    spent = [cost_until(aware(seed, resource_attr="epoch"), 0.45, epoch=1) for seed in SEEDS]
    assert sum(spent) < 0.8 * sum(cost_until(plain(seed), 0.45) for seed in SEEDS)


def test_maximizing_is_the_mirror_of_minimizing() -> None:
    assert cost_until(aware(4, "max"), 0.45, sign=-1.0) == cost_until(aware(4), 0.45)


# -- what it costs -----------------------------------------------------------------------------------------------------


def flat(costs: Mapping[float, Any], **options: Any) -> Searcher:
    """All trials are equally good: what differs is what they cost."""
    problem = SearchProblem({"x": uniform(0, 1)}, [], 0, ("loss",), ("min",))
    searcher = bayesopt_cost.make(problem, {"cost_attr": "seconds", "num_init_random": 1, **options})
    for trial_id, (x, seconds) in enumerate(costs.items()):
        searcher.on_trial_add(trial_id, {"x": x})
        searcher.on_result(trial_id, {"x": x}, {"loss": 1.0, **seconds}, update=True)
        searcher.cleanup_pending(trial_id)
    return searcher


def proposed(searcher: Searcher) -> float:
    config = searcher.suggest(100)
    assert config is not None
    return float(config["x"])


MIDDLES = (0.4, 0.5, 0.6)


def test_what_is_cheap_is_tried_first() -> None:
    assert proposed(flat({x: {"seconds": 10**-x} for x in MIDDLES})) > 0.6
    assert proposed(flat({x: {"seconds": 10**x} for x in MIDDLES})) < 0.4


@pytest.mark.parametrize("odd", [{}, {"seconds": 0.0}, {"seconds": -5.0}, {"seconds": math.nan}, {"seconds": "much"}])
def test_costs_that_are_no_positive_numbers_say_nothing(odd: dict[str, Any]) -> None:
    known = {x: {"seconds": 10**x} for x in MIDDLES}
    assert proposed(flat({**known, 0.9: odd})) < 0.4
    assert 0.0 <= proposed(flat({0.5: {"seconds": 1.0}, 0.6: odd})) <= 1.0


def test_by_resource_every_report_teaches() -> None:
    searcher = flat({}, resource_attr="epoch")
    for trial_id, x in enumerate(MIDDLES):
        searcher.on_trial_add(trial_id, {"x": x})
        for epoch in (1, 2, 3):
            result = {"loss": 1.0, "seconds": 2.0 + epoch * (1.0 + 9.0 * x), "epoch": epoch}
            searcher.on_result(trial_id, {"x": x}, result, update=epoch == 3)
        searcher.cleanup_pending(trial_id)
    assert proposed(searcher) < 0.4


def test_a_linear_model_finds_the_coefficients() -> None:
    features = LinearInValues({"units": randint(10, 1000), "kind": choice(["a", "b", "c"]), "epochs": 9})
    configs: list[dict[str, Any]] = [{"units": units, "kind": kind} for units in (10, 50, 400, 1000) for kind in "abc"]
    each = {"a": 1.0, "b": 2.0, "c": 7.0}
    rows = [
        (config, r, 3.0 + r * (0.01 * config["units"] + each[config["kind"]])) for config in configs for r in (1, 4)
    ]
    cost = LinearCost.fit(features, *zip(*rows, strict=True))
    new = [{"units": 777, "kind": "b"}, {"units": 33, "kind": "c"}]
    np.testing.assert_allclose(cost(new, 10), [3 + 10 * (7.77 + 2), 3 + 10 * (0.33 + 7)], rtol=1e-3)


def test_ordered_texts_count_by_their_places() -> None:
    _, per_unit = LinearInValues({"size": ordinal(["s", "m", "l"]), "kind": ordinal([1, 5])})(
        [{"size": "s", "kind": 1}, {"size": "m", "kind": 5}, {"size": "l", "kind": 5}]
    )
    _, places, numbers = per_unit.T
    assert np.diff(places)[0] == pytest.approx(np.diff(places)[1])
    assert numbers.tolist() == [1, 5, 5]


def test_the_number_of_weights_of_a_network() -> None:
    _, per_unit = FullyConnected(10, 2, ["first", "second"])([{"first": 5, "second": 4}])
    assert per_unit.tolist() == [[1.0, 10 * 5 + 5 * 4 + 4 * 2]]


def test_costs_never_fall_below_a_tenth_of_the_least_one() -> None:
    cost = LinearCost.fit(
        LinearInValues({"x": uniform(0, 9)}), [{"x": x} for x in (1.0, 2.0, 3.0)], [1, 1, 1], [30.0, 20.0, 10.0]
    )
    assert cost([{"x": 9.0}], 1).tolist() == [1.0]


def test_regularization_is_chosen_for_what_was_left_out() -> None:
    random_state = np.random.default_rng(0)
    features = random_state.standard_normal((12, 9))
    features /= np.sqrt((features**2).mean(axis=0))
    targets = features @ np.linspace(1, 0, 9) + 0.7 * random_state.standard_normal(12)

    def penalized(rows: Any, strength: float) -> Any:
        kept, penalty = features[rows], strength * np.linalg.norm(features, 2) ** 2
        return np.linalg.solve(kept.T @ kept + penalty * np.eye(9), kept.T @ targets[rows])

    def error(strength: float) -> float:
        left_out = [(np.delete(np.arange(12), row), row) for row in range(12)]
        return float(
            np.mean([(targets[row] - features[row] @ penalized(rest, strength)) ** 2 for rest, row in left_out])
        )

    best = min(STRENGTHS.tolist(), key=error)
    assert STRENGTHS[0] < best < STRENGTHS[-1]
    np.testing.assert_allclose(ridge(features, targets), penalized(np.arange(12), best), rtol=1e-6)


def test_features_that_say_nothing_are_survived() -> None:
    assert np.isfinite(ridge(np.zeros((3, 2)), np.ones(3))).all()


# -- cooling -----------------------------------------------------------------------------------------------------------


def test_the_exponent_falls_while_the_budget_is_used_up() -> None:
    account = Account("seconds", None)
    cooling = Cooling(account, 2, CostOptions("seconds", exponent_cost=0.8, cost_budget=100.0))
    for trial_id, (seconds, exponent) in enumerate(((10.0, 0.8), (10.0, 0.8), (40.0, 0.4), (20.0, 0.2), (99.0, 0.0))):
        account.on_result(trial_id, {}, {"seconds": seconds}, update=False)
        assert cooling.exponent == pytest.approx(exponent)


def test_what_a_trial_has_cost_so_far_counts_once() -> None:
    account = Account("seconds", None)
    for seconds in (1.0, 2.0, 5.0):
        account.on_result(0, {}, {"seconds": seconds}, update=False)
    assert account.spent() == 5.0


@pytest.mark.parametrize("late", [False, True])
def test_attempts_add_up_where_trials_are_paused(late: bool) -> None:
    """As ``cost_promotion`` counts them, and as the clock of a script begins again when it is resumed."""
    account = Account("seconds", "epoch")

    def reports(**result: float) -> None:
        account.on_result(0, {}, result, update=True)

    account.on_trial_add(0, {})
    account.register_pending(0, 1)
    reports(epoch=1, seconds=10.0)
    account.cleanup_pending(0)
    if late:
        reports(epoch=2, seconds=20.0)
    account.register_pending(0, 3)
    reports(epoch=2, seconds=10.0)
    reports(epoch=3, seconds=20.0)
    assert account.spent() == 30.0
    account.cleanup_pending(0)
    account.register_pending(0, 9)
    reports(epoch=1, seconds=11.0)  # there was no checkpoint
    reports(epoch=4, seconds=44.0)
    fitted = account.fitted(BiasOnly())
    assert fitted is not None
    assert fitted([{}], 4.0)[0] == pytest.approx(44.0)


# -- mistakes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "cost_attr is None"),
        ({"cost_attr": ""}, "cost_attr is ''"),
        ({"cost_atr": "seconds"}, "did you mean 'cost_attr'"),
        ({"cost_attr": "seconds", "cost_model": "linear"}, "without a resource_attr"),
        ({"cost_attr": "seconds", "resource_attr": "epoch", "cost_model": "linea"}, "did you mean 'linear'"),
        ({"cost_attr": "seconds", "resource_attr": "epoch", "cost_model": BiasOnly}, "cost_model is <class"),
        ({"cost_attr": "seconds", "exponent_cost": 0}, "exponent_cost is 0(?s:.*)above 0"),
        ({"cost_attr": "seconds", "cost_budget": -1}, "cost_budget is -1"),
        ({"cost_attr": "seconds", "acq_function": "lcb"}, "acq_function is 'lcb'"),
        ({"cost_attr": "seconds", "initial_scoring": "thompson_indep"}, "initial_scoring is 'thompson_indep'"),
        ({"cost_attr": "seconds", "transfer_learning_task_attr": "task"}, "earlier tasks"),
    ],
)
def test_mistakes_are_said(given: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        FIFOScheduler(SPACE, "loss", searcher="bayesopt_cost", search_options=given)


def test_a_cost_that_nobody_reports_is_a_complaint() -> None:
    complaint = flat({0.5: {"second": 1.0}}).complaint()
    assert isinstance(complaint, MetricError)
    assert "carries no 'seconds'" in str(complaint)


def test_the_scheduler_s_resource_is_the_one_that_counts() -> None:
    with pytest.raises(OptionError, match="resource_attr is 'step', the scheduler's 'epoch'"):
        hyperband(resource_attr="step")


# -- under Hyperband ---------------------------------------------------------------------------------------------------


def hyperband(**options: Any) -> HyperbandScheduler:
    return HyperbandScheduler(
        {**SPACE, "epochs": 9},
        "loss",
        searcher="bayesopt_cost",
        search_options={"cost_attr": "loss", **options},
        max_resource_attr="epochs",
        random_seed=0,
    )


def test_under_hyperband_the_cost_is_that_of_the_level_the_model_knows() -> None:
    """Here the objective is the cost itself: it is found that the left is better."""
    tuner = MiniTuner(hyperband(), lambda _, config, epoch: epoch * cost(config))
    tuner.run(25)
    xs = [trial.config["x"] for trial in tuner.trials]
    assert np.median(xs[15:]) < np.median(xs[:4])
    assert min(xs) < -4


@pytest.mark.parametrize("kind", ["promotion", "synchronous"])
def test_work_that_is_done_once_more_is_not_added(kind: str) -> None:
    """A script without checkpoints begins from scratch; the engine keeps what it repeats from deciding anything."""
    options: dict[str, Any] = {
        "searcher": "bayesopt_cost",
        "search_options": {"cost_attr": "seconds"},
        "max_resource_attr": "epochs",
        "random_seed": 0,
        "metric": "loss",
    }
    space = {**SPACE, "epochs": 9}
    scheduler: TrialScheduler = (
        HyperbandScheduler(space, type="promotion", **options)
        if kind == "promotion"
        else SynchronousHyperbandScheduler(space, [[(2, 1), (1, 9)]], **options)
    )
    told = Told(scheduler)
    told.start(2)
    for trial_id in (0, 1):
        decision = scheduler.on_trial_result(told.trials[trial_id], {"loss": trial_id, "epoch": 1, "seconds": 10.0})
        assert decision == "PAUSE"
        scheduler.on_trial_remove(told.trials[trial_id])
    assert told.resume() == 0
    scheduler.on_repeated_result(told.trials[0], {"loss": 0.0, "epoch": 1, "seconds": 11.0})
    scheduler.on_trial_result(told.trials[0], {"loss": 0.0, "epoch": 2, "seconds": 22.0})
    assert isinstance(scheduler, (HyperbandScheduler, SynchronousHyperbandScheduler))
    assert isinstance(scheduler.searcher, GuidedSearcher)
    account = next(each for each in scheduler.searcher.records if isinstance(each, Account))
    assert account.spent() == 22.0 + 10.0
