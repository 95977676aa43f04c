"""Where an experiment can be read from: its folder on this machine, or its prefix in S3."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cloudtune.journal.file import FileJournal
from cloudtune.journal.store import JournalStore
from cloudtune.paths import JOURNAL_FOLDER


class ExperimentFiles(Protocol):
    """Read access to what an experiment keeps."""

    @property
    def where(self) -> str:
        """A path or a URI, for people."""

    def exists(self) -> bool: ...

    def journal(self) -> JournalStore: ...

    def read(self, name: str) -> bytes | None:
        """The content of a file; None if there is none."""


@dataclass(frozen=True)
class LocalFiles:
    """An experiment's folder on this machine."""

    folder: Path

    @property
    def where(self) -> str:
        return str(self.folder)

    def exists(self) -> bool:
        return (self.folder / JOURNAL_FOLDER).is_dir()

    def journal(self) -> FileJournal:
        return FileJournal(self.folder / JOURNAL_FOLDER)

    def read(self, name: str) -> bytes | None:
        path = self.folder / name
        return path.read_bytes() if path.is_file() else None
