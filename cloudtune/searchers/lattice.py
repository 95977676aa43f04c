"""Which points of the unit cube are configurations, for thousands of points at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cloudtune.searchers.pools import distinct_values
from cloudtune.space import Categorical, UnitCube

Array = NDArray[np.float64]

TABLE = 2048
"""Domains with more values count as continuous: their values lie so close that rounding is all the same."""
FEW = 16
"""Of a domain with so many values, all are tried when one hyperparameter is changed; of others, as many."""


@dataclass(frozen=True)
class Categories:
    """One-hot dimensions."""

    dimensions: slice

    def snap(self, points: Array) -> None:
        block = points[:, self.dimensions]
        winners = block.argmax(axis=1)
        block[:] = 0.0
        block[np.arange(len(block)), winners] = 1.0

    def choices(self, points: Array) -> Array:
        """``(n, m, width)``: what these dimensions could be instead, among it what they are."""
        corners = np.eye(self.dimensions.stop - self.dimensions.start)
        return np.broadcast_to(corners, (len(points), *corners.shape))


class Steps:
    """One dimension with finitely many values, at ``units``, increasing."""

    def __init__(self, dimensions: slice, units: Array) -> None:
        self.dimensions = dimensions
        self._units = units
        self._middles = 0.5 * (units[1:] + units[:-1])
        wider = np.unique(np.geomspace(1, max(len(units) // 2, 1), FEW // 2).astype(np.intp))
        self._steps = np.concatenate([-wider[::-1], wider])

    def snap(self, points: Array) -> None:
        column = points[:, self.dimensions.start]
        column[:] = self._units[self._middles.searchsorted(column)]

    def choices(self, points: Array) -> Array:
        """All values if they are few; else the nearest ones, and ever wider steps in both directions."""
        if len(self._units) <= FEW:
            return np.broadcast_to(self._units[:, None], (len(points), len(self._units), 1))
        places = self._middles.searchsorted(points[:, self.dimensions.start])
        places = np.clip(places[:, None] + self._steps, 0, len(self._units) - 1)
        return np.asarray(self._units[places])[:, :, None]


class Lattice:
    """The points of a unit cube that configurations are encoded to; floats are taken as continuous."""

    def __init__(self, cube: UnitCube) -> None:
        self.dimension = cube.dimension
        self.continuous = np.ones(cube.dimension, dtype=np.bool_)
        """``(d,)``: along which dimensions a point may move freely."""
        self.discrete: list[Categories | Steps] = []
        for name, domain in cube.domains.items():
            dimensions = cube.slices[name]
            size = domain.size
            if isinstance(domain, Categorical) and domain.encoded_size > 1:
                self.discrete.append(Categories(dimensions))
            elif size is not None and size <= TABLE:
                units = np.unique(domain.codec.encode(distinct_values(domain)))
                self.discrete.append(Steps(dimensions, units))
            else:
                continue
            self.continuous[dimensions] = False

    def snap(self, points: Array) -> Array:
        """The nearest configurations' points, ``(n, d)``."""
        snapped = np.clip(points, 0.0, 1.0)
        for each in self.discrete:
            each.snap(snapped)
        return np.asarray(snapped)

    def neighbours(self, points: Array) -> Array:
        """``(n, m, d)``: around each point, those with one discrete hyperparameter changed (or not, now and then)."""
        changed = [np.empty((len(points), 0, self.dimension))]
        for each in self.discrete:
            choices = each.choices(points)
            block = np.repeat(points[:, None, :], choices.shape[1], axis=1)
            block[:, :, each.dimensions] = choices
            changed.append(block)
        return np.concatenate(changed, axis=1)
