"""What a session does in the world: in which order, how often, how long at a time, and what it lets go of."""

from __future__ import annotations

import logging
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from cloudtune.callbacks.base import TunerCallback
from cloudtune.callbacks.status_view import status_line, status_table
from cloudtune.engine.intents import DeleteCheckpoint, Intent, LaunchAttempt, StopAttempt
from cloudtune.engine.stopping import StoppingCriterion
from cloudtune.errors import (
    AccessDeniedError,
    CloudtuneError,
    JournalConflictError,
    NoCapacityError,
    NotYetError,
    OptionError,
    UnreachableError,
)
from cloudtune.journal import events as ev
from cloudtune.journal.store import JournalStore, MemoryJournal
from cloudtune.session.retries import Retries
from cloudtune.testing.fake_backend import FakeBackend
from cloudtune.testing.fake_cloud import FakeCloud, FakeFaults, FakeTiming
from cloudtune.trial import Attempt, AttemptId, Launch, Trial
from tests.engine.scripted import Scripted
from tests.tuning import KeptJournal, asha, curve, tuner_on


def launch(trial_id: int) -> LaunchAttempt:
    return LaunchAttempt(Attempt(AttemptId(trial_id, 0), {}))


def cloud_of(**options: Any) -> FakeCloud:
    return FakeCloud(curve, options.pop("units", "epochs"), **options)


# -- when what had to wait is tried again ------------------------------------------------------------------------------


def test_pauses_double_up_to_five_minutes() -> None:
    retries, now, pauses = Retries(5.0), 0.0, []
    for _ in range(9):
        retries.postpone(launch(0), now, NoCapacityError("none left"))
        pause = next(seconds for seconds in range(1000) if retries.due([launch(0)], now + seconds))
        pauses.append(pause)
        now += pause
    assert pauses == [5, 10, 20, 40, 80, 160, 300, 300, 300]


def test_a_stop_is_tried_again_every_minute_for_what_runs_on_costs_money() -> None:
    retries, stop = Retries(5.0), StopAttempt(AttemptId(0, 0))
    for _ in range(9):
        retries.postpone(stop, 0.0, UnreachableError("no answer"))
    assert not retries.due([stop], 59.9)
    assert retries.due([stop], 60.0)


def test_whoever_says_when_to_ask_again_is_asked_just_then() -> None:
    retries = Retries(5.0)
    for _ in range(4):
        retries.postpone(launch(0), 100.0, NotYetError("a machine is nearly free", retry_after=7.5))
        assert not retries.due([launch(0)], 107.4)
        assert retries.due([launch(0)], 107.5)
    retries.postpone(launch(0), 100.0, NoCapacityError("none left"))
    assert retries.due([launch(0)], 105.0)  # the first of the growing pauses


def test_stops_go_before_launches_and_who_has_waited_longest_before_who_was_just_tried() -> None:
    stop, delete = StopAttempt(AttemptId(9, 0)), DeleteCheckpoint(8)
    retries = Retries(1.0)
    intents: list[Intent] = [launch(0), launch(1), delete, stop]
    retries.postpone(launch(0), 0.0, NoCapacityError("none left"))
    assert retries.due(intents, 1.0) == [delete, stop, launch(1), launch(0)]


class SlowBackend(FakeBackend):
    """Every launch takes ``seconds``; ``refuses`` are answered with an error instead. Remembers what it was asked."""

    def __init__(
        self, cloud: FakeCloud, seconds: float, refuses: Callable[[AttemptId], CloudtuneError | None] = lambda id: None
    ) -> None:
        super().__init__(cloud)
        self.seconds = seconds
        self.refuses = refuses
        self.asked: list[str] = []

    def start(self, attempt: Attempt) -> Launch:
        self.asked.append(f"start {attempt.id}")
        self.cloud.clock.sleep(self.seconds)
        if error := self.refuses(attempt.id):
            raise error
        return super().start(attempt)

    def stop(self, attempt: AttemptId) -> None:
        self.asked.append(f"stop {attempt}")
        super().stop(attempt)

    def poll(self) -> Any:
        self.asked.append("look")
        return super().poll()


def test_a_round_of_launches_does_not_keep_the_loop_from_looking() -> None:
    cloud = cloud_of(units=5, timing=FakeTiming(seconds_per_unit=100.0))
    backend = SlowBackend(cloud, seconds=2.0)
    tuner_on(cloud, Scripted(size=12), _endless, n_workers=12, sleep_time=5.0, backend=backend).run()
    first = backend.asked[: backend.asked.index("start 11-0")]
    assert "".join("L" if each == "look" else "." for each in first) == "L...L...L...L.."


def test_nobody_is_kept_waiting_by_those_who_are_refused_again_and_again() -> None:
    refusals = NotYetError("soon", retry_after=1.0)
    cloud = cloud_of(units=5)
    backend = SlowBackend(cloud, 3.0, lambda id: refusals if id.trial_id < 4 and cloud.calls["poll"] < 40 else None)
    tuner = tuner_on(cloud, Scripted(size=6), n_workers=6, sleep_time=5.0, backend=backend, max_failures=0)
    tuner.run()
    first = [each for each in backend.asked if each != "look"][:12]
    assert first.index("start 5-0") < 6
    assert {f"start {trial_id}-0" for trial_id in range(4)} <= set(first)
    assert tuner.tuning_status.num_trials_completed == 6


def test_who_asks_for_patience_is_asked_again_after_exactly_so_long() -> None:
    asked: list[float] = []

    def soon(id: AttemptId) -> CloudtuneError | None:
        asked.append(cloud.clock.now())
        return NotYetError("a machine is nearly free", retry_after=20.0) if len(asked) < 4 else None

    cloud = cloud_of(units=5)
    backend = SlowBackend(cloud, 0.0, soon)
    tuner_on(cloud, Scripted(size=1), n_workers=1, sleep_time=5.0, backend=backend).run()
    assert [later - earlier for earlier, later in pairwise(asked)] == [20.0] * 3


# -- what waits is seen ------------------------------------------------------------------------------------------------


class Looking(TunerCallback):
    def __init__(self) -> None:
        self.lines: set[str] = set()
        self.tables = 0

    def on_tuning_start(self, tuner: Any) -> None:
        self.tuner = tuner

    def on_loop_end(self) -> None:
        view = self.tuner.tuning_status
        line = status_line(view)
        if "wait" in line:
            self.lines.add(line[line.rindex(";") + 2 :])
            self.tables += "waits: 2 jobs" in str([list(c.cells) for c in status_table(view, "t").columns])


def test_trials_that_wait_say_how_many_they_are_and_for_what() -> None:
    looking, cloud = Looking(), cloud_of(units=5, slots=2)
    tuner_on(cloud, Scripted(size=8), _endless, n_workers=5, callbacks=[looking]).run()
    assert "3 trials wait: 2 jobs are running, which is the limit" in looking.lines
    assert "1 trial waits: 2 jobs are running, which is the limit" in looking.lines
    assert looking.tables > 0


# -- the end -----------------------------------------------------------------------------------------------------------


def test_what_costs_money_is_released_once_nothing_runs_any_more() -> None:
    cloud = cloud_of(timing=FakeTiming(stop_delay=30.0))
    tuner_on(cloud, stop_criterion=StoppingCriterion(max_wallclock_time=5)).run()
    assert cloud.calls["release"] == 1  # the fake refuses it as long as a job runs


def test_a_finished_experiment_that_is_opened_again_is_released_again() -> None:
    cloud, storage = cloud_of(), KeptJournal()
    for _ in range(2):
        tuner_on(cloud, storage=storage).run()
    assert cloud.calls["release"] == 2


def test_cloudtune_stop_releases_too() -> None:
    cloud, storage = cloud_of(units=1000), KeptJournal()
    with pytest.raises(_KilledError):
        tuner_on(cloud, callbacks=[_Dying()], storage=storage).run()
    assert cloud.calls["release"] == 0
    tuner_on(cloud, storage=storage).stop()
    assert cloud.calls["release"] == 1


def test_a_release_is_tried_again_and_one_that_fails_says_what_costs_money(caplog: pytest.LogCaptureFixture) -> None:
    cloud = cloud_of()
    cloud.fail_next("release", UnreachableError("connection reset"), times=3)
    tuner_on(cloud).run()
    assert cloud.calls["release"] == 4
    assert "released" not in caplog.text

    for error, calls in ((AccessDeniedError("sagemaker:UpdateTrainingJob"), 1), (UnreachableError("reset"), 5)):
        cloud = cloud_of()
        cloud.fail_next("release", error, times=10)
        caplog.clear()
        with caplog.at_level(logging.ERROR):
            tuner_on(cloud, tuner_name=f"tried-{calls}").run()
        assert cloud.calls["release"] == calls
        assert "goes on costing money" in caplog.text
        assert error.message in caplog.text


# -- workers, and changes on resume ------------------------------------------------------------------------------------


def test_an_outage_of_hours_at_the_end_leaves_nothing_running() -> None:
    cloud = cloud_of(units=10_000)
    tuner = tuner_on(cloud, Scripted(), StoppingCriterion(max_wallclock_time=10.0), sleep_time=30.0)
    cloud.fail_next("stop", UnreachableError("no answer"), times=300)
    tuner.run()
    assert tuner.ledger.finished is not None
    assert tuner.ledger.wallclock_time(cloud.clock.now()) > 2 * 3600.0
    assert all(job.ended is not None for job in cloud.jobs.values())


def test_what_must_not_be_stopped_is_not_waited_for_as_long() -> None:
    cloud = cloud_of(units=10_000)
    tuner = tuner_on(cloud, Scripted(), StoppingCriterion(max_wallclock_time=10.0), sleep_time=30.0)
    cloud.fail_next("stop", AccessDeniedError("sagemaker:StopTrainingJob"), times=300)
    tuner.run()
    assert tuner.ledger.finished is None
    assert tuner.ledger.wallclock_time(cloud.clock.now()) < 3600.0


def test_as_many_workers_as_the_account_has_room_for() -> None:
    cloud = cloud_of(slots=3)
    tuner = tuner_on(cloud, n_workers="auto", start_jobs_without_delay=False)
    tuner.run()
    assert max(_busy_over_time(tuner.storage.journal(tuner.tuner_path))) == 3
    assert not [event for event in tuner.storage.journal(tuner.tuner_path).read() if isinstance(event, ev.LaunchHeld)]
    assert '"n_workers": 3' in (tuner.tuner_path / "metadata.json").read_text()


@pytest.mark.parametrize(
    ("slots", "says"), [(None, "FakeBackend does not know how many it has room for"), (0, "no room for any trial now")]
)
def test_where_nobody_knows_how_many_there_is_room_for_a_number_is_asked_for(slots: int | None, says: str) -> None:
    tuner = tuner_on(cloud_of(slots=slots), n_workers="auto")
    with pytest.raises(OptionError, match=says) as caught:
        tuner.run()
    assert "number" in caught.value.hint
    assert not tuner.tuner_path.exists()


@pytest.mark.parametrize("kind", ["stopping", "promotion"])
def test_criterion_and_workers_may_change_on_a_resume(kind: str) -> None:
    cloud, storage = cloud_of(), KeptJournal()
    options: dict[str, Any] = {"storage": storage, "start_jobs_without_delay": False}
    first = tuner_on(cloud, asha(kind), StoppingCriterion(max_num_trials_started=4), 2, **options)
    first.run()
    rows = list(first.ledger.rows)
    again = tuner_on(cloud, asha(kind), StoppingCriterion(max_num_trials_started=12), 5, **options)
    again.run()
    assert again.ledger.rows[: len(rows)] == rows
    assert not again.ledger.divergent
    assert again.tuning_status.num_trials_started == 13
    assert max(_busy_over_time(storage.kept)) == 5
    narrower = tuner_on(cloud, asha(kind), StoppingCriterion(max_num_trials_started=16), 1, **options)
    narrower.run()
    assert narrower.tuning_status.num_trials_started == 17
    assert all(count == 1 for count in cloud.creations.values())


def _busy_over_time(journal: JournalStore) -> list[int]:
    busy: set[tuple[int, int]] = set()
    counts = [0]
    for event in journal.read():
        if isinstance(event, ev.Launched):
            busy.add((event.trial_id, event.attempt))
        elif isinstance(event, ev.StatusObserved) and event.status in ("Completed", "Failed", "Stopped"):
            busy.discard((event.trial_id, event.attempt))
        counts.append(len(busy))
    return counts


# -- a second tuner ----------------------------------------------------------------------------------------------------


def test_a_second_tuner_stops_with_a_reason_and_no_advice_to_stop_the_experiment(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    cloud = cloud_of()

    class Second(TunerCallback):
        before: tuple[Any, ...] | None = None
        after: tuple[Any, ...] | None = None

        def on_loop_end(self) -> None:
            if self.before is None:
                second = tuner_on(cloud)
                self.before = state(second.tuner_path)
                with pytest.raises(JournalConflictError, match="another tuner is running this experiment"):
                    second.run()
                self.after = state(second.tuner_path)

    def state(folder: Path) -> tuple[Any, ...]:
        files = {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
        return files, dict(cloud.creations), cloud.calls["stop"], cloud.calls["release"]

    second = Second()
    with caplog.at_level(logging.INFO):
        tuner_on(cloud, callbacks=[second]).run()
    assert second.before == second.after
    assert "cloudtune stop" not in caplog.text


class TakenOver(MemoryJournal):
    """After a while somebody else writes this journal: what an S3 journal's conditional put finds out."""

    stolen_at = 30

    def append(self, expected_seq: int, events: Any) -> None:
        if expected_seq > self.stolen_at:
            raise JournalConflictError("another tuner writes this experiment", "one tuner per experiment")
        super().append(expected_seq, events)


def test_a_tuner_whose_experiment_is_taken_over_ends_and_leaves_everything_to_the_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    cloud, storage = cloud_of(units=1000), KeptJournal(TakenOver())
    tuner = tuner_on(cloud, storage=storage, results_update_interval=1e9)
    with pytest.raises(JournalConflictError):
        tuner.run()
    assert "another tuner goes on with bench" in caplog.text
    assert "cloudtune stop" not in caplog.text
    assert cloud.busy() == 2
    assert cloud.calls["stop"] == cloud.calls["release"] == 0
    assert "results.csv.zip" not in storage.published


def _endless(status: object) -> bool:
    return False


class _KilledError(BaseException):
    pass


class _Dying(TunerCallback):
    def on_start_trial(self, trial: Trial) -> None:
        raise _KilledError


def test_a_backend_is_told_once_that_no_launches_follow_before_the_first_stop() -> None:
    cloud = cloud_of(timing=FakeTiming(stop_delay=30.0))
    told: list[int] = []
    backend = FakeBackend(cloud)
    backend.start_no_more = lambda: told.append(cloud.calls["stop"])  # type: ignore[method-assign]
    tuner_on(cloud, stop_criterion=StoppingCriterion(max_wallclock_time=5), backend=backend).run()
    assert told == [0]
    assert cloud.calls["stop"] > 0


def test_an_experiment_that_goes_on_and_ends_again_tells_it_again() -> None:
    cloud, storage = cloud_of(), KeptJournal()
    for trials in (3, 6):
        tuner_on(cloud, stop_criterion=StoppingCriterion(max_num_trials_started=trials), storage=storage).run()
    assert cloud.calls["start_no_more"] == 2


def test_what_the_backend_says_about_the_whole_is_recorded_when_it_changes_and_at_the_end() -> None:
    cloud, storage = cloud_of(units=1000), KeptJournal()
    backend = FakeBackend(cloud)
    backend.summary_lines = lambda: (f"after {cloud.clock.now() // 1000:.0f}000 s",)  # type: ignore[method-assign]
    tuner = tuner_on(cloud, backend=backend, storage=storage)
    tuner.run()
    said = [event for event in storage.kept.read() if isinstance(event, ev.SummaryChanged)]
    assert 1 < len(said) <= 2 + cloud.clock.now() / 1000
    assert len({tuple(event.lines) for event in said}) == len(said)
    assert tuner.tuning_status.summary == tuple(said[-1].lines)
    assert said[-1].lines[0] in str(status_table(tuner.tuning_status, "t").caption)


def test_a_stop_that_does_not_work_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    cloud = cloud_of(units=9)
    cloud.fail_next("stop", UnreachableError("no answer"), times=6)
    tuner_on(cloud, asha(), stop_criterion=StoppingCriterion(max_num_trials_started=3)).run()
    said = [record.getMessage() for record in caplog.records if "is tried until it works" in record.getMessage()]
    assert said
    assert len(said) == len(set(said))
    assert all(text.startswith("stop of trial ") and text.endswith("no answer") for text in said)


def test_a_script_that_is_tried_again_is_told_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    cloud = cloud_of(faults=lambda attempt: FakeFaults(fail_at=2))
    tuner = tuner_on(cloud, max_failures=99, max_retries_per_trial=1)
    tuner.run()
    again = [record.getMessage() for record in caplog.records if "gets another attempt" in record.getMessage()]
    assert again[0].startswith("trial 0 gets another attempt, its script failed: ")
    assert tuner.ledger.trials[0].reason.endswith("(and so did 1 retry)")


def test_a_long_wait_at_the_end_is_mentioned_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="cloudtune.tuner")
    cloud = cloud_of(units=9, timing=FakeTiming(log_lag=300.0))
    tuner_on(cloud, asha(), stop_criterion=StoppingCriterion(max_num_trials_started=1)).run()
    told = [record.getMessage() for record in caplog.records if record.getMessage().startswith("waiting for ")]
    assert 2 < len(told) < 16
    assert "to end and for what their logs still say" in told[0]
