"""A job's way from status to status, as of now."""

from __future__ import annotations

from cloudtune.sandbox.training.job import STOPPING, Job
from cloudtune.sandbox.training.ledger import Ledger


class Progress:
    """Of ``job``, in ``ledger``."""

    def __init__(self, ledger: Ledger, job: Job) -> None:
        self._ledger = ledger
        self._job = job

    def enter(self, secondary: str) -> None:
        with self._ledger.changing(self._job) as now:
            self._job.enter(secondary, now)

    def advance(self, secondary: str) -> float | None:
        """Enter ``secondary`` now, unless the job is being stopped (then None)."""
        with self._ledger.changing(self._job) as now:
            if self._job.status == STOPPING:
                return None
            self._job.enter(secondary, now)
            return now

    def fail(self, reason: str) -> None:
        """Unless it is over already."""
        with self._ledger.changing(self._job) as now:
            if not self._job.ended:
                self._job.fail(reason, now)
