"""Checkpoints that are let go of although their trials might have needed them: through the journal, and remembered."""

from __future__ import annotations

import logging

import pytest

from cloudtune.callbacks.base import TunerCallback
from cloudtune.engine.stopping import StoppingCriterion
from cloudtune.errors import AccessDeniedError, UnreachableError
from cloudtune.journal import events as ev
from cloudtune.schedulers.base import NOT_NOW, NotNow, Start, Suggestion
from cloudtune.testing.fake_backend import FakeBackend
from cloudtune.testing.fake_cloud import FakeCloud
from cloudtune.trial import AttemptStatus, Status
from cloudtune.tuner import Tuner
from tests.engine.scripted import Scripted, change, report
from tests.engine.test_engine import Bench
from tests.tuning import KeptJournal, asha, curve, tuner_on


def paused(bench: Bench, at: int = 3) -> None:
    """Trial 0 has reported epoch ``at`` and is paused there."""
    bench.plan()
    bench.scheduler.wait = True
    bench.see(change(0, AttemptStatus.RUNNING), report(0, "a", epoch=at, say="PAUSE"))
    bench.plan()
    bench.see(change(0, AttemptStatus.STOPPED))


def asked(bench: Bench) -> list[ev.Event]:
    events = list(bench.engine.delete_checkpoints([0], "no room", bench.now))
    bench.events += events
    return events


def resume(bench: Bench) -> None:
    bench.scheduler.wait, bench.scheduler.resumable = False, [(0, None)]
    assert (0, 1) in bench.launches(bench.plan())


def test_a_deletion_is_an_event_first_and_done_then() -> None:
    bench = Bench(Scripted(resource_attr="epoch"), n_workers=1)
    paused(bench)
    assert asked(bench) == [ev.CheckpointDeletionIntended(0.0, 0, "no room")]
    assert ("delete", 0) in bench.engine.ledger.intents
    bench.apply(ev.CheckpointDeleted(1.0, 0))
    assert asked(bench) == [], "nothing is deleted twice"


def test_a_checkpoint_that_is_still_written_is_not_deleted() -> None:
    bench = Bench(n_workers=1)
    bench.plan()
    bench.see(change(0, AttemptStatus.RUNNING), report(0, "a", say="PAUSE"))
    assert bench.statuses()[0] is Status.paused
    assert asked(bench) == []


def test_a_trial_resumed_after_its_checkpoint_went_is_known_to_start_from_scratch() -> None:
    bench = Bench(Scripted(resource_attr="epoch"), n_workers=1)
    paused(bench, at=3)
    asked(bench)
    bench.apply(ev.CheckpointDeleted(1.0, 0))
    resume(bench)
    ledger = bench.engine.ledger
    assert ledger.trials[0].current.from_scratch
    assert ledger.resumed_without_checkpoint == [(0, 3)]
    assert not ledger.trials[0].checkpoint_deleted, "the attempt writes one of its own"


def test_a_resumed_trial_keeps_the_checkpoint_that_was_still_to_be_deleted() -> None:
    bench = Bench(n_workers=1)
    paused(bench)
    asked(bench)
    resume(bench)
    assert ("delete", 0) not in bench.engine.ledger.intents
    assert not bench.engine.ledger.trials[0].current.from_scratch


def test_a_deletion_that_is_refused_leaves_the_checkpoint_there() -> None:
    bench = Bench(n_workers=1)
    paused(bench)
    asked(bench)
    bench.apply(ev.CheckpointDeleted(1.0, 0, "AccessDenied"))
    resume(bench)
    assert not bench.engine.ledger.trials[0].current.from_scratch


# -- in the tuner ------------------------------------------------------------------------------------------------------


class DeletesPaused(TunerCallback):
    """Lets go of every paused trial's checkpoint at once."""

    def __init__(self) -> None:
        self.tuner: Tuner | None = None

    def on_tuning_start(self, tuner: Tuner) -> None:
        self.tuner = tuner

    def on_loop_start(self) -> None:
        assert self.tuner is not None
        trials = self.tuner.ledger.trials
        names = [state.trial.trial_id for state in trials if state.status is Status.paused]
        self.tuner.delete_checkpoints(names, "test")


def kinds(journal: KeptJournal, kind: type[ev.Event]) -> list[ev.Event]:
    return [event for event in journal.kept.read() if isinstance(event, kind)]


def test_what_starts_from_scratch_changes_no_result() -> None:
    def best(*callbacks: TunerCallback) -> int:
        cloud = FakeCloud(curve, "epochs")
        criterion = StoppingCriterion(max_num_trials_started=40)
        tuner = tuner_on(cloud, asha("promotion"), criterion, callbacks=callbacks, storage=KeptJournal())
        tuner.run()
        trial_id, _ = tuner.best_config()
        assert tuner.ledger.resumed_without_checkpoint or not callbacks
        return trial_id

    assert best() == best(DeletesPaused())


def test_a_deletion_that_fails_for_a_moment_is_made_before_the_tuner_ends() -> None:
    cloud, storage = FakeCloud(curve, "epochs"), KeptJournal()
    backend = FakeBackend(cloud, delete_checkpoints=True)
    cloud.fail_next("delete_checkpoint", UnreachableError("S3 is away"), times=9)
    tuner = tuner_on(cloud, backend=backend, storage=storage)
    tuner.run()
    assert cloud.checkpoints == {}
    assert len(kinds(storage, ev.CheckpointDeleted)) == len(tuner.ledger.trials)


def test_at_the_end_all_checkpoints_go_those_of_paused_trials_too() -> None:
    cloud = FakeCloud(curve, "epochs")
    tuner = tuner_on(cloud, asha("promotion"), backend=FakeBackend(cloud, delete_checkpoints=True))
    tuner.run()
    assert Status.paused in {state.status for state in tuner.ledger.trials}
    assert cloud.checkpoints == {}


def test_an_experiment_that_was_asked_to_stop_keeps_what_it_needs_to_go_on() -> None:
    cloud = FakeCloud(curve, "epochs")
    tuner = tuner_on(cloud, asha("promotion"), backend=FakeBackend(cloud, delete_checkpoints=True))

    class Stops(TunerCallback):
        def on_loop_end(self) -> None:
            if tuner.tuning_status.num_trials_paused >= 3:
                tuner.request_stop("enough")

    tuner.callbacks.append(Stops())
    tuner.run()
    waiting = {state.trial.trial_id for state in tuner.ledger.trials if state.status is Status.paused}
    assert waiting <= set(cloud.checkpoints)
    assert len(waiting) >= 3


def test_a_refused_deletion_is_said_once_and_recorded(caplog: pytest.LogCaptureFixture) -> None:
    cloud, storage = FakeCloud(curve, "epochs"), KeptJournal()
    cloud.fail_next("delete_checkpoint", AccessDeniedError("no"), times=1)
    backend = FakeBackend(cloud, delete_checkpoints=True)
    with caplog.at_level(logging.ERROR):
        tuner_on(cloud, backend=backend, storage=storage).run()
    assert caplog.text.count("stays: no") == 1
    refused = [event for event in kinds(storage, ev.CheckpointDeleted) if getattr(event, "refused", "")]
    assert len(refused) == 1


class Exploits(Scripted):
    """Trial 0 is stopped; trial 1 starts from its checkpoint."""

    def suggest(self, trial_id: int) -> Suggestion | NotNow | None:
        if trial_id == 0:
            return Start({"x": 0})
        if trial_id == 1 and ("remove", 0) in self.told:
            return Start({"x": 1}, checkpoint_trial_id=0)
        return None if trial_id > 1 else NOT_NOW


def test_a_checkpoint_that_another_trial_is_to_start_from_stays_until_it_has() -> None:
    cloud = FakeCloud(lambda config, unit: {"loss": 1.0, "say": "STOP" if config["x"] == 0 else "CONTINUE"}, units=3)
    backend, storage = FakeBackend(cloud, delete_checkpoints=True), KeptJournal()
    cloud.fail_next("copy_checkpoint", UnreachableError("S3 is away"), times=3)
    tuner_on(cloud, Exploits(), StoppingCriterion(max_wallclock_time=1000), backend=backend, storage=storage).run()
    (first, *_) = [row for row in storage.kept.read() if isinstance(row, ev.ReportObserved) and row.trial_id == 1]
    assert first.metrics["epoch"] == 2, "it went on after the first unit of trial 0"
    assert cloud.checkpoints == {}


def test_a_deletion_that_a_dead_tuner_had_only_intended_is_made_by_the_next() -> None:
    cloud, storage = FakeCloud(curve, "epochs"), KeptJournal()
    cloud.fail_next("delete_checkpoint", UnreachableError("S3 is away"), times=10_000)

    class Dies(TunerCallback):
        def on_loop_end(self) -> None:
            if len(first.ledger.trials) > 5:
                raise SystemExit

    criterion = StoppingCriterion(max_num_trials_started=10)
    first = tuner_on(cloud, asha("promotion"), criterion, callbacks=[DeletesPaused(), Dies()], storage=storage)
    with pytest.raises(SystemExit):
        first.run()
    intended = {event.trial_id for event in storage.kept.read() if isinstance(event, ev.CheckpointDeletionIntended)}
    assert intended
    assert not kinds(storage, ev.CheckpointDeleted)
    cloud.heal()
    second = tuner_on(cloud, asha("promotion"), criterion, storage=storage)
    second.run()
    resumed = {trial_id for trial_id in intended if len(second.ledger.trials[trial_id].attempts) > 1}
    assert not (intended - resumed) & set(cloud.checkpoints)
