"""Where an experiment keeps what must outlive its process: the journal, and files to be found later."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from cloudtune.journal.file import FileJournal
from cloudtune.journal.store import JournalStore
from cloudtune.paths import JOURNAL_FOLDER


class ExperimentStorage(Protocol):
    """Made before the tuner runs; must be serializable. ``folder``: the experiment's folder on this machine."""

    def journal(self, folder: Path) -> JournalStore:
        """The experiment's journal."""

    def publish(self, file: Path) -> None:
        """A file in the experiment's folder is new or has changed.

        Raises ``TransientError`` if it can't be kept now.
        """

    def claim(self, folder: Path) -> None:
        """This process is going to run the experiment; wishes to stop it that are older than that are forgotten.

        Raises ``JournalConflictError``, having changed nothing, if another process runs it.
        """

    def look(self, folder: Path) -> bool:
        """Called now and then while it runs: whether somebody elsewhere wants the end.

        Raises ``TransientError`` if that can't be known now.
        """

    def let_go(self, folder: Path) -> None:
        """This process no longer runs it."""


class LocalStorage:
    """All in the experiment's folder on this machine. ``outlives_power`` is as of ``FileJournal``."""

    _outlives_power = True  # also of those that were saved by an earlier version

    def __init__(self, outlives_power: bool = True) -> None:
        self._outlives_power = outlives_power

    def journal(self, folder: Path) -> JournalStore:
        return FileJournal(folder / JOURNAL_FOLDER, self._outlives_power)

    def publish(self, file: Path) -> None:
        pass

    def claim(self, folder: Path) -> None:
        FileJournal(folder / JOURNAL_FOLDER).refuse_second()

    def look(self, folder: Path) -> bool:
        return False

    def let_go(self, folder: Path) -> None:
        pass
