"""What becomes of a trial, and what it cost."""

from __future__ import annotations

import pytest

from cloudtune.engine.ledger import Ledger
from cloudtune.engine.reading import read_ledger
from cloudtune.errors import ExperimentNotFoundError, JournalError
from cloudtune.journal import events as ev
from cloudtune.trial import AttemptId, Status
from tests.engine.scripted import Scripted

LAUNCH = (ev.LaunchIntended(0.0, 0, 0, {"x": 0}), ev.Launched(1.0, 0, 0, "job", 3.6))


def ledger_of(*events: ev.Event, scheduler: Scripted | None = None) -> Ledger:
    ledger = Ledger(scheduler or Scripted())
    for event in events:
        ledger.apply(event)
    return ledger


def reported(say: str = "CONTINUE", key: str = "a", **metrics: float) -> tuple[ev.Event, ...]:
    return (
        ev.ReportObserved(5.0, 0, 0, key, {"loss": 1.0, "say": say, **metrics}, 4.0, 5.0),
        ev.DecisionMade(5.0, 0, 0, key, say, "said so"),
    )


def ended(status: str, reason: str = "", dollars: float | None = None) -> ev.Event:
    return ev.StatusObserved(10.0, 0, 0, status, reason, dollars)


@pytest.mark.parametrize(
    ("said", "how_it_ended", "expected", "told"),
    [
        ("CONTINUE", "Completed", Status.completed, "complete"),
        ("CONTINUE", "Failed", Status.failed, "error"),
        ("CONTINUE", "Stopped", Status.stopped, "remove"),
        ("STOP", "Stopped", Status.stopped, "remove"),
        ("STOP", "Completed", Status.stopped, "remove"),
        ("STOP", "Failed", Status.stopped, "remove"),
        ("PAUSE", "Stopped", Status.paused, "remove"),
        ("PAUSE", "Completed", Status.completed, "complete"),
        ("PAUSE", "Failed", Status.paused, "remove"),
        (None, "Completed", Status.failed, "error"),
        (None, "Failed", Status.failed, "error"),
        (None, "Stopped", Status.stopped, "remove"),
    ],
)
def test_outcome(said: str | None, how_it_ended: str, expected: Status, told: str) -> None:
    scheduler = Scripted()
    ledger = ledger_of(*LAUNCH, *(reported(said) if said else ()), ended(how_it_ended), scheduler=scheduler)
    assert ledger.trials[0].status is expected
    assert scheduler.told[-1] == (told, 0)
    assert ledger.failures == (expected is Status.failed)
    assert not ledger.open
    assert not ledger.intents


def test_a_trial_that_ends_without_its_objective_says_so() -> None:
    ledger = ledger_of(*LAUNCH, ended("Completed"))
    assert ledger.trials[0].reason == "ended without reporting 'loss'"


def test_a_refused_launch_fails_the_trial_with_the_reason() -> None:
    ledger = ledger_of(LAUNCH[0], ev.LaunchFailed(1.0, 0, 0, "no such image"))
    assert (ledger.trials[0].status, ledger.trials[0].reason) == (Status.failed, "no such image")


def test_a_held_launch_stays_intended_and_shows_why() -> None:
    ledger = ledger_of(LAUNCH[0], ev.LaunchHeld(1.0, 0, 0, "4 of 4 in use"))
    assert ledger.open[AttemptId(0, 0)].held == "4 of 4 in use"
    assert len(ledger.intents) == 1


@pytest.mark.parametrize(
    ("events", "dollars"),
    [
        ((), 0.0),
        ((ev.StatusObserved(3.0, 0, 0, "Running"),), 0.001 * 97),  # 3.6 $/h is 0.001 $/s, from 3 to 100
        ((ev.StatusObserved(3.0, 0, 0, "Running"), ev.StatusObserved(10.0, 0, 0, "Draining")), 0.001 * 7),
        ((ev.StatusObserved(3.0, 0, 0, "Running"), *reported(st_worker_cost=0.5)), 0.5),
        ((*reported(st_worker_cost=0.5), ended("Completed", dollars=0.75)), 0.75),
        ((*reported(st_worker_cost=0.5), ended("Completed")), 0.5),
    ],
)
def test_cost_is_the_bill_else_what_the_script_says_else_price_times_time(
    events: tuple[ev.Event, ...], dollars: float
) -> None:
    ledger = ledger_of(*LAUNCH, *events)
    assert ledger.trials[0].cost(now=100.0) == pytest.approx(dollars)


def test_cost_adds_up_over_attempts() -> None:
    scheduler = Scripted()
    scheduler.resumable = [(0, None)]
    ledger = ledger_of(
        *LAUNCH,
        *reported("PAUSE", st_worker_cost=0.5),
        ended("Stopped", dollars=0.6),
        ev.LaunchIntended(20.0, 0, 1, {"x": 0}),
        ev.Launched(20.0, 0, 1, "job-1", 3.6),
        ev.StatusObserved(30.0, 0, 1, "Running"),
        scheduler=scheduler,
    )
    assert ledger.trials[0].cost(now=130.0) == pytest.approx(0.6 + 0.1)


def test_tuner_time_adds_up_over_sessions() -> None:
    ledger = ledger_of(
        ev.ExperimentStarted(0.0, "name", "0"),
        ev.SessionStarted(0.0, "here", 1, 0.0),
        ev.SessionStarted(500.0, "there", 2, 40.0),
    )
    assert ledger.wallclock_time(510.0) == 50.0


def test_events_about_attempts_that_were_never_intended_are_refused() -> None:
    with pytest.raises(JournalError, match="attempt 0-0, which was never intended"):
        ledger_of(LAUNCH[1])


def test_a_journal_can_be_read_without_its_scheduler() -> None:
    started = ev.ExperimentStarted(0.0, "name", "0", {"metric_names": ["loss"], "metric_mode": "max"})
    ledger, read = read_ledger([started, *LAUNCH, *reported("STOP"), ended("Stopped")])
    assert read is started
    assert ledger.trials[0].status is Status.stopped
    assert ledger.rows[0].decision.value == "STOP"
    assert ledger.scheduler.metric_mode() == "max"


def test_an_empty_journal_is_no_experiment() -> None:
    with pytest.raises(ExperimentNotFoundError, match="empty"):
        read_ledger([])
