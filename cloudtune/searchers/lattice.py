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
"""Of a domain with so many values, all are tried when one hyperparameter is changed."""


@dataclass(frozen=True)
class Categories:
    """One-hot dimensions."""

    dimensions: slice

    def snap(self, points: Array) -> None:
        block = points[:, self.dimensions]
        winners = block.argmax(axis=1)
        block[:] = 0.0
        block[np.arange(len(block)), winners] = 1.0

    def others(self, row: Array) -> Array:
        """``(m, width)``: what these dimensions could be instead."""
        corners = np.eye(self.dimensions.stop - self.dimensions.start)
        return np.asarray(corners[corners @ row[self.dimensions] == 0.0])


@dataclass(frozen=True)
class Steps:
    """One dimension with finitely many values, at ``units``, increasing."""

    dimensions: slice
    units: Array

    def snap(self, points: Array) -> None:
        middles = 0.5 * (self.units[1:] + self.units[:-1])
        column = points[:, self.dimensions.start]
        column[:] = self.units[np.searchsorted(middles, column)]

    def others(self, row: Array) -> Array:
        """All other values if they are few; else the nearest ones, and ever wider steps in both directions."""
        count = len(self.units)
        place = int(np.abs(self.units - row[self.dimensions.start]).argmin())
        if count <= FEW:
            places = np.delete(np.arange(count), place)
        else:
            steps = np.unique(np.geomspace(1, count / 2, 6).astype(np.int64))
            places = np.concatenate([place - steps, place + steps])
            places = places[(places >= 0) & (places < count)]
        return self.units[places][:, None]


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
        return snapped

    def neighbours(self, point: Array) -> Array:
        """``(m, d)``: with one discrete hyperparameter changed."""
        changed = []
        for each in self.discrete:
            others = each.others(point)
            block = np.repeat(point[None, :], len(others), axis=0)
            block[:, each.dimensions] = others
            changed.append(block)
        return np.concatenate(changed) if changed else np.empty((0, self.dimension))
