"""How the dimensions of the unit cube enter a kernel: which share a length scale, which are warped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cloudtune.surrogates.prediction import Array

_EDGE = 1e-6


@dataclass(frozen=True)
class Dimensions:
    """``scale_of``: ``(d,)``, the number of the length scale of each dimension; ``warped``: the dimensions that are."""

    scale_of: NDArray[np.intp]
    warped: NDArray[np.intp]

    @classmethod
    def of(
        cls,
        slices: Mapping[str, slice],
        categorical: frozenset[str] = frozenset(),
        ard: bool = True,
        warp: bool = False,
    ) -> Dimensions:
        """One length scale per hyperparameter, one-hot dimensions sharing theirs; without ``ard`` one for all.

        ``slices``: the dimensions of each hyperparameter. Those named ``categorical`` are never warped.
        """
        scale_of: list[int] = []
        warped: list[int] = []
        for number, (name, dimensions) in enumerate(slices.items()):
            scale_of += [number if ard else 0] * (dimensions.stop - dimensions.start)
            if warp and name not in categorical:
                warped += range(dimensions.start, dimensions.stop)
        return cls(np.array(scale_of, dtype=np.intp), np.array(warped, dtype=np.intp))

    @property
    def scales(self) -> int:
        return int(self.scale_of.max(initial=-1)) + 1


def warp(points: Array, a: Array, b: Array) -> Array:
    """1 - (1 - x^a)^b per dimension: the distribution function of Kumaraswamy (Snoek et al. 2014, section 3.1, have
    that of the beta distribution, which is much the same and has no closed form)."""
    return np.asarray(1.0 - (1.0 - _inside(points) ** a) ** b)


def warp_slopes(points: Array, a: Array, b: Array) -> tuple[Array, Array, Array]:
    """Slopes of ``warp`` by x, log a and log b."""
    x = _inside(points)
    log_x = np.log(x)
    power = x**a
    rest = 1.0 - power
    by_power = b * rest ** (b - 1.0)
    by_x = by_power * a * power / x
    by_log_a = by_power * a * power * log_x
    by_log_b = -b * rest**b * np.log(rest)
    return by_x, by_log_a, by_log_b


def _inside(points: Array) -> Array:
    """Slopes are infinite at the very ends."""
    return np.clip(points, _EDGE, 1.0 - _EDGE)
