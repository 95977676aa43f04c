"""When everything in a finished experiment happened, so that it can happen again in the same order.

A tuner looks at its backend, decides, and acts: what it saw in one look belongs together, for it acted on all of it. In
simulated time acting takes no time, so a look and what followed from it are one moment. Looks are told apart by the
journal: whatever was acted on ended one, and so did a later moment of decision. What lies between two looks, and could
belong to either, counts for the second: a tuner that knew it in the first had nothing to do about it.

All moments are multiples of ``TICK``, so that adding and subtracting them is exact: what was one moment is one again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cloudtune.backends.simulator.recorded import Moment, RecordedAttempt
from cloudtune.journal import events as ev
from cloudtune.trial import AttemptId, AttemptStatus, Cause, Interruption, Observation, Report, StatusChange

TICK = 2.0**-20
"""Seconds."""

_Seen = ev.ReportObserved | ev.StatusObserved | ev.AttemptInterrupted


@dataclass
class _Past:
    """An attempt, as far as the journal has been read."""

    config: Mapping[str, Any]
    start: float
    moments: list[Moment] = field(default_factory=list)
    stop_at: float | None = None
    decided: bool = False
    refused: str = ""


class Timeline:
    """Reads a journal from its beginning; ``attempts`` are then as they were."""

    def __init__(self, events: Iterable[ev.Event]) -> None:
        self._origin: float | None = None
        self._now = 0.0
        """The moment of the last look, in seconds from the first launch."""
        self._look: list[_Seen] = []
        self._decided_at = -1.0
        self._settled = 0
        """Observations of the present look that surely belong to it."""
        self._decided: set[AttemptId] = set()
        self._past: dict[AttemptId, _Past] = {}
        for event in events:
            self._read(event)
        self._close()

    def attempts(self) -> dict[AttemptId, tuple[Mapping[str, Any], RecordedAttempt]]:
        """Every attempt, with its configuration."""
        return {id: (past.config, _as_recorded(id, past, self._now)) for id, past in self._past.items()}

    def _read(self, event: ev.Event) -> None:
        if isinstance(event, (ev.ReportObserved, ev.StatusObserved, ev.AttemptInterrupted)):
            self._look.append(event)
        elif isinstance(event, ev.DecisionMade):
            self._decision(event)
        elif isinstance(event, (ev.LaunchIntended, ev.StopIntended, ev.LaunchFailed, ev.StopIssued)):
            self._close()
            self._act(event)

    def _decision(self, event: ev.DecisionMade) -> None:
        if event.at > self._decided_at >= 0:
            self._close(self._settled)  # the report that was decided on was seen in another look
        self._decided_at = event.at
        self._settled = len(self._look)
        if event.action != "CONTINUE":
            self._decided.add(AttemptId(event.trial_id, event.attempt))

    def _act(self, event: ev.LaunchIntended | ev.StopIntended | ev.LaunchFailed | ev.StopIssued) -> None:
        if self._origin is None:
            self._origin = event.at
        id = AttemptId(event.trial_id, event.attempt)
        if isinstance(event, ev.LaunchIntended):
            self._past[id] = _Past(event.config, self._now)
        elif isinstance(event, ev.LaunchFailed):
            self._past[id].refused = event.reason
        elif isinstance(event, ev.StopIssued) and self._past[id].stop_at is None:
            self._past[id].stop_at = self._now - self._past[id].start
            self._past[id].decided = id in self._decided

    def _close(self, count: int | None = None) -> None:
        """The look, or so many of its observations, is complete: all happened at one moment, one after the other."""
        count = len(self._look) if count is None else count
        look, self._look = self._look[:count], self._look[count:]
        decided_at, self._decided_at, self._settled = self._decided_at, -1.0, 0
        if not look or self._origin is None:
            return
        latest = max(decided_at, *(event.at for event in look))
        latest = max(latest - self._origin, self._now)
        visible = _on_grid(latest) + TICK * len(look)
        self._now = visible
        for place, event in enumerate(look):
            past = self._past.get(AttemptId(event.trial_id, event.attempt))
            if past is not None:
                at = visible - TICK * (len(look) - place - 1)
                past.moments.append(Moment(visible - past.start, at - past.start, _observation(event)))


def _on_grid(seconds: float) -> float:
    return round(seconds / TICK) * TICK


def _observation(event: _Seen) -> Observation:
    id = AttemptId(event.trial_id, event.attempt)
    if isinstance(event, ev.ReportObserved):
        return Report(id, event.key, event.metrics, event.emitted_at, event.at)
    if isinstance(event, ev.AttemptInterrupted):
        return Interruption(id, event.number, event.at, event.reason)
    status, cause = AttemptStatus(event.status), Cause(event.cause)
    return StatusChange(id, status, event.at, event.reason, event.dollars, cause)


def _as_recorded(id: AttemptId, past: _Past, end: float) -> RecordedAttempt:
    moments = list(past.moments)
    last = moments[-1].observation if moments else None
    if not (isinstance(last, StatusChange) and last.status.is_final):
        # the journal ends before it does
        after = max(end - past.start, moments[-1].visible if moments else 0.0)
        moments.append(Moment(after, after, StatusChange(id, AttemptStatus.STOPPED, 0.0, "its record ends here")))
    return RecordedAttempt(tuple(moments), past.stop_at, past.decided, past.refused)
