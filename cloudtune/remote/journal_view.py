"""A journal that grows, read as it does."""

from __future__ import annotations

from cloudtune.aws import Aws, S3Uri
from cloudtune.engine.ledger import Ledger
from cloudtune.engine.reading import RecordedScheduler
from cloudtune.engine.status import StatusKeeper, TuningStatus
from cloudtune.journal.events import ExperimentStarted
from cloudtune.journal.s3 import S3Journal
from cloudtune.paths import JOURNAL_FOLDER


class JournalView:
    """The state of the experiment below ``uri``; looking again costs what is new."""

    def __init__(self, uri: str, aws: Aws) -> None:
        self.ledger: Ledger | None = None
        self._keeper: StatusKeeper | None = None
        self._journal = S3Journal(str(S3Uri.parse(uri) / JOURNAL_FOLDER), aws)
        self._seq = 0
        self._last = 0.0

    def status(self, now: float) -> TuningStatus | None:
        """As of now, or of its end; None if it has not begun."""
        for event in self._journal.read(self._seq):
            if isinstance(event, ExperimentStarted):
                self.ledger = Ledger(RecordedScheduler(event))
                self._keeper = StatusKeeper(self.ledger)
            if self.ledger is not None:
                self.ledger.apply(event)
            self._seq += 1
            self._last = event.at
        if self._keeper is None or self.ledger is None:
            return None
        return self._keeper.view(self._last if self.ledger.finished else now)

    @property
    def resource_attr(self) -> str | None:
        return self.ledger.scheduler.resource_attr if self.ledger else None
