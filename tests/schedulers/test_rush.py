"""RUSH, worked by hand: the first points are known to be good, and others must keep up with the best of them."""

from __future__ import annotations

import math
from typing import Any

import pytest

from cloudtune.errors import OptionError
from cloudtune.schedulers import Action, HyperbandScheduler
from cloudtune.searchers import RandomSearcher
from cloudtune.space import uniform
from tests.schedulers.bench import Bench

SPACE: dict[str, Any] = {"x": uniform(0, 1), "epochs": 9}
POINTS = [{"x": 0.1}, {"x": 0.2}]
CONTINUE, PAUSE, STOP = Action.CONTINUE, Action.PAUSE, Action.STOP


def rush(kind: str, candidates: int = 2, **options: Any) -> Bench:
    scheduler = HyperbandScheduler(
        SPACE,
        "loss",
        type=kind,
        points_to_evaluate=POINTS,
        rung_system_kwargs={"num_threshold_candidates": candidates},
        max_resource_attr="epochs",
        random_seed=0,
        **options,
    )
    return Bench(scheduler)


def test_a_worked_sequence_of_stopping() -> None:
    bench = rush("rush_stopping")
    assert bench.run(1, 5.0) == [CONTINUE]  # candidate, alone
    assert bench.run(1, 4.0) == [CONTINUE]  # candidate, [4 5]: within 4.333; the hurdle is 4 now
    assert bench.run(1, 9.0, 9.0, 9.0, 9.0) == [STOP] * 4
    # [4 4.5 5 9 9 9 9]: the quantile is 5, but 4.5 is behind 4
    decision = bench.report(bench.start(), 1, 4.5)
    assert decision.action is STOP
    assert (
        str(decision.reason) == "behind the best threshold candidate: loss 4.5, epoch 1, rung 1, recorded 7 against 4"
    )
    assert bench.run(1, 3.9) == [CONTINUE]
    assert bench.run(1, 4.0) == [CONTINUE]  # 3.9 was no candidate: the hurdle is still 4
    # at rung 3 no candidate has been
    assert bench.action(7, 3, 3.5) is CONTINUE
    # one that is stopped by halving sets its hurdle all the same
    assert bench.action(0, 3, 3.6) is STOP  # [3.5 3.6]: 3.533
    assert bench.action(8, 3, 3.0) is CONTINUE


def test_the_same_numbers_without_hurdles() -> None:
    bench = Bench(HyperbandScheduler(SPACE, "loss", max_resource_attr="epochs", random_seed=0))
    assert bench.run(1, 5.0, 4.0, 9.0, 9.0, 9.0, 9.0, 4.5)[-1] is CONTINUE


def test_a_worked_sequence_of_promotion() -> None:
    bench = rush("rush_promotion")
    assert set(bench.run(1, 5.0, 4.0, 9.0, 9.0, 9.0, 9.0, 4.5)) == {PAUSE}
    # [4 4.5 5 9 9 9 9]: three are within 5. Trial 6 (4.5) is behind the hurdle 4; trial 0 is a candidate, and may be
    assert bench.resume() == 1
    assert bench.resume() == 0
    assert bench.resume() is None
    assert bench.run(1, 3.9) == [PAUSE]
    assert bench.resume() == 7


def test_a_candidate_must_be_within_the_quantile_too() -> None:
    bench = rush("rush_promotion")
    assert set(bench.run(1, 9.0, 4.0, 8.0, 8.0, 4.5, 8.0, 8.0)) == {PAUSE}
    assert bench.resume() == 1
    assert bench.resume() is None  # [4 4.5 8 8 8 8 9]: 4.5 is behind 4, and 9 not within 8


def test_maximizing_shows_the_hurdle_in_the_users_sign() -> None:
    bench = rush("rush_stopping", candidates=1, mode="max")
    bench.run(1, 0.9, 0.1, 0.1, 0.1)
    decision = bench.report(bench.start(), 1, 0.8)
    assert decision.reason is not None
    assert (decision.action, decision.reason.threshold) == (STOP, 0.9)


@pytest.mark.parametrize("kind", ["rush_stopping", "rush_promotion"])
def test_a_diverged_candidate_is_no_hurdle_for_anybody(kind: str) -> None:
    bench = rush(kind, candidates=1)
    bench.run(1, math.nan, 5.0, 3.0)
    if kind == "rush_promotion":
        assert bench.resume() == 2
    else:
        assert bench.action(2, 2, 2.0) is CONTINUE


# -- what can't work ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "says", "hint"),
    [
        ({}, "num_threshold_candidates=0", "points_to_evaluate"),
        ({"rung_system_kwargs": {"num_threshold_candidates": 2.0}}, "2.0", "points_to_evaluate"),
        (
            {"rung_system_kwargs": {"num_threshold_candidate": 2}},
            "'num_threshold_candidate'",
            "'num_threshold_candidates'",
        ),
        ({"rung_system_kwargs": {"num_threshold_candidates": 3}}, "there are 2 different", "at the beginning"),
        (
            {"rung_system_kwargs": {"num_threshold_candidates": 2}, "points_to_evaluate": [{"x": 0.3}, {"x": 0.3}]},
            "there are 1 different",
            "at the beginning",
        ),
        (
            {
                "rung_system_kwargs": {"num_threshold_candidates": 2},
                "points_to_evaluate": None,
                "searcher": RandomSearcher(SPACE, [{"x": 0.3}]),
            },
            "there are 1 different",
            "at the beginning",
        ),
    ],
)
@pytest.mark.parametrize("kind", ["rush_stopping", "rush_promotion"])
def test_refused(kind: str, options: Any, says: str, hint: str) -> None:
    options = {"points_to_evaluate": POINTS, "max_resource_attr": "epochs", **options}
    with pytest.raises(OptionError) as caught:
        HyperbandScheduler(SPACE, "loss", type=kind, **options)
    assert says in caught.value.message
    assert hint in caught.value.hint
