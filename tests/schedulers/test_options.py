"""What schedulers refuse at construction, before money is spent, and the way out they name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cloudtune.errors import ConfigSpaceError, OptionError
from cloudtune.schedulers import FIFOScheduler, HyperbandScheduler, TrialScheduler
from cloudtune.searchers import RandomSearcher
from cloudtune.space import choice, ordinal, randint, uniform

SPACE: dict[str, Any] = {"x": uniform(0, 1), "epochs": 9}
fifo: Callable[..., FIFOScheduler] = FIFOScheduler
hyperband: Callable[..., HyperbandScheduler] = HyperbandScheduler


@pytest.mark.parametrize("make", [fifo, hyperband])
@pytest.mark.parametrize(
    ("options", "says", "hint"),
    [
        ({"metric": ""}, "metric is ''", "reports it"),
        ({"metric": 3}, "metric is 3", "reports it"),
        ({"mode": "maximize"}, "mode is 'maximize'", '"max"'),
        ({"searcher": "randm"}, "'randm'", "'random'"),
        ({"searcher": 3}, "searcher is 3", '"random"'),
        ({"searcher": "botorch"}, "'botorch'", "'bayesopt'"),
        ({"searcher": "hypertune"}, "'hypertune'", "several rungs"),
        ({"searcher": "bayesopt", "search_options": {"model": "gp_multitask"}}, "'model'", "several rungs"),
        ({"searcher": "bore", "search_options": {"classifier": "xgboost"}}, "'xgboost'", "'rf'"),
        ({"time_keeper": None}, "no argument time_keeper", "backend"),
        ({"search_options": {"alow_duplicates": True}}, "'alow_duplicates'", "'allow_duplicates'"),
        ({"search_options": {"allow_duplicates": "yes"}}, "'yes'", "True or False"),
        ({"random_seed": -3}, "random_seed is -3", "at least 0"),
        ({"max_resource_attr": "epoch"}, "'epoch'", "'epochs'"),
        ({"max_t": 0}, "max_t is 0", "at least 1"),
        ({"max_t": 2.5}, "max_t is 2.5", "at least 1"),
        ({"searcher": RandomSearcher(SPACE), "points_to_evaluate": [{"x": 0.1}]}, "points_to_evaluate", "searcher"),
        ({"searcher": RandomSearcher(SPACE), "search_options": {"debug_log": False}}, "search_options", "searcher"),
    ],
)
def test_refused_by_every_scheduler(make: Callable[..., TrialScheduler], options: Any, says: str, hint: str) -> None:
    with pytest.raises(OptionError) as caught:
        make(**{"config_space": SPACE, "metric": "loss", **options})
    assert says in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("options", "says", "hint"),
    [
        ({"type": "promote"}, "type 'promote'", "'promotion'"),
        ({"max_t": 10**400}, "max_t is 1000", "at least 1"),
        ({"resource_attr": "loss"}, "metric and resource_attr are both 'loss'", "different names"),
        ({"type": "cost_promotion", "cost_attr": "loss"}, "metric and cost_attr are both 'loss'", "different names"),
        ({"searcher_data": "rung"}, "searcher_data 'rung'", "'rungs'"),
        ({"resource_attr": ""}, "resource_attr is ''", "reports it"),
        ({"reduction_factor": 1}, "reduction_factor=1", "usual: 3"),
        ({"grace_period": 10}, "grace_period=10", "no trial"),
        ({"rung_levels": [3, 1]}, "1 does not lie above 3", "sort"),
        ({"brackets": 0}, "brackets is 0", "at least 1"),
        ({"metric": ["a", "b"]}, "metric is ['a', 'b']", "reports it"),
        ({"config_space": {"x": uniform(0, 1)}}, "how long trials run", "max_resource_attr"),
        ({"config_space": {"epochs": "nine"}}, "config_space['epochs'] is 'nine'", "at least 1"),
        (
            {"config_space": {"epochs": randint(1, 9)}, "max_resource_attr": "epochs", "type": "promotion"},
            "'epochs' is tuned",
            "constant",
        ),
        (
            {"type": "pasha", "config_space": {"epochs": randint(9, 27)}, "max_resource_attr": "epochs"},
            "tuned",
            "const",
        ),
        ({"type": "cost_promotion"}, "no cost_attr", 'cost_attr="elapsed_time"'),
        ({"type": "cost_promotion", "cost_attr": 3}, "cost_attr is 3", "name"),
        ({"cost_attr": "seconds"}, "no effect for type='stopping'", "cost_promotion"),
        (
            {"type": "cost_promotion", "cost_attr": "seconds", "rung_system_kwargs": {"cost_attr": "dollars"}},
            "cost_attr='seconds', and rung_system_kwargs has cost_attr='dollars'",
            "one",
        ),
        ({"rung_system_per_bracket": "no"}, "rung_system_per_bracket='no'", "one of them"),
        ({"do_snapshots": True}, "no argument do_snapshots", "leave it out"),
        ({"rung_system_kwargs": {"epsilon": 1}}, "'epsilon' is not known for type='stopping'", "no such options"),
    ],
)
def test_refused_by_successive_halving(options: Any, says: str, hint: str) -> None:
    with pytest.raises(OptionError) as caught:
        hyperband(**{"config_space": SPACE, "metric": "loss", **options})
    assert says in caught.value.message
    assert hint in caught.value.hint


def test_an_unknown_argument_is_answered_with_the_nearest_name() -> None:
    with pytest.raises(OptionError, match="did you mean 'reduction_factor'"):
        hyperband(SPACE, "loss", reduction_facto=3)


def test_an_impossible_space_or_point_is_refused() -> None:
    with pytest.raises(ConfigSpaceError):
        fifo({"x": {1, 2}}, "loss")
    with pytest.raises(ConfigSpaceError, match="points_to_evaluate"):
        fifo(SPACE, "loss", points_to_evaluate=[{"y": 1}])


@pytest.mark.parametrize(
    ("space", "options", "expected"),
    [
        ({"epochs": 9}, {}, 9),
        ({"max_t": 7}, {}, 7),
        ({"max_epochs": 5}, {}, 5),
        ({"steps": 4}, {"max_resource_attr": "steps"}, 4),
        ({"epochs": 9, "steps": 4}, {"max_resource_attr": "steps"}, 4),
        ({"epochs": 9}, {"max_t": 6}, 6),
        ({"epochs": 9}, {"max_t": 6, "max_resource_attr": "epochs"}, 6),
        ({"epochs": randint(2, 12)}, {}, 12),
        ({"epochs": choice([5, 11, 3])}, {}, 11),
        ({"epochs": ordinal([5, 8])}, {"max_resource_attr": "epochs"}, 8),
    ],
)
def test_where_the_maximum_resource_comes_from(space: Any, options: Any, expected: int) -> None:
    assert hyperband(space, "loss", **options).max_resource_level == expected
    assert fifo(space, "loss", **options).max_resource_level == expected


def test_fifo_needs_no_maximum() -> None:
    assert fifo({"x": uniform(0, 1)}, "loss").max_resource_level is None


def test_several_objectives() -> None:
    scheduler = fifo(SPACE, ["loss", "latency"], mode=["min", "max"])
    assert scheduler.metric_names() == ["loss", "latency"]
    assert scheduler.metric_mode() == ["min", "max"]
    with pytest.raises(OptionError, match="1 modes for 2 metrics"):
        fifo(SPACE, ["loss", "latency"], mode=["min"])


def test_search_options_reach_the_searcher() -> None:
    restricted = [{"x": 0.25, "epochs": 9}]
    options = {"restrict_configurations": restricted, "debug_log": False, "allow_duplicates": True}
    scheduler = fifo(SPACE, "loss", search_options=options, points_to_evaluate=[])
    assert [getattr(scheduler.suggest(n), "config", None) for n in range(3)] == restricted * 3


def test_a_seed_that_is_not_given_is_drawn_and_in_the_metadata() -> None:
    drawn = hyperband(SPACE, "loss", brackets=3)
    again = hyperband(SPACE, "loss", brackets=3, random_seed=drawn.metadata()["random_seed"])
    assert [drawn.suggest(n) for n in range(20)] == [again.suggest(n) for n in range(20)]


def test_what_it_says_of_itself() -> None:
    scheduler = hyperband(SPACE, "loss", max_resource_attr="epochs", brackets=2, random_seed=3)
    assert scheduler.metadata() == {
        "metric_names": ["loss"],
        "metric_mode": "min",
        "scheduler_name": "HyperbandScheduler",
        "searcher": "RandomSearcher",
        "random_seed": 3,
        "resource_attr": "epoch",
        "max_resource_attr": "epochs",
        "max_resource_level": 9,
        "type": "stopping",
        "rung_levels": [1, 3],
        "num_brackets": 2,
        "rung_system_per_bracket": False,
        "searcher_data": "rungs",
    }
    rush = hyperband(SPACE, "loss", type="rush_stopping", rung_system_kwargs={"num_threshold_candidates": 1})
    assert rush.metadata()["rung_system_kwargs"] == {"num_threshold_candidates": 1}
    assert not scheduler.does_pause_resume()
    assert hyperband(SPACE, "loss", type="promotion").does_pause_resume()
