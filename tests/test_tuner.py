"""The loop, on fakes: order of hooks, limits, failures, interruptions, resuming."""

from __future__ import annotations

import json
import logging
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dill
import pandas as pd
import pytest

from cloudtune.callbacks.base import TunerCallback
from cloudtune.callbacks.retain_checkpoints import RetainCheckpointsCallback
from cloudtune.callbacks.store_results import ExtraResultsComposer, StoreResultsCallback
from cloudtune.engine.ledger import Ledger
from cloudtune.engine.status import TuningStatus
from cloudtune.engine.stopping import StoppingCriterion
from cloudtune.errors import (
    ExperimentFailedError,
    InvalidRequestError,
    JournalConflictError,
    MetricError,
    NoCapacityError,
    OptionError,
    QuotaReachedError,
    ThrottledError,
    UnreachableError,
)
from cloudtune.journal import events as ev
from cloudtune.journal.store import MemoryJournal
from cloudtune.schedulers import FIFOScheduler, HyperbandScheduler, MedianStoppingRule
from cloudtune.schedulers.base import Decision
from cloudtune.testing.fake_cloud import FakeCloud, FakeFaults, FakeTiming
from cloudtune.trial import Config, Metrics, Status, Trial
from cloudtune.tuner import Tuner
from tests.engine.scripted import Scripted
from tests.tuning import SPACE, KeptJournal, asha, curve, tuner_on


def cloud_of(**options: Any) -> FakeCloud:
    return FakeCloud(curve, options.pop("units", "epochs"), **options)


class Recorder(TunerCallback):
    """Remembers the hooks it was called with, in order."""

    def __init__(self) -> None:
        self.hooks: list[str] = []
        self.results: list[tuple[int, Status, str]] = []
        self.running_at_end: int | None = None
        self.tuner: Tuner | None = None

    def on_tuning_start(self, tuner: Tuner) -> None:
        self.tuner = tuner
        self.hooks.append("tuning_start")

    def on_loop_start(self) -> None:
        self.hooks.append("loop_start")

    def on_fetch_status_results(
        self, trial_status_dict: Mapping[int, tuple[Trial, Status]], new_results: Sequence[tuple[int, Metrics]]
    ) -> None:
        self.hooks.append("fetch")

    def on_trial_result(self, trial: Trial, status: Status, result: Metrics, decision: Decision) -> None:
        self.hooks.append("result")
        self.results.append((trial.trial_id, status, decision.action.value))

    def on_trial_complete(self, trial: Trial, result: Metrics) -> None:
        self.hooks.append("complete")

    def on_start_trial(self, trial: Trial) -> None:
        self.hooks.append("start")

    def on_resume_trial(self, trial: Trial) -> None:
        self.hooks.append("resume")

    def on_tuning_sleep(self, sleep_time: float) -> None:
        self.hooks.append("sleep")

    def on_loop_end(self) -> None:
        self.hooks.append("loop_end")

    def on_tuning_end(self) -> None:
        assert self.tuner is not None
        self.running_at_end = self.tuner.tuning_status.num_trials_running
        self.hooks.append("tuning_end")

    def on_tuning_closed(self) -> None:
        self.hooks.append("closed")


# -- the whole thing -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["stopping", "promotion"])
def test_finds_a_good_configuration_and_leaves_nothing_running(kind: str) -> None:
    cloud = cloud_of(timing=FakeTiming(start_delay=2.0, stop_delay=1.0, log_lag=0.5))
    tuner = tuner_on(cloud, asha(kind), StoppingCriterion(max_num_trials_completed=3), n_workers=4)
    tuner.run()
    trial_id, config = tuner.best_config()
    best = min(trial.trial.config["x"] for trial in tuner.ledger.trials if trial.status is Status.completed)
    assert config["x"] == best
    assert tuner.ledger.trials[trial_id].trial.config == config
    assert cloud.busy() == 0
    assert not tuner.ledger.open
    assert all(count == 1 for count in cloud.creations.values())


def test_results_and_metadata_are_where_they_are_looked_for() -> None:
    tuner = tuner_on(cloud_of(), metadata={"team": "search"})
    tuner.run()
    results = pd.read_csv(tuner.tuner_path / "results.csv.zip")
    assert len(results) == len(tuner.ledger.rows)
    assert {"trial_id", "loss", "epoch", "config_x", "st_decision", "st_status", "st_tuner_time"} <= set(results)
    assert {"st_worker_time", "st_worker_iter", "st_worker_timestamp"} <= set(results)
    metadata = json.loads((tuner.tuner_path / "metadata.json").read_text())
    assert metadata["team"] == "search"
    assert (metadata["metric_names"], metadata["metric_mode"]) == (["loss"], "min")
    assert metadata["st_tuner_creation_timestamp"] <= tuner.clock.now()


def test_files_are_published_to_the_storage() -> None:
    storage = KeptJournal()
    tuner_on(cloud_of(), storage=storage, save_tuner=True).run()
    assert set(storage.published) == {"metadata.json", "results.csv.zip", "tuner.dill"}


# -- hooks ---------------------------------------------------------------------------------------------------------


def test_hooks_come_in_the_documented_order() -> None:
    recorder = Recorder()
    tuner_on(cloud_of(units=1), Scripted(size=1), n_workers=1, callbacks=[recorder]).run()
    assert recorder.hooks == [
        "tuning_start",
        *("loop_start", "fetch", "start", "sleep", "loop_end"),
        *("loop_start", "fetch", "result", "complete", "loop_end"),
        *("tuning_end", "closed"),
    ]


def test_results_come_with_the_status_before_the_decision() -> None:
    recorder = Recorder()
    cloud = FakeCloud(lambda config, epoch: {"loss": 1.0, "say": "STOP" if epoch == 2 else "CONTINUE"}, 3)
    tuner_on(cloud, Scripted(size=1), n_workers=1, callbacks=[recorder]).run()
    assert recorder.results[:2] == [(0, Status.in_progress, "CONTINUE"), (0, Status.in_progress, "STOP")]


def test_the_end_is_told_before_running_trials_are_stopped() -> None:
    recorder = Recorder()
    tuner_on(cloud_of(units=1000), stop_criterion=StoppingCriterion(max_wallclock_time=5), callbacks=[recorder]).run()
    assert recorder.running_at_end == 2


def test_a_failing_callback_does_not_stop_the_tuning(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(TunerCallback):
        def on_trial_result(self, trial: Trial, status: Status, result: Metrics, decision: Decision) -> None:
            raise ZeroDivisionError("mine")

    tuner = tuner_on(cloud_of(), callbacks=[Broken()])
    with caplog.at_level(logging.ERROR):
        tuner.run()
    assert tuner.tuning_status.num_trials_completed > 0
    assert f"callbacks failed: Broken.on_trial_result ({len(tuner.ledger.rows)} times)" in caplog.text


class Answer(ExtraResultsComposer):
    def __call__(self, tuner: Tuner) -> Mapping[str, Any]:
        return {"answer": 42, "rows": len(tuner.ledger.rows)}

    def keys(self) -> Sequence[str]:
        return ["answer", "rows"]


def test_extra_columns() -> None:
    tuner = tuner_on(cloud_of(), callbacks=[StoreResultsCallback(extra_results_composer=Answer())])
    tuner.run()
    results = pd.read_csv(tuner.tuner_path / "results.csv.zip")
    assert set(results["answer"]) == {42}


def test_what_is_stored_costs_the_same_per_report_from_first_to_last(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []

    def write(ledger: Ledger, path: Path, *rest: object) -> None:
        written.append(len(ledger.rows))
        path.write_bytes(b"")

    monkeypatch.setattr("cloudtune.callbacks.store_results.write_results", write)
    monkeypatch.setattr("cloudtune.callbacks.store_results._ROWS_PER_SECOND", 4)
    cloud = cloud_of(timing=FakeTiming(seconds_per_unit=1.0), units=400)
    tuner = tuner_on(cloud, Scripted(size=2), results_update_interval=10.0)
    tuner.run()
    assert len(written) > 4
    assert len(written) < 10
    assert written[-1] == 800


def test_what_is_no_callback_is_refused() -> None:
    with pytest.raises(OptionError, match="callbacks has 'verbose'"):
        tuner_on(cloud_of(), callbacks=["verbose"])  # type: ignore[list-item]


# -- limits --------------------------------------------------------------------------------------------------------


def test_no_more_trials_are_started_than_the_criterion_allows_plus_the_one_that_passes_it() -> None:
    tuner = tuner_on(cloud_of(), stop_criterion=StoppingCriterion(max_num_trials_started=7), n_workers=5)
    tuner.run()
    assert tuner.tuning_status.num_trials_started == 8


def test_never_more_jobs_than_workers_if_jobs_start_with_delay() -> None:
    cloud = cloud_of(timing=FakeTiming(stop_delay=7.0), slots=3)
    tuner = tuner_on(cloud, n_workers=3, start_jobs_without_delay=False)
    tuner.run()
    assert not any(isinstance(event, ev.LaunchHeld) for event in _events(tuner))


def test_a_plain_function_is_a_criterion() -> None:
    def enough(status: TuningStatus) -> bool:
        return status.num_trials_completed >= 1

    tuner = tuner_on(cloud_of(), stop_criterion=enough)
    tuner.run()
    assert tuner.ledger.finished is not None
    assert tuner.ledger.finished.why == "the stop criterion is met"


@pytest.mark.parametrize(
    ("options", "value"),
    [({"n_workers": 0}, "n_workers=0"), ({"sleep_time": -1.0}, "sleep_time=-1.0"), ({"max_failures": -1}, "=-1")],
)
def test_impossible_numbers_are_refused(options: dict[str, Any], value: str) -> None:
    with pytest.raises(OptionError, match=value):
        tuner_on(cloud_of(), **options)


def test_an_impossible_name_is_refused_before_anything_happens() -> None:
    with pytest.raises(OptionError, match="'my_run'"):
        tuner_on(cloud_of(), tuner_name="my_run")


# -- failures ------------------------------------------------------------------------------------------------------


def test_so_many_trials_may_fail_and_one_more_ends_the_experiment() -> None:
    cloud = cloud_of(faults=lambda attempt: FakeFaults(fail_at=2))
    tuner = tuner_on(cloud, max_failures=2, n_workers=1)
    with pytest.raises(ExperimentFailedError, match=r"3 trials failed, more than max_failures=2") as caught:
        tuner.run()
    assert "trial 0: fails in unit 2" in caught.value.message
    assert cloud.busy() == 0


def test_an_unknown_metric_ends_the_experiment_after_a_dozen_reports() -> None:
    cloud = FakeCloud(lambda config, epoch: {"accuracy": 0.5}, 100)
    tuner = tuner_on(cloud)
    with pytest.raises(MetricError, match=r"0 of 12 reports carry 'loss'; seen: 'epoch', 'accuracy'"):
        tuner.run()
    assert cloud.busy() == 0


def test_whatever_else_a_scheduler_needs_is_missed_as_well() -> None:
    cloud = FakeCloud(lambda config, epoch: {"loss": 0.5}, "epochs")
    needs_costs = HyperbandScheduler(SPACE, "loss", type="cost_promotion", cost_attr="cost", random_seed=1)
    with pytest.raises(MetricError, match=r"0 of 12 reports carry 'cost'; seen: 'epoch', 'loss'"):
        tuner_on(cloud, needs_costs).run()
    assert cloud.busy() == 0


def test_one_report_that_lacks_something_is_passed_over() -> None:
    def curve(config: Config, epoch: int) -> dict[str, float]:
        return {"loss": config["x"]} if epoch == 2 else {"loss": config["x"], "memory": 1.0}

    scheduler = MedianStoppingRule(FIFOScheduler(SPACE, ["loss", "memory"], random_seed=1), "epoch")
    tuner = tuner_on(FakeCloud(curve, "epochs"), scheduler)
    tuner.run()
    assert tuner.tuning_status.num_trials_finished == 8


@pytest.mark.parametrize("name", ["loss", "epoch", "memory", "st_worker_cost"])
def test_an_integer_that_no_float_holds_ends_no_tuner(name: str) -> None:
    cloud = FakeCloud(lambda config, epoch: {"loss": config["x"], "epoch": epoch, name: 10**400}, "epochs")
    criterion = StoppingCriterion(max_num_trials_started=3, min_metric_value={"loss": -1.0})
    tuner = tuner_on(cloud, stop_criterion=criterion, callbacks=[RetainCheckpointsCallback(keep_best=1)])
    tuner.run()
    assert tuner.ledger.finished is not None
    assert str(tuner.tuning_status)


def test_a_metric_that_comes_with_the_last_report_is_waited_for() -> None:
    cloud = FakeCloud(lambda config, epoch: {"loss": 0.5} if epoch == 50 else {"step": epoch}, 50)
    tuner = tuner_on(cloud, Scripted(size=2))
    tuner.run()
    assert tuner.tuning_status.num_trials_completed == 2


def test_a_trial_without_its_objective_is_a_failure_with_a_name() -> None:
    cloud = cloud_of(units=2, faults=lambda attempt: FakeFaults(silent=attempt.id.trial_id == 0))
    tuner = tuner_on(cloud, Scripted(size=3), max_failures=1)
    tuner.run()
    assert tuner.ledger.trials[0].reason == "ended without reporting 'loss'"
    assert tuner.tuning_status.num_trials_completed == 2


@pytest.mark.parametrize(
    "error", [QuotaReachedError("4 of 4 in use"), NoCapacityError("no ml.p5"), ThrottledError("Rate exceeded")]
)
def test_no_room_holds_a_trial_and_fails_nothing(error: Exception) -> None:
    cloud = cloud_of()
    cloud.fail_next("start", error, times=5)  # type: ignore[arg-type]
    tuner = tuner_on(cloud, max_failures=0)
    tuner.run()
    held = [event for event in _events(tuner) if isinstance(event, ev.LaunchHeld)]
    assert {event.reason for event in held} == {str(error)}
    assert tuner.tuning_status.num_trials_failed == 0
    assert all(count == 1 for count in cloud.creations.values())


def test_a_refused_launch_fails_its_trial() -> None:
    cloud = cloud_of()
    cloud.fail_next("start", InvalidRequestError("no such instance type", "see the list"))
    tuner = tuner_on(cloud)
    tuner.run()
    assert "no such instance type" in tuner.ledger.trials[0].reason
    assert tuner.tuning_status.num_trials_failed == 1


@pytest.mark.parametrize("operation", ["poll", "stop", "start"])
@pytest.mark.parametrize("after", [False, True])
def test_an_answer_that_is_lost_changes_nothing(operation: str, after: bool) -> None:
    cloud = cloud_of(timing=FakeTiming(log_lag=1.5))
    cloud.fail_next(operation, UnreachableError("connection reset"), times=2, after=after)
    tuner = tuner_on(cloud)
    tuner.run()
    assert all(count == 1 for count in cloud.creations.values())
    assert cloud.busy() == 0
    assert len(tuner.ledger.rows) == sum(job.reports for job in cloud.jobs.values())


# -- interruptions and resuming ------------------------------------------------------------------------------------


def test_ctrl_c_stops_what_runs_and_can_be_continued() -> None:
    class Impatient(TunerCallback):
        loops = 0

        def on_loop_end(self) -> None:
            self.loops += 1
            if self.loops == 4:
                os.kill(os.getpid(), signal.SIGINT)

    cloud, storage = cloud_of(), KeptJournal()
    first = tuner_on(cloud, callbacks=[Impatient()], storage=storage)
    first.run()
    assert first.ledger.finished is not None
    assert first.ledger.finished.why == "interrupted by the user"
    assert cloud.busy() == 0
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    again = tuner_on(cloud, storage=storage)
    again.run()
    assert again.tuning_status.num_trials_started == 8
    assert all(count == 1 for count in cloud.creations.values())


def test_a_second_ctrl_c_leaves_everything_as_a_kill_would() -> None:
    class VeryImpatient(TunerCallback):
        def on_start_trial(self, trial: Trial) -> None:
            os.kill(os.getpid(), signal.SIGINT)

    cloud, storage = cloud_of(units=50), KeptJournal()
    with pytest.raises(KeyboardInterrupt):
        tuner_on(cloud, callbacks=[VeryImpatient()], storage=storage).run()
    assert cloud.busy() == 2
    again = tuner_on(cloud, storage=storage)
    again.run()
    assert all(count == 1 for count in cloud.creations.values())
    assert len(again.ledger.rows) == sum(job.reports for job in cloud.jobs.values())


def test_a_journal_that_cannot_be_written_is_waited_for() -> None:
    class Unreachable(MemoryJournal):
        failures = 4

        def append(self, expected_seq: int, events: Sequence[ev.Event]) -> None:
            if expected_seq > 5 and self.failures:
                self.failures -= 1
                raise UnreachableError("connection reset")
            super().append(expected_seq, events)

    cloud, journal = cloud_of(), Unreachable()
    tuner = tuner_on(cloud, storage=KeptJournal(journal))
    tuner.run()
    assert journal.failures == 0
    assert len(tuner.ledger.rows) == sum(job.reports for job in cloud.jobs.values())


def test_a_finished_experiment_goes_on_with_a_wider_criterion_in_the_same_object() -> None:
    tuner = tuner_on(cloud_of(), stop_criterion=StoppingCriterion(max_num_trials_started=3))
    tuner.run()
    tuner.stop_criterion = StoppingCriterion(max_num_trials_started=6)
    tuner.run()
    assert tuner.tuning_status.num_trials_started == 7


def test_a_finished_experiment_stays_finished() -> None:
    cloud, storage = cloud_of(), KeptJournal()
    tuner_on(cloud, storage=storage).run()
    count = len(list(storage.kept.read()))
    again = tuner_on(cloud, storage=storage)
    again.run()
    assert [type(event) for event in storage.kept.read(count)] == [ev.SessionStarted]


def test_the_saved_tuner_goes_on_where_the_journal_ends() -> None:
    cloud = cloud_of()
    tuner = tuner_on(cloud, stop_criterion=StoppingCriterion(max_num_trials_started=3), save_tuner=True)
    tuner.run()
    loaded = dill.loads((tuner.tuner_path / "tuner.dill").read_bytes())
    loaded.stop_criterion = StoppingCriterion(max_num_trials_started=6)
    loaded.run()
    assert loaded.tuning_status.num_trials_started == 7
    assert loaded.ledger.rows[: len(tuner.ledger.rows)] == tuner.ledger.rows


def test_a_second_tuner_says_so_and_changes_nothing() -> None:
    cloud = cloud_of()

    class Second(TunerCallback):
        caught: JournalConflictError | None = None

        def on_loop_end(self) -> None:
            if self.caught is None:
                with pytest.raises(JournalConflictError) as caught:
                    tuner_on(cloud).run()
                self.caught = caught.value

    second = Second()
    tuner = tuner_on(cloud, callbacks=[second])
    tuner.run()
    assert second.caught is not None
    assert "another tuner is running this experiment" in second.caught.message
    assert sum(isinstance(event, ev.SessionStarted) for event in _events(tuner)) == 1


def test_stop_ends_an_experiment_that_nobody_runs() -> None:
    class Dying(TunerCallback):
        def on_start_trial(self, trial: Trial) -> None:
            raise _Killed

    cloud, storage = cloud_of(units=1000), KeptJournal()
    with pytest.raises(_Killed):
        tuner_on(cloud, callbacks=[Dying()], storage=storage).run()
    assert cloud.busy() == 2
    tuner_on(cloud, storage=storage).stop("not needed any more")
    assert cloud.busy() == 0
    assert [event.why for event in storage.kept.read() if isinstance(event, ev.ExperimentFinished)] == [
        "not needed any more"
    ]


def test_request_stop_ends_in_order() -> None:
    class Asking(TunerCallback):
        def on_tuning_start(self, tuner: Tuner) -> None:
            tuner.request_stop("maintenance")

    cloud = cloud_of(units=1000)
    tuner = tuner_on(cloud, callbacks=[Asking()])
    tuner.run()
    assert tuner.ledger.finished is not None
    assert tuner.ledger.finished.why == "maintenance"
    assert cloud.busy() == 0


def test_checkpoints_are_deleted_only_if_asked_for() -> None:
    from cloudtune.testing.fake_backend import FakeBackend

    kept, deleted = cloud_of(), cloud_of()
    tuner_on(kept).run()
    tuner_on(deleted, backend=FakeBackend(deleted, delete_checkpoints=True), tuner_name="other").run()
    assert kept.checkpoints
    assert not deleted.checkpoints


def test_best_config_by_name_and_number_and_before_any_report() -> None:
    tuner = tuner_on(cloud_of())
    with pytest.raises(MetricError, match="no report carries 'loss' as a finite number yet"):
        tuner.best_config()
    tuner.run()
    assert tuner.best_config(0) == tuner.best_config("loss")
    with pytest.raises(MetricError, match="no report carries 'f1' as a finite number yet"):
        tuner.best_config("f1")


class _Killed(BaseException):
    """Ends the process, as far as anybody can tell."""


def _events(tuner: Tuner) -> list[ev.Event]:
    return list(tuner.storage.journal(tuner.tuner_path).read())
