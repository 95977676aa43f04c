"""Log streams in memory, indexed by time: a read costs what it returns, not what was ever written."""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from heapq import merge

from cloudtune.sandbox.clock import Clock

Position = tuple[int, int]
# no name has a character after it
_LAST = "\U0010ffff"


@dataclass(frozen=True)
class LogEvent:
    """One line. ``timestamp`` and ``ingested`` in milliseconds since the epoch; readable from ``ingested`` on."""

    timestamp: int
    number: int
    """Unique in the group, growing in the order of writing."""
    stream: str
    message: str
    ingested: int

    @property
    def position(self) -> Position:
        return (self.timestamp, self.number)

    @property
    def event_id(self) -> str:
        return f"{self.timestamp:020d}{self.number:036d}"


@dataclass(frozen=True)
class Delivery:
    """How a line becomes readable: ``late`` seconds later than others, and ``again`` seconds after that once more."""

    late: float = 0.0
    again: float | None = None


def at_once(stream: str) -> Delivery:
    """As it should be."""
    return Delivery()


@dataclass
class LogStream:
    """A stream's events in order of time."""

    name: str
    created: int
    index: Timeline = field(default_factory=lambda: Timeline())


class Timeline:
    """Events sorted by position, appended to mostly at the end."""

    def __init__(self) -> None:
        self.positions: list[Position] = []
        self.events: list[LogEvent] = []

    def __len__(self) -> int:
        return len(self.events)

    def add(self, event: LogEvent) -> None:
        if not self.positions or self.positions[-1] < event.position:
            self.positions.append(event.position)
            self.events.append(event)
            return
        at = bisect_right(self.positions, event.position)
        self.positions.insert(at, event.position)
        self.events.insert(at, event)

    def first_at(self, position: Position) -> int:
        """Index of the first event at or after ``position``."""
        return bisect_left(self.positions, position)

    def walk(self, start: Position) -> Iterator[LogEvent]:
        """Events from ``start`` on, oldest first."""
        for index in range(self.first_at(start), len(self.events)):
            yield self.events[index]

    def walk_back(self, end: Position) -> Iterator[LogEvent]:
        """Events before ``end``, newest first."""
        for index in range(self.first_at(end) - 1, -1, -1):
            yield self.events[index]


class LogStore:
    """The streams of the training jobs' log group. ``on_write`` hears of each event, to keep it; ``delivery`` says of
    the next line of a stream when it can be read.
    """

    def __init__(
        self,
        clock: Clock,
        ingestion_lag: float,
        on_write: Callable[[LogEvent], None],
        delivery: Callable[[str], Delivery] = at_once,
    ) -> None:
        self._clock = clock
        self._lag = round(ingestion_lag * 1000)
        self._on_write = on_write
        self._delivery = delivery
        self._streams: dict[str, LogStream] = {}
        self._sorted_names: list[str] = []
        self._all = Timeline()
        self._next_number = 0
        self.lock = threading.RLock()

    def now_ms(self) -> int:
        return int(self._clock.now() * 1000)

    def create_stream(self, name: str, at: float | None = None) -> LogStream:
        """The stream ``name``, made if there is none."""
        with self.lock:
            stream = self._streams.get(name)
            if stream is None:
                created = self.now_ms() if at is None else int(at * 1000)
                stream = self._streams[name] = LogStream(name, created)
                self._sorted_names.insert(bisect_left(self._sorted_names, name), name)
            return stream

    def write(self, stream: str, message: str, at: float | None = None) -> LogEvent:
        """Add one line, printed now or ``at`` seconds since the epoch."""
        with self.lock:
            timestamp = self.now_ms() if at is None else int(at * 1000)
            delivery = self._delivery(stream)
            readable = timestamp + self._lag + round(delivery.late * 1000)
            event = self._add(LogEvent(timestamp, self._next_number, stream, message, readable))
            if delivery.again is not None:
                readable += round(delivery.again * 1000)
                self._add(LogEvent(timestamp, self._next_number, stream, message, readable))
            return event

    def _add(self, event: LogEvent) -> LogEvent:
        self._insert(event)
        self._on_write(event)
        return event

    def restore(self, events: Iterable[LogEvent]) -> None:
        """Take back events written in an earlier life."""
        with self.lock:
            for event in events:
                self._insert(event)

    def _insert(self, event: LogEvent) -> None:
        self.create_stream(event.stream, event.timestamp / 1000).index.add(event)
        self._all.add(event)
        self._next_number = max(self._next_number, event.number + 1)

    def stream(self, name: str) -> LogStream | None:
        with self.lock:
            return self._streams.get(name)

    def streams_with_prefix(self, prefix: str) -> list[LogStream]:
        """In order of their names."""
        with self.lock:
            begin = bisect_left(self._sorted_names, prefix)
            end = bisect_left(self._sorted_names, prefix + _LAST, begin)
            return [self._streams[name] for name in self._sorted_names[begin:end]]

    def walk(self, streams: list[LogStream] | None, start: Position) -> Iterator[LogEvent]:
        """Events of ``streams`` (None: all) from ``start`` on, oldest first. Hold ``lock`` while it is used."""
        if streams is None:
            return self._all.walk(start)
        # a cursor near the end leaves few events of anybody; a drain from the start of one stream, few of that one
        if len(self._all) - self._all.first_at(start) <= len(streams):
            names = {stream.name for stream in streams}
            return (event for event in self._all.walk(start) if event.stream in names)
        touched = [stream.index for stream in streams if len(stream.index) and stream.index.positions[-1] >= start]
        return merge(*(index.walk(start) for index in touched), key=_position)

    def walk_back(self, streams: list[LogStream] | None, end: Position) -> Iterator[LogEvent]:
        """Events of ``streams`` (None: all) before ``end``, newest first. Hold ``lock`` while it is used."""
        if streams is None:
            return self._all.walk_back(end)
        return merge(*(stream.index.walk_back(end) for stream in streams), key=_position, reverse=True)

    def delete_stream(self, name: str) -> None:
        with self.lock:
            del self._streams[name]
            self._sorted_names.remove(name)
            kept = [event for event in self._all.events if event.stream != name]
            self._all.events = kept
            self._all.positions = [event.position for event in kept]

    def clear(self) -> None:
        with self.lock:
            self._streams.clear()
            self._sorted_names.clear()
            self._all = Timeline()


def _position(event: LogEvent) -> Position:
    return event.position
