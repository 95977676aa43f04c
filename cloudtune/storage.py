"""Where an experiment keeps what must outlive its process: the journal, and files to be found later."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Protocol

from cloudtune.journal.file import FileJournal
from cloudtune.journal.store import EventJournal, JournalStore
from cloudtune.paths import JOURNAL_FOLDER

_AT_ONCE = 1000
"""Events that are put into the file at a time."""


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


class MemoryStorage:
    """The journal in memory while a tuner runs: for simulated ones, which are quicker run again than gone on with.

    Tuners of simulations have one by themselves.

    As soon as the tuner lets go of the experiment, all that was recorded is written to its folder at once, where
    ``load_experiment`` finds it, and a later tuner what it goes on from. If the process dies before, it is lost.

    ``keep``: if False, nothing is written or read: there is the tuner itself (``tuner.ledger``), and the table of
    results, which needs no journal.
    """

    def __init__(self, keep: bool = True) -> None:
        self.keep = keep
        self._journals: dict[Path, EventJournal] = {}
        self._written: dict[Path, int] = {}

    def journal(self, folder: Path) -> JournalStore:
        if folder not in self._journals:
            events = list(FileJournal(folder / JOURNAL_FOLDER).read()) if self.keep else []
            self._journals[folder] = EventJournal(events)
            self._written[folder] = len(events)
        return self._journals[folder]

    def publish(self, file: Path) -> None:
        pass

    def claim(self, folder: Path) -> None:
        if self.keep:
            FileJournal(folder / JOURNAL_FOLDER).refuse_second()

    def look(self, folder: Path) -> bool:
        return False

    def let_go(self, folder: Path) -> None:
        if self.keep and folder in self._journals:
            events = self._journals[folder].read(self._written[folder])
            # as with all that is written of a simulation: nobody waits for the disk
            file = FileJournal(folder / JOURNAL_FOLDER, outlives_power=False)
            while some := list(islice(events, _AT_ONCE)):
                file.append(self._written[folder], some)
                self._written[folder] += len(some)
            file.close()

    def __getstate__(self) -> dict[str, object]:
        return {"keep": self.keep, "_journals": {}, "_written": {}}  # a tuner as it was before its first event
