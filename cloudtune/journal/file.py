"""A journal in a file of JSON lines."""

from __future__ import annotations

import fcntl
import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from cloudtune.errors import JournalConflictError
from cloudtune.journal.events import Event, from_line, to_lines
from cloudtune.journal.store import conflict, last_writer


class FileJournal:
    """JSON lines in ``{folder}/events.jsonl``; one writer at a time, held by a lock that dies with its process.

    A crash can tear the last line only: it is dropped with a warning, and overwritten by the next append.
    ``outlives_power``: what is appended is on the disk when ``append`` returns. Otherwise it outlives the process, but
    not the machine's power: for what can be done again in seconds, since waiting for a disk takes longer than all else.
    """

    def __init__(self, folder: Path, outlives_power: bool = True) -> None:
        self.path = folder / "events.jsonl"
        self._outlives_power = outlives_power
        self._writer: BinaryIO | None = None
        self._seq = 0

    def read(self, from_seq: int = 0) -> Iterator[Event]:
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            for seq, line in enumerate(file):
                if not line.endswith(b"\n"):
                    warnings.warn(f"{self.path}: dropping a torn last line ({len(line)} bytes)", stacklevel=2)
                    return
                if seq >= from_seq:
                    yield from_line(line)

    def append(self, expected_seq: int, events: Sequence[Event]) -> None:
        if not events:
            return
        file = self._writer or self._open()
        if expected_seq != self._seq:
            raise conflict(f"{self._seq} events, not {expected_seq}")
        file.write(to_lines(events))
        file.flush()
        if self._outlives_power:
            os.fsync(file.fileno())
        self._seq += len(events)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def has_writer(self) -> bool:
        """Whether some process is writing right now."""
        if not self.path.exists():
            return False
        with self.path.open("rb") as file:
            return not _locked(file, fcntl.LOCK_SH)

    def refuse_second(self) -> None:
        """Raises ``JournalConflictError`` if some process is writing right now."""
        if self.has_writer():
            raise self._conflict()

    def _conflict(self) -> JournalConflictError:
        return JournalConflictError(
            f"another tuner is running this experiment: {last_writer(self.read()) or 'it'} holds {self.path}",
            "wait for it to end or stop it; or give this one its own tuner_name",
        )

    def _open(self) -> BinaryIO:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = self.path.open("ab")
        while not _locked(file, fcntl.LOCK_EX):
            # somebody who looks for a writer (``has_writer``) holds a shared lock for an instant; a writer never does
            if not _locked(file, fcntl.LOCK_SH):
                file.close()
                raise self._conflict()
            fcntl.flock(file, fcntl.LOCK_UN)
        whole, self._seq = _whole_lines(self.path)
        file.truncate(whole)
        self._writer = file
        return file


def _locked(file: BinaryIO, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _whole_lines(path: Path) -> tuple[int, int]:
    """(bytes, lines) up to and including the last newline."""
    size = count = 0
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                size += len(line)
                count += 1
    return size, count
