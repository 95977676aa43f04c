"""What every backend does. Needs pytest."""

from __future__ import annotations

import math
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from cloudtune.backends.base import Experiment, TrialBackend
from cloudtune.clock import Clock, SystemClock
from cloudtune.report import parse_report_line
from cloudtune.testing import probe_script
from cloudtune.trial import Attempt, AttemptId, AttemptStatus, Cause, Launch, Observation, Report, StatusChange

PROBE = Path(probe_script.__file__)
"""The training script of all these tests; its own docstring says what its configurations mean."""

FOREVER = 100_000
"""Units of work that no test waits for."""

_ORDER = {status: order for order, status in enumerate(AttemptStatus)}


class Watch:
    """A process that runs an experiment on a backend, and remembers all it was told."""

    def __init__(self, backend: TrialBackend, clock: Clock, patience: float, interval: float) -> None:
        self.backend = backend
        self.seen: list[Observation] = []
        self._clock = clock
        self._patience = patience
        self._interval = interval
        self._open: dict[AttemptId, Attempt] = {}

    def attempt(self, trial_id: int = 0, number: int = 0, **config: object) -> Attempt:
        """An attempt of the probe. It writes checkpoints unless ``keep=0``."""
        return Attempt(AttemptId(trial_id, number), {"seconds": 0.0, "keep": 1, **config})

    def start(self, trial_id: int = 0, number: int = 0, **config: object) -> Attempt:
        attempt = self.attempt(trial_id, number, **config)
        self.start_again(attempt)
        return attempt

    def start_again(self, attempt: Attempt) -> Launch:
        self._open[attempt.id] = attempt
        return self.backend.start(attempt)

    def adopt(self, *attempts: Attempt) -> None:
        self._open.update({attempt.id: attempt for attempt in attempts})
        self.backend.adopt(attempts)

    def poll(self) -> Sequence[Observation]:
        news = self.backend.poll()
        self.seen.extend(news)
        return news

    def poll_until(self, predicate: Callable[[], bool], what: str) -> None:
        """Poll until it is true. Fails with all that was seen if that takes more than the test's patience."""
        deadline = self._clock.now() + self._patience
        while True:
            self.poll()
            if predicate():
                return
            assert self._clock.now() < deadline, f"no {what} within {self._patience} s; seen: {self.seen}"
            self._clock.sleep(self._interval)

    def finish(self, *attempts: Attempt) -> None:
        """Poll until all of them have ended."""
        self.poll_until(lambda: all(self.ending(each) is not None for each in attempts), "end")

    def await_reports(self, attempt: Attempt, count: int) -> None:
        self.poll_until(lambda: len(self.reports(attempt)) >= count, f"{count} reports")

    def reports(self, attempt: Attempt) -> list[Report]:
        return [each for each in self.seen if isinstance(each, Report) and each.attempt == attempt.id]

    def epochs(self, attempt: Attempt) -> list[int]:
        return [report.metrics["epoch"] for report in self.reports(attempt)]

    def statuses(self, attempt: Attempt) -> list[AttemptStatus]:
        return [each.status for each in self.seen if isinstance(each, StatusChange) and each.attempt == attempt.id]

    def ending(self, attempt: Attempt) -> StatusChange | None:
        """The final status, which comes once."""
        ends = [
            each
            for each in self.seen
            if isinstance(each, StatusChange) and each.attempt == attempt.id and each.status.is_final
        ]
        assert len(ends) <= 1, f"more than one final status: {ends}"
        return ends[0] if ends else None

    def ended_as(self, attempt: Attempt) -> AttemptStatus:
        ending = self.ending(attempt)
        assert ending is not None, f"{attempt.id} has not ended; seen: {self.seen}"
        return ending.status

    def times_begun(self, trial_id: int) -> int:
        """How often the trial's first unit was done, by its log."""
        reports = filter(None, map(parse_report_line, self.backend.logs(trial_id)))
        return sum(report["epoch"] == 1 for report in reports)

    def end_all(self) -> None:
        """Leave nothing running."""
        running = [attempt for attempt in self._open.values() if self.ending(attempt) is None]
        for attempt in running:
            self.backend.stop(attempt.id)
        self.finish(*running)
        self.backend.close()


class BackendContract(ABC):
    """Derive a test class from it, and say how a backend is made.

    Time comes from the fixture ``clock``; ``patience`` (seconds until a test gives up) and ``interval`` (seconds
    between polls) are fixtures too. What an implementation can't do it declares in its ``capabilities``; those tests
    are skipped. A backend must end a script that ignores SIGTERM within ``patience``.
    """

    @abstractmethod
    def build(self, entry_point: Path, place: Path) -> TrialBackend:
        """A backend, not opened, that runs the script. Another one for the same ``place`` is another process on the
        same world: it finds what the first one started."""

    @pytest.fixture
    def clock(self) -> Clock:
        return SystemClock()

    @pytest.fixture
    def patience(self) -> float:
        return 120.0

    @pytest.fixture
    def interval(self) -> float:
        return 0.02

    @pytest.fixture
    def experiment(self, tmp_path: Path) -> Experiment:
        name = f"contract-{uuid.uuid4().hex[:12]}"
        return Experiment(name, tmp_path / name, metric_names=("value",), resource_attr="epoch", n_workers=4)

    @pytest.fixture
    def process(
        self, tmp_path: Path, experiment: Experiment, clock: Clock, patience: float, interval: float
    ) -> Iterator[Callable[[], Watch]]:
        """Each call is another process that works for the same experiment."""
        watches: list[Watch] = []

        def connect() -> Watch:
            backend = self.build(PROBE, tmp_path)
            backend.open(experiment, clock)
            watches.append(Watch(backend, clock, patience, interval))
            return watches[-1]

        yield connect
        for watch in reversed(watches):
            watch.end_all()

    @pytest.fixture
    def watch(self, process: Callable[[], Watch]) -> Watch:
        return process()

    # -- what is observed ----------------------------------------------------------------------------------------------

    def test_every_report_comes_once_in_order_and_before_the_end(self, watch: Watch) -> None:
        attempt = watch.start(units=4, base=0.5)
        watch.finish(attempt)
        reports = watch.reports(attempt)
        assert [report.metrics["epoch"] for report in reports] == [1, 2, 3, 4]
        assert [report.metrics["value"] for report in reports] == [1.5, 2.5, 3.5, 4.5]
        assert len({report.key for report in reports}) == 4
        assert [report.emitted_at for report in reports] == sorted(report.emitted_at for report in reports)
        assert watch.seen[-1] == watch.ending(attempt)

    def test_statuses_only_go_forward_to_one_final(self, watch: Watch) -> None:
        attempt = watch.start(units=2)
        watch.finish(attempt)
        statuses = watch.statuses(attempt)
        assert [_ORDER[status] for status in statuses] == sorted({_ORDER[status] for status in statuses})
        assert AttemptStatus.RUNNING in statuses
        assert statuses[-1] is AttemptStatus.COMPLETED
        for _ in range(3):
            assert list(watch.poll()) == []

    def test_attempts_run_side_by_side_with_their_own_configurations(self, watch: Watch) -> None:
        attempts = [watch.start(trial_id, units=2, base=10.0 * trial_id) for trial_id in range(3)]
        watch.finish(*attempts)
        values = [[report.metrics["value"] for report in watch.reports(attempt)] for attempt in attempts]
        assert values == [[1.0, 2.0], [11.0, 12.0], [21.0, 22.0]]

    def test_nan_and_infinities_come_back(self, watch: Watch) -> None:
        attempt = watch.start(units=1, behave="odd")
        watch.finish(attempt)
        (report,) = watch.reports(attempt)
        assert math.isnan(report.metrics["value"])
        assert (report.metrics["high"], report.metrics["low"]) == (math.inf, -math.inf)

    def test_a_script_without_a_report_completes(self, watch: Watch) -> None:
        attempt = watch.start(units=1, behave="silent")
        watch.finish(attempt)
        assert watch.reports(attempt) == []
        assert watch.ended_as(attempt) is AttemptStatus.COMPLETED

    @pytest.mark.parametrize(
        ("config", "epochs"), [({"behave": "crash"}, []), ({"behave": "fail", "at": 3}, [1, 2])], ids=["crash", "fail"]
    )
    def test_a_failure_has_a_reason_and_keeps_what_was_reported(
        self, watch: Watch, config: dict[str, Any], epochs: list[int]
    ) -> None:
        attempt = watch.start(units=5, **config)
        watch.finish(attempt)
        ending = watch.ending(attempt)
        assert ending is not None
        assert ending.status is AttemptStatus.FAILED
        assert ending.reason.strip()
        assert ending.cause in (Cause.NONE, Cause.SCRIPT)
        assert watch.epochs(attempt) == epochs

    def test_logs_are_the_lines_of_the_trial_oldest_first(self, watch: Watch) -> None:
        attempt = watch.start(units=3)
        other = watch.start(1, units=1)
        watch.finish(attempt, other)
        reports = filter(None, map(parse_report_line, watch.backend.logs(0)))
        assert [report["epoch"] for report in reports] == [1, 2, 3]

    # -- exactly once --------------------------------------------------------------------------------------------------

    def test_a_second_start_starts_nothing(self, watch: Watch) -> None:
        attempt = watch.start(units=2)
        launch = watch.start_again(attempt)
        assert launch == watch.start_again(attempt)
        watch.finish(attempt)
        assert watch.start_again(attempt) == launch
        watch.poll()
        assert watch.epochs(attempt) == [1, 2]
        assert watch.times_begun(0) == 1

    @pytest.mark.parametrize("when", ["running", "ended"])
    def test_a_second_start_by_another_process_starts_nothing(self, process: Callable[[], Watch], when: str) -> None:
        first = process()
        _need_survival(first)
        attempt = first.start(units=3, seconds=0.05)
        first.await_reports(attempt, 1)
        if when == "ended":
            first.finish(attempt)
        second = process()
        assert second.start_again(attempt) == first.start_again(attempt)
        second.finish(attempt)
        assert second.epochs(attempt) == [1, 2, 3]
        assert second.times_begun(0) == 1

    def test_a_start_right_after_the_first_one_crashed_starts_nothing(self, process: Callable[[], Watch]) -> None:
        first = process()
        _need_survival(first)
        attempt = first.start(units=2)
        second = process()
        second.start_again(attempt)
        second.finish(attempt)
        assert second.epochs(attempt) == [1, 2]
        assert second.times_begun(0) == 1

    def test_another_process_finds_what_was_started_and_nothing_else(self, process: Callable[[], Watch]) -> None:
        first = process()
        _need_survival(first)
        attempt = first.start(0, units=1)
        never = Attempt(AttemptId(1, 0), attempt.config)
        second = process()
        found = second.backend.launched([attempt, never])
        assert list(found) == [attempt.id]
        second.adopt(attempt)
        second.finish(attempt)

    def test_adopting_a_running_attempt_brings_everything_again_under_the_same_keys(
        self, process: Callable[[], Watch]
    ) -> None:
        first = process()
        _need_survival(first)
        attempt = first.start(units=FOREVER, seconds=0.02)
        first.await_reports(attempt, 2)
        second = process()
        second.adopt(attempt)
        second.await_reports(attempt, len(first.reports(attempt)) + 1)
        known = [(report.key, report.metrics) for report in first.reports(attempt)]
        again = [(report.key, report.metrics) for report in second.reports(attempt)]
        assert again[: len(known)] == known
        assert second.epochs(attempt) == list(range(1, len(again) + 1))
        assert AttemptStatus.RUNNING in second.statuses(attempt)

    def test_adopting_an_attempt_that_ended_meanwhile_brings_everything_and_its_end(
        self, process: Callable[[], Watch]
    ) -> None:
        first = process()
        _need_survival(first)
        attempt, failing = first.start(0, units=3), first.start(1, units=3, behave="fail", at=2)
        first.finish(attempt, failing)
        second = process()
        second.adopt(attempt, failing)
        second.finish(attempt, failing)
        assert [report.key for report in second.reports(attempt)] == [report.key for report in first.reports(attempt)]
        assert second.epochs(failing) == [1]
        assert second.ended_as(attempt) is AttemptStatus.COMPLETED
        assert second.ended_as(failing) is AttemptStatus.FAILED

    # -- stopping ------------------------------------------------------------------------------------------------------

    def test_a_running_attempt_can_be_stopped(self, watch: Watch) -> None:
        _need_stop(watch)
        attempt = watch.start(units=FOREVER, seconds=0.02)
        watch.await_reports(attempt, 2)
        watch.backend.stop(attempt.id)
        watch.backend.stop(attempt.id)
        watch.finish(attempt)
        assert watch.ended_as(attempt) is AttemptStatus.STOPPED
        assert watch.epochs(attempt) == list(range(1, len(watch.reports(attempt)) + 1))
        statuses = [_ORDER[status] for status in watch.statuses(attempt)]
        assert statuses == sorted(set(statuses))

    def test_an_attempt_can_be_stopped_before_it_runs(self, watch: Watch) -> None:
        _need_stop(watch)
        attempt = watch.start(units=FOREVER, seconds=0.02)
        watch.backend.stop(attempt.id)
        watch.finish(attempt)
        assert watch.ended_as(attempt) is AttemptStatus.STOPPED

    def test_an_adopted_attempt_can_be_stopped(self, process: Callable[[], Watch]) -> None:
        first = process()
        _need_survival(first)
        _need_stop(first)
        attempt = first.start(units=FOREVER, seconds=0.02)
        first.await_reports(attempt, 1)
        second = process()
        second.adopt(attempt)
        second.backend.stop(attempt.id)
        second.finish(attempt)
        assert second.ended_as(attempt) is AttemptStatus.STOPPED

    def test_a_script_that_ignores_the_request_is_stopped_all_the_same(self, watch: Watch) -> None:
        _need_stop(watch)
        attempt = watch.start(units=FOREVER, seconds=0.02, behave="stubborn")
        watch.await_reports(attempt, 1)
        watch.backend.stop(attempt.id)
        watch.finish(attempt)
        assert watch.ended_as(attempt) is AttemptStatus.STOPPED

    def test_stopping_what_has_ended_or_never_began_changes_nothing(self, watch: Watch) -> None:
        attempt = watch.start(units=1)
        watch.finish(attempt)
        watch.backend.stop(attempt.id)
        watch.backend.stop(AttemptId(7, 0))
        assert list(watch.poll()) == []
        assert watch.ended_as(attempt) is AttemptStatus.COMPLETED

    # -- checkpoints -------------------------------------------------------------------------------------------------

    def test_a_later_attempt_goes_on_from_the_checkpoint(self, watch: Watch) -> None:
        _need_checkpoints(watch)
        first = watch.start(0, 0, units=2)
        watch.finish(first)
        second = watch.start(0, 1, units=4)
        watch.finish(second)
        assert watch.epochs(first) == [1, 2]
        assert watch.epochs(second) == [3, 4]
        reports = filter(None, map(parse_report_line, watch.backend.logs(0)))
        assert [report["epoch"] for report in reports] == [1, 2, 3, 4]

    def test_a_stopped_attempt_leaves_its_checkpoint_to_the_next(self, watch: Watch) -> None:
        _need_checkpoints(watch)
        _need_stop(watch)
        first = watch.start(0, 0, units=FOREVER, seconds=0.02)
        watch.await_reports(first, 2)
        watch.backend.stop(first.id)
        watch.finish(first)
        last = watch.epochs(first)[-1]
        second = watch.start(0, 1, units=last + 5)
        watch.finish(second)
        # the one that stopped it may have done a unit that it did not come to report
        assert watch.epochs(second)[0] in (last + 1, last + 2)
        assert watch.ended_as(second) is AttemptStatus.COMPLETED

    def test_without_a_checkpoint_a_later_attempt_begins_again(self, watch: Watch) -> None:
        first = watch.start(0, 0, units=2, keep=0)
        watch.finish(first)
        second = watch.start(0, 1, units=2, keep=0)
        watch.finish(second)
        assert watch.epochs(second) == [1, 2]

    def test_a_copied_checkpoint_starts_another_trial(self, watch: Watch) -> None:
        _need_checkpoints(watch)
        source = watch.start(0, units=2)
        watch.finish(source)
        watch.backend.copy_checkpoint(0, 1)
        watch.backend.copy_checkpoint(0, 1)
        target = watch.start(1, units=3)
        watch.finish(target)
        assert watch.epochs(target) == [3]
        again = watch.start(0, 1, units=3)
        watch.finish(again)
        assert watch.epochs(again) == [3]

    def test_copying_to_a_trial_that_was_started_changes_nothing(self, watch: Watch) -> None:
        _need_checkpoints(watch)
        source, target = watch.start(0, units=1), watch.start(1, units=3)
        watch.finish(source, target)
        watch.backend.copy_checkpoint(0, 1)
        later = watch.start(1, 1, units=4)
        watch.finish(later)
        assert watch.epochs(later) == [4]

    def test_copying_from_a_trial_without_checkpoint_starts_from_nothing(self, watch: Watch) -> None:
        _need_checkpoints(watch)
        source = watch.start(0, units=1, keep=0)
        watch.finish(source)
        watch.backend.copy_checkpoint(0, 1)
        target = watch.start(1, units=1)
        watch.finish(target)
        assert watch.epochs(target) == [1]

    def test_a_deleted_checkpoint_is_forgotten(self, watch: Watch) -> None:
        _need_checkpoints(watch)
        first = watch.start(0, 0, units=2)
        watch.finish(first)
        watch.backend.delete_checkpoint(0)
        watch.backend.delete_checkpoint(0)
        watch.backend.delete_checkpoint(7)
        second = watch.start(0, 1, units=1)
        watch.finish(second)
        assert watch.epochs(second) == [1]

    # -- what it costs -------------------------------------------------------------------------------------------------

    def test_it_says_how_many_it_has_room_for_or_that_it_does_not_know(self, watch: Watch) -> None:
        workers = watch.backend.workers_available()
        assert workers is None or workers >= 1

    def test_what_it_keeps_ready_is_released_as_often_as_one_likes(self, watch: Watch) -> None:
        watch.backend.release()
        attempt = watch.start(units=1)
        watch.finish(attempt)
        watch.backend.release()
        watch.backend.release()
        assert watch.ended_as(attempt) is AttemptStatus.COMPLETED


def _need_stop(watch: Watch) -> None:
    if not watch.backend.capabilities.can_stop:
        pytest.skip("declares that it can't stop")


def _need_checkpoints(watch: Watch) -> None:
    if not watch.backend.capabilities.has_checkpoints:
        pytest.skip("declares that it has no checkpoints")


def _need_survival(watch: Watch) -> None:
    if not watch.backend.capabilities.survives_tuner:
        pytest.skip("declares that attempts don't outlive the tuner")
