"""What the tuner's job does when it is told to end: wind down, or leave its trials to a later run."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING

from cloudtune.callbacks.base import TunerCallback
from cloudtune.clock import Clock
from cloudtune.errors import RefusedError, TransientError
from cloudtune.trial import Metrics, Status, Trial

if TYPE_CHECKING:
    from cloudtune.tuner import Tuner

logger = logging.getLogger("cloudtune.remote")

LOOK_INTERVAL = 15.0
"""Seconds between two looks at whether a stop was requested: many images don't pass SIGTERM on to the script."""

GRACE = 100.0
"""Seconds after SIGTERM that are used; at 120 the service kills."""


class LeaveTrials(BaseException):
    """Ends the tuner's process at once; its trials go on, and a later run of the tuner takes them over.

    Not an ``Exception``: a callback raises it, and nothing may mistake it for a failure of that callback.
    """


@dataclass(frozen=True)
class StopSignals:
    """Where a wish to stop may be seen: a marker in the experiment's prefix, and the tuner job's own status."""

    requested: Callable[[], bool]
    job_is_stopping: Callable[[], bool]


class StopWatch(TunerCallback):
    """Stops the experiment if somebody asked for it, here or in the console, or if the job's time is up.

    A spot job that is interrupted leaves its trials running instead: the service will restart it. That, too, begins
    with SIGTERM, but only a job that was told to stop is described as ``Stopping``.
    """

    def __init__(self, signals: StopSignals, spot: bool) -> None:
        self._signals = signals
        self._spot = spot
        self._terminated = False
        self._terminated_at: float | None = None
        self._looked_at = 0.0
        self._stopping = False
        self._tuner: Tuner | None = None

    def listen(self) -> None:
        """Take over SIGTERM. What follows happens at the next turn of the tuner's loop, not inside the handler."""
        signal.signal(signal.SIGTERM, self._on_sigterm)

    def on_tuning_start(self, tuner: Tuner) -> None:
        self._tuner = tuner
        self._looked_at = tuner.clock.now()

    def on_fetch_status_results(
        self,
        trial_status_dict: Mapping[int, tuple[Trial, Status]],
        new_results: Sequence[tuple[int, Metrics]],
    ) -> None:
        if self._tuner is not None:
            self._look(self._tuner, self._tuner.clock)

    def _on_sigterm(self, number: int, frame: FrameType | None) -> None:
        self._terminated = True

    def _look(self, tuner: Tuner, clock: Clock) -> None:
        now = clock.now()
        if self._terminated and self._terminated_at is None:
            self._terminated_at = now
            logger.warning("SIGTERM: this job ends within two minutes")
            self._looked_at = 0.0
        if self._terminated_at is not None and now - self._terminated_at > GRACE:
            raise LeaveTrials("the time after SIGTERM is used up")
        if self._stopping or now - self._looked_at < LOOK_INTERVAL:
            return
        self._looked_at = now
        try:
            why = self._why_stop()
        except (TransientError, RefusedError) as error:
            if not self._terminated:
                logger.warning("can't see now whether a stop was requested: %s", error)
                return
            why = None if self._spot else "the tuner's job was told to end"
        if why is not None:
            self._stopping = True
            tuner.request_stop(why)
        elif self._terminated:
            raise LeaveTrials("the spot instance is taken back")

    def _why_stop(self) -> str | None:
        if self._signals.requested():
            return "a stop was requested"
        if self._signals.job_is_stopping() or (self._terminated and not self._spot):
            return "the tuner's job was told to end"
        return None
