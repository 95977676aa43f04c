"""Where a journal lies: the seam, and the store in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from cloudtune.errors import JournalConflictError
from cloudtune.journal.events import Event, SessionStarted, from_line, to_line


class JournalStore(Protocol):
    """An append-only sequence of events, numbered from 0.

    A writer says which number it expects its first event to get; if another writer was faster, nothing is written.
    """

    def read(self, from_seq: int = 0) -> Iterator[Event]:
        """Events from number ``from_seq`` on.

        Raises ``JournalCorruptError`` for anything unreadable but a torn tail.
        """

    def append(self, expected_seq: int, events: Sequence[Event]) -> None:
        """Durable on return; a crash during the call leaves none, all, or the first few of ``events``.

        Raises ``JournalConflictError`` if the journal does not have exactly ``expected_seq`` events.
        """

    def close(self) -> None:
        """Let other writers in."""


class MemoryJournal:
    """A journal that lives as long as the object; passes values through JSON like the others."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def read(self, from_seq: int = 0) -> Iterator[Event]:
        return map(from_line, self._lines[from_seq:])

    def append(self, expected_seq: int, events: Sequence[Event]) -> None:
        if expected_seq != len(self._lines):
            raise conflict(f"{len(self._lines)} events, not {expected_seq}")
        self._lines.extend(map(to_line, events))

    def close(self) -> None:
        pass


class EventJournal:
    """A journal that lives as long as the object and keeps the events themselves: nothing is copied or encoded."""

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self._events = list(events)

    def read(self, from_seq: int = 0) -> Iterator[Event]:
        return iter(self._events[from_seq:])

    def append(self, expected_seq: int, events: Sequence[Event]) -> None:
        if expected_seq != len(self._events):
            raise conflict(f"{len(self._events)} events, not {expected_seq}")
        self._events.extend(events)

    def close(self) -> None:
        pass


def last_writer(events: Iterable[Event]) -> str | None:
    """Who took the experiment over last, in words; None if these events don't tell."""
    last = next((event for event in reversed(list(events)) if isinstance(event, SessionStarted)), None)
    return None if last is None else f"process {last.pid} on {last.host}"


def conflict(found: str, who: str | None = None) -> JournalConflictError:
    return JournalConflictError(
        f"another tuner writes this experiment: the journal has {found}{f', by {who}' if who else ''}",
        "one tuner per experiment: stop the other one, or give this one its own tuner_name",
    )
