"""One attempt in simulated time."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass

from cloudtune.backends.simulator.config import SimulatorConfig
from cloudtune.backends.simulator.curves import Curve
from cloudtune.trial import AttemptId, AttemptStatus, Cause, Observation, Report, StatusChange

_KEYS = [str(number) for number in range(1024)]
"""Reports are numbered; their keys are made once."""
_KNOWN = len(_KEYS)


@dataclass(frozen=True)
class ReportNames:
    """The metrics that the simulator itself puts into reports; None: not."""

    resource: str | None = None
    elapsed: str | None = None
    """Seconds since this attempt began to work."""
    this_resource: str | None = None
    """Seconds since the report before it."""


class Run:
    """Hands out what can be seen of an attempt, piece by piece.

    ``at``: when its script begins. ``level``: the resource of the checkpoint it goes on from; 0 without one.
    ``limit``: the resource at which the script was told to end.
    """

    __slots__ = (
        "_curve",
        "_delays",
        "_done",
        "_end",
        "_names",
        "_next",
        "_offset",
        "_report_delay",
        "_reports",
        "_stop_arrives",
        "began",
        "entry",
        "first",
        "id",
        "over",
        "visible",
    )

    def __init__(
        self,
        id: AttemptId,
        curve: Curve,
        at: float,
        level: float,
        limit: float,
        delays: SimulatorConfig,
        names: ReportNames,
    ) -> None:
        self.id = id
        self.entry = 0
        """Of its next event in the simulator's heap: older entries count no more."""
        self.over = False
        self._curve = curve
        self._delays = delays
        self._report_delay = delays.delay_on_trial_result
        self._names = names
        self.began = at
        resources, elapsed = curve.resources, curve.elapsed
        self.first = self._next = bisect_right(resources, level) if level else 0
        """Reports of the curve up to this one belong to earlier attempts."""
        self._reports = max(self.first, bisect_right(resources, limit))
        """Reports up to this one are made."""
        self._done = elapsed[self.first - 1] if self.first else 0.0
        self._offset = at - self._done
        """Added to an entry of ``elapsed``, it gives a moment."""
        length = elapsed[self._reports - 1] if self._reports else 0.0
        if curve.length is not None and self._reports == len(resources):
            length = curve.length
        self._end = self._offset + max(length, self._done)
        self._stop_arrives = math.inf
        self.visible = self._following()
        """When its next observation can be seen."""

    @property
    def delivered(self) -> int:
        """Reports of the curve that have been handed out, those of earlier attempts included."""
        return self._next

    @property
    def stopped_before_it_began(self) -> bool:
        return self._stop_arrives < self.began

    def _following(self) -> float:
        delays, number = self._delays, self._next
        if number < self._reports:
            return self._offset + self._curve.elapsed[number] + self._report_delay
        if self._stop_arrives < math.inf:
            end = self._stop_arrives + delays.delay_complete_after_stop
        else:
            end = self._end + delays.delay_complete_after_final_report
        if number == self.first:
            return end
        return max(end, self._offset + self._curve.elapsed[number - 1] + self._report_delay)

    def take(self, now: float) -> Observation:
        """What can be seen from ``visible`` on. ``now``: when it is seen."""
        number = self._next
        if number >= self._reports:
            self.over = True
            return self._ending()
        curve, names, offset = self._curve, self._names, self._offset
        elapsed = curve.elapsed
        seconds = elapsed[number]
        metrics = curve.metrics(number)
        if names.resource is not None:
            metrics[names.resource] = curve.resources[number]
        if names.elapsed is not None:
            metrics[names.elapsed] = seconds - self._done
        if names.this_resource is not None:
            metrics[names.this_resource] = seconds - (elapsed[number - 1] if number else 0.0)
        self._next = following = number + 1
        if following < self._reports:
            self.visible = offset + elapsed[following] + self._report_delay
        else:
            self.visible = self._following()
        return Report(self.id, _KEYS[number] if number < _KNOWN else str(number), metrics, offset + seconds, now)

    def _ending(self) -> StatusChange:
        if self._stop_arrives < math.inf:
            return StatusChange(self.id, AttemptStatus.STOPPED, self.visible)
        failure = self._curve.failure
        if failure and self._reports == len(self._curve.resources):
            return StatusChange(self.id, AttemptStatus.FAILED, self.visible, failure, cause=Cause.SCRIPT)
        return StatusChange(self.id, AttemptStatus.COMPLETED, self.visible)

    def stop(self, now: float) -> None:
        """It is asked to end. What it reports until that arrives is still seen."""
        arrives = now + self._delays.delay_stop
        if arrives >= min(self._end, self._stop_arrives):
            return  # it ends without, or was asked before
        self._stop_arrives = arrives
        self._reports = max(self._next, min(self._reports, bisect_right(self._curve.elapsed, arrives - self._offset)))
        self.visible = self._following()

    def level(self, now: float) -> float:
        """The resource in its newest checkpoint; 0 if there is none."""
        if not self._curve.keeps:
            return 0.0
        made = max(self._next, min(self._reports, bisect_right(self._curve.elapsed, now - self._offset)))
        return self._curve.resources[made - 1] if made else 0.0
