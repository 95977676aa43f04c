"""The training jobs' log group, as CloudWatch Logs shows it."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from cloudtune.sandbox import Sandbox
from cloudtune.sandbox.aws_error import AwsError
from cloudtune.sandbox.logs.api import GROUP, PAGE_EVENTS, LogsApi
from cloudtune.sandbox.logs.pattern import compile_filter
from cloudtune.sandbox.logs.store import LogEvent, LogStore
from tests.sandbox.support import Hand, client, create, wait_for_end


class Logs:
    """A store and its API under a clock set by hand."""

    def __init__(self, lag: float = 0.0) -> None:
        self.clock = Hand()
        self.written: list[LogEvent] = []
        self.store = LogStore(self.clock, lag, self.written.append)
        self.api = LogsApi(self.store, "us-east-1", "123456789012")

    def call(self, operation: str, **request: object) -> dict[str, Any]:
        answer = self.api.answer(operation, {"logGroupName": GROUP, **request})
        assert answer is not None
        return answer

    def filtered(self, **request: object) -> list[str]:
        """The messages of all pages."""
        found: list[str] = []
        while True:
            answer = self.call("FilterLogEvents", **request)
            found += [event["message"] for event in answer["events"]]
            if "nextToken" not in answer:
                return found
            request["nextToken"] = answer["nextToken"]


@pytest.fixture
def logs() -> Logs:
    return Logs()


def test_events_of_many_streams_come_in_order_of_time(logs: Logs) -> None:
    for step, stream in enumerate(["a/1", "b/1", "a/1", "c/1"]):
        logs.store.write(stream, f"{stream} at {step}", at=1000.0 + step)
    assert logs.filtered() == ["a/1 at 0", "b/1 at 1", "a/1 at 2", "c/1 at 3"]
    assert logs.filtered(logStreamNamePrefix="a/") == ["a/1 at 0", "a/1 at 2"]
    assert logs.filtered(logStreamNames=["c/1", "b/1"]) == ["b/1 at 1", "c/1 at 3"]


def test_events_written_out_of_order_are_read_in_order(logs: Logs) -> None:
    for moment in (3.0, 1.0, 2.0):
        logs.store.write("s", str(moment), at=moment)
    assert logs.filtered() == ["1.0", "2.0", "3.0"]
    assert logs.filtered(logStreamNames=["s"], startTime=2000) == ["2.0", "3.0"]


def test_a_prefix_does_not_match_inside_a_name(logs: Logs) -> None:
    for stream in ("job-1/algo", "job-10/algo", "a-job-1/algo"):
        logs.store.write(stream, stream)
    assert logs.filtered(logStreamNamePrefix="job-1/") == ["job-1/algo"]


def test_times_are_inclusive_milliseconds(logs: Logs) -> None:
    for moment in (1.0, 2.0, 3.0):
        logs.store.write("s", str(moment), at=moment)
    assert logs.filtered(startTime=2000, endTime=2000) == ["2.0"]
    assert logs.filtered(startTime=2001) == ["3.0"]


def test_event_ids_are_unique_and_stay_the_same(logs: Logs) -> None:
    for _ in range(3):
        logs.store.write("s", "same", at=5.0)
    first, second = ([event["eventId"] for event in logs.call("FilterLogEvents")["events"]] for _ in range(2))
    assert len(set(first)) == 3
    assert first == second


def test_pages_join_to_the_whole_without_loss_or_repetition(logs: Logs) -> None:
    for number in range(25):
        logs.store.write(f"s-{number % 3}", str(number), at=float(number // 4))
    whole = [str(number) for number in range(25)]
    assert logs.filtered(limit=4) == whole
    assert logs.filtered(limit=4, logStreamNames=["s-0", "s-1", "s-2"]) == whole


@pytest.mark.parametrize("streams", [None, ["s-0", "s-1", "s-2"]])
def test_the_newest_come_first_on_request(logs: Logs, streams: list[str] | None) -> None:
    for number in range(25):
        logs.store.write(f"s-{number % 3}", str(number), at=float(number // 4))
    names = {} if streams is None else {"logStreamNames": streams}
    backward = [str(number) for number in reversed(range(25))]
    assert logs.filtered(startFromHead=False, limit=4, **names) == backward
    assert logs.filtered(startFromHead=False, startTime=5000, endTime=5999, **names) == ["23", "22", "21", "20"]


def test_a_page_may_be_empty_while_its_token_goes_on(logs: Logs) -> None:
    for number in range(PAGE_EVENTS):
        logs.store.write("s", "noise", at=float(number))
    logs.store.write("s", "needle", at=float(PAGE_EVENTS))
    first = logs.call("FilterLogEvents", filterPattern="needle")
    assert first["events"] == []
    assert "nextToken" in first
    assert logs.filtered(filterPattern="needle") == ["needle"]


def test_a_page_has_at_most_a_megabyte(logs: Logs) -> None:
    for number in range(5):
        logs.store.write("s", "x" * 300_000, at=float(number))
    assert len(logs.call("FilterLogEvents")["events"]) == 3
    assert len(logs.filtered()) == 5


def test_an_event_is_readable_after_the_ingestion_lag() -> None:
    logs = Logs(lag=5.0)
    logs.store.write("s", "line")
    logs.clock.time += 4.9
    assert logs.filtered() == []
    assert logs.call("GetLogEvents", logStreamName="s")["events"] == []
    logs.clock.time += 0.1
    events: Any = logs.call("FilterLogEvents")["events"]
    assert [event["ingestionTime"] - event["timestamp"] for event in events] == [5000]


@pytest.mark.parametrize(
    ("pattern", "message", "passes"),
    [
        ("", "anything", True),
        ("error", "an error here", True),
        ("Error", "an error here", False),
        ("a b", "b then a", True),
        ("a b", "only a", False),
        ('"a b"', "b then a", False),
        ('"a b"', "an a b", True),
        ('"say \\"hi\\""', 'say "hi" to', True),
        ("?x ?y", "has y", True),
        ("?x ?y", "has z", False),
        ("a -b", "a and b", False),
        ("a -b", "a alone", True),
        ("%loss=[0-9]+%", "loss=12", True),
        ("%loss=[0-9]+%", "loss=x", False),
        ('"[tune-metric]:"', "[tune-metric]: {}", True),
    ],
)
def test_filter_patterns(pattern: str, message: str, passes: bool) -> None:
    assert compile_filter(pattern)(message) is passes


@pytest.mark.parametrize("pattern", ["[tune-metric]:", "{ $.a = 1 }", "a:b", "%(%"])
def test_terms_with_other_signs_want_quotes(pattern: str) -> None:
    with pytest.raises(AwsError, match="InvalidParameterException"):
        compile_filter(pattern)


def test_what_does_not_exist_or_makes_no_sense_is_refused(logs: Logs) -> None:
    with pytest.raises(AwsError, match="log stream does not exist") as caught:
        logs.call("FilterLogEvents", logStreamNames=["none"])
    assert caught.value.code == "ResourceNotFoundException"
    with pytest.raises(AwsError, match="length less than or equal to 100"):
        logs.call("FilterLogEvents", logStreamNames=[str(number) for number in range(101)])
    with pytest.raises(AwsError, match="nextToken is invalid"):
        logs.call("FilterLogEvents", nextToken="nonsense")
    with pytest.raises(AwsError, match="logStreamNames excludes"):
        logs.call("FilterLogEvents", logStreamNames=["a"], logStreamNamePrefix="a")


def test_get_log_events_goes_forward_until_its_token_repeats(logs: Logs) -> None:
    for number in range(5):
        logs.store.write("s", str(number), at=float(number))
    seen: list[str] = []
    answer = logs.call("GetLogEvents", logStreamName="s", startFromHead=True, limit=2)
    while True:
        seen += [event["message"] for event in answer["events"]]
        token = answer["nextForwardToken"]
        answer = logs.call("GetLogEvents", logStreamName="s", limit=2, nextToken=token)
        if answer["nextForwardToken"] == token:
            break
    assert seen == ["0", "1", "2", "3", "4"]
    logs.store.write("s", "5", at=5.0)
    later = logs.call("GetLogEvents", logStreamName="s", nextToken=token)
    assert [event["message"] for event in later["events"]] == ["5"]


def test_get_log_events_starts_at_the_end_and_goes_back(logs: Logs) -> None:
    for number in range(5):
        logs.store.write("s", str(number), at=float(number))
    last = logs.call("GetLogEvents", logStreamName="s", limit=2)
    assert [event["message"] for event in last["events"]] == ["3", "4"]
    before = logs.call("GetLogEvents", logStreamName="s", limit=2, nextToken=last["nextBackwardToken"])
    assert [event["message"] for event in before["events"]] == ["1", "2"]


def test_describe_log_streams_by_prefix_and_by_time(logs: Logs) -> None:
    logs.store.write("b", "x", at=1.0)
    logs.store.write("a", "x", at=2.0)
    logs.store.create_stream("ab")

    def streams(**request: object) -> list[str]:
        answer = logs.call("DescribeLogStreams", **request)
        return [entry["logStreamName"] for entry in answer["logStreams"]]

    assert streams() == ["a", "ab", "b"]
    assert streams(logStreamNamePrefix="a") == ["a", "ab"]
    assert streams(orderBy="LastEventTime", descending=True) == ["a", "b", "ab"]
    first = logs.call("DescribeLogStreams", limit=2)
    rest = streams(limit=2, nextToken=first["nextToken"])
    assert rest == ["b"]


def test_other_groups_are_not_ours(logs: Logs) -> None:
    assert logs.api.answer("FilterLogEvents", {"logGroupName": "/other"}) is None


def test_a_cursor_near_the_end_reads_few_events_however_many_there_are(logs: Logs) -> None:
    streams = [logs.store.create_stream(f"s-{number}") for number in range(200)]
    for number in range(4000):
        logs.store.write(f"s-{number % 200}", str(number), at=float(number))
    touched = []
    with logs.store.lock:
        for event in logs.store.walk(streams, (3_995_000, 0)):
            touched.append(event.message)
    assert touched == ["3995", "3996", "3997", "3998", "3999"]


def test_a_jobs_lines_over_http(shared: Sandbox) -> None:
    create(shared, "logs-http", "print('one'); print('two')")
    job = wait_for_end(shared, "logs-http")
    logs = client(shared, "logs")
    groups = logs.describe_log_groups(logGroupNamePrefix="/aws/sagemaker")["logGroups"]
    assert [group["logGroupName"] for group in groups] == [GROUP]
    (stream,) = logs.describe_log_streams(logGroupName=GROUP, logStreamNamePrefix="logs-http/")["logStreams"]
    training = next(step for step in job["SecondaryStatusTransitions"] if step["Status"] == "Training")
    assert stream["logStreamName"] == f"logs-http/algo-1-{int(training['StartTime'].timestamp())}"
    events = logs.get_log_events(logGroupName=GROUP, logStreamName=stream["logStreamName"], startFromHead=True)
    assert [event["message"] for event in events["events"]] == ["one", "two"]


def test_other_groups_are_motos(shared: Sandbox) -> None:
    logs = client(shared, "logs")
    logs.create_log_group(logGroupName="mine")
    logs.create_log_stream(logGroupName="mine", logStreamName="s")
    assert logs.filter_log_events(logGroupName="mine")["events"] == []
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        logs.filter_log_events(logGroupName="nobody's".replace("'", ""))
