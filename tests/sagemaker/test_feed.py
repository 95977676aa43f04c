"""The feed when the service is slow, forgetful or refuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

import pytest

from cloudtune.aws import Aws
from cloudtune.clock import VirtualClock
from cloudtune.errors import AccessDeniedError, NotFoundError, ThrottledError
from cloudtune.sagemaker.existing import existing_attempts
from cloudtune.sagemaker.feed import JobFeed
from cloudtune.sagemaker.following import FeedOptions
from cloudtune.sagemaker.lines import ReporterReader
from cloudtune.trial import AttemptId, AttemptStatus, Cause, Observation, Report, StatusChange

A, B = AttemptId(0, 0), AttemptId(1, 0)


@dataclass
class Scripted(Aws):
    """An account whose answers a test writes: jobs with their statuses, log lines, and what fails when."""

    jobs: dict[str, str] = field(default_factory=dict)
    modified: dict[str, float] = field(default_factory=dict)
    lines: list[tuple[str, float, str]] = field(default_factory=list)
    page_size: int = 100
    lag: float | None = None
    transitions: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    shown: dict[str, Any] = field(default_factory=dict)
    """What descriptions show besides."""
    index: dict[str, str] = field(default_factory=dict)
    """Statuses in the index of Search, where they differ; none at all if empty."""
    searches: list[Any] = field(default_factory=list)
    fail: Callable[[str, int], Exception | None] = lambda operation, number: None
    asked: list[str] = field(default_factory=list)

    def call(self, service: str, operation: str, /, **request: Any) -> dict[str, Any]:
        self.asked.append(operation)
        error = self.fail(operation, self.asked.count(operation))
        if error is not None:
            raise error
        answers: dict[str, Callable[..., dict[str, Any]]] = {
            "ListTrainingJobs": self._list,
            "FilterLogEvents": self._filter,
            "DescribeTrainingJob": self._describe,
            "Search": self._search,
            "StopTrainingJob": self._stop,
        }
        return answers[operation](**request)

    def _list(self, **request: Any) -> dict[str, Any]:
        since = request.get("LastModifiedTimeAfter")
        summaries = [
            {
                "TrainingJobName": name,
                "TrainingJobStatus": status,
                "SecondaryStatus": "Training",
                "CreationTime": moment(0.0),
                "LastModifiedTime": moment(self.modified.get(name, 0.0)),
            }
            for name, status in self.jobs.items()
            if since is None or moment(self.modified.get(name, 0.0)) > since
        ]
        return {"TrainingJobSummaries": summaries}

    def _filter(self, **request: Any) -> dict[str, Any]:
        found = [
            {
                "logStreamName": self.stream(job),
                "timestamp": int(at * 1000),
                "eventId": f"{job}{at}",
                "message": text,
                **({} if self.lag is None else {"ingestionTime": int((at + self.lag) * 1000)}),
            }
            for job, at, text in self.lines
            if at * 1000 >= request.get("startTime", 0)
            and self.stream(job).startswith(request.get("logStreamNamePrefix", ""))
            and self.stream(job) in request.get("logStreamNames", [self.stream(job)])
        ]
        begin = int(request.get("nextToken", 0))
        page = {"events": found[begin : begin + self.page_size]}
        more = begin + self.page_size < len(found)
        return {**page, "nextToken": str(begin + self.page_size)} if more else page

    def _describe(self, **request: Any) -> dict[str, Any]:
        name = request["TrainingJobName"]
        if name not in self.jobs:
            raise NotFoundError(name)
        return {
            "TrainingJobName": name,
            "TrainingJobStatus": self.jobs[name],
            "TrainingStartTime": moment(0.0),
            "BillableTimeInSeconds": 3600,
            "CreationTime": moment(0.0),
            "LastModifiedTime": moment(self.modified.get(name, 0.0)),
            "SecondaryStatusTransitions": self.transitions.get(name, []),
            **self.shown,
        }

    def _search(self, **request: Any) -> dict[str, Any]:
        """By what is asked for here: a change since a moment, or being at work; from an index that may be behind."""
        self.searches.append(request["SearchExpression"])
        texts = [entry["Value"] for entry in request["SearchExpression"]["Filters"]]
        found = []
        for name in self.jobs:
            status = self.index.get(name, self.jobs[name])
            record = {**self._describe(TrainingJobName=name), "TrainingJobStatus": status}
            at_work = status in ("InProgress", "Stopping")
            wanted = at_work if len(texts) == 1 else record["LastModifiedTime"].isoformat() >= texts[1]
            if texts[0] in name and wanted and status:
                found.append({"TrainingJob": record})
        begin = int(request.get("NextToken", 0))
        more = begin + 100 < len(found)
        return {"Results": found[begin : begin + 100], **({"NextToken": str(begin + 100)} if more else {})}

    def _stop(self, **request: Any) -> dict[str, Any]:
        self.jobs[request["TrainingJobName"]] = "Stopping"
        return {}

    def stream(self, job: str) -> str:
        """A line's job may name its stream, too."""
        return job if "/" in job else f"{job}/algo-1-1"


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(1_000_000 + seconds, timezone.utc)


def report(job: str, epoch: int) -> tuple[str, float, str]:
    return job, 1_000_000.0 + epoch, f'[tune-metric]: {{"epoch": {epoch}}}'


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(1_000_000.0)


@pytest.fixture
def aws() -> Scripted:
    return Scripted(jobs={"a-00000-0": "InProgress"})


@pytest.fixture
def feed(aws: Scripted, clock: VirtualClock) -> JobFeed:
    options = FeedOptions(drain_quiet_seconds=5, drain_limit_seconds=60, missing_seconds=60, recheck_seconds=300)
    made = JobFeed(aws, clock, "a", ReporterReader(), options)
    made.follow(A, 2.0)
    return made


def epochs(observations: Any) -> list[int]:
    return [each.metrics["epoch"] for each in observations if isinstance(each, Report)]


def statuses(observations: Any) -> list[AttemptStatus]:
    return [each.status for each in observations if isinstance(each, StatusChange)]


def until_final(feed: JobFeed, clock: VirtualClock) -> list[Observation]:
    seen: list[Observation] = []
    for _ in range(200):
        seen.extend(feed.poll())
        if seen and isinstance(seen[-1], StatusChange) and seen[-1].status.is_final:
            return seen
        clock.sleep(1)
    raise AssertionError(f"not final: {seen}")


def throttle(operation: str, *numbers: int) -> Callable[[str, int], Exception | None]:
    """That call fails, the others don't."""
    return lambda asked, number: ThrottledError(asked) if asked == operation and number in numbers else None


def test_a_throttled_listing_loses_nothing(aws: Scripted, feed: JobFeed) -> None:
    aws.fail = throttle("ListTrainingJobs", 1)
    with pytest.raises(ThrottledError):
        feed.poll()
    assert statuses(feed.poll()) == [AttemptStatus.RUNNING]


def test_a_throttle_between_two_pages_of_the_log_neither_loses_nor_repeats_a_line(aws: Scripted, feed: JobFeed) -> None:
    aws.lines = [report("a-00000-0", epoch) for epoch in range(1, 8)]
    aws.page_size = 3
    aws.fail = throttle("FilterLogEvents", 2)
    first = feed.poll()
    assert epochs(first) == [1, 2, 3]
    assert epochs(feed.poll()) == [4, 5, 6, 7]


def test_statuses_are_told_although_the_log_can_not_be_read(aws: Scripted, feed: JobFeed) -> None:
    aws.fail = throttle("FilterLogEvents", 1)
    assert statuses(feed.poll()) == [AttemptStatus.RUNNING]


def test_a_throttled_description_delays_the_last_word_only(aws: Scripted, feed: JobFeed, clock: VirtualClock) -> None:
    aws.lines = [report("a-00000-0", 1)]
    aws.jobs["a-00000-0"] = "Completed"
    aws.fail = throttle("DescribeTrainingJob", 1)
    assert statuses(feed.poll()) == [AttemptStatus.DRAINING]
    clock.sleep(5)
    with pytest.raises(ThrottledError):
        feed.poll()
    seen = until_final(feed, clock)
    assert seen[-1] == StatusChange(A, AttemptStatus.COMPLETED, clock.now(), "", 2.0)
    assert aws.asked.count("DescribeTrainingJob") == 2


def test_without_permission_the_reason_is_not_swallowed(aws: Scripted, feed: JobFeed) -> None:
    aws.fail = lambda operation, _: AccessDeniedError("no") if operation == "FilterLogEvents" else None
    with pytest.raises(AccessDeniedError):
        feed.poll()


def test_a_log_group_that_does_not_exist_yet_is_an_empty_one(aws: Scripted, feed: JobFeed) -> None:
    aws.fail = lambda operation, _: NotFoundError("no group") if operation == "FilterLogEvents" else None
    assert statuses(feed.poll()) == [AttemptStatus.RUNNING]
    assert list(feed.poll()) == []


def test_a_report_that_arrives_after_the_job_ended_still_counts(
    aws: Scripted, feed: JobFeed, clock: VirtualClock
) -> None:
    aws.lines = [report("a-00000-0", 1)]
    aws.jobs["a-00000-0"] = "Stopped"
    assert statuses(feed.poll()) == [AttemptStatus.DRAINING]
    clock.sleep(4)
    aws.lines.append(report("a-00000-0", 2))
    seen = until_final(feed, clock)
    assert epochs(seen) == [2]
    assert statuses(seen) == [AttemptStatus.STOPPED]


def test_a_line_later_than_any_overlap_is_found_by_the_last_reading(
    aws: Scripted, feed: JobFeed, clock: VirtualClock
) -> None:
    aws.lines = [report("a-00000-0", 1), report("a-00000-0", 500)]
    assert epochs(feed.poll()) == [1, 500]
    clock.sleep(60)
    aws.lines.insert(1, report("a-00000-0", 2))
    assert epochs(feed.poll()) == []
    aws.jobs["a-00000-0"], aws.modified["a-00000-0"] = "Completed", 600.0
    assert epochs(until_final(feed, clock)) == [2]


def test_a_job_that_no_listing_shows_is_asked_for_by_name(aws: Scripted, feed: JobFeed, clock: VirtualClock) -> None:
    del aws.jobs["a-00000-0"]
    assert list(feed.poll()) == []
    clock.sleep(59)
    assert list(feed.poll()) == []
    assert "DescribeTrainingJob" not in aws.asked
    clock.sleep(2)
    aws.jobs["a-00000-0"] = "InProgress"
    aws.fail = lambda operation, number: NotFoundError("a replica") if (operation, number) == _FIRST_ANSWER else None
    assert statuses(feed.poll()) == [AttemptStatus.RUNNING]


_FIRST_ANSWER = ("DescribeTrainingJob", 1)


def test_a_job_is_gone_once_three_answers_in_a_row_say_so(aws: Scripted, feed: JobFeed, clock: VirtualClock) -> None:
    del aws.jobs["a-00000-0"]
    seen: list[Observation] = []
    while not seen:
        clock.sleep(1)
        seen.extend(feed.poll())
    assert clock.now() == 1_000_090.0  # asked after 60, 75 and 90 seconds
    assert statuses(seen) == [AttemptStatus.DRAINING, AttemptStatus.FAILED]
    assert isinstance(seen[-1], StatusChange)
    assert seen[-1].cause is Cause.OUTSIDE
    assert aws.asked.count("DescribeTrainingJob") == 3


def test_one_answer_that_there_is_no_such_job_is_no_end(aws: Scripted, feed: JobFeed, clock: VirtualClock) -> None:
    listed = aws._list
    aws.fail = lambda operation, number: NotFoundError("a replica") if (operation, number) == _FIRST_ANSWER else None
    aws._list = lambda **request: {"TrainingJobSummaries": []}  # type: ignore[method-assign]
    clock.sleep(61)
    assert list(feed.poll()) == []
    aws._list = listed  # type: ignore[method-assign]
    assert statuses(feed.poll()) == [AttemptStatus.RUNNING]
    for _ in range(30):
        clock.sleep(10)
        assert list(feed.poll()) == []


def test_a_change_that_the_listing_of_changes_missed_is_found_by_the_next_full_one(
    aws: Scripted, feed: JobFeed, clock: VirtualClock
) -> None:
    aws.modified["a-00000-0"] = 100.0
    aws.jobs["a-00001-0"], aws.modified["a-00001-0"] = "InProgress", 5000.0
    feed.follow(B, None)
    feed.poll()
    aws.jobs["a-00000-0"], aws.modified["a-00000-0"] = "Completed", 101.0  # long before what was seen already
    clock.sleep(100)
    assert list(feed.poll()) == []
    clock.sleep(200)
    assert AttemptStatus.DRAINING in statuses(feed.poll())
    assert (aws.asked.count("Search"), aws.asked.count("DescribeTrainingJob")) == (1, 1)


def test_an_adopted_attempt_is_read_from_its_beginning_though_others_are_far_ahead(
    aws: Scripted, feed: JobFeed
) -> None:
    aws.lines = [report("a-00000-0", epoch) for epoch in (1, 2, 1000)]
    feed.poll()
    feed.poll()
    aws.jobs["a-00001-0"] = "InProgress"
    aws.modified["a-00001-0"] = 2000.0
    aws.lines = [report("a-00001-0", 5), report("a-00001-0", 6), *aws.lines]
    feed.follow(B, None, older=True)
    seen = [each for each in feed.poll() if isinstance(each, Report)]
    assert [(each.attempt, each.metrics["epoch"]) for each in seen] == [(B, 5), (B, 6)]


def test_what_exists_is_found_in_one_listing_and_by_name_where_that_lags(aws: Scripted) -> None:
    aws.jobs = {"a-00000-0": "InProgress", "a-00001-0": "Completed", "b-00002-0": "InProgress"}
    assert existing_attempts(aws, "a", [A, B]) == {A, B}
    assert aws.asked == ["ListTrainingJobs"]
    assert existing_attempts(aws, "a", [A, AttemptId(2, 0)]) == {A}
    assert aws.asked == ["ListTrainingJobs"] * 2 + ["DescribeTrainingJob"]


# -- shared descriptions ---------------------------------------------------------------------------


@pytest.fixture
def ended(aws: Scripted, feed: JobFeed) -> JobFeed:
    """Three attempts whose jobs have just ended."""
    for number in (1, 2):
        feed.follow(AttemptId(number, 0), 2.0)
    aws.jobs = {f"a-0000{number}-0": "Completed" for number in range(3)}
    aws.lines = [report(f"a-0000{number}-0", 1) for number in range(3)]
    return feed


def finish(feed: JobFeed, clock: VirtualClock, count: int = 3) -> list[StatusChange]:
    ends: list[StatusChange] = []
    while len(ends) < count:
        assert clock.now() < 1_001_000.0, f"ended: {ends}"
        ends += [each for each in feed.poll() if isinstance(each, StatusChange) and each.status.is_final]
        clock.sleep(1)
    return ends


def test_ends_of_many_share_one_search_and_one_last_reading(aws: Scripted, ended: JobFeed, clock: VirtualClock) -> None:
    ends = finish(ended, clock)
    assert {(end.status, end.dollars) for end in ends} == {(AttemptStatus.COMPLETED, 2.0)}
    assert (aws.asked.count("Search"), aws.asked.count("DescribeTrainingJob")) == (1, 0)
    looks = aws.asked.count("ListTrainingJobs")
    assert aws.asked.count("FilterLogEvents") == looks + 1


@pytest.mark.parametrize("shown", ["InProgress", ""], ids=["still running", "unknown"])
def test_whom_the_index_is_behind_with_is_asked_for_by_name(
    aws: Scripted, ended: JobFeed, clock: VirtualClock, shown: str
) -> None:
    aws.index = {"a-00001-0": shown}
    ends = finish(ended, clock)
    assert all(end.status is AttemptStatus.COMPLETED for end in ends)
    assert (aws.asked.count("Search"), aws.asked.count("DescribeTrainingJob")) == (1, 1)


def test_an_index_that_catches_up_is_asked_again_before_anything_else(
    aws: Scripted, ended: JobFeed, clock: VirtualClock
) -> None:
    aws.index = dict.fromkeys(aws.jobs, "InProgress")
    for _ in range(15):
        ended.poll()
        clock.sleep(1)
    aws.index = {}
    finish(ended, clock)
    assert (aws.asked.count("Search"), aws.asked.count("DescribeTrainingJob")) == (2, 0)


def test_without_permission_to_search_descriptions_are_asked_for_by_name(
    aws: Scripted, ended: JobFeed, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    aws.fail = lambda operation, _: AccessDeniedError("no") if operation == "Search" else None
    ends = finish(ended, clock)
    assert len(ends) == 3
    assert (aws.asked.count("Search"), aws.asked.count("DescribeTrainingJob")) == (1, 3)
    assert caplog.text.count("described one by one") == 1


def test_a_few_are_described_in_one_look_and_the_others_in_the_next(
    aws: Scripted, feed: JobFeed, clock: VirtualClock
) -> None:
    for number in range(1, 12):
        feed.follow(AttemptId(number, 0), 2.0)
    aws.jobs = {f"a-{number:05d}-0": "Failed" for number in range(12)}
    aws.fail = lambda operation, _: AccessDeniedError("no") if operation == "Search" else None
    feed.poll()
    clock.sleep(5)
    counts = []
    for _ in range(4):
        before = aws.asked.count("DescribeTrainingJob")
        feed.poll()
        counts.append(aws.asked.count("DescribeTrainingJob") - before)
    assert counts == [5, 5, 2, 0]


def test_a_description_that_is_not_yet_final_is_no_end(aws: Scripted, feed: JobFeed, clock: VirtualClock) -> None:
    aws.lines = [report("a-00000-0", 1)]
    aws.jobs["a-00000-0"] = "Stopped"
    aws.shown = {"TrainingJobStatus": "InProgress"}
    for _ in range(100):
        assert not any(status.is_final for status in statuses(feed.poll()))
        clock.sleep(1)
    aws.shown = {}
    assert until_final(feed, clock)[-1].status is AttemptStatus.STOPPED  # type: ignore[union-attr]


def test_only_the_job_s_own_description_shows_that_it_is_not_what_was_asked_for(
    aws: Scripted, clock: VirtualClock
) -> None:
    feed = JobFeed(aws, clock, "a", ReporterReader(), FeedOptions())
    for number in range(2):
        aws.jobs[f"a-0000{number}-0"] = "InProgress"
        feed.follow(AttemptId(number, 0), None, expected={"EnableManagedSpotTraining": True})
    described = aws._describe
    aws._describe = lambda **request: {**described(**request), "EnableManagedSpotTraining": True}  # type: ignore[method-assign]
    searched = aws._search
    aws._search = lambda **request: without_spot(searched(**request))  # type: ignore[method-assign]
    seen: list[Observation] = []
    for _ in range(60):
        seen.extend(feed.poll())
        clock.sleep(1)
    assert statuses(seen) == [AttemptStatus.RUNNING] * 2
    assert (aws.asked.count("Search"), aws.asked.count("DescribeTrainingJob")) == (1, 2)
    assert "StopTrainingJob" not in aws.asked


def without_spot(answer: dict[str, Any]) -> dict[str, Any]:
    for result in answer["Results"]:
        del result["TrainingJob"]["EnableManagedSpotTraining"]
    return answer


def test_a_job_that_is_not_what_was_asked_for_is_stopped_and_its_attempt_fails(
    aws: Scripted, clock: VirtualClock
) -> None:
    feed = JobFeed(aws, clock, "a", ReporterReader(), FeedOptions(silent_seconds=0))
    feed.follow(A, 2.0, expected={"EnableManagedSpotTraining": True})
    aws.shown = {"EnableManagedSpotTraining": False}
    aws.fail = throttle("StopTrainingJob", 1)
    feed.poll()
    clock.sleep(20)
    with pytest.raises(ThrottledError):
        feed.poll()
    (stopping,) = feed.poll()
    assert isinstance(stopping, StatusChange)
    assert (stopping.status, stopping.cause) == (AttemptStatus.STOPPING, Cause.MISMATCH)
    assert aws.jobs["a-00000-0"] == "Stopping"
    aws.jobs["a-00000-0"] = "Stopped"
    end = until_final(feed, clock)[-1]
    assert isinstance(end, StatusChange)
    assert (end.status, end.cause, end.dollars) == (AttemptStatus.FAILED, Cause.MISMATCH, 2.0)
    assert "EnableManagedSpotTraining: asked True, got False" in end.reason
    assert aws.asked.count("StopTrainingJob") == 2
