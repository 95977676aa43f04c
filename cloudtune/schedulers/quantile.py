"""A quantile of numbers that come one after the other."""

from __future__ import annotations

import math
from heapq import heappush, heappushpop


class RunningQuantile:
    """The quantile ``numerator / denominator`` of all numbers added, interpolated as ``numpy.quantile`` does.

    Its place is computed in integers: a number that lies exactly on it is never missed by rounding. Infinite numbers
    are fine, NaN is not. Adding one costs O(log n).
    """

    def __init__(self, numerator: int, denominator: int) -> None:
        self._numerator, self._denominator = numerator, denominator
        # heaps of the numbers up to the quantile (negated, so that the largest comes first), and of those beyond it
        self._low: list[float] = []
        self._high: list[float] = []
        self._count = 0
        self.value: float | None = None
        """None while there are no numbers."""

    def add(self, number: float) -> None:
        low, high = self._low, self._high
        whole, rest = divmod(self._numerator * self._count, self._denominator)
        self._count += 1
        # ``low`` gets the ``whole + 1`` smallest numbers: one more than before, or as many
        if len(low) <= whole:
            heappush(low, -heappushpop(high, number))
        else:
            heappush(high, -heappushpop(low, -number))
        self.value = -low[0] if rest == 0 else _between(-low[0], high[0], rest / self._denominator)


def _between(below: float, above: float, fraction: float) -> float:
    if below == above:
        return below
    width = above - below
    if math.isinf(width) and not math.isinf(above):
        return below * (1 - fraction) + above * fraction
    return below + width * fraction
