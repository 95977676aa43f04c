"""Logs that come late, twice, in pieces or in another order: nothing is lost, nothing counts twice."""

from __future__ import annotations

import pytest

from cloudtune.sagemaker import FeedOptions
from cloudtune.sagemaker.cursors import LagMeter, LogCursor
from cloudtune.sagemaker.lines import LogLine, ReporterReader
from cloudtune.sandbox import Delays
from cloudtune.sandbox.faults.plan import FaultPlan, LogRule, Pages
from cloudtune.trial import Attempt, AttemptStatus, Report, StatusChange
from tests.sagemaker.support import Seen, attempt, in_virtual_time
from tests.virtual import Training

EPOCHS = 6
ALL = list(range(1, EPOCHS + 1))


def started(seen: Seen, count: int = 4) -> list[Attempt]:
    trials = [attempt(number, x=0.5, epochs=EPOCHS) for number in range(count)]
    for trial in trials:
        seen.backend.start(trial)
    return trials


def epochs(seen: Seen, trial: Attempt) -> list[int]:
    return [report.metrics["epoch"] for report in seen.reports(trial)]


def before_the_end(seen: Seen, trial: Attempt) -> list[int]:
    """Epochs that were told before the final status."""
    found = []
    for each in seen.all:
        if isinstance(each, Report) and each.attempt == trial.id:
            found.append(each.metrics["epoch"])
        elif isinstance(each, StatusChange) and each.attempt == trial.id and each.status.is_final:
            break
    return found


@pytest.mark.parametrize("lag", [0.0, 8.0, 60.0, 180.0])
def test_an_end_waits_for_the_log_however_late_all_of_it_is(lag: float) -> None:
    with in_virtual_time(Training(seconds=20.0), Delays(log_ingestion=lag)) as (_, _, clock, seen):
        began = clock.now()
        trials = started(seen)
        seen.finish(*trials)
        assert all(before_the_end(seen, trial) == ALL for trial in trials)
        assert all(seen.end(trial).status is AttemptStatus.COMPLETED for trial in trials)  # type: ignore[union-attr]
        assert clock.now() - began < EPOCHS * 20 + 300 + 2 * lag


SLOW = FaultPlan(seed=3, logs=LogRule(late=180.0, late_lines=0.1, late_streams=0.4))


def test_an_end_waits_for_streams_that_are_later_than_others() -> None:
    with in_virtual_time(Training(seconds=60.0), faults=SLOW) as (_, _, _, seen):
        trials = started(seen, 12)
        seen.finish(*trials)
        assert all(sorted(before_the_end(seen, trial)) == ALL for trial in trials)


def test_what_is_late_is_told_while_its_job_runs_and_not_only_at_its_end() -> None:
    slow_streams = FaultPlan(seed=3, logs=LogRule(late=180.0, late_streams=0.4))
    with in_virtual_time(Training(seconds=20.0), faults=slow_streams) as (_, backend, _, seen):
        trials = [attempt(number, x=0.5, epochs=30) for number in range(8)]
        for trial in trials:
            backend.start(trial)
        seen.finish(*trials)
        delays = [report.seen_at - report.emitted_at for trial in trials for report in seen.reports(trial)]
        assert max(delays) > 100
        assert max(delays) <= 180 + 65 + 5, "the lag, the time between two deep looks, and the time between two looks"


def test_what_comes_even_after_the_last_word_is_told_if_others_run() -> None:
    impatient = FeedOptions(drain_limit_seconds=10.0)
    late = FaultPlan(seed=3, logs=LogRule(late=240.0, late_streams=0.5))
    with in_virtual_time(Training(seconds=20.0), feed=impatient, faults=late) as (_, backend, _, seen):
        trials = started(seen, 6)
        seen.finish(*trials)
        assert any(before_the_end(seen, trial) != ALL for trial in trials)
        backend.start(attempt(6, x=0.5, epochs=60))
        seen.wait(500)
        assert all(sorted(epochs(seen, trial)) == ALL for trial in trials)


def test_lines_that_are_there_twice_under_two_ids_count_once() -> None:
    twice = FaultPlan(logs=LogRule(duplicated=1.0, again_after=20.0))
    with in_virtual_time(Training(seconds=20.0), faults=twice) as (_, _, _, seen):
        trials = started(seen)
        seen.finish(*trials)
        assert all(epochs(seen, trial) == ALL for trial in trials)


def test_empty_repeated_and_small_pages() -> None:
    pages = FaultPlan(logs=LogRule(repeated=0.5, empty_pages=0.5), pages=Pages(jobs=3, events=5))
    with in_virtual_time(Training(seconds=20.0), faults=pages) as (_, _, _, seen):
        trials = started(seen, 8)
        seen.finish(*trials)
        assert all(epochs(seen, trial) == ALL for trial in trials)


# -- keys ------------------------------------------------------------------------------------------


def key(line: str, event_id: str) -> str:
    (report,) = ReporterReader().parser(None).read(LogLine(event_id, 1.0, f"[tune-metric]: {line}"))
    return report.key


def test_a_report_is_known_by_its_number_and_time() -> None:
    line = '{"acc": 1, "st_worker_iter": 0, "st_worker_timestamp": 1700000000.25}'
    assert key(line, "a") == key(line, "b") == "0@1700000000.25"
    assert key(line.replace(".25", ".26"), "a") != key(line, "a"), "of another start of the script"


@pytest.mark.parametrize(
    "line", ['{"acc": 1}', '{"acc": 1, "st_worker_timestamp": 1.5}', '{"acc": 1, "st_worker_iter": 0}']
)
def test_a_report_without_number_or_time_is_known_by_its_event(line: str) -> None:
    assert (key(line, "a"), key(line, "b")) == ("a", "b")


# -- how late lines are ----------------------------------------------------------------------------


def test_the_latest_line_counts_and_then_less_and_less() -> None:
    meter = LagMeter()
    assert meter.seconds(0.0) is None
    meter.take(100.0, 0.0)
    meter.take(10.0, 1.0)
    assert meter.seconds(1.0) == pytest.approx(100.0, rel=0.01)
    assert meter.seconds(3600.0) == 50.0
    meter.take(60.0, 3600.0)
    assert meter.seconds(3600.0) == 60.0


def test_the_more_is_known_to_be_late_the_more_is_read_again() -> None:
    cursor = LogCursor("a", overlap=60)
    cursor.reach_back(1000.0)
    event = {"logStreamName": "a-00000-0/algo-1-1", "timestamp": 5_000_000, "eventId": "1", "message": "x"}
    list(cursor.take({"events": [event]}))
    cursor.finish()
    assert cursor.request()["startTime"] == 4_940_000
    assert cursor.request(overlap=300.0)["startTime"] == 4_700_000
    assert cursor.request(overlap=9000.0)["startTime"] == 1_000_000
