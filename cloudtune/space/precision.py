"""How many decimal digits of a float survive a trip through the unit cube.

A float64 in [0, 1] can't tell all floats of, say, [1e-6, 1] apart on a log scale: there are fewer of it. Rather
than return a neighbour at random, decoding rounds to decimals that always survive: on a log scale (and a linear one
from zero) to significant digits, on others to decimal places. So 0.001 comes back as 0.001, what was drawn
comes back as it was drawn, and only digits beyond those (typically 13 of 16) are not kept by the encoding.
A configuration itself is never sent through it: what a user or searcher proposes is what runs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

EPSILON = 2.0**-53
SIGMAS = 5.0  # normal domains end here; 6 draws in ten million would lie outside


@dataclass(frozen=True)
class Precision:
    """``digits`` significant digits if ``relative``, else decimal places (negative: tens, hundreds, …)."""

    tolerance: float
    relative: bool

    @property
    def digits(self) -> int:
        if self.tolerance == 0:
            return 15
        return math.floor(-math.log10(4 * self.tolerance))

    def half_step(self, number: float) -> float:
        """At most half the distance from ``number`` to the next one with as many digits."""
        return 0.5 * 10.0**-self.digits * (abs(number) if self.relative else 1.0)

    def spacing(self, largest: float) -> float:
        """The worst distance of values that may be confused, for values up to ``largest`` in magnitude."""
        return self.tolerance * (abs(largest) if self.relative else 1.0)


def linear_precision(lower: float, upper: float) -> Precision:
    if lower == 0:
        return Precision(2 * EPSILON, relative=True)
    return Precision(EPSILON * (4 * (upper - lower) + 2 * max(abs(lower), abs(upper))), relative=False)


def log_precision(lower: float, upper: float) -> Precision:
    low, high = math.log(lower), math.log(upper)
    return Precision(EPSILON * (4 * (high - low) + 4 * max(abs(low), abs(high)) + 2), relative=True)


def reverse_log_precision(lower: float, upper: float) -> Precision:
    width = math.log1p(-lower) - math.log1p(-upper)
    return Precision(EPSILON * (4 + (4 * width + 4 * -math.log1p(-upper)) * (1 - lower)), relative=False)


def normal_precision(mu: float, sigma: float, log: bool) -> Precision:
    density = math.exp(-(SIGMAS**2) / 2) / math.sqrt(2 * math.pi)
    largest = abs(mu) + SIGMAS * sigma
    return Precision(sigma * 4 * EPSILON / density + 4 * EPSILON * (largest + 1), relative=log)
