"""Simulated time: it stands still while anybody computes, and jumps when the tuner sleeps."""

from __future__ import annotations

import math
from collections.abc import Callable
from time import perf_counter

from cloudtune.options import check_flag

START = 1_700_000_000.0
"""Where time begins, in seconds since the epoch: the same for every run, so that equal runs have equal records."""

IDLE_SECONDS = 1.0
"""So far jumps a sleep of 0 seconds when nothing is to come: whoever waits for something else must not wait forever."""


def _nothing() -> float:
    return math.inf


class SimulatorClock:
    """``sleep(seconds)`` returns at once: it is ``seconds`` later then, and not before the next event.

    So nobody looks in vain, and ``sleep(0)`` goes from event to event. ``next_event`` is set by what simulates.
    ``charge_tuner_time``: the seconds that the tuner itself computes pass in simulated time, too. Then two runs of the
    same seed are not the same any more.
    """

    def __init__(self, charge_tuner_time: bool = False, start: float = START) -> None:
        check_flag("charge_tuner_time", charge_tuner_time)
        self.charge_tuner_time = charge_tuner_time
        self.next_event: Callable[[], float] = _nothing
        self._start = self._now = start
        self._counted = perf_counter()

    def restart(self) -> None:
        """Back to the beginning: for another experiment."""
        self._now = self._start
        self._counted = perf_counter()

    def now(self) -> float:
        if self.charge_tuner_time:
            counted = perf_counter()
            self._now += counted - self._counted
            self._counted = counted
        return self._now

    def sleep(self, seconds: float) -> None:
        until = self.now() + seconds if seconds > 0 else self.now()
        event = self.next_event()
        if event < math.inf:
            self._now = event if event > until else until
        else:
            self._now = until if seconds > 0 else until + IDLE_SECONDS

    def forgive(self) -> None:
        """What was computed since the last look at the clock is not charged: it was the simulation's own work."""
        self._counted = perf_counter()

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "next_event": _nothing}
