"""One rung: what trials had reached when they came to its level, in order."""

from __future__ import annotations

import heapq
import math
from bisect import bisect_left

from cloudtune.schedulers.quantile import RunningQuantile

WORST = math.inf
"""The key of results that are no finite number: behind all others."""


class Rung:
    """Results at ``level``, as keys: smaller is better.

    A fraction ``level / next_level`` of the trials is meant to go on to ``next_level``, the next rung or the maximum.
    Recording, waiting and leaving cost O(log n), the cutoff and the best that waits nothing.
    """

    def __init__(self, level: int, next_level: int) -> None:
        self.level = level
        self.next_level = next_level
        self.keys: dict[int, float] = {}
        """Key per trial."""
        self._quantile = RunningQuantile(level, next_level)
        self._cutoff: float | None = None
        self._sorted: list[float] = []
        self._waiting: list[tuple[float, int]] = []
        self._waits: set[int] = set()

    def __len__(self) -> int:
        return len(self.keys)

    def record(self, trial_id: int, key: float) -> None:
        """Once per trial."""
        self.keys[trial_id] = key
        self._quantile.add(key)
        if len(self.keys) > 1:
            self._cutoff = self._quantile.value

    def cutoff(self) -> float | None:
        """The quantile ``level / next_level`` of the keys; None with fewer than two."""
        return self._cutoff

    def rank(self, trial_id: int) -> int:
        """How many are better than this one, which was recorded: 0 for the best."""
        if len(self._sorted) < len(self.keys):
            self._sorted = sorted(self.keys.values())
        return bisect_left(self._sorted, self.keys[trial_id])

    # -- trials that are paused here ---------------------------------------------------------------------------

    def wait(self, trial_id: int) -> None:
        """A recorded trial is paused here."""
        self._waits.add(trial_id)
        heapq.heappush(self._waiting, (self.keys[trial_id], trial_id))

    def leave(self, trial_id: int) -> None:
        """A waiting trial was resumed, or can't be any more."""
        self._waits.discard(trial_id)
        # those that left from the middle of the heap stay in it until they come to its top
        while self._waiting and self._waiting[0][1] not in self._waits:
            heapq.heappop(self._waiting)

    def best_waiting(self) -> tuple[int, float] | None:
        """Trial and key; of equal ones the trial that was launched first."""
        if not self._waiting:
            return None
        key, trial_id = self._waiting[0]
        return trial_id, key

    def best_within(self) -> int | None:
        """The best one that waits, if it is within the quantile."""
        if self._cutoff is None or not self._waiting:
            return None
        key, trial_id = self._waiting[0]
        return trial_id if is_within(key, self._cutoff) else None

    def waits(self, trial_id: int) -> bool:
        """Whether this trial is paused here."""
        return trial_id in self._waits

    def waiting(self) -> list[int]:
        """Paused trials, best first."""
        return sorted(self._waits, key=lambda trial_id: (self.keys[trial_id], trial_id))


def is_within(key: float, cutoff: float) -> bool:
    """Whether a result is good enough. One that is no finite number never is, whatever the others are."""
    return key <= cutoff and key < WORST
