"""Baselines: the names users know, and that successive halving pays."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import cloudtune.baselines
from cloudtune.baselines import (
    ASHA,
    ASHABORE,
    ASHACQR,
    BOHB,
    BORE,
    CQR,
    DEHB,
    KDE,
    PASHA,
    REA,
    BayesianOptimization,
    ConstrainedBayesianOptimization,
    GridSearch,
    MedianStoppingRule,
    PopulationBasedTraining,
    RandomSearch,
    SyncBOHB,
    SyncHyperband,
)
from cloudtune.errors import OptionError
from cloudtune.schedulers import FIFOScheduler, HyperbandScheduler, Start, TrialScheduler
from cloudtune.space import loguniform, uniform
from cloudtune.testing.mini_tuner import MiniTuner, replay
from cloudtune.trial import Config, Mode

SPACE: dict[str, Any] = {"lr": loguniform(1e-5, 1), "momentum": uniform(0, 1), "epochs": 27}


def learning_curve(trial_id: int, config: Config, epoch: int) -> float:
    """A final loss between 0 and about 2, approached as epochs pass, faster for some configurations; some noise."""
    final = (np.log10(config["lr"]) + 2) ** 2 / 9 + (config["momentum"] - 0.8) ** 2
    noise = np.random.default_rng([trial_id, epoch]).normal(0, 0.01)
    return float(final + 1.5 * epoch ** -(0.6 + 0.6 * config["momentum"]) + noise)


def best_found(scheduler: TrialScheduler, budget: int) -> float:
    """After ``budget`` epochs in all, with 4 workers."""
    tuner = MiniTuner(scheduler, learning_curve, max_resource=27, n_workers=4)
    tuner.run(10_000, max_units=budget)
    return min(min(values) for values in tuner.best.values() if values)


@pytest.mark.parametrize("kind", ["stopping", "promotion"])
def test_successive_halving_beats_random_search_at_equal_cost(kind: str) -> None:
    budget, seeds = 27 * 12, range(15)
    options: dict[str, Any] = {"max_resource_attr": "epochs", "points_to_evaluate": []}
    random = [best_found(RandomSearch(SPACE, "loss", random_seed=seed, **options), budget) for seed in seeds]
    asha = [best_found(ASHA(SPACE, "loss", "epoch", type=kind, random_seed=seed, **options), budget) for seed in seeds]
    assert np.mean(asha) < 0.85 * np.mean(random)
    assert sum(a < r for a, r in zip(asha, random, strict=True)) >= 10


def test_names_and_kinds() -> None:
    random = RandomSearch(SPACE, "loss", random_seed=0)
    asha = ASHA(
        SPACE, metric="loss", resource_attr="epoch", max_resource_attr="epochs", search_options={"debug_log": False}
    )
    assert isinstance(random, FIFOScheduler)
    assert isinstance(asha, HyperbandScheduler)
    assert random.metadata()["scheduler_name"] == "RandomSearch"
    assert asha.metadata()["scheduler_name"] == "ASHA"
    for scheduler in (random, asha):
        assert json.loads(json.dumps(scheduler.metadata())) == scheduler.metadata()


def test_arguments_reach_the_scheduler() -> None:
    asha = ASHA(
        SPACE,
        "acc",
        "step",
        mode="max",
        max_t=20,
        type="promotion",
        rung_levels=[2, 5],
        brackets=2,
        rung_system_per_bracket=True,
        searcher_data="all",
        points_to_evaluate=[{"momentum": 0.25}],
        random_seed=4,
    )
    said = asha.metadata()
    assert (said["metric_names"], said["metric_mode"], said["resource_attr"]) == (["acc"], "max", "step")
    assert (said["rung_levels"], said["num_brackets"], said["max_resource_level"]) == ([2, 5], 2, 20)
    assert (said["type"], said["searcher_data"], said["random_seed"]) == ("promotion", "all", 4)
    first = asha.suggest(0)
    assert isinstance(first, Start)
    assert first.config["momentum"] == 0.25


# -- every one of them -------------------------------------------------------------------------------------------------

FULL_LENGTH: tuple[Callable[..., TrialScheduler], ...] = (
    *(RandomSearch, GridSearch, BayesianOptimization, KDE, BORE, CQR, REA),
)
BY_RESOURCE: tuple[Callable[..., TrialScheduler], ...] = (
    *(ASHA, PASHA, BOHB, ASHABORE, ASHACQR, SyncHyperband, SyncBOHB, DEHB, PopulationBasedTraining),
)


def full_length(kind: Callable[..., TrialScheduler]) -> Callable[[Mode], TrialScheduler]:
    return lambda mode: kind(SPACE, metric="loss", mode=mode, random_seed=3, max_resource_attr="epochs")


def by_resource(kind: Callable[..., TrialScheduler]) -> Callable[[Mode], TrialScheduler]:
    return lambda mode: kind(
        SPACE, metric="loss", resource_attr="epoch", mode=mode, random_seed=3, max_resource_attr="epochs"
    )


MAKERS: dict[str, Callable[[Mode], TrialScheduler]] = {
    **{kind.__name__: full_length(kind) for kind in FULL_LENGTH},
    **{kind.__name__: by_resource(kind) for kind in BY_RESOURCE},
    "PopulationBasedTraining": lambda mode: PopulationBasedTraining(
        SPACE, "loss", "epoch", mode=mode, random_seed=3, max_resource_attr="epochs", perturbation_interval=5
    ),
    "MedianStoppingRule": lambda mode: MedianStoppingRule(full_length(RandomSearch)(mode), resource_attr="epoch"),
    "ConstrainedBayesianOptimization": lambda mode: ConstrainedBayesianOptimization(
        SPACE, metric="loss", constraint_attr="epoch", mode=mode, random_seed=3
    ),
}


def test_all_are_tried_here() -> None:
    assert set(MAKERS) == set(cloudtune.baselines.__all__)


@pytest.mark.parametrize("name", MAKERS)
def test_each_tunes_mirrors_and_is_replayed(name: str) -> None:
    """Told of the same, both modes launch and decide the same; so does a fresh one that hears what happened."""

    def mirrored(trial_id: int, config: Config, epoch: int) -> float:
        return -learning_curve(trial_id, config, epoch)

    least = MiniTuner(MAKERS[name]("min"), learning_curve, max_resource=27).run(10_000, max_units=300)
    most = MiniTuner(MAKERS[name]("max"), mirrored, max_resource=27).run(10_000, max_units=300)
    assert sum(isinstance(suggestion, Start) for suggestion in least.suggestions) >= 4
    assert most.suggestions == least.suggestions
    assert most.decisions == least.decisions
    fresh = MAKERS[name]("min")
    assert replay(least.calls, fresh) == least.decisions
    said = fresh.metadata()
    assert said["scheduler_name"] == name
    assert json.loads(json.dumps(said)) == said


@pytest.mark.parametrize("kind", [*FULL_LENGTH, *BY_RESOURCE])
def test_a_misspelled_argument_or_option_is_named(kind: Callable[..., TrialScheduler]) -> None:
    resource = {} if kind in FULL_LENGTH else {"resource_attr": "epoch", "max_resource_attr": "epochs"}
    with pytest.raises(OptionError, match="random_seed"):
        kind(SPACE, metric="loss", random_sed=3, **resource)
    if kind is not PopulationBasedTraining:  # which takes no searcher
        with pytest.raises(OptionError, match="'debug_lok'"):
            kind(SPACE, metric="loss", search_options={"debug_lok": True}, **resource)


@pytest.mark.parametrize(
    ("make", "twice"),
    [
        (lambda options: REA(SPACE, "loss", search_options=options), {"population_size": 20}),
        (lambda options: REA(SPACE, "loss", search_options=options), {"sample_size": 100}),
        (
            lambda options: ConstrainedBayesianOptimization(SPACE, "loss", "latency", search_options=options),
            {"constraint_attr": "memory"},
        ),
    ],
)
def test_what_is_an_argument_is_not_an_option_as_well(make: Callable[[Any], TrialScheduler], twice: Any) -> None:
    with pytest.raises(OptionError, match=f"search_options has {next(iter(twice))}="):
        make(twice)
    with pytest.raises(OptionError, match="search_options is"):
        make([twice])


# -- their arguments ---------------------------------------------------------------------------------------------------

COMMON: dict[str, Any] = {"mode": "min", "points_to_evaluate": None, "random_seed": None}
OF_A_SEARCHER: dict[str, Any] = {**COMMON, "search_options": None, "max_resource_attr": None}
FULL: dict[str, Any] = {**OF_A_SEARCHER, "max_t": None}
HALVING: dict[str, Any] = {**OF_A_SEARCHER, "grace_period": 1, "reduction_factor": None, "searcher_data": "rungs"}
ASYNCHRONOUS: dict[str, Any] = {
    **HALVING,
    "max_t": None,
    "rung_increment": None,
    "rung_levels": None,
    "brackets": 1,
    "rung_system_per_bracket": False,
    "rung_system_kwargs": None,
    "early_checkpoint_removal_kwargs": None,
}
OF_ANY_TYPE: dict[str, Any] = {**ASYNCHRONOUS, "type": "stopping", "cost_attr": None}
SYNCHRONOUS: dict[str, Any] = {**HALVING, "brackets": None, "max_resource_level": None}
ARGUMENTS: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    **dict.fromkeys(("RandomSearch", "GridSearch", "BayesianOptimization", "KDE", "BORE", "CQR"), ((), FULL)),
    "REA": ((), {**FULL, "population_size": 100, "sample_size": 10}),
    "ConstrainedBayesianOptimization": (("constraint_attr",), FULL),
    **dict.fromkeys(("ASHA", "BOHB", "ASHABORE", "ASHACQR"), (("resource_attr",), OF_ANY_TYPE)),
    "PASHA": (("resource_attr",), ASYNCHRONOUS),
    **dict.fromkeys(("SyncHyperband", "SyncBOHB"), (("resource_attr",), SYNCHRONOUS)),
    "DEHB": (
        ("resource_attr",),
        {**SYNCHRONOUS, "mutation_factor": 0.5, "crossover_probability": 0.5, "support_pause_resume": True},
    ),
    "PopulationBasedTraining": (
        ("resource_attr",),
        {
            **COMMON,
            "max_t": None,
            "max_resource_attr": None,
            "custom_explore_fn": None,
            "population_size": 4,
            "perturbation_interval": 60,
            "quantile_fraction": 0.25,
            "resample_probability": 0.25,
            "log_config": True,
        },
    ),
}
"""What comes after the space and the metric, and all the rest with its default."""


@pytest.mark.parametrize("name", ARGUMENTS)
def test_arguments_and_their_defaults(name: str) -> None:
    leading, others = ARGUMENTS[name]
    parameters = inspect.signature(getattr(cloudtune.baselines, name)).parameters
    by_place = [each.name for each in parameters.values() if each.kind is each.POSITIONAL_OR_KEYWORD]
    assert by_place == ["config_space", "metric", *leading]
    assert {key: each.default for key, each in parameters.items() if key not in by_place} == others


def test_arguments_of_the_median_stopping_rule() -> None:
    parameters = inspect.signature(MedianStoppingRule).parameters
    assert list(parameters)[:2] == ["scheduler", "resource_attr"]
    rest = {key: each.default for key, each in list(parameters.items())[2:]}
    assert rest == {"running_average": True, "metric": None, "grace_time": 1, "grace_population": 5, "rank_cutoff": 0.5}
    assert {*ARGUMENTS, "MedianStoppingRule"} == set(cloudtune.baselines.__all__)
