"""What every journal store does. Needs pytest."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import pytest

from cloudtune.errors import JournalConflictError
from cloudtune.journal.events import Event, ReportObserved, SpaceExhausted
from cloudtune.journal.store import JournalStore


class JournalStoreContract(ABC):
    """Derive a test class from it, and say how the journal in a folder of its own is opened.

    ``open`` is called several times per test, as processes after each other do, or at the same time.
    """

    @abstractmethod
    def open(self, place: Path) -> JournalStore:
        """The journal that belongs to ``place``: the same for the same place, empty for a new one."""

    def test_a_new_journal_is_empty(self, tmp_path: Path) -> None:
        assert list(self.open(tmp_path).read()) == []

    def test_events_come_back_in_order(self, tmp_path: Path) -> None:
        writer = self.open(tmp_path)
        writer.append(0, marks(0, 3))
        writer.append(3, marks(3, 4))
        writer.append(4, marks(4, 9))
        writer.close()
        assert list(self.open(tmp_path).read()) == marks(0, 9)

    def test_what_is_appended_can_be_read_at_once_by_others(self, tmp_path: Path) -> None:
        writer, reader = self.open(tmp_path), self.open(tmp_path)
        assert list(reader.read()) == []
        writer.append(0, marks(0, 2))
        assert list(reader.read()) == marks(0, 2)
        writer.append(2, marks(2, 5))
        assert list(reader.read(2)) == marks(2, 5)
        assert list(reader.read(5)) == []
        writer.close()

    @pytest.mark.parametrize("start", range(8))
    def test_reading_starts_at_any_number(self, tmp_path: Path, start: int) -> None:
        writer = self.open(tmp_path)
        writer.append(0, marks(0, 3))
        writer.append(3, marks(3, 6))
        writer.close()
        reader = self.open(tmp_path)
        assert list(reader.read(start)) == marks(start, 6)
        assert list(reader.read(start)) == marks(start, 6)

    def test_the_next_process_goes_on_where_the_last_one_ended(self, tmp_path: Path) -> None:
        for start in (0, 2, 4):
            writer = self.open(tmp_path)
            assert len(list(writer.read())) == start
            writer.append(start, marks(start, start + 2))
            writer.close()
        assert list(self.open(tmp_path).read()) == marks(0, 6)

    def test_a_writer_need_not_read_first(self, tmp_path: Path) -> None:
        first = self.open(tmp_path)
        first.append(0, marks(0, 2))
        first.close()
        second = self.open(tmp_path)
        second.append(2, marks(2, 3))
        second.close()
        assert list(self.open(tmp_path).read()) == marks(0, 3)

    @pytest.mark.parametrize("wrong", [0, 1, 3, 7])
    def test_a_wrong_number_is_refused_and_changes_nothing(self, tmp_path: Path, wrong: int) -> None:
        writer = self.open(tmp_path)
        writer.append(0, marks(0, 2))
        with pytest.raises(JournalConflictError, match="2 events"):
            writer.append(wrong, marks(90, 91))
        writer.append(2, marks(2, 3))
        writer.close()
        assert list(self.open(tmp_path).read()) == marks(0, 3)

    def test_of_two_writers_one_is_refused(self, tmp_path: Path) -> None:
        ours, theirs = self.open(tmp_path), self.open(tmp_path)
        assert list(theirs.read()) == []
        ours.append(0, marks(0, 2))
        with pytest.raises(JournalConflictError):
            theirs.append(0, marks(50, 51))
        ours.append(2, marks(2, 4))
        ours.close()
        theirs.close()
        assert list(self.open(tmp_path).read()) == marks(0, 4)

    def test_appending_nothing_is_nothing(self, tmp_path: Path) -> None:
        writer = self.open(tmp_path)
        writer.append(0, [])
        writer.append(0, marks(0, 1))
        writer.close()
        assert list(self.open(tmp_path).read()) == marks(0, 1)

    def test_numbers_that_json_lacks_survive(self, tmp_path: Path) -> None:
        report = ReportObserved(1.0, 0, 0, "k", {"a": math.inf, "b": -math.inf, "c": "z\u2028\r\n"}, 1.0, 1.0)
        not_a_number = ReportObserved(1.0, 0, 0, "l", {"loss": math.nan}, 1.0, 1.0)
        writer = self.open(tmp_path)
        writer.append(0, [report, not_a_number])
        writer.close()
        first, second = self.open(tmp_path).read()
        assert first == report
        assert isinstance(second, ReportObserved)
        assert math.isnan(second.metrics["loss"])


def marks(start: int, end: int) -> Sequence[Event]:
    """Events that tell their own number."""
    return [SpaceExhausted(float(number)) for number in range(start, end)]
