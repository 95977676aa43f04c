"""Constrained Bayesian optimization: infeasible configurations teach, and are not what is looked for."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cloudtune import Tuner
from cloudtune.benchmarks import UserBlackboxBackend, from_function
from cloudtune.engine.ledger import Ledger
from cloudtune.engine.stopping import StoppingCriterion
from cloudtune.errors import MetricError, OptionError
from cloudtune.schedulers.fifo import FIFOScheduler
from cloudtune.schedulers.hyperband import HyperbandScheduler
from cloudtune.searchers import bayesopt, bayesopt_constrained, random_searcher
from cloudtune.searchers.base import Searcher
from cloudtune.searchers.bayesopt import gaussian_process
from cloudtune.searchers.bayesopt_options import BayesianOptimizationOptions
from cloudtune.searchers.problem import SearchProblem
from cloudtune.space import UnitCube, uniform
from cloudtune.surrogates.acquisition import DifferentiableScore, expected_improvement
from cloudtune.surrogates.constrained import feasible_improvement
from cloudtune.surrogates.prediction import Array
from cloudtune.testing.fake_cloud import FakeCloud
from cloudtune.testing.mini_tuner import MiniTuner
from cloudtune.testing.searcher_contract import MakeSearcher, SearcherContract
from cloudtune.trial import Config, Metrics, Mode
from tests.tuning import KeptJournal, tuner_on

VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "warping and Box-Cox": {"input_warping": True, "boxcox_transform": True},
    "no fantasies": {"no_fantasizing": True},
}


@pytest.mark.parametrize("variant", VARIANTS)
class TestContract(SearcherContract):
    @pytest.fixture
    def make_searcher(self, variant: str) -> MakeSearcher:
        def made(space: Mapping[str, Any], seed: int) -> Searcher:
            problem = SearchProblem(space, None, seed, ("loss",), ("min",))
            return bayesopt_constrained.make(problem, {"constraint_attr": "excess", **VARIANTS[variant]})

        return made

    def result(self, trial_id: int, config: Config, value: Any) -> dict[str, Any]:
        return {"loss": value, "excess": config.get("momentum", 0.5) - 0.5 if trial_id % 7 else math.nan}


# -- where it should be good -------------------------------------------------------------------------------------------

SPACE = {"x": uniform(0, 6), "y": uniform(0, 6)}


def gardner(config: Config) -> tuple[float, float]:
    """Second simulation of Gardner et al. 2014: two small feasible islands, and the best value is 0.2532."""
    x, y = config["x"], config["y"]
    return math.sin(x) + y, math.sin(x) * math.sin(y) + 0.95


def searcher_of(name: str, seed: int, mode: Mode = "min") -> Searcher:
    problem = SearchProblem(SPACE, None, seed, ("loss",), (mode,))
    if name == "bayesopt_constrained":
        return bayesopt_constrained.make(problem, {"constraint_attr": "excess"})
    return bayesopt.make(problem, {}) if name == "bayesopt" else random_searcher.make(problem, {})


def best_feasible(searcher: Searcher, trials: int, sign: float = 1.0) -> float:
    best = math.inf
    for trial_id in range(trials):
        config = searcher.suggest(trial_id)
        assert config is not None
        carried = searcher.carried(trial_id)
        if carried is not None:
            searcher.on_carried(trial_id, carried)
        value, excess = gardner(config)
        searcher.on_trial_add(trial_id, config)
        searcher.register_pending(trial_id)
        searcher.on_result(trial_id, config, {"loss": sign * value, "excess": excess}, update=True)
        searcher.cleanup_pending(trial_id)
        if excess <= 0:
            best = min(best, value)
    return best


@pytest.mark.parametrize("seed", range(4))
def test_it_finds_the_best_feasible_configuration_where_others_find_none(seed: int) -> None:
    found = best_feasible(searcher_of("bayesopt_constrained", seed), 35)
    assert found < 0.3
    assert found < best_feasible(searcher_of("random", seed), 35)
    assert found < best_feasible(searcher_of("bayesopt", seed), 35)


def test_maximizing_is_the_mirror_of_minimizing() -> None:
    for trial in (12, 20):
        least = best_feasible(searcher_of("bayesopt_constrained", 1), trial)
        assert best_feasible(searcher_of("bayesopt_constrained", 1, "max"), trial, sign=-1.0) == least


# -- what counts as feasible -------------------------------------------------------------------------------------------


def line(values: dict[float, Metrics], pending: tuple[float, ...] = (), **options: Any) -> Searcher:
    """A searcher that knows these trials, by x."""
    problem = SearchProblem({"x": uniform(0, 1)}, [], 0, ("loss",), ("min",))
    searcher = bayesopt_constrained.make(problem, {"constraint_attr": "excess", "num_init_random": 1, **options})
    for trial_id, (x, result) in enumerate(values.items()):
        searcher.on_trial_add(trial_id, {"x": x})
        searcher.on_result(trial_id, {"x": x}, result, update=True)
        searcher.cleanup_pending(trial_id)
    for trial_id, x in enumerate(pending, len(values)):
        searcher.on_trial_add(trial_id, {"x": x})
        searcher.register_pending(trial_id)
    return searcher


def proposed(searcher: Searcher) -> float:
    config = searcher.suggest(100)
    assert config is not None
    return float(config["x"])


def grid(loss: Any, excess: Any) -> dict[float, Metrics]:
    return {x: {"loss": loss(x), "excess": excess(x)} for x in np.linspace(0.05, 0.95, 7).tolist()}


def test_a_better_but_infeasible_side_is_left_alone() -> None:
    assert 0.35 < proposed(line(grid(lambda x: x, lambda x: 0.5 - x))) < 0.65


def test_as_long_as_nothing_is_feasible_the_likeliest_place_is_proposed() -> None:
    assert proposed(line(grid(lambda x: x, lambda x: 2.0 - x))) > 0.9
    assert proposed(line(grid(lambda x: x, lambda x: 1.0 + x))) < 0.1


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf, None, "none"])
def test_a_constraint_that_is_no_number_is_not_kept(odd: Any) -> None:
    """Left of the middle the objective is best, and all that is known there is that something went wrong."""
    assert proposed(line(grid(lambda x: x, lambda x: odd if x < 0.5 else -1.0))) > 0.3


def test_a_trial_that_does_not_report_the_constraint_is_not_feasible() -> None:
    """Nobody knows about the best one, and so all that is worse than the best feasible one isn't out of question."""
    values = grid(lambda x: (x - 0.7) ** 2, lambda x: 0.5 - x)
    values[0.22] = {"loss": -5.0}
    assert proposed(line(values)) > 0.3


def test_a_constraint_that_nobody_reports_is_a_complaint_with_the_nearest_name() -> None:
    complaint = line({0.5: {"loss": 1.0, "exces": 0.0}}).complaint()
    assert isinstance(complaint, MetricError)
    assert re.search(r"carries no 'excess'[\s\S]*did you mean 'exces'", str(complaint))
    assert line({0.4: {"loss": 1.0}, 0.5: {"loss": 1.0, "excess": 0.0}}).complaint() is None


def test_an_experiment_with_a_misspelled_constraint_ends_in_order(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CLOUDTUNE_FOLDER", str(tmp_path))
    space = {"x": uniform(0, 1), "epochs": 3}
    scheduler = FIFOScheduler(
        space, "loss", searcher="bayesopt_constrained", search_options={"constraint_attr": "excess"}, random_seed=0
    )
    line = from_function(space, lambda config, *_: {"loss": config["x"], "exces": -1.0, "elapsed_time": 1.0})
    tuner = Tuner(
        UserBlackboxBackend(line, elapsed_time_attr="elapsed_time"),
        scheduler,
        StoppingCriterion(max_num_trials_started=30),
        n_workers=2,
    )
    with pytest.raises(MetricError, match="carries no 'excess'"):
        tuner.run()
    assert tuner.ledger.finished is not None
    assert tuner.tuning_status.num_trials_started <= 3


def test_it_may_be_reported_once_and_early() -> None:
    """The size of a model, say, is known before it is trained."""
    searcher, told_at_once = line({}), line(grid(lambda x: x, lambda x: 0.5 - x))
    for trial_id, (x, result) in enumerate(grid(lambda x: x, lambda x: 0.5 - x).items()):
        searcher.on_trial_add(trial_id, {"x": x})
        searcher.on_result(trial_id, {"x": x}, {"loss": 9.0}, update=False)
        searcher.on_result(trial_id, {"x": x}, {"loss": 8.0, "excess": result["excess"]}, update=False)
        searcher.on_result(trial_id, {"x": x}, {"loss": result["loss"]}, update=True)
        searcher.cleanup_pending(trial_id)
    assert searcher.suggest(100) == told_at_once.suggest(100)


@pytest.mark.parametrize("given", [{}, {"constraint_attr": None}, {"constraint_attr": ""}, {"constraint_attr": 3}])
def test_it_must_be_named(given: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match="constraint_attr is"):
        FIFOScheduler(SPACE, "loss", searcher="bayesopt_constrained", search_options=given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"constraint_atr": "c"}, "did you mean 'constraint_attr'"),
        ({"acq_function": "lcb"}, "acq_function is 'lcb'"),
        ({"opt_skip_num_max_resource": True}, "opt_skip_num_max_resource is True"),
        ({"transfer_learning_task_attr": "task"}, "earlier tasks"),
    ],
)
def test_other_mistakes(given: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        FIFOScheduler(
            SPACE, "loss", searcher="bayesopt_constrained", search_options={"constraint_attr": "excess", **given}
        )


# -- trials at work ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"gp_hyperparameters": "mcmc"}], ids=["map", "mcmc"])
@pytest.mark.parametrize("level", [0.0, 1.2], ids=["feasible known", "none"])
def test_what_is_at_work_is_not_tried_next_to_again(level: float, options: dict[str, Any]) -> None:
    values = grid(lambda x: math.sin(10 * x), lambda x: level + math.cos(9 * x))
    alone = proposed(line(values, **options))
    assert abs(proposed(line(values, pending=(alone,), **options)) - alone) > 0.02


def test_failed_trials_are_no_longer_awaited() -> None:
    values = grid(lambda x: (x - 0.7) ** 2, lambda x: 0.5 - x)
    searcher, fresh = line(values, pending=(0.31,)), line(values)
    searcher.on_trial_error(len(values))
    assert proposed(searcher) == proposed(fresh)


# -- the score ---------------------------------------------------------------------------------------------------------


def models(pending: int) -> tuple[Any, Any, Array]:
    random_state = np.random.default_rng(0)
    points, awaited = random_state.random((9, 2)), random_state.random((pending, 2))
    cube, options = UnitCube(SPACE), BayesianOptimizationOptions(num_fantasy_samples=5)
    fits = [
        gaussian_process(cube, options).fit(points, targets, awaited, None, np.random.default_rng(1))
        for targets in (np.sin(5 * points[:, 0]) + points[:, 1], points[:, 0] - points[:, 1] ** 2)
    ]
    return fits[0].predictor, fits[1].predictor, random_state.random((6, 2))


def test_without_pending_trials_it_is_the_product_of_the_paper() -> None:
    objective, constraint, points = models(0)
    score = feasible_improvement(objective, constraint, np.array([-0.3]), 0.2)
    mean, std = objective.predict(points).moments
    c_mean, c_std = constraint.predict(points).moments
    from scipy.stats import norm

    product = expected_improvement(np.array(-0.3), mean, std) * norm.cdf(0.2, c_mean, c_std)
    np.testing.assert_allclose(np.exp(score.values(points)), product, rtol=1e-9)


@pytest.mark.parametrize("pending", [0, 2])
@pytest.mark.parametrize("incumbent", [-0.3, math.inf])
def test_its_gradients_are_those_of_its_values(pending: int, incumbent: float) -> None:
    objective, constraint, points = models(pending)
    incumbents = np.array([incumbent] * 5 if pending else [incumbent])
    incumbents[-1] = -0.5 if pending else incumbent
    score = feasible_improvement(objective, constraint, incumbents, 0.2)
    assert isinstance(score, DifferentiableScore)
    values, gradients = score.values_and_gradients(points)
    np.testing.assert_allclose(values, score.values(points), rtol=1e-9)
    for dimension in range(2):
        move = np.zeros(2)
        move[dimension] = 1e-6
        difference = (score.values(points + move) - score.values(points - move)) / 2e-6
        np.testing.assert_allclose(gradients[:, dimension], difference, rtol=1e-4, atol=1e-6)


# -- under schedulers --------------------------------------------------------------------------------------------------


def test_under_hyperband_it_learns_from_rungs() -> None:
    scheduler = HyperbandScheduler(
        {**SPACE, "epochs": 9},
        "loss",
        searcher="bayesopt_constrained",
        search_options={"constraint_attr": "loss"},  # feasible where it is 0 or less
        max_resource_attr="epochs",
        random_seed=0,
    )
    tuner = MiniTuner(scheduler, lambda _, config, epoch: gardner(config)[0] - 3 + 1 / epoch)
    tuner.run(25)
    assert min(min(values) for values in tuner.best.values()) < -2.5


def test_a_replay_of_the_journal_goes_on_the_same() -> None:
    """What both models carry is in the journal."""

    def made() -> FIFOScheduler:
        return FIFOScheduler(
            {**SPACE, "epochs": 1},
            "loss",
            searcher="bayesopt_constrained",
            search_options={"constraint_attr": "excess"},
            max_resource_attr="epochs",
            random_seed=3,
        )

    journal, live = KeptJournal(), made()
    cloud = FakeCloud(lambda config, _: dict(zip(("loss", "excess"), gardner(config), strict=True)))
    tuner_on(cloud, live, StoppingCriterion(max_num_trials_started=11), n_workers=3, storage=journal).run()
    replayed = Ledger(made())
    for event in journal.kept.read(0):
        replayed.apply(event)
    assert any(trial.trial.carried for trial in replayed.trials)
    assert replayed.scheduler.suggest(12) == live.suggest(12)
