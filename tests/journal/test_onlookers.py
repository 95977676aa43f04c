"""Looking whether somebody writes never gets in a writer's way."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from cloudtune.errors import JournalConflictError
from cloudtune.journal import file as file_module
from cloudtune.journal.events import SpaceExhausted
from cloudtune.journal.file import FileJournal


def test_a_writer_is_seen_by_others_until_it_closes(tmp_path: Path) -> None:
    writer, other = FileJournal(tmp_path), FileJournal(tmp_path)
    assert not other.has_writer()
    writer.append(0, [SpaceExhausted(1.0)])
    assert other.has_writer()
    with pytest.raises(JournalConflictError):
        other.append(1, [SpaceExhausted(2.0)])
    writer.close()
    assert not other.has_writer()


def test_a_writer_begins_although_somebody_is_just_looking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = FileJournal(tmp_path)
    writer.append(0, [SpaceExhausted(1.0)])
    writer.close()
    locked = file_module._locked
    looks = 0
    with writer.path.open("rb") as onlooker:
        fcntl.flock(onlooker, fcntl.LOCK_SH)

        def locked_while_the_onlooker_leaves(file: object, kind: int) -> bool:
            nonlocal looks
            looks += 1
            taken = locked(file, kind)  # type: ignore[arg-type]
            if looks == 3:
                fcntl.flock(onlooker, fcntl.LOCK_UN)
            return taken

        monkeypatch.setattr(file_module, "_locked", locked_while_the_onlooker_leaves)
        writer.append(1, [SpaceExhausted(2.0)])
    writer.close()
    assert looks > 3
    assert len(list(writer.read())) == 2
