"""Which events come next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from cloudtune.engine.engine import Engine, EngineOptions
from cloudtune.engine.intents import LaunchAttempt, StopAttempt
from cloudtune.errors import JournalError
from cloudtune.journal import events as ev
from cloudtune.schedulers.base import Action
from cloudtune.trial import AttemptId, AttemptStatus, Observation, Status
from tests.engine.scripted import Scripted, change, report

DONE = AttemptStatus.COMPLETED


class Bench:
    """An engine whose intents are always carried out at once."""

    def __init__(self, scheduler: Scripted | None = None, n_workers: int = 2, **options: Any) -> None:
        self.scheduler = scheduler or Scripted()
        self.engine = Engine(self.scheduler, EngineOptions(n_workers=n_workers, **options))
        self.events: list[ev.Event] = []
        self.now = 0.0
        self.apply(ev.ExperimentStarted(0.0, "bench", "0"), ev.SessionStarted(0.0, "here", 1, 0.0))

    def apply(self, *events: ev.Event) -> None:
        for event in events:
            self.engine.ledger.apply(event)
            self.events.append(event)

    def see(self, *observations: Observation) -> list[ev.Event]:
        news: list[ev.Event] = list(self.engine.observe(observations, self.now))
        self.events += news
        return news

    def plan(self) -> list[ev.Event]:
        planned = list(self.engine.plan(self.now))
        self.events += planned
        for intent in list(self.engine.ledger.intents.values()):
            if isinstance(intent, LaunchAttempt):
                attempt = intent.attempt.id
                self.apply(ev.Launched(self.now, attempt.trial_id, attempt.number, f"job-{attempt}", 3.6))
            elif isinstance(intent, StopAttempt):
                self.apply(ev.StopIssued(self.now, intent.attempt.trial_id, intent.attempt.number))
            else:
                self.apply(ev.CheckpointDeleted(self.now, intent.trial_id))
        return planned

    def launches(self, planned: Sequence[ev.Event]) -> list[tuple[int, int]]:
        return [(event.trial_id, event.attempt) for event in planned if isinstance(event, ev.LaunchIntended)]

    def statuses(self) -> list[Status]:
        return [trial.status for trial in self.engine.ledger.trials]


def test_fills_all_workers_and_no_more() -> None:
    bench = Bench(n_workers=3)
    assert bench.launches(bench.plan()) == [(0, 0), (1, 0), (2, 0)]
    assert bench.plan() == []


def test_a_worker_is_free_as_soon_as_its_attempt_drains() -> None:
    bench = Bench()
    bench.plan()
    bench.see(change(0, AttemptStatus.RUNNING), change(0, AttemptStatus.DRAINING))
    assert bench.launches(bench.plan()) == [(2, 0)]


def test_a_stopping_attempt_occupies_its_worker_only_if_jobs_start_with_delay() -> None:
    for without_delay, expected in ((True, [(2, 0)]), (False, [])):
        bench = Bench(start_jobs_without_delay=without_delay)
        bench.plan()
        bench.see(change(0, AttemptStatus.RUNNING), report(0, "a", say="STOP"))
        assert bench.launches(bench.plan()) == expected


def test_synchronous_scheduling_starts_whole_batches() -> None:
    bench = Bench(asynchronous_scheduling=False)
    assert len(bench.launches(bench.plan())) == 2
    bench.see(report(0, "a"), change(0, DONE))
    assert bench.plan() == []
    bench.see(report(1, "a"), change(1, DONE))
    assert bench.launches(bench.plan()) == [(2, 0), (3, 0)]


def test_a_known_report_and_a_stale_status_are_no_news() -> None:
    bench = Bench()
    bench.plan()
    assert bench.see(change(0, AttemptStatus.RUNNING), report(0, "a"))
    assert bench.see(change(0, AttemptStatus.RUNNING), report(0, "a"), change(0, AttemptStatus.PENDING)) == []
    assert [row.trial_id for row in bench.engine.ledger.rows] == [0]


def test_observations_of_attempts_nobody_intended_are_ignored() -> None:
    bench = Bench()
    bench.plan()
    assert bench.see(report(7, "a"), change(0, DONE, number=3)) == []


def test_every_decision_is_an_event_with_its_reason() -> None:
    bench = Bench()
    bench.plan()
    made = bench.see(report(0, "a", say="STOP", loss=2.0))[-1]
    assert made == ev.DecisionMade(0.0, 0, 0, "a", "STOP", "said so", {"loss": 2.0}, 1.0)


def test_stop_is_carried_out_and_ends_the_trial() -> None:
    bench = Bench()
    bench.plan()
    bench.see(change(0, AttemptStatus.RUNNING), report(0, "a", say="STOP"))
    assert bench.statuses()[0] is Status.stopping
    assert StopAttempt(AttemptId(0, 0)) in bench.engine.ledger.intents.values()
    bench.see(change(0, AttemptStatus.STOPPED))
    assert bench.statuses()[0] is Status.stopped
    assert bench.scheduler.told[-1] == ("remove", 0)


def test_a_paused_trial_is_resumed_only_after_its_job_has_ended() -> None:
    bench = Bench()
    bench.plan()
    bench.see(change(0, AttemptStatus.RUNNING), report(0, "a", say="PAUSE"))
    bench.scheduler.resumable = [(0, {"x": 0, "epochs": 9})]
    assert bench.plan() == []
    bench.see(change(0, AttemptStatus.STOPPED))
    assert bench.statuses()[0] is Status.paused
    assert bench.launches(bench.plan()) == [(0, 1)]
    assert bench.engine.ledger.trials[0].trial.config == {"x": 0, "epochs": 9}
    assert bench.statuses()[0] is Status.in_progress


def test_why_a_trial_is_resumed_is_in_the_event_of_its_launch() -> None:
    bench = Bench()
    bench.plan()
    bench.see(change(0, AttemptStatus.RUNNING), report(0, "a", say="PAUSE"), change(0, AttemptStatus.STOPPED))
    bench.scheduler.resumable = [(0, None)]
    launch, *_ = bench.plan()
    assert isinstance(launch, ev.LaunchIntended)
    assert (launch.rule, launch.numbers, launch.threshold) == ("is told to", {"trial": 0}, 1.0)
    assert ev.from_line(ev.to_line(launch)) == launch


def test_resuming_a_trial_that_is_not_paused_is_a_defect_of_the_scheduler() -> None:
    bench = Bench()
    bench.plan()
    bench.see(report(0, "a"), change(0, DONE))
    bench.scheduler.resumable = [(0, None)]
    with pytest.raises(JournalError, match="resumes trial 0, which is Completed"):
        bench.plan()


def test_a_script_told_to_end_where_it_is_paused_is_not_stopped() -> None:
    bench = Bench(Scripted(resource_attr="epoch", max_resource_attr="epochs"))
    bench.apply(ev.LaunchIntended(0.0, 0, 0, {"epochs": 3}), ev.Launched(0.0, 0, 0, "job"))
    bench.see(change(0, AttemptStatus.RUNNING), report(0, "a", epoch=3, say="PAUSE"))
    assert not bench.engine.ledger.intents
    bench.see(change(0, DONE))
    assert bench.statuses() == [Status.paused]


def test_reports_after_the_decision_are_data_and_late() -> None:
    bench = Bench()
    bench.plan()
    bench.see(report(0, "a", say="STOP"), report(0, "b", loss=0.5), change(0, AttemptStatus.STOPPED), report(0, "c"))
    assert [(row.late, row.decision) for row in bench.engine.ledger.rows] == [
        (False, Action.STOP),
        (True, Action.CONTINUE),
        (True, Action.CONTINUE),
    ]
    assert [what for what, _ in bench.scheduler.told if what in ("result", "late")] == ["result", "late", "late"]


def test_exhaustion_ends_the_experiment_after_the_last_trial() -> None:
    bench = Bench(Scripted(size=1))
    assert [type(event).__name__ for event in bench.plan()] == ["LaunchIntended", "SpaceExhausted"]
    assert bench.plan() == []
    bench.see(report(0, "a"), change(0, DONE))
    assert bench.plan() == [ev.ExperimentFinished(0.0, "every configuration has been tried")]
    assert bench.plan() == []


def test_a_scheduler_that_waits_for_nothing_does_not_hang_the_experiment() -> None:
    bench = Bench()
    bench.scheduler.wait = True
    assert [type(event) for event in bench.plan()] == [ev.ExperimentFinished]


def test_finishing_stops_what_runs() -> None:
    bench = Bench()
    bench.plan()
    bench.see(change(0, AttemptStatus.RUNNING))
    bench.events += list(bench.engine.finish(1.0, "enough"))
    assert [type(event) for event in bench.plan()] == [ev.StopIntended, ev.StopIntended]
    assert list(bench.engine.finish(2.0, "again")) == []
    bench.see(change(0, AttemptStatus.STOPPED), change(1, AttemptStatus.STOPPED))
    assert bench.plan() == [ev.ExperimentFinished(0.0, "enough")]
    assert bench.statuses() == [Status.stopped, Status.stopped]


def test_finishing_can_wait_for_running_trials() -> None:
    bench = Bench(wait_trial_completion_when_stopping=True)
    bench.plan()
    list(bench.engine.finish(1.0, "enough"))
    assert bench.plan() == []
    bench.see(report(0, "a"), change(0, DONE), report(1, "a"), change(1, DONE))
    assert bench.plan() == [ev.ExperimentFinished(0.0, "enough")]
    assert bench.statuses() == [Status.completed, Status.completed]


def test_a_launch_that_was_never_made_is_stopped_without_being_made() -> None:
    bench = Bench(n_workers=1)
    list(bench.engine.plan(0.0))
    list(bench.engine.finish(1.0, "enough"))
    bench.plan()
    assert bench.statuses() == [Status.stopped]
    assert not any(isinstance(event, ev.Launched) for event in bench.events)
    assert bench.plan() == [ev.ExperimentFinished(0.0, "enough")]


@pytest.mark.parametrize("delete", [True, False])
def test_checkpoints_are_deleted_when_a_trial_is_over_if_asked_for(delete: bool) -> None:
    bench = Bench(n_workers=3, delete_checkpoints=delete)
    bench.plan()
    bench.see(
        *(report(0, "a"), change(0, DONE)),
        *(report(1, "a", say="STOP"), change(1, AttemptStatus.STOPPED)),
        *(report(2, "a", say="PAUSE"), change(2, AttemptStatus.STOPPED)),
    )
    bench.plan()
    deleted = [event.trial_id for event in bench.events if isinstance(event, ev.CheckpointDeleted)]
    assert deleted == ([0, 1] if delete else [])


def test_replaying_the_events_gives_the_same_state_and_the_same_next_events() -> None:
    bench = Bench(n_workers=3)
    bench.plan()
    bench.see(change(0, AttemptStatus.RUNNING), report(0, "a"), report(0, "b", say="PAUSE"), report(1, "a", say="STOP"))
    bench.see(change(0, AttemptStatus.STOPPED), change(1, AttemptStatus.STOPPED), change(2, AttemptStatus.FAILED))

    again = Bench(n_workers=3)
    again.events.clear()
    again.engine = Engine(again.scheduler, again.engine.options)
    again.apply(*(ev.from_line(ev.to_line(event)) for event in bench.events))

    assert again.scheduler.told == bench.scheduler.told
    assert again.engine.ledger.rows == bench.engine.ledger.rows
    assert again.statuses() == bench.statuses()
    assert not again.engine.ledger.divergent
    assert again.plan() == bench.plan()


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_crash_between_any_two_events_loses_no_decision(cut: int) -> None:
    bench = Bench()
    bench.plan()
    bench.see(report(0, "a"), report(1, "a", say="PAUSE"), report(0, "b", say="STOP"))
    events = bench.events[:cut]

    again = Bench()
    again.engine = Engine(again.scheduler, again.engine.options)
    again.apply(*events)
    list(again.engine.decide(0.0))
    again.plan()
    again.see(report(0, "a"), report(1, "a", say="PAUSE"), report(0, "b", say="STOP"))
    assert again.statuses()[:2] == [Status.stopping, Status.paused]
    assert len(again.engine.ledger.rows) == 3


def test_recorded_decisions_stand_even_if_the_scheduler_has_changed_its_mind() -> None:
    bench = Bench()
    bench.plan()
    bench.apply(
        ev.ReportObserved(1.0, 0, 0, "a", {"loss": 1.0}, 1.0, 1.0),
        ev.DecisionMade(1.0, 0, 0, "a", "STOP"),
    )
    assert bench.statuses()[0] is Status.stopping
    assert len(bench.engine.ledger.divergent) == 1
