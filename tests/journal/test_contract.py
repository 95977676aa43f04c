"""The contract of journal stores on the stores in memory and in a file, and what a file does besides."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cloudtune.errors import JournalConflictError, JournalCorruptError
from cloudtune.journal.file import FileJournal
from cloudtune.journal.store import EventJournal, JournalStore, MemoryJournal
from cloudtune.testing.journal_contract import JournalStoreContract, marks


class TestMemoryJournal(JournalStoreContract):
    def setup_method(self) -> None:
        self._journals: dict[Path, MemoryJournal] = {}

    def open(self, place: Path) -> JournalStore:
        return self._journals.setdefault(place, MemoryJournal())


class TestEventJournal(JournalStoreContract):
    def setup_method(self) -> None:
        self._journals: dict[Path, EventJournal] = {}

    def open(self, place: Path) -> JournalStore:
        return self._journals.setdefault(place, EventJournal())


class TestFileJournal(JournalStoreContract):
    def open(self, place: Path) -> JournalStore:
        return FileJournal(place / "journal")


def written(folder: Path, count: int) -> Path:
    journal = FileJournal(folder)
    journal.append(0, marks(0, count))
    journal.close()
    return journal.path


@pytest.mark.parametrize("kept", [1, 20])
def test_a_torn_last_line_is_dropped_with_a_warning_and_overwritten(tmp_path: Path, kept: int) -> None:
    path = written(tmp_path, 3)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2]) + lines[2][:kept])
    journal = FileJournal(tmp_path)
    with pytest.warns(UserWarning, match="torn last line"):
        assert list(journal.read()) == marks(0, 2)
    journal.append(2, marks(7, 8))
    journal.close()
    assert list(FileJournal(tmp_path).read()) == [*marks(0, 2), *marks(7, 8)]


def test_a_bad_line_before_the_last_is_an_error(tmp_path: Path) -> None:
    path = written(tmp_path, 3)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b"{}\n" + lines[2])
    with pytest.raises(JournalCorruptError, match="not an event"):
        list(FileJournal(tmp_path).read())


def test_a_second_process_is_refused_while_the_first_lives_and_let_in_after_it_dies(tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
from cloudtune.journal.file import FileJournal
from cloudtune.testing.journal_contract import marks
FileJournal.open_forever = journal = FileJournal(Path(sys.argv[1]))
journal.append(0, marks(0, 2))
print("written", flush=True)
sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"written\n"
        second = FileJournal(tmp_path)
        with pytest.raises(JournalConflictError, match="another tuner is running"):
            second.append(2, marks(2, 3))
        first.kill()
    second.append(2, marks(2, 3))
    second.close()
    assert list(FileJournal(tmp_path).read()) == marks(0, 3)
