"""Copies of many batches of a journal in one object, so that a long one is read in few requests.

Batches are the journal: they are never deleted, and who puts the batch of a number owns it. Segments only repeat
them: 64 batches (or 1 MB) make a segment, 64 segments (or 1 MB) a volume. Whatever a crash leaves out, a reader finds
in the level below; and since each level takes 64 of the one below, the cost of an event doesn't grow with the journal.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from cloudtune.errors import JournalCorruptError

FAN_IN = 64
"""Objects of one level that make one of the next."""

ENOUGH_BYTES = 1 << 20
"""An object of this size is not worth being put together with others."""

LEVELS = ("", "segments/", "volumes/")
"""Folders below the journal's prefix."""

_TOP = len(LEVELS) - 1
_SUFFIX = ".jsonl"


@dataclass(frozen=True)
class Part:
    """One object: events from number ``first`` to before ``end``, which the name of a batch doesn't tell."""

    level: int
    first: int
    end: int | None = None

    @property
    def name(self) -> str:
        """Below the journal's prefix."""
        numbers = f"{self.first:012d}" if self.end is None else f"{self.first:012d}-{self.end:012d}"
        return f"{LEVELS[self.level]}{numbers}{_SUFFIX}"


def parsed(name: str) -> Part:
    """Raises ``JournalCorruptError`` if this is no name of ours."""
    folder, _, base = name.rpartition("/")
    numbers = base.removesuffix(_SUFFIX).split("-")
    level = LEVELS.index(f"{folder}/") if folder and f"{folder}/" in LEVELS else 0
    if base.endswith(_SUFFIX) and all(map(str.isdigit, numbers)) and len(numbers) == (2 if level else 1):
        return Part(level, int(numbers[0]), int(numbers[1]) if level else None)
    raise JournalCorruptError(f"{name!r} is no part of a journal", "move foreign objects out of its prefix")


Listing: TypeAlias = Callable[[int, int], Iterator[Part]]
"""(level, number): parts of this level that begin at this number or later, in order."""


def cover(listing: Listing, start: int = 0, level: int = _TOP, stop: int | None = None) -> Iterator[Part]:
    """The fewest parts that have all events from ``start``, where a part begins, on: the highest level goes first."""
    at = start
    for part in listing(level, start):
        if stop is not None and part.first >= stop:
            break
        if part.end is None:  # batches follow each other
            yield part
            continue
        if part.end <= at:
            continue
        if part.first > at:
            yield from cover(listing, at, level - 1, part.first)
        yield part
        at = part.end
    if level and (stop is None or at < stop):
        yield from cover(listing, at, level - 1, stop)


@dataclass
class _Run:
    """Parts of one level that follow each other and are not yet in one of the next."""

    first: int = 0
    end: int = 0
    bodies: list[bytes] = field(default_factory=list)
    size: int = 0

    def add(self, first: int, end: int, body: bytes) -> None:
        if first != self.end or not self.bodies:
            self.first, self.bodies, self.size = first, [], 0
        self.end = end
        self.bodies.append(body)
        self.size += len(body)

    @property
    def is_full(self) -> bool:
        return len(self.bodies) >= FAN_IN or self.size >= ENOUGH_BYTES


class Sealer:
    """Takes in parts as they are read or written; ``due`` are the segments that should be put, with their content."""

    def __init__(self) -> None:
        self.due: deque[tuple[Part, bytes]] = deque()
        self._runs = [_Run() for _ in range(_TOP)]

    def add(self, level: int, first: int, end: int, body: bytes) -> None:
        """``body``: events ``first`` to before ``end``, all that one part has."""
        if level == _TOP:
            return
        run = self._runs[level]
        run.add(first, end, body)
        if not run.is_full:
            return
        whole = b"".join(run.bodies)
        if len(run.bodies) > 1:
            self.due.append((Part(level + 1, run.first, run.end), whole))
        self._runs[level] = _Run()
        self.add(level + 1, run.first, run.end, whole)
