"""Which calls a sandbox was asked, and when: what a tuner costs an account."""

from __future__ import annotations

import threading
from array import array
from collections import Counter
from collections.abc import Callable

# of a float's rounding, at today's number of seconds
_INSTANT = 1e-6


class CallRecord:
    """Calls by "service.Operation"; ``now`` in seconds since the epoch. For many threads."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._moments: dict[str, array[float]] = {}
        self._lock = threading.Lock()

    def note(self, name: str) -> None:
        """A call was made now."""
        with self._lock:
            self._moments.setdefault(name, array("d")).append(self._now())

    def counts(self) -> Counter[str]:
        with self._lock:
            return Counter({name: len(moments) for name, moments in self._moments.items()})

    def clear(self) -> None:
        with self._lock:
            self._moments.clear()

    def peak_rate(self, name: str, seconds: float) -> float:
        """The most calls in any stretch of so many seconds, per second."""
        if seconds <= 0:
            raise ValueError(f"a stretch of {seconds!r} seconds holds no calls")
        with self._lock:
            moments = self._moments.get(name, ())
            most = begin = 0
            for end, moment in enumerate(moments):
                while moment - moments[begin] > seconds - _INSTANT:
                    begin += 1
                most = max(most, end - begin + 1)
        return most / seconds
