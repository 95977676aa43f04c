"""How large brackets are, and which options make none."""

from __future__ import annotations

from typing import Any

import pytest

from cloudtune.errors import OptionError
from cloudtune.schedulers.dehb import (
    DifferentialEvolutionHyperbandScheduler,
    GeometricDifferentialEvolutionHyperbandScheduler,
)
from cloudtune.schedulers.sync_hyperband import SynchronousGeometricHyperbandScheduler, SynchronousHyperbandScheduler
from cloudtune.schedulers.sync_options import geometric_brackets
from cloudtune.searchers import RandomSearcher
from cloudtune.space import randint, uniform

SPACE: dict[str, Any] = {"x": uniform(0, 1), "epochs": 9}


def pairs(brackets: Any) -> list[list[tuple[int, int]]]:
    return [[tuple(rung) for rung in rungs] for rungs in brackets]


# -- by hand, from Li et al. (2018), table 1: n = ceil(K / (s + 1) * eta^s) at the lowest rung -----------------------

FIRST_RUNGS = {
    (81, 3): [(81, 1), (34, 3), (15, 9), (8, 27), (5, 81)],
    (200, 3): [(243, 1), (98, 3), (41, 9), (18, 27), (9, 81), (6, 200)],
    (16, 2): [(16, 1), (10, 2), (7, 4), (5, 8), (5, 16)],
    (81, 2): [(128, 1), (74, 2), (43, 4), (26, 8), (16, 16), (11, 32), (8, 64), (8, 81)],
    (64, 4): [(64, 1), (22, 4), (8, 16), (4, 64)],
    (200, 4): [(256, 1), (80, 4), (27, 16), (10, 64), (5, 200)],
}


@pytest.mark.parametrize(("most", "factor"), FIRST_RUNGS)
def test_the_lowest_rungs_of_all_brackets(most: int, factor: int) -> None:
    assert [rungs[0] for rungs in pairs(geometric_brackets(most, 1, factor))] == FIRST_RUNGS[most, factor]


def test_all_rungs_of_hyperband() -> None:
    assert pairs(geometric_brackets(81)) == [
        [(81, 1), (27, 3), (9, 9), (3, 27), (1, 81)],
        [(34, 3), (12, 9), (4, 27), (2, 81)],
        [(15, 9), (5, 27), (2, 81)],
        [(8, 27), (3, 81)],
        [(5, 81)],
    ]


def test_successive_halving_is_the_first_bracket() -> None:
    assert pairs(geometric_brackets(200, brackets=1)) == [[(243, 1), (81, 3), (27, 9), (9, 27), (3, 81), (1, 200)]]


def test_levels_begin_at_the_grace_period_and_end_at_the_maximum() -> None:
    assert pairs(geometric_brackets(30, 4, 2, 1)) == [[(8, 4), (4, 8), (2, 16), (1, 30)]]
    assert pairs(geometric_brackets(5, 5)) == [[(1, 5)]]


def test_a_factor_that_is_no_integer() -> None:
    assert pairs(geometric_brackets(27, 1, 2.5, 1)) == [[(40, 1), (16, 2), (7, 6), (3, 16), (1, 27)]]  # 2.5^4 = 39.06


@pytest.mark.parametrize("factor", [2, 2.3, 2.5, 3, 3.7, 4, 10])
@pytest.mark.parametrize("most", [1, 2, 9, 50, 200, 1000])
def test_sizes_always_fall_and_levels_rise(most: int, factor: float) -> None:
    brackets = geometric_brackets(most, 1, factor)
    SynchronousHyperbandScheduler({"x": uniform(0, 1)}, brackets, "loss")  # which checks it
    assert all(rungs[-1].level == most for rungs in brackets)


def test_what_a_scheduler_says_of_its_brackets() -> None:
    scheduler = SynchronousGeometricHyperbandScheduler(SPACE, "loss", random_seed=1)
    assert pairs(scheduler.bracket_rungs) == [[(9, 1), (3, 3), (1, 9)], [(5, 3), (2, 9)], [(3, 9)]]
    assert scheduler.num_brackets == 3
    assert scheduler.max_resource_level == 9
    assert scheduler.metadata()["bracket_rungs"][1] == [[5, 3], [2, 9]]
    assert scheduler.searcher_data == "rungs"


def test_sizes_of_dehb_go_with_the_level() -> None:
    scheduler = GeometricDifferentialEvolutionHyperbandScheduler(SPACE, "loss", random_seed=1)
    assert [tuple(rung) for rung in scheduler.rungs_first_bracket] == [(9, 1), (3, 3), (1, 9)]
    assert scheduler.num_brackets_per_iteration == 3
    assert scheduler.metadata()["mutation_factor"] == 0.5
    assert scheduler.searcher_data == "rungs"


# -- options -----------------------------------------------------------------------------------------------------------

WRONG_RUNGS: dict[str, Any] = {
    "nothing": [],
    "no list": 3,
    "an empty bracket": [[]],
    "no pairs": [[9, 3, 1]],
    "sizes that stay": [[(3, 1), (3, 3)]],
    "levels that stay": [[(3, 1), (1, 1)]],
    "half a trial": [[(2.5, 1)]],
    "level 0": [[(2, 0)]],
    "beyond the maximum": [[(2, 1), (1, 10)]],
}


@pytest.mark.parametrize("rungs", WRONG_RUNGS.values(), ids=WRONG_RUNGS)
def test_rungs_that_make_no_sense(rungs: Any) -> None:
    with pytest.raises(OptionError):
        SynchronousHyperbandScheduler(SPACE, rungs, "loss", max_resource_attr="epochs")


WRONG: dict[str, dict[str, Any]] = {
    "a misspelled name": {"reduction_facto": 3},
    "a small factor": {"reduction_factor": 1.5},
    "brackets": {"brackets": 0},
    "grace period above the maximum": {"grace_period": 10},
    "searcher data": {"searcher_data": "rung"},
    "an entry that is not there": {"max_resource_attr": "epoch"},
    "mode": {"mode": "least"},
    "resource": {"resource_attr": ""},
    "resource that is the metric": {"resource_attr": "loss"},
    "more trials than anybody can run": {"reduction_factor": 1e308},
    "searcher": {"searcher": "randon"},
    "seed": {"random_seed": -1},
}


@pytest.mark.parametrize("options", WRONG.values(), ids=WRONG)
@pytest.mark.parametrize(
    "kind", [SynchronousGeometricHyperbandScheduler, GeometricDifferentialEvolutionHyperbandScheduler]
)
def test_options_that_make_no_sense(kind: Any, options: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        kind(SPACE, "loss", **options)


def test_it_must_be_known_how_long_trials_run() -> None:
    with pytest.raises(OptionError, match="how long"):
        SynchronousGeometricHyperbandScheduler({"x": uniform(0, 1)}, "loss")


def test_the_limit_that_is_set_can_not_be_tuned() -> None:
    with pytest.raises(OptionError, match="tuned"):
        SynchronousGeometricHyperbandScheduler({"epochs": randint(1, 9)}, "loss", max_resource_attr="epochs")


def test_points_are_not_given_twice() -> None:
    with pytest.raises(OptionError, match="points_to_evaluate"):
        SynchronousGeometricHyperbandScheduler(
            SPACE, "loss", searcher=RandomSearcher(SPACE), points_to_evaluate=[{"x": 0.5}]
        )


WRONG_EVOLUTION: dict[str, dict[str, Any]] = {
    "no mutation": {"mutation_factor": 0},
    "too much": {"mutation_factor": 1.1},
    "no number": {"crossover_probability": "half"},
    "no crossover": {"crossover_probability": 0.0},
    "no flag": {"support_pause_resume": "no"},
    "too many brackets": {"num_brackets_per_iteration": 3},
    "more points than places": {"points_to_evaluate": [{}] * 5},
}


@pytest.mark.parametrize("options", WRONG_EVOLUTION.values(), ids=WRONG_EVOLUTION)
def test_options_of_dehb_that_make_no_sense(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        DifferentialEvolutionHyperbandScheduler(SPACE, [(4, 1), (2, 9)], "loss", **options)
