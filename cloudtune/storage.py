"""Where an experiment keeps what must outlive its process: the journal, and files to be found later."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from cloudtune.journal.file import FileJournal
from cloudtune.journal.store import JournalStore
from cloudtune.paths import JOURNAL_FOLDER


class ExperimentStorage(Protocol):
    """Made before the tuner runs; must be serializable."""

    def journal(self, folder: Path) -> JournalStore:
        """The experiment's journal. ``folder`` is the experiment's folder on this machine."""

    def publish(self, file: Path) -> None:
        """A file in the experiment's folder is new or has changed.

        Raises ``TransientError`` if it can't be kept now.
        """


class LocalStorage:
    """All in the experiment's folder on this machine."""

    def journal(self, folder: Path) -> JournalStore:
        return FileJournal(folder / JOURNAL_FOLDER)

    def publish(self, file: Path) -> None:
        pass
