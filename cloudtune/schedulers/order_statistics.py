"""Quantiles and spreads of what may be no finite number."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from cloudtune.schedulers.rungs import WORST


def quantile(keys: Sequence[float], fraction: float) -> float:
    """Of increasing keys, interpolated linearly; where it lies between a number and ``WORST``, that number."""
    place = fraction * (len(keys) - 1)
    nearest = round(place)
    if abs(place - nearest) < 1e-9:  # a key that lies exactly there is not missed by rounding
        return keys[nearest]
    below, above = keys[math.floor(place)], keys[math.ceil(place)]
    if above in (WORST, below):
        return below
    rest = place - math.floor(place)
    return below * (1 - rest) + above * rest


def standard_deviation(values: Collection[float]) -> float:
    """Of the values themselves, not of what they were drawn from; NaN if one is no finite number."""
    if not all(math.isfinite(value) for value in values):
        return math.nan
    mean = math.fsum(value / len(values) for value in values)
    return math.hypot(*(value - mean for value in values)) / math.sqrt(len(values))
