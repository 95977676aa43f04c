"""A session's events on their way into the journal."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from cloudtune.clock import Clock
from cloudtune.engine.ledger import Ledger
from cloudtune.errors import TransientError
from cloudtune.journal.events import Event
from cloudtune.journal.store import JournalStore
from cloudtune.session.patience import patiently
from cloudtune.session.retries import LONGEST_PAUSE

logger = logging.getLogger("cloudtune.tuner")


class Recorder:
    """Keeps ledger and journal in step. ``first_pause``: seconds until a journal that doesn't answer is asked again."""

    def __init__(self, journal: JournalStore, ledger: Ledger, clock: Clock, first_pause: float) -> None:
        self._journal = journal
        self._ledger = ledger
        self._clock = clock
        self._first_pause = first_pause
        self._seq = 0

    @property
    def begun(self) -> bool:
        """Whether the experiment has any events."""
        return self._seq > 0

    def replay(self) -> float:
        """Tell a ledger that knows nothing what the journal has; the moment of the latest event, 0.0 without any.

        Raises ``TransientError`` if that can't be read for half an hour.
        """
        latest = 0.0

        def read() -> None:
            nonlocal latest
            for event in self._journal.read(self._seq):  # where it broke off
                self._ledger.apply(event)
                self._seq += 1
                # a report that had to wait for older ones comes behind younger events
                latest = max(latest, event.at)

        patiently("reading the journal", read, self._clock)
        return latest

    def apply(self, *events: Event) -> None:
        """Tell the ledger, then the journal."""
        for event in events:
            self._ledger.apply(event)
        self.record(events)

    def record(self, events: Sequence[Event]) -> None:
        """Tell the journal what the ledger knows already. Returns only once that is written.

        Raises ``JournalConflictError`` if another process has written meanwhile.
        """
        if not events:
            return
        pause = self._first_pause
        while True:
            try:
                self._journal.append(self._seq, events)
                break
            except TransientError as error:
                # without its journal a tuner must not act: it waits
                logger.warning("the journal can't be written; trying again in %.0f s: %s", pause, error)
                self._clock.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
        self._seq += len(events)

    def close(self) -> None:
        """Let another process write."""
        self._journal.close()
