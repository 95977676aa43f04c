"""Bayesian optimization: better than chance, points first, several at once, all kinds of spaces, own models."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cloudtune.errors import OptionError
from cloudtune.searchers.base import Searcher
from cloudtune.searchers.bayesopt import BayesianOptimizationSearcher, make
from cloudtune.searchers.bayesopt_options import BayesianOptimizationOptions
from cloudtune.searchers.factory import make_searcher
from cloudtune.searchers.observations import Observations
from cloudtune.searchers.problem import SearchProblem
from cloudtune.searchers.random_searcher import RandomSearcher
from cloudtune.space import (
    Domain,
    choice,
    config_to_match_string,
    finrange,
    logfinrange,
    lograndint,
    loguniform,
    normal,
    ordinal,
    quniform,
    randint,
    reverseloguniform,
    uniform,
)
from cloudtune.surrogates.acquisition import Acquisition, LowerConfidenceBound
from cloudtune.surrogates.prediction import Array, Fit, Prediction
from cloudtune.trial import Config

Objective = Callable[[Config], float]


def problem(space: Mapping[str, Any], seed: int = 0, **arguments: Any) -> SearchProblem:
    return SearchProblem(
        space, arguments.get("points"), seed, ("loss",), (arguments.get("mode", "min"),), *arguments.get("resource", ())
    )


def bayesopt(
    space: Mapping[str, Any], seed: int = 0, points: Any = None, **options: Any
) -> BayesianOptimizationSearcher:
    searcher = make(problem(space, seed, points=points), options)
    assert isinstance(searcher, BayesianOptimizationSearcher)
    return searcher


def launched(searcher: Searcher, trial_id: int) -> Config:
    config = searcher.suggest(trial_id)
    assert config is not None
    carried = searcher.carried(trial_id)
    if carried is not None:
        searcher.on_carried(trial_id, carried)
    searcher.on_trial_add(trial_id, config)
    return config


def finished(searcher: Searcher, trial_id: int, config: Config, value: float) -> None:
    searcher.on_result(trial_id, config, {"loss": value}, update=True)
    searcher.cleanup_pending(trial_id)


def minimized(searcher: Searcher, objective: Objective, trials: int, sign: float = 1.0) -> list[float]:
    values = []
    for trial_id in range(trials):
        config = launched(searcher, trial_id)
        values.append(objective(config))
        finished(searcher, trial_id, config, sign * values[-1])
    return values


# -- objectives --------------------------------------------------------------------------------------------------------

BRANIN = {"x": uniform(-5, 10), "y": uniform(0, 15)}


def branin(config: Config) -> float:
    x, y = config["x"], config["y"]
    valley = y - 5.1 / (4 * math.pi**2) * x * x + 5 / math.pi * x - 6
    return float(valley**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10)


MIXED: dict[str, Any] = {
    "rate": loguniform(1e-5, 1),
    "momentum": uniform(0, 1),
    "width": lograndint(8, 1024),
    "depth": randint(1, 12),
    "activation": choice(["relu", "tanh", "gelu", "sigmoid"]),
    "nesterov": choice([True, False]),
    "epochs": 9,
}


def mixed(config: Config) -> float:
    return float(
        (math.log10(config["rate"]) + 2.5) ** 2
        + 2 * (config["momentum"] - 0.9) ** 2
        + 0.1 * (math.log2(config["width"]) - 7) ** 2
        + 0.05 * (config["depth"] - 4) ** 2
        + {"gelu": 0.0, "relu": 0.2, "tanh": 0.4, "sigmoid": 1.0}[config["activation"]]
        + 0.3 * config["nesterov"]
    )


# -- is it any good ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("space", "objective", "good"), [(BRANIN, branin, 0.4), (MIXED, mixed, 0.1)])
def test_it_beats_random_search_by_far(space: dict[str, Any], objective: Objective, good: float) -> None:
    ours = [min(minimized(bayesopt(space, seed), objective, 35)) for seed in range(4)]
    chance = [min(minimized(RandomSearcher(space, random_seed=seed), objective, 35)) for seed in range(4)]
    assert max(ours) < min(chance)
    assert np.median(ours) < good


def test_maximizing_is_minimizing_the_negative() -> None:
    least = minimized(bayesopt(BRANIN), branin, 15)
    most = minimized(make(problem(BRANIN, mode="max"), {}), branin, 15, sign=-1.0)
    np.testing.assert_allclose(most, least)


def test_results_far_from_any_model_do_no_harm() -> None:
    """One failure at 1e30 among values around 1."""
    searcher = bayesopt(BRANIN)
    values = minimized(searcher, lambda config: 1e30 if config["x"] > 9 else branin(config), 25)
    assert min(values) < 2.0


@pytest.mark.parametrize("value", [0.0, 3.5, 1e300, -1e-300])
def test_a_constant_objective_is_survived(value: float) -> None:
    configs = set()
    searcher = bayesopt(BRANIN)
    for trial_id in range(12):
        config = launched(searcher, trial_id)
        finished(searcher, trial_id, config, value)
        configs.add(config_to_match_string(config, BRANIN))
    assert len(configs) == 12


# -- what is proposed --------------------------------------------------------------------------------------------------

EVERYTHING: dict[str, Any] = {
    "a": uniform(-3, 4),
    "b": loguniform(1e-6, 1),
    "c": randint(0, 5),
    "d": lograndint(1, 100_000),
    "e": finrange(0.1, 0.9, 9),
    "f": logfinrange(1, 256, 9, cast_int=True),
    "g": ordinal([1, 2, 5, 10, 50]),
    "h": choice(["x", "y", "z"]),
    "i": choice([True, False]),
    "j": choice(["only"]),
    "k": quniform(0, 1, 0.25),
    "l": normal(0, 1),
    "m": reverseloguniform(0.5, 0.999),
    "constant": 7,
}


@pytest.mark.parametrize("options", [{}, {"input_warping": True}, {"skip_local_optimization": True}])
def test_every_kind_of_domain_gets_valid_values(options: dict[str, Any]) -> None:
    searcher = bayesopt(EVERYTHING, **options)
    for trial_id in range(12):
        config = launched(searcher, trial_id)
        assert list(config) == list(EVERYTHING)
        for name, entry in EVERYTHING.items():
            assert entry.is_valid(config[name]) if isinstance(entry, Domain) else config[name] == entry
        finished(searcher, trial_id, config, float(abs(config["a"]) + config["c"]))


def test_points_to_evaluate_come_first_and_then_as_many_others_as_are_missing() -> None:
    points = [{"x": 1.0, "y": 2.0}, {"x": 3.0, "y": 4.0}]
    searcher = bayesopt(BRANIN, points=points, num_init_random=3)
    for trial_id in range(5):
        assert (searcher.carried(trial_id) is not None) == (trial_id >= 3)
        config = launched(searcher, trial_id)
        if trial_id < 2:
            assert config == points[trial_id]
        finished(searcher, trial_id, config, branin(config))


def test_without_results_there_is_no_model() -> None:
    searcher = bayesopt(BRANIN, num_init_random=2)
    configs = [launched(searcher, trial_id) for trial_id in range(20)]
    assert len({config_to_match_string(config, BRANIN) for config in configs}) == 20


def test_a_small_space_is_explored_best_first_to_its_end() -> None:
    space = {"a": randint(0, 9), "b": choice(["x", "y", "z"])}
    searcher = bayesopt(space)
    values = minimized(searcher, lambda config: abs(config["a"] - 7) + {"x": 2, "y": 1, "z": 0}[config["b"]], 30)
    assert searcher.suggest(30) is None
    assert 0 in values[:12]


def test_only_listed_configurations_are_proposed_the_best_one_soon() -> None:
    listed = [{"x": float(x), "y": float(y)} for x in range(-5, 11) for y in range(0, 16, 3)]
    searcher = bayesopt(BRANIN, restrict_configurations=listed)
    values = minimized(searcher, branin, 30)
    assert min(values) <= sorted(branin(config) for config in listed)[1]


@pytest.mark.parametrize("seed", range(3))
def test_trials_at_work_are_not_proposed_again_and_spread_as_long_as_their_results_are_imagined(seed: int) -> None:
    def distances(**options: Any) -> NDArray[np.float64]:
        searcher = bayesopt(BRANIN, seed, **options)
        minimized(searcher, branin, 7)
        places = np.array([list(launched(searcher, trial_id).values()) for trial_id in range(7, 13)]) / 15
        return np.asarray(np.linalg.norm(places[:, None] - places[None], axis=2)[np.triu_indices(6, 1)])

    imagined = distances()
    assert imagined.min() > 0.03
    assert np.median(imagined) > 0.1
    assert 0.0 < distances(no_fantasizing=True).min() < 0.01


def test_a_batch_is_what_would_be_proposed_one_by_one_and_changes_nothing() -> None:
    searcher = bayesopt(BRANIN)
    minimized(searcher, branin, 8)
    batch = searcher.suggest_batch([8, 9, 10])
    assert searcher.suggest_batch([8, 9, 10]) == batch
    assert [launched(searcher, trial_id) for trial_id in (8, 9, 10)] == batch


def test_a_batch_ends_with_the_space() -> None:
    searcher = bayesopt({"a": randint(0, 2)})
    assert len(searcher.suggest_batch(range(9))) == 3


def test_duplicates_are_allowed_if_asked_for() -> None:
    searcher = bayesopt({"a": randint(0, 3)}, allow_duplicates=True)
    values = minimized(searcher, lambda config: float(config["a"]), 15)
    assert len(values) == 15
    assert values.count(0.0) > 4


def test_hyperparameters_are_learned_less_often_as_results_accumulate() -> None:
    searcher = bayesopt(BRANIN, num_init_random=4, opt_skip_init_length=10, opt_skip_period=5)
    learned = []
    for trial_id in range(24):
        config = searcher.suggest(trial_id)
        assert config is not None
        carried = searcher.carried(trial_id)
        if carried is not None:
            learned.append(trial_id)
            searcher.on_carried(trial_id, carried)
        searcher.on_trial_add(trial_id, config)
        finished(searcher, trial_id, config, branin(config))
    assert learned == [4, 5, 6, 7, 8, 9, 10, 15, 20]


def test_several_resources_are_learned_from_at_the_highest_with_enough_results() -> None:
    searcher = make(problem(BRANIN, resource=("epoch", 9)), {})
    for trial_id in range(12):
        config = launched(searcher, trial_id)
        for epoch in (1, 3):
            searcher.register_pending(trial_id, epoch)
            result = {"loss": branin(config) / epoch, "epoch": epoch}
            searcher.on_result(trial_id, config, result, update=True)
        searcher.cleanup_pending(trial_id)
    assert searcher.suggest(12) is not None


# -- options -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"num_init_randon": 3}, "num_init_random"),
        ({"gp_base_kernel": "matern52-ardd"}, "matern52-ard"),
        ({"acq_function": "eii"}, "ei"),
        ({"acq_function_kwargs": {"kappa": 1.0}}, "takes none"),
        ({"acq_function": "lcb", "acq_function_kwargs": {"kapa": 1.0}}, "kappa"),
        ({"acq_function": "lcb", "acq_function_kwargs": {"kappa": 0.0}}, "above 0"),
        ({"gp_hyperparameters": "mcm"}, "mcmc"),
        ({"opt_nstarts": 0}, "opt_nstarts"),
        ({"num_init_random": 2.5}, "num_init_random"),
        ({"input_warping": "yes"}, "input_warping"),
        ({"max_size_top_fraction": 1.5}, "max_size_top_fraction"),
        ({"initial_scoring": "thompson"}, "thompson_indep"),
        ({"opt_verbose": 1}, "opt_verbose"),
        ({"opt_skip_num_max_resource": "yes"}, "opt_skip_num_max_resource"),
        ({"map_reward": "x_minus_1"}, "<a>_minus_x"),
        ({"map_reward": "nan_minus_x"}, "<a>_minus_x"),
        ({"map_reward": 1}, "<a>_minus_x"),
        ({"map_reward": "1_minus_x"}, "leave it out"),
        ({"transfer_learning_task_attr": "task"}, "points_to_evaluate"),
    ],
)
def test_nonsense_is_an_error_that_names_the_way_out(options: dict[str, Any], says: str) -> None:
    with pytest.raises(OptionError) as caught:
        make_searcher("bayesopt", problem(BRANIN), options)
    assert says in str(caught.value)


def accuracies(searcher: Searcher, trials: int) -> list[Config]:
    """What is proposed for an accuracy below 1 that is to be maximized."""
    configs = []
    for trial_id in range(trials):
        configs.append(launched(searcher, trial_id))
        finished(searcher, trial_id, configs[-1], 1.0 - math.exp(-branin(configs[-1]) / 100))
    return configs


def test_a_mapped_reward_is_the_same_problem_unless_targets_must_be_positive() -> None:
    def proposed(**options: Any) -> list[Config]:
        return accuracies(make(problem(BRANIN, mode="max"), options), 12)

    assert proposed(map_reward="minus_x") == proposed()
    assert proposed(map_reward="minus_x", boxcox_transform=True) == proposed()
    assert proposed(map_reward="1_minus_x", boxcox_transform=True) != proposed()
    assert proposed(map_reward="1.5_minus_x", boxcox_transform=True)[:4] == proposed()[:4]


def test_box_cox_of_a_mapped_reward_is_that_of_the_error() -> None:
    def told(mode: str, **options: Any) -> Config:
        searcher = make(problem(BRANIN, mode=mode), {"boxcox_transform": True, **options})
        for trial_id in range(10):
            config = RandomSearcher(BRANIN, random_seed=trial_id).suggest(0)
            assert config is not None
            searcher.on_trial_add(trial_id, config)
            error = 0.5 + round(branin(config)) / 1024
            finished(searcher, trial_id, config, error if mode == "min" else 1.0 - error)
        return launched(searcher, 10)

    assert told("max", map_reward="1_minus_x") == told("min")


def test_candidates_chosen_by_draws_differ_and_do_as_well() -> None:
    drawn = bayesopt(BRANIN, initial_scoring="thompson_indep")
    values = minimized(drawn, branin, 30)
    assert values != minimized(bayesopt(BRANIN), branin, 30)
    assert min(values) < 0.4 + 0.1


def test_without_local_optimization_draws_choose_the_proposal() -> None:
    options: dict[str, Any] = {"skip_local_optimization": True, "num_init_candidates": 50}
    drawn = minimized(bayesopt(BRANIN, initial_scoring="thompson_indep", **options), branin, 30)
    by_value = minimized(bayesopt(BRANIN, **options), branin, 30)
    assert drawn != by_value
    assert min(drawn) < 5.0


def test_what_was_learned_is_logged_if_that_is_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        minimized(bayesopt(BRANIN), branin, 6)
        assert not caplog.records
        minimized(bayesopt(BRANIN, opt_verbose=True), branin, 6)
    assert "learned from 5 observations" in caplog.text
    assert "length_scales" in caplog.text


def test_hyperparameters_are_learned_again_only_after_a_result_at_the_highest_resource() -> None:
    options = {"opt_skip_num_max_resource": True, "opt_skip_init_length": 6, "opt_skip_period": 1}
    searcher = make(problem(BRANIN, resource=("epoch", 9)), options)
    learned = []
    for trial_id in range(16):
        config = searcher.suggest(trial_id)
        assert config is not None
        carried = searcher.carried(trial_id)
        learned.append(carried is not None)
        if carried is not None:
            searcher.on_carried(trial_id, carried)
        searcher.on_trial_add(trial_id, config)
        for epoch in (1, 3, 9) if trial_id == 12 else (1, 3):
            searcher.on_result(trial_id, config, {"loss": branin(config), "epoch": epoch}, update=True)
        searcher.cleanup_pending(trial_id)
    assert learned == [False] * 4 + [True] * 2 + [False] * 7 + [True] + [False] * 2


def test_where_there_are_no_resources_that_option_has_no_effect() -> None:
    """Though it may be known how long scripts run: trials that run to their end are not filed by it."""

    def learned(**options: Any) -> list[bool]:
        of = SearchProblem(BRANIN, None, 31, ("loss",), ("min",), max_t=9)
        searcher = make(of, {"opt_skip_init_length": 5, "opt_skip_period": 1, **options})
        return [carried is not None for carried in carried_by(searcher, branin, 12)]

    assert learned(opt_skip_num_max_resource=True) == learned()


def carried_by(searcher: Searcher, objective: Callable[[Config], float], trials: int) -> list[Any]:
    carried: list[Any] = []
    for trial_id in range(trials):
        config = searcher.suggest(trial_id)
        assert config is not None
        carried.append(searcher.carried(trial_id))
        if carried[-1] is not None:
            searcher.on_carried(trial_id, carried[-1])
        searcher.on_trial_add(trial_id, config)
        searcher.on_result(trial_id, config, {"loss": objective(config)}, update=True)
        searcher.cleanup_pending(trial_id)
    return carried


def test_several_metrics_are_too_many() -> None:
    with pytest.raises(OptionError, match="several metrics"):
        make(SearchProblem(BRANIN, None, 0, ("loss", "cost"), ("min", "min")), {})


def test_a_searcher_made_for_another_metric_does_not_fit() -> None:
    searcher = bayesopt(BRANIN)
    searcher.check_fits(problem(BRANIN))
    with pytest.raises(OptionError):
        searcher.check_fits(problem(BRANIN, mode="max"))


# -- one's own model and acquisition function --------------------------------------------------------------------------


@dataclass(frozen=True)
class Nearest:
    """Predicts what was observed at the nearest point, less surely the farther that is."""

    points: Array
    targets: Array

    def predict(self, points: Array) -> Prediction:
        distances = np.linalg.norm(points[:, None] - self.points[None], axis=2)
        return Prediction(self.targets[distances.argmin(axis=1)][:, None], distances.min(axis=1, keepdims=True) * 50)


class NearestSurrogate:
    def fit(
        self,
        points: Array,
        targets: Array,
        pending: Array,
        carried: Mapping[str, Any] | None,
        random_state: np.random.Generator,
    ) -> Fit:
        return Fit(Nearest(points, targets), targets.min(keepdims=True), lambda y: y, lambda y: y)


def test_a_model_of_ones_own_without_slopes() -> None:
    def searcher(seed: int) -> Searcher:
        random = RandomSearcher(BRANIN, random_seed=seed)
        observations = Observations.of(problem(BRANIN))
        return BayesianOptimizationSearcher(random, observations, surrogate=NearestSurrogate())

    ours = [min(minimized(searcher(seed), branin, 35)) for seed in range(4)]
    chance = [min(minimized(RandomSearcher(BRANIN, random_seed=seed), branin, 35)) for seed in range(4)]
    assert np.mean(ours) < np.mean(chance)


def test_an_acquisition_function_of_ones_own() -> None:
    def exploring(fit: Fit) -> Acquisition:
        return LowerConfidenceBound(kappa=100.0)

    random, observations = RandomSearcher(BRANIN, random_seed=0), Observations.of(problem(BRANIN))
    searcher = BayesianOptimizationSearcher(random, observations, acquisition=exploring)
    bold = minimized(searcher, branin, 15)
    assert np.mean(bold[5:]) > np.mean(minimized(bayesopt(BRANIN), branin, 15)[5:])


def test_options_are_values() -> None:
    assert BayesianOptimizationOptions(num_init_random=3) == BayesianOptimizationOptions(num_init_random=3)
