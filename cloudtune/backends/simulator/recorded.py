"""Attempts that really ran once, played again as they were."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

from cloudtune.errors import InvalidRequestError
from cloudtune.trial import Attempt, AttemptId, AttemptStatus, Observation, Report, StatusChange


@dataclass(frozen=True, slots=True)
class Moment:
    """What was observed: ``at``, and ``visible`` to the tuner; in seconds from the attempt's start."""

    visible: float
    at: float
    observation: Observation


@dataclass(frozen=True, slots=True)
class RecordedAttempt:
    """One attempt as it was; the last of ``moments`` is its end.

    ``stop_at``: when its tuner asked it to stop, in seconds from its start; None: never. ``ended_by_decision``: and
    that was because its scheduler wanted it. ``refused``: why it could not be launched, if so.
    """

    moments: tuple[Moment, ...]
    stop_at: float | None = None
    ended_by_decision: bool = False
    refused: str = ""


@runtime_checkable
class RemembersAttempts(Protocol):
    """A source of curves that has seen some attempts before."""

    def recorded(self, attempt: Attempt) -> RecordedAttempt | None:
        """How this very attempt of this very configuration went; None if there was none."""


class RecordedRun:
    """As ``Run``, of a recorded attempt that is started at ``at``.

    If it is stopped when it was, or later, all happens as it did. If it is stopped sooner, it ends then. If it was
    stopped by a decision and is not now, it completes with its last report: nobody knows how it would have gone on.
    """

    __slots__ = (
        "_at",
        "_made",
        "_moments",
        "_next",
        "_resource",
        "_stopped",
        "_stopped_in_time",
        "_told",
        "entry",
        "id",
    )

    def __init__(self, id: AttemptId, record: RecordedAttempt, at: float, resource: Callable[[Report], float]) -> None:
        if record.refused:
            raise InvalidRequestError(record.refused)
        self.id = id
        self.entry = 0
        self._at = at
        self._moments = list(record.moments)
        self._next = 0
        self._made = 0
        self._resource = resource
        self._told = record
        self._stopped = self._stopped_in_time = False

    first = 0

    @property
    def delivered(self) -> int:
        return self._made

    @property
    def over(self) -> bool:
        return self._next == len(self._moments)

    @property
    def visible(self) -> float:
        return self._at + self._moments[self._next].visible

    def take(self, now: float) -> Observation:
        moment = self._moments[self._next]
        self._next += 1
        at, seen = self._at + moment.at, moment.observation
        if isinstance(seen, Report):
            self._made += 1
            return replace(seen, emitted_at=at, seen_at=now)
        if isinstance(seen, StatusChange) and seen.status is AttemptStatus.STOPPED and not self._stopped:
            status = AttemptStatus.COMPLETED if self._told.ended_by_decision else AttemptStatus.STOPPED
            return replace(seen, at=at, status=status)
        return replace(seen, at=at)

    def stop(self, now: float) -> None:
        if self._stopped:
            return
        self._stopped = True
        after = now - self._at
        if self._told.stop_at is not None and after >= self._told.stop_at:
            return
        last = self._moments[-1]
        if last.visible <= after:
            return
        until = [moment for moment in self._moments[:-1] if moment.at <= after]
        visible = max(after, until[-1].visible if until else 0.0)
        self._moments = [*until, Moment(visible, after, StatusChange(self.id, AttemptStatus.STOPPED, after))]

    def level(self, now: float) -> float:
        reports = [each.observation for each in self._moments if self._at + each.at <= now]
        levels = [self._resource(each) for each in reports if isinstance(each, Report)]
        return max(levels, default=0.0)
