"""Which reports are new, which are repetitions, and when a trial has started over."""

from __future__ import annotations

import math
from typing import Any

import pytest

from cloudtune.journal import events as ev
from cloudtune.trial import AttemptId, AttemptStatus, Cause, Interruption, Observation, Status
from tests.engine.scripted import Scripted, change, report
from tests.engine.test_engine import Bench

LOST: dict[str, Any] = {"cause": Cause.CAPACITY, "reason": "no machine left"}


def bench(resource_attr: str | None = "epoch") -> Bench:
    made = Bench(Scripted(resource_attr=resource_attr), n_workers=1)
    made.plan()
    made.see(change(0, AttemptStatus.RUNNING))
    return made


def epoch(number: int, attempt: int = 0, at: float = 5.0, key: str = "") -> Observation:
    return report(0, key or f"{attempt}/{number}@{at:g}", attempt, at, epoch=number)


def interruption(number: int = 1, at: float = 10.0) -> Interruption:
    return Interruption(AttemptId(0, 0), number, at, "spot")


def rows(made: Bench) -> list[tuple[int, bool]]:
    return [(row.metrics["epoch"], row.repeated) for row in made.engine.ledger.rows]


def heard(made: Bench) -> int:
    return sum(what in ("result", "late") for what, _ in made.scheduler.told)


def test_before_any_interruption_nothing_is_a_repetition() -> None:
    made = bench()
    made.see(epoch(1), epoch(1, at=6.0), epoch(2), epoch(1, at=7.0))
    assert rows(made) == [(1, False), (1, False), (2, False), (1, False)]
    assert heard(made) == 4


def test_after_an_interruption_what_the_scheduler_has_heard_is_a_repetition() -> None:
    made = bench()
    made.see(epoch(1), epoch(2), epoch(3), interruption(), epoch(3, at=20.0), epoch(4, at=21.0))
    assert rows(made) == [(1, False), (2, False), (3, False), (3, True), (4, False)]
    assert heard(made) == 4
    assert made.engine.ledger.started_over == []


def test_what_was_reported_before_the_interruption_and_is_seen_after_it_is_new() -> None:
    made = bench()
    made.see(epoch(1), interruption(at=10.0), epoch(2, at=8.0), epoch(2, at=20.0), epoch(3, at=21.0))
    assert rows(made) == [(1, False), (2, False), (2, True), (3, False)]


def test_an_interruption_counts_once_however_often_it_is_seen() -> None:
    made = bench()
    assert len(made.see(interruption(), interruption(), interruption(2, 30.0))) == 2
    assert made.see(interruption()) == []
    assert made.engine.ledger.interruptions == 2


def test_a_start_from_the_first_epoch_is_noticed_once_for_each_time() -> None:
    made = bench()
    made.see(epoch(1), epoch(2), interruption(), epoch(1, at=20.0), epoch(2, at=21.0))
    assert made.engine.ledger.started_over == [AttemptId(0, 0)]
    made.see(epoch(3, at=22.0), interruption(2, 30.0), epoch(1, at=40.0), epoch(2, at=41.0))
    assert made.engine.ledger.started_over == [AttemptId(0, 0)] * 2


def test_a_late_report_of_the_first_epoch_is_no_start_from_scratch() -> None:
    made = bench()
    made.see(interruption(at=10.0), epoch(1, at=4.0), epoch(2, at=20.0))
    assert made.engine.ledger.started_over == []
    assert rows(made) == [(1, False), (2, False)]


def test_without_a_resource_everything_counts_as_it_comes() -> None:
    made = bench(resource_attr=None)
    made.see(epoch(1), epoch(2), interruption(), epoch(1, at=20.0), epoch(2, at=21.0))
    assert not any(repeated for _, repeated in rows(made))
    assert heard(made) == 4


def test_without_a_resource_a_metric_that_counts_tells_of_a_start_from_scratch() -> None:
    made = bench(resource_attr=None)
    made.see(epoch(1), epoch(2), epoch(3), interruption(), epoch(1, at=20.0), epoch(2, at=21.0))
    assert made.engine.ledger.started_over == [AttemptId(0, 0)]
    made.see(epoch(3, at=22.0), interruption(2, 30.0), epoch(1, at=40.0), epoch(2, at=41.0))
    assert made.engine.ledger.started_over == [AttemptId(0, 0)] * 2


@pytest.mark.parametrize(
    ("before", "after"),
    [([1, 2, 3], [3, 4]), ([1, 2, 3], [2, 3, 4]), ([5, 7, 6, 8], [5, 6]), ([4, 4], [4]), ([2.0, 3.0], [2.0])],
    ids=["goes on", "goes on from an older checkpoint", "no counter", "a constant", "no whole numbers"],
)
def test_without_a_resource_nothing_else_does(before: list[int], after: list[int]) -> None:
    made = bench(resource_attr=None)
    made.see(*(epoch(number, at=5.0 + place) for place, number in enumerate(before)), interruption())
    made.see(*(epoch(number, at=20.0 + place) for place, number in enumerate(after)))
    assert made.engine.ledger.started_over == []


def test_a_resource_that_is_no_number_repeats_nothing() -> None:
    made = bench()
    made.see(epoch(1), interruption(), report(0, "x", at=20.0, epoch=math.nan), report(0, "y", at=21.0, epoch="two"))
    assert not any(repeated for _, repeated in rows(made))


# -- lost attempts -----------------------------------------------------------------------------------------------------


def lose(made: Bench, number: int = 0) -> None:
    made.see(change(0, AttemptStatus.FAILED, number, **LOST))


def test_a_lost_attempt_is_followed_by_the_next_one_with_the_same_configuration() -> None:
    made = bench()
    made.see(epoch(1), epoch(2))
    lose(made)
    assert made.statuses() == [Status.in_progress]
    launch = made.plan()[0]
    assert isinstance(launch, ev.LaunchIntended)
    assert (launch.trial_id, launch.attempt, launch.config) == (0, 1, {"x": 0})
    assert launch.why == "again after: no machine left"
    made.see(epoch(2, 1, 20.0), epoch(3, 1, 21.0))
    assert rows(made)[2:] == [(2, True), (3, False)]
    assert [what for what, _ in made.scheduler.told] == ["add", "result", "result", "result"]


def test_losses_in_a_row_are_forgotten_with_the_first_new_report() -> None:
    made = bench()
    lose(made)
    made.plan()
    lose(made, 1)
    made.plan()
    assert made.engine.ledger.trials[0].capacity_losses == 2
    made.see(epoch(1, 2, 20.0))
    assert made.engine.ledger.trials[0].capacity_losses == 0


@pytest.mark.parametrize("cut", range(4, 10))
def test_a_crash_between_a_loss_and_the_next_launch_changes_nothing(cut: int) -> None:
    made = bench()
    made.see(epoch(1))
    lose(made)
    made.plan()
    again = Bench(Scripted(resource_attr="epoch"), n_workers=1)
    again.events.clear()
    again.engine = type(made.engine)(again.scheduler, made.engine.options)
    again.apply(*(ev.from_line(ev.to_line(event)) for event in made.events[:cut]))
    list(again.engine.decide(0.0))
    again.plan()
    again.see(change(0, AttemptStatus.RUNNING), epoch(1))
    lose(again)
    again.plan()
    assert [attempt.id for attempt in again.engine.ledger.open.values()] == [AttemptId(0, 1)]
    assert again.scheduler.told == made.scheduler.told


def test_the_cost_of_lost_attempts_counts() -> None:
    made = bench()
    made.see(change(0, AttemptStatus.FAILED, dollars=0.25, **LOST))
    made.plan()
    assert made.engine.ledger.spent == 0.25
    assert made.engine.ledger.trials[0].cost(0.0) == 0.25
