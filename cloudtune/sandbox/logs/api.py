"""CloudWatch Logs' operations on the training jobs' log group."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import takewhile
from typing import Any, Protocol

from cloudtune.sandbox import tokens
from cloudtune.sandbox.aws_error import AwsError
from cloudtune.sandbox.logs.pattern import compile_filter
from cloudtune.sandbox.logs.store import LogEvent, LogStore, LogStream, Position
from cloudtune.sandbox.model import input_shape
from cloudtune.sandbox.validation import validate

GROUP = "/aws/sagemaker/TrainingJobs"
PAGE_EVENTS = 10_000
PAGE_BYTES = 1_000_000
# what the service adds to an event's size
EVENT_OVERHEAD = 26
FAR = 2**63 - 1

Answer = dict[str, Any]
Request = Mapping[str, Any]


class PageFaults(Protocol):
    """What goes wrong with pages."""

    def limit(self, asked: int) -> int: ...
    def cut(self) -> None: ...
    def is_empty(self) -> bool: ...
    def is_repeated(self) -> bool: ...


class WholePages:
    """Nothing does."""

    def limit(self, asked: int) -> int:
        return asked

    def cut(self) -> None:
        pass

    def is_empty(self) -> bool:
        return False

    def is_repeated(self) -> bool:
        return False


class LogsApi:
    """Answers requests about the log group of the training jobs; ``None`` from ``answer`` means: not mine."""

    def __init__(self, store: LogStore, region: str, account_id: str, faults: PageFaults | None = None) -> None:
        self._store = store
        self._faults = faults or WholePages()
        self._group_arn = f"arn:aws:logs:{region}:{account_id}:log-group:{GROUP}"
        self._operations: dict[str, Callable[[Request], Answer]] = {
            "FilterLogEvents": self.filter_events,
            "GetLogEvents": self.get_events,
            "DescribeLogStreams": self.describe_streams,
            "CreateLogStream": self.create_stream,
            "DeleteLogStream": self.delete_stream,
            "PutLogEvents": self.put_events,
        }

    @property
    def operations(self) -> Collection[str]:
        return self._operations.keys()

    def answer(self, operation: str, request: Any) -> Answer | None:
        """The answer to ``request``; raises AwsError as the service refuses."""
        if not isinstance(request, dict) or not self._is_ours(request):
            return None
        validate(request, input_shape("logs", operation), "InvalidParameterException")
        return self._operations[operation]({name: value for name, value in request.items() if value is not None})

    def _is_ours(self, request: Request) -> bool:
        if request.get("logGroupName") == GROUP:
            return True
        identifier = str(request.get("logGroupIdentifier", ""))
        return identifier in (GROUP, self._group_arn, self._group_arn + ":*")

    def filter_events(self, request: Request) -> Answer:
        """A page examines a bounded stretch of the log; it may hold nothing while its token goes on."""
        passes = compile_filter(request.get("filterPattern", ""))
        asked = request.get("limit", PAGE_EVENTS)
        limit = self._faults.limit(asked)
        found: list[LogEvent] = []
        size = 0
        token = None
        with self._store.lock:
            direction, start, events = self._stretch(request)
            if self._faults.is_empty():
                # clients take the same token twice for the end, or for an error
                empty = _decoded(request["nextToken"], 4)[3] + 1 if "nextToken" in request else 1
                return {"events": [], "searchedLogStreams": [], "nextToken": tokens.encode([direction, *start, empty])}
            for examined, event in enumerate(events):
                size += len(event.message) + EVENT_OVERHEAD
                if len(found) == limit or examined == PAGE_EVENTS or (size > PAGE_BYTES and examined):
                    if len(found) == limit < asked:
                        self._faults.cut()
                    # two at least, or the next page might get no further
                    following = found[-1] if len(found) > 1 and self._faults.is_repeated() else event
                    token = tokens.encode([direction, following.timestamp, following.number + (direction == "b"), 0])
                    break
                if passes(event.message):
                    found.append(event)
        answer: Answer = {"events": [_filtered(event) for event in found], "searchedLogStreams": []}
        return answer if token is None else {**answer, "nextToken": token}

    def _stretch(self, request: Request) -> tuple[str, Position, Iterator[LogEvent]]:
        """The readable events a request is about, in its direction ("f": oldest first, "b": newest first), and where
        they begin.
        """
        streams = self._chosen_streams(request)
        begin, end = request.get("startTime", 0), request.get("endTime", FAR)
        if "nextToken" in request:
            direction, *position = _decoded(request["nextToken"], 4)
            anchor = (int(position[0]), int(position[1]))
        else:
            direction = "f" if request.get("startFromHead", True) else "b"
            anchor = (0, 0) if direction == "f" else (end + 1, 0)
        if direction == "f":
            first = max((begin, 0), anchor)
            forward = self._store.walk(streams, first)
            return "f", first, self._readable(takewhile(lambda event: event.timestamp <= end, forward))
        last = min((end + 1, 0), anchor)
        backward = self._store.walk_back(streams, last)
        return "b", last, self._readable(takewhile(lambda event: event.timestamp >= begin, backward))

    def _chosen_streams(self, request: Request) -> list[LogStream] | None:
        if "logStreamNames" in request and "logStreamNamePrefix" in request:
            raise AwsError("InvalidParameterException", "logStreamNames excludes logStreamNamePrefix.")
        if "logStreamNamePrefix" in request:
            return self._store.streams_with_prefix(request["logStreamNamePrefix"])
        if "logStreamNames" in request:
            return [self._stream(name) for name in dict.fromkeys(request["logStreamNames"])]
        return None

    def _readable(self, events: Iterable[LogEvent]) -> Iterator[LogEvent]:
        now = self._store.now_ms()
        return (event for event in events if event.ingested <= now)

    def _stream(self, name: str) -> LogStream:
        stream = self._store.stream(name)
        if stream is None:
            raise AwsError("ResourceNotFoundException", "The specified log stream does not exist.")
        return stream

    def get_events(self, request: Request) -> Answer:
        limit = self._faults.limit(request.get("limit", PAGE_EVENTS))
        # endTime is exclusive here and inclusive in FilterLogEvents, as in the service
        begin, end = (request.get("startTime", 0), 0), (request.get("endTime", FAR), 0)
        direction, anchor = _cursor(request.get("nextToken"))
        forward = direction == "f" or (direction is None and request.get("startFromHead", False))
        with self._store.lock:
            index = self._stream(request["logStreamName"]).index
            if forward:
                stretch = takewhile(lambda event: event.position < end, index.walk(max(begin, anchor)))
            else:
                latest = end if direction is None else min(end, anchor)
                stretch = takewhile(lambda event: event.position >= begin, index.walk_back(latest))
            page = _page(self._readable(stretch), limit)
        if not forward:
            page.reverse()
        first = page[0].position if page else anchor
        after = (page[-1].timestamp, page[-1].number + 1) if page else anchor
        return {
            "events": [
                {"timestamp": event.timestamp, "message": event.message, "ingestionTime": event.ingested}
                for event in page
            ],
            "nextForwardToken": "f/" + tokens.encode(list(after)),
            "nextBackwardToken": "b/" + tokens.encode(list(first)),
        }

    def describe_streams(self, request: Request) -> Answer:
        by_time = request.get("orderBy") == "LastEventTime"
        if by_time and "logStreamNamePrefix" in request:
            raise AwsError("InvalidParameterException", "Cannot order by LastEventTime with a logStreamNamePrefix.")
        now = self._store.now_ms()
        with self._store.lock:
            streams = self._store.streams_with_prefix(request.get("logStreamNamePrefix", ""))
            shown = [self._shown(stream, now) for stream in streams]
        if by_time:
            shown.sort(key=lambda entry: entry.get("lastEventTimestamp", 0))
        if request.get("descending"):
            shown.reverse()
        start = int(_decoded(request["nextToken"], 1)[0]) if "nextToken" in request else 0
        stop = start + request.get("limit", 50)
        answer: Answer = {"logStreams": shown[start:stop]}
        return answer if stop >= len(shown) else {**answer, "nextToken": tokens.encode([stop])}

    def _shown(self, stream: LogStream, now: int) -> Answer:
        shown: Answer = {
            "logStreamName": stream.name,
            "creationTime": stream.created,
            "arn": f"{self._group_arn}:log-stream:{stream.name}",
            "storedBytes": 0,
            "uploadSequenceToken": "1",
        }
        events = stream.index.events
        last = next((event for event in reversed(events) if event.ingested <= now), None)
        if last is not None:
            shown["firstEventTimestamp"] = events[0].timestamp
            shown["lastEventTimestamp"] = last.timestamp
            shown["lastIngestionTime"] = last.ingested
        return shown

    def create_stream(self, request: Request) -> Answer:
        if self._store.stream(request["logStreamName"]) is not None:
            raise AwsError("ResourceAlreadyExistsException", "The specified log stream already exists")
        self._store.create_stream(request["logStreamName"])
        return {}

    def delete_stream(self, request: Request) -> Answer:
        self._stream(request["logStreamName"])
        self._store.delete_stream(request["logStreamName"])
        return {}

    def put_events(self, request: Request) -> Answer:
        self._stream(request["logStreamName"])
        for event in request["logEvents"]:
            self._store.write(request["logStreamName"], event["message"], event["timestamp"] / 1000)
        return {"nextSequenceToken": "1"}


def _page(events: Iterable[LogEvent], limit: int) -> list[LogEvent]:
    page: list[LogEvent] = []
    size = 0
    for event in events:
        size += len(event.message) + EVENT_OVERHEAD
        if len(page) == limit or (size > PAGE_BYTES and page):
            break
        page.append(event)
    return page


def _filtered(event: LogEvent) -> Answer:
    return {
        "logStreamName": event.stream,
        "timestamp": event.timestamp,
        "message": event.message,
        "ingestionTime": event.ingested,
        "eventId": event.event_id,
    }


def _decoded(token: str, length: int) -> list[Any]:
    try:
        found = tokens.decode(token)
        if isinstance(found, list) and len(found) == length:
            return found
    except ValueError:
        pass
    raise AwsError("InvalidParameterException", "The specified nextToken is invalid.")


def _cursor(token: str | None) -> tuple[str | None, Position]:
    """Direction and position of a GetLogEvents token."""
    if token is None:
        return None, (0, 0)
    direction, _, rest = token.partition("/")
    if direction not in ("f", "b"):
        raise AwsError("InvalidParameterException", "The specified nextToken is invalid.")
    timestamp, number = _decoded(rest, 2)
    return direction, (int(timestamp), int(number))
