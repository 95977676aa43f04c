"""One attempt from its launch to its last report."""

from __future__ import annotations

from typing import Any

import pytest

from cloudtune.errors import OptionError
from cloudtune.sagemaker import FLOAT, FeedOptions, MetricDefinition
from cloudtune.sagemaker.following import FollowedAttempt
from cloudtune.sagemaker.lines import LineReader, LogLine, RegexReader, ReporterReader
from cloudtune.sagemaker.states import STOPPED_FROM_OUTSIDE, JobEnd, JobState, job_end
from cloudtune.trial import AttemptId, AttemptStatus, Cause, Observation, Report, StatusChange

OPTIONS = FeedOptions(drain_quiet_seconds=10, drain_limit_seconds=100, silent_seconds=50)
COMPLETED = JobEnd(AttemptStatus.COMPLETED, "", True, 0.5)


def followed(reader: LineReader | None = None) -> FollowedAttempt:
    return FollowedAttempt(AttemptId(0, 0), "a-00000-0", 3.6, reader or ReporterReader(), now=0.0)


def state(status: str, secondary: str = "", modified: float = 1.0) -> JobState:
    return JobState("a-00000-0", status, secondary, 0.0, modified)


def report_line(epoch: int, at: float | None = None) -> LogLine:
    return LogLine(f"event-{epoch}", float(epoch) if at is None else at, f'[tune-metric]: {{"epoch": {epoch}}}')


def epochs(observations: Any) -> list[int]:
    return [each.metrics["epoch"] for each in observations if isinstance(each, Report)]


def statuses(observations: Any) -> list[AttemptStatus]:
    return [each.status for each in observations if isinstance(each, StatusChange)]


# -- statuses --------------------------------------------------------------------------------------


def test_a_job_s_life_in_the_words_of_attempts() -> None:
    attempt = followed()
    life = [
        ("InProgress", "Starting"),
        ("InProgress", "Downloading"),
        ("InProgress", "Training"),
        ("InProgress", "SomethingNewToUs"),
        ("InProgress", "Uploading"),
        ("Completed", "Completed"),
    ]
    seen: list[Observation] = []
    for moment, (status, secondary) in enumerate(life):
        seen.extend(attempt.take_state(state(status, secondary, moment), 0.0))
    assert statuses(seen) == [AttemptStatus.PENDING, AttemptStatus.RUNNING, AttemptStatus.DRAINING]


def test_a_spot_interruption_is_no_step_back() -> None:
    attempt = followed()
    list(attempt.take_state(state("InProgress", "Training", 1), 0.0))
    assert list(attempt.take_state(state("InProgress", "Interrupted", 2), 0.0)) == []
    assert list(attempt.take_state(state("InProgress", "Training", 3), 0.0)) == []


def test_a_job_that_is_over_stays_over_whatever_an_index_says() -> None:
    attempt = followed()
    list(attempt.take_state(state("Completed", "Completed", 5), 0.0))
    assert list(attempt.take_state(state("InProgress", "Training", 5), 0.0)) == []
    assert list(attempt.take_state(state("InProgress", "Training", 9), 0.0)) == []
    assert attempt.is_over
    assert attempt.wants_description


def test_an_older_state_that_arrives_later_is_ignored() -> None:
    attempt = followed()
    list(attempt.take_state(state("Stopping", "Stopping", 5), 0.0))
    assert list(attempt.take_state(state("InProgress", "Training", 4), 0.0)) == []
    assert attempt.state == state("Stopping", "Stopping", 5)


def test_a_report_shows_that_the_script_runs_before_the_listing_does() -> None:
    attempt = followed()
    seen = list(attempt.take_lines([report_line(1)], 0.0))
    assert statuses(seen[:1]) == [AttemptStatus.RUNNING]
    assert epochs(seen) == [1]


# -- the end ---------------------------------------------------------------------------------------


def description(status: str, secondary: str = "", **more: Any) -> dict[str, Any]:
    return {"TrainingJobStatus": status, "SecondaryStatus": secondary, "TrainingStartTime": 1.0, **more}


@pytest.mark.parametrize(
    ("answer", "stop_asked", "status", "reason"),
    [
        (description("Completed", "Completed"), False, AttemptStatus.COMPLETED, ""),
        (description("Failed", "Failed", FailureReason="ExitCode 1"), False, AttemptStatus.FAILED, "ExitCode 1"),
        (description("Stopped", "Stopped"), True, AttemptStatus.STOPPED, ""),
        (description("Stopped", "Stopped"), False, AttemptStatus.STOPPED, STOPPED_FROM_OUTSIDE),
        (description("Stopped", "Stopped"), None, AttemptStatus.STOPPED, ""),
        (
            description("Stopped", "MaxRuntimeExceeded", StoppingCondition={"MaxRuntimeInSeconds": 60}),
            False,
            AttemptStatus.STOPPED,
            "MaxRuntimeExceeded: ran longer than the template's MaxRuntimeInSeconds = 60",
        ),
        (
            description("Stopped", "MaxWaitTimeExceeded"),
            False,
            AttemptStatus.STOPPED,
            "MaxWaitTimeExceeded: waited and ran longer than the template's MaxWaitTimeInSeconds",
        ),
    ],
)
def test_every_outcome_has_a_name(
    answer: dict[str, Any], stop_asked: bool | None, status: AttemptStatus, reason: str
) -> None:
    end = job_end(answer, None, stop_asked)
    assert (end.status, end.reason) == (status, reason)


def test_the_bill_is_billable_time_at_the_price_of_the_instances() -> None:
    assert job_end(description("Completed", BillableTimeInSeconds=1800), 2.0, None).dollars == 1.0
    assert job_end(description("Completed", BillableTimeInSeconds=1800), None, None).dollars is None
    assert job_end({"TrainingJobStatus": "Failed"}, 2.0, None) == JobEnd(
        AttemptStatus.FAILED, "Failed", False, 0.0, Cause.SERVICE
    )
    resources = {"SelectedInstanceType": "ml.m5.xlarge", "SelectedInstanceCount": 2}
    selected = description("Completed", BillableTimeInSeconds=3600, ResourceConfig=resources)
    assert job_end(selected, 9.0, None).dollars == 0.46


def test_a_log_is_drained_until_it_is_quiet_and_then_read_once_more() -> None:
    attempt = followed()
    list(attempt.take_lines([report_line(1)], 0.0))
    assert statuses(attempt.take_state(state("Completed", modified=2), 100.0)) == [AttemptStatus.DRAINING]
    attempt.take_end(COMPLETED)
    assert not attempt.wants_rereading(105.0, OPTIONS, None)
    assert epochs(attempt.take_lines([report_line(2)], 108.0)) == [2]
    assert not attempt.wants_rereading(112.0, OPTIONS, None)
    assert attempt.wants_rereading(118.0, OPTIONS, None)
    assert not attempt.is_final(118.0, OPTIONS, None)
    assert list(attempt.take_whole_log([report_line(1), report_line(2)], 118.0)) == []
    assert attempt.is_final(118.0, OPTIONS, None)
    last = attempt.last_word(118.0)
    assert (last.status, last.dollars) == (AttemptStatus.COMPLETED, 0.5)


def test_the_last_reading_finds_what_the_feed_missed_and_then_waits_again() -> None:
    attempt = followed()
    list(attempt.take_lines([report_line(1), report_line(3)], 0.0))
    list(attempt.take_state(state("Completed", modified=2), 100.0))
    attempt.take_end(COMPLETED)
    whole = [report_line(1), report_line(2), report_line(3)]
    assert epochs(attempt.take_whole_log(whole, 110.0)) == [2]
    assert not attempt.is_final(110.0, OPTIONS, None)
    assert attempt.wants_rereading(120.0, OPTIONS, None)
    assert epochs(attempt.take_whole_log(whole, 120.0)) == []
    assert attempt.is_final(120.0, OPTIONS, None)


def test_draining_is_bounded_however_much_is_still_printed() -> None:
    attempt = followed()
    list(attempt.take_state(state("Stopped", modified=2), 0.0))
    attempt.take_end(COMPLETED)
    for second in range(1, 110):
        list(attempt.take_lines([report_line(second)], float(second)))
        assert attempt.wants_rereading(float(second), OPTIONS, None) == (second >= 100)


@pytest.mark.parametrize(
    ("end", "seconds"),
    [
        (JobEnd(AttemptStatus.FAILED, "AlgorithmError", True, 0.5), 30.0),
        (JobEnd(AttemptStatus.STOPPED, "", True, 0.5), 30.0),
        (COMPLETED, 50.0),
    ],
    ids=["failed", "stopped", "in order, which is strange"],
)
def test_nothing_reported_is_waited_for_longer(end: JobEnd, seconds: float) -> None:
    attempt = followed()
    list(attempt.take_state(state(str(end.status.value), modified=2), 0.0))
    attempt.take_end(end)
    assert not attempt.wants_rereading(seconds - 1, OPTIONS, None)
    assert attempt.wants_rereading(seconds, OPTIONS, None)


@pytest.mark.parametrize(("lag", "seconds"), [(None, 10.0), (0.0, 10.0), (8.0, 22.0), (30.0, 55.0), (180.0, 100.0)])
def test_a_log_must_be_quiet_for_longer_than_its_lines_are_late_but_not_for_ever(
    lag: float | None, seconds: float
) -> None:
    attempt = followed()
    list(attempt.take_lines([report_line(1)], 0.0))
    list(attempt.take_state(state("Completed", modified=2), 0.0))
    attempt.take_end(COMPLETED)
    assert not attempt.wants_rereading(seconds - 1, OPTIONS, lag)
    assert attempt.wants_rereading(seconds, OPTIONS, lag)


def test_a_log_is_not_whole_before_it_is_known_how_the_job_ended() -> None:
    attempt = followed()
    list(attempt.take_state(state("Completed", modified=2), 0.0))
    assert not attempt.wants_rereading(90.0, OPTIONS, None)


def test_a_job_whose_script_never_started_has_no_log_to_wait_for() -> None:
    attempt = followed()
    list(attempt.take_state(state("Failed", modified=2), 0.0))
    attempt.take_end(JobEnd(AttemptStatus.FAILED, "no image", ran=False, dollars=0.0))
    assert not attempt.wants_rereading(0.0, OPTIONS, None)
    assert attempt.is_final(0.0, OPTIONS, None)


def test_a_job_that_is_gone_has_failed_and_not_by_its_own_fault() -> None:
    attempt = followed()
    assert list(attempt.take_not_found(5.0)) == []
    assert list(attempt.take_not_found(6.0)) == []
    assert statuses(attempt.take_not_found(7.0)) == [AttemptStatus.DRAINING]
    assert attempt.is_final(7.0, OPTIONS, None)
    assert (attempt.last_word(7.0).status, attempt.last_word(7.0).cause) == (AttemptStatus.FAILED, Cause.OUTSIDE)


def test_answers_that_there_is_no_such_job_count_only_in_a_row() -> None:
    attempt = followed()
    for second in range(0, 20, 4):
        assert list(attempt.take_not_found(second)) == []
        assert list(attempt.take_not_found(second + 1)) == []
        list(attempt.take_state(state("InProgress", "Training", second + 2), second + 2))
    assert not attempt.is_over


@pytest.mark.parametrize("value", [-1.0, float("nan")])
def test_waits_are_numbers_of_seconds(value: float) -> None:
    with pytest.raises(OptionError, match="drain_quiet_seconds"):
        FeedOptions(drain_quiet_seconds=value)


# -- lines -----------------------------------------------------------------------------------------


def test_duplicates_and_late_lines_are_survived() -> None:
    attempt = followed()
    first = [report_line(1, 100.0), report_line(3, 120.0)]
    assert epochs(attempt.take_lines(first, 0.0)) == [1, 3]
    assert epochs(attempt.take_lines([*first, report_line(2, 110.0)], 0.0)) == [2]
    assert epochs(attempt.take_lines([*first, report_line(2, 110.0)], 0.0)) == []


def test_a_regex_read_again_gives_the_same_keys_and_only_what_was_missing() -> None:
    reader = RegexReader([MetricDefinition("acc", rf"acc={FLOAT}")], "acc", "epoch")
    lines = [LogLine(f"event-{n}", float(n), f"acc=0.{n}") for n in range(1, 5)]
    attempt = followed(reader)
    live = [each for each in attempt.take_lines([lines[0], lines[1], lines[3]], 0.0) if isinstance(each, Report)]
    missing = [each for each in attempt.take_whole_log(lines, 0.0) if isinstance(each, Report)]
    assert [report.metrics["acc"] for report in missing] == [0.3]
    assert missing[0].metrics["epoch"] == 3
    assert {report.key for report in live} | {report.key for report in missing} == {
        f"event-{number}/0" for number in range(1, 5)
    }
