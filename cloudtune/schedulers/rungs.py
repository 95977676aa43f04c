"""One rung: what trials had reached when they came to its level, in order."""

from __future__ import annotations

import heapq
import math
from bisect import bisect_left, insort

WORST = math.inf
"""The key of results that are no finite number: behind all others."""


class Rung:
    """Results at ``level``, as keys: smaller is better.

    A fraction ``level / next_level`` of the trials is meant to go on to ``next_level``, the next rung or the maximum.
    """

    def __init__(self, level: int, next_level: int) -> None:
        self.level = level
        self.next_level = next_level
        self.keys: dict[int, float] = {}
        """Key per trial."""
        self._sorted: list[float] = []
        self._waiting: list[tuple[float, int]] = []

    def __len__(self) -> int:
        return len(self._sorted)

    def record(self, trial_id: int, key: float) -> None:
        """Once per trial."""
        self.keys[trial_id] = key
        insort(self._sorted, key)

    def cutoff(self) -> float | None:
        """The quantile ``level / next_level`` of the keys, interpolated linearly as ``numpy.quantile`` does.

        None with fewer than two. The place of the quantile is computed in integers: a key that lies exactly on
        it is never missed by rounding.
        """
        count = len(self._sorted)
        if count < 2:
            return None
        whole, rest = divmod(self.level * (count - 1), self.next_level)
        below = self._sorted[whole]
        if rest == 0:
            return below
        above = self._sorted[whole + 1]
        return _between(below, above, rest / self.next_level)

    def rank(self, trial_id: int) -> int:
        """How many are better than this one, which was recorded: 0 for the best."""
        return bisect_left(self._sorted, self.keys[trial_id])

    # -- trials that are paused here ---------------------------------------------------------------------------

    def wait(self, trial_id: int) -> None:
        """A recorded trial is paused here."""
        heapq.heappush(self._waiting, (self.keys[trial_id], trial_id))

    def leave(self, trial_id: int) -> None:
        """A waiting trial was resumed, or can't be any more."""
        entry = (self.keys[trial_id], trial_id)
        if self._waiting[0] == entry:
            heapq.heappop(self._waiting)
        else:
            self._waiting.remove(entry)
            heapq.heapify(self._waiting)

    def best_waiting(self) -> tuple[int, float] | None:
        """Trial and key; of equal ones the trial that was launched first."""
        if not self._waiting:
            return None
        key, trial_id = self._waiting[0]
        return trial_id, key

    def waiting(self) -> list[int]:
        """Paused trials, best first."""
        return [trial_id for _, trial_id in sorted(self._waiting)]


def is_within(key: float, cutoff: float) -> bool:
    """Whether a result is good enough. One that is no finite number never is, whatever the others are."""
    return key <= cutoff and key < WORST


def _between(below: float, above: float, fraction: float) -> float:
    if below == above:
        return below
    width = above - below
    if math.isinf(width) and not math.isinf(above):
        return below * (1 - fraction) + above * fraction
    return below + width * fraction
