"""What befalls printed lines on their way to who reads them."""

from __future__ import annotations

from collections import Counter

from cloudtune.sandbox.faults.dice import throw
from cloudtune.sandbox.faults.faults import Faults
from cloudtune.sandbox.faults.pages import SMALL_PAGE
from cloudtune.sandbox.logs.store import Delivery

LATE, DUPLICATED, REPEATED, EMPTY = "late-line", "duplicated-line", "repeated-page", "empty-page"


class LogFaults:
    """Lines are counted by the job that printed them: its streams are named after the time."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._rule = faults.plan.logs
        self._lines: Counter[str] = Counter()

    def delivery(self, stream: str) -> Delivery:
        """Of the next line of ``stream``."""
        rule = self._rule
        if not rule.late and not rule.duplicated:
            return Delivery()
        job = stream.partition("/")[0]
        self._lines[job] += 1
        line = self._lines[job]
        late = self._late(job, line)
        again = rule.again_after if self._hits("duplicated", rule.duplicated, job, line) else None
        if late:
            self._faults.injected.note(LATE)
        if again is not None:
            self._faults.injected.note(DUPLICATED)
        return Delivery(late, again)

    def _late(self, job: str, line: int) -> float:
        rule, seed = self._rule, self._faults.plan.seed
        if self._hits("late-stream", rule.late_streams, job, 0):
            return rule.late * (1 + throw(seed, "stream-lag", job)) / 2
        if self._hits("late-line", rule.late_lines, job, line):
            return rule.late * (1 + throw(seed, "line-lag", job, line)) / 2
        return 0.0

    def limit(self, asked: int) -> int:
        """How many events a page may hold."""
        size = self._faults.plan.pages.events
        return asked if size is None else min(asked, size)

    def cut(self) -> None:
        """A page held fewer events than there were and than were asked for."""
        self._faults.injected.note(SMALL_PAGE)

    def is_empty(self) -> bool:
        """Whether this page of FilterLogEvents holds nothing, whatever there is."""
        return self._page_hit(EMPTY, self._rule.empty_pages)

    def is_repeated(self) -> bool:
        """Whether the page after this one begins with this one's end."""
        return self._page_hit(REPEATED, self._rule.repeated)

    def _page_hit(self, kind: str, probability: float) -> bool:
        hit = probability > 0 and self._hits(kind, probability, "pages", self._faults.count(kind))
        if hit:
            self._faults.injected.note(kind)
        return hit

    def _hits(self, what: str, probability: float, subject: str, count: int) -> bool:
        return probability > 0 and throw(self._faults.plan.seed, what, subject, count) < probability

    def restart(self) -> None:
        """From the beginning."""
        self._lines.clear()
