"""The order of what a backend saw: in which things happened, not in which they became visible.

Where logs lag, the report of one trial is seen minutes after a younger one of another. A scheduler that compares trials
at rungs must not decide by who was seen first. So a report waits until nothing that was emitted before it can still
come: every other running attempt has shown something younger, or the largest lag to be expected has passed.

How much is to be expected is measured. As long as no report was missing from a look that came after it, nothing waits.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from cloudtune.trial import AttemptId, AttemptStatus, Observation, Report, StatusChange

LONGEST_HOLD = 240.0
"""Seconds: no report waits longer, whatever the lag."""

LITTLE_LAG = 30.0
"""Seconds: up to this twice the largest measured lag is awaited; once there was more, ``LONGEST_HOLD``."""

FIRST_ATTEMPTS = 4
"""Until so many attempts, the first to run, have shown their lag, ``LONGEST_HOLD`` is awaited.

Not the first that are seen: those would be the ones that lag least. Of a silent one among them, four times as many
others are taken for it.
"""

_REMEMBERED = 256


class LagGauge:
    """The largest lag among the last few hundred reports, in seconds."""

    def __init__(self) -> None:
        self._largest = self._before = 0.0
        self._count = 0
        self._cohort: dict[AttemptId, bool] = {}
        """The first attempts to run, and whether they have reported or ended."""
        self._reported: set[AttemptId] = set()
        self._last_look: float | None = None

    def runs(self, attempt: AttemptId) -> None:
        if len(self._cohort) < FIRST_ATTEMPTS:
            self._cohort.setdefault(attempt, False)

    def is_done(self, attempt: AttemptId) -> None:
        """It has reported, or can't any more."""
        if attempt in self._cohort:
            self._cohort[attempt] = True

    def look(self, reports: Iterable[Report], now: float) -> None:
        """All new reports of one look at the backend."""
        last = self._last_look
        self._last_look = now
        if last is None:
            return  # how long the oldest have been visible, nobody knows
        for report in reports:
            # what was emitted after the last look could not have been seen sooner
            self._add(now - report.emitted_at if report.emitted_at < last else 0.0)
            self.is_done(report.attempt)
            if len(self._reported) < 4 * FIRST_ATTEMPTS:
                self._reported.add(report.attempt)

    def _add(self, lag: float) -> None:
        self._largest = max(self._largest, lag)
        self._count += 1
        if self._count % _REMEMBERED == 0:
            self._before, self._largest = self._largest, 0.0

    def expected(self) -> float:
        """Seconds after which a report will have been seen."""
        largest = max(self._largest, self._before)
        if largest > LITTLE_LAG or not self._is_known():
            return LONGEST_HOLD
        return 2 * largest

    def _is_known(self) -> bool:
        if len(self._reported) >= 4 * FIRST_ATTEMPTS:
            return True
        return len(self._cohort) == FIRST_ATTEMPTS and all(self._cohort.values())


@dataclass(slots=True)
class _Seen:
    """Of an attempt at work: everything it emitted up to ``newest`` has been seen.

    Reports are numbered from 0 in each run of a script, so that one which is missing shows: those ``ahead`` of it have
    been seen before it.
    """

    newest: float
    following: int = 0
    ahead: dict[int, float] = field(default_factory=dict)

    def take(self, report: Report) -> None:
        number = _number(report)
        if number == 0 and report.emitted_at > self.newest:
            self.following, self.ahead = 0, {}  # it may be that of another run
        if number is None or number < self.following:
            self.newest = max(self.newest, report.emitted_at)
            return
        self.ahead[number] = report.emitted_at
        while self.following in self.ahead:
            self.newest = max(self.newest, self.ahead.pop(self.following))
            self.following += 1


class Arrivals:
    """Hands on observations in their own order, those of an attempt as the backend gave them; of reports that are seen
    before one with a lower number, that one comes first if they have to wait.

    ``is_undecided`` tells of an attempt whether its reports may still lead to decisions: only those are waited for.
    ``is_known`` tells of a report whether it comes once more: it says nothing about lag.
    Nothing here is journaled: what waits when the process dies is seen again by the next.
    """

    def __init__(
        self, is_undecided: Callable[[AttemptId], bool], is_known: Callable[[Report], bool], reports_lag: bool
    ) -> None:
        self._is_undecided = is_undecided
        self._is_known = is_known
        self._reports_lag = reports_lag
        self._gauge = LagGauge()
        self._waiting: dict[AttemptId, deque[tuple[float, Observation]]] = {}
        self._seen: dict[AttemptId, _Seen] = {}

    @property
    def waiting(self) -> int:
        """Observations that wait for older ones."""
        return sum(map(len, self._waiting.values()))

    def take(self, seen: Sequence[Observation], now: float, hold: bool = True) -> list[Observation]:
        """What is to be processed now. ``hold``: False lets everything go that waits."""
        if not self._reports_lag and not self._waiting and (in_order := _as_they_are(seen)) is not None:
            return in_order
        hold = hold and self._reports_lag
        if self._reports_lag:
            for observation in seen:
                self._note(observation)
            self._gauge.look([each for each in seen if isinstance(each, Report) and not self._is_known(each)], now)
        due: list[Observation] = []
        for observation in seen:
            if isinstance(observation, StatusChange) and not observation.status.is_final:
                due.append(observation)  # decides nothing, and that a worker is free is to be known at once
            else:
                self._queue(observation)
        horizon = self._horizon(now) if hold and self._waiting else math.inf
        rest = [entry for queue in self._waiting.values() for entry in _due(queue, horizon)]
        self._waiting = {attempt: queue for attempt, queue in self._waiting.items() if queue}
        return due + [observation for _, observation in sorted(rest, key=_place)]

    def _note(self, observation: Observation) -> None:
        attempt = observation.attempt
        if isinstance(observation, Report):
            self._seen.setdefault(attempt, _Seen(-math.inf)).take(observation)
        elif isinstance(observation, StatusChange):
            if observation.status.is_final:
                self._seen.pop(attempt, None)
                self._gauge.is_done(attempt)
            elif observation.status is AttemptStatus.RUNNING:
                self._seen.setdefault(attempt, _Seen(observation.at))
                self._gauge.runs(attempt)

    def _queue(self, observation: Observation) -> None:
        queue = self._waiting.setdefault(observation.attempt, deque())
        later: list[Observation] = []
        while queue and _comes_before(observation, queue[-1][1]):
            later.append(queue.pop()[1])
        for each in (observation, *reversed(later)):
            at = each.emitted_at if isinstance(each, Report) else each.at
            queue.append((max(at, queue[-1][0]) if queue else at, each))

    def _horizon(self, now: float) -> float:
        """Whatever was emitted up to here has been seen."""
        expected = self._gauge.expected()
        awaited = [seen for attempt, seen in self._seen.items() if self._is_undecided(attempt)]
        if any(seen.ahead for seen in awaited):
            expected = LONGEST_HOLD  # one is late, whatever is known
        if expected == 0.0:
            return math.inf
        return max(now - expected, min((seen.newest for seen in awaited), default=math.inf))


def _as_they_are(seen: Sequence[Observation]) -> list[Observation] | None:
    """The order of ``Arrivals.take`` if nothing has to wait; None if it is not simply the one in which they came."""
    if len(seen) < 2:
        return [*seen]
    rest: list[Observation] = []
    latest = -math.inf
    due: list[Observation] = []
    for each in seen:
        if isinstance(each, Report):
            at = each.emitted_at
        else:
            at = each.at
            if isinstance(each, StatusChange) and not each.status.is_final:
                due.append(each)
                continue
        if not at > latest:
            if rest and at == latest and each.attempt == rest[-1].attempt:
                rest.append(each)
                continue
            return None
        latest = at
        rest.append(each)
    return due + rest


def _number(report: Report) -> int | None:
    """Reports of this run of the script before it; None where that isn't told."""
    number = report.metrics.get("st_worker_iter")
    return number if isinstance(number, int) else None


def _comes_before(one: Observation, other: Observation) -> bool:
    """Whether both are reports of the same run, seen in the wrong order."""
    if not isinstance(one, Report) or not isinstance(other, Report) or one.emitted_at >= other.emitted_at:
        return False
    first, second = _number(one), _number(other)
    return first is not None and second is not None and first < second


def _due(queue: deque[tuple[float, Observation]], horizon: float) -> Iterator[tuple[float, Observation]]:
    while queue and (queue[0][0] <= horizon or not isinstance(queue[0][1], Report)):
        yield queue.popleft()


def _place(entry: tuple[float, Observation]) -> tuple[float, AttemptId]:
    """Simultaneous ones in the order of their trials, so that it is the same on every day."""
    at, observation = entry
    return at, observation.attempt
