"""Configurations among which an acquisition function chooses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cloudtune.searchers.random_searcher import RandomSearcher
from cloudtune.space import Categorical, UnitCube

Array = NDArray[np.float64]

PARENTS = 5
_LARGEST_STEP = 0.1
_CHUNK = 16


@dataclass(frozen=True)
class Candidates:
    """``units`` ``(n, d)``: where they lie in the unit cube; ``configs``: themselves, or None to have them decoded."""

    cube: UnitCube
    units: Array
    configs: Sequence[dict[str, Any]] | None = None

    def ranked(self, values: Array, random_state: np.random.Generator) -> Iterator[dict[str, Any]]:
        """By increasing value, equal ones in random order."""
        order = np.lexsort((random_state.random(len(values)), values))
        for start in range(0, len(order), _CHUNK):
            rows = order[start : start + _CHUNK]
            if self.configs is None:
                yield from self.cube.decode(self.units[rows])
            else:
                yield from (dict(self.configs[row]) for row in rows)


def uniform(random: RandomSearcher, count: int, random_state: np.random.Generator) -> Candidates:
    """``count`` configurations at random, among the allowed ones if these are restricted."""
    if random.restrict_configurations is None:
        return Candidates(random.cube, snapped(random.cube, random_state.random((count, random.cube.dimension))))
    configs = random.sample(random_state, count)
    return Candidates(random.cube, random.cube.encode(configs), configs)


def uniform_and_near(random: RandomSearcher, best: Array, count: int, random_state: np.random.Generator) -> Candidates:
    """The same, but half are mutations of the ``best`` points ``(k, d)`` if configurations aren't restricted."""
    candidates = uniform(random, count, random_state)
    if candidates.configs is None:
        candidates.units[: count // 2] = mutations(random.cube, best, count // 2, random_state)
    return candidates


def mutations(cube: UnitCube, parents: Array, count: int, random_state: np.random.Generator) -> Array:
    """``(count, d)``: some hyperparameters of a random parent, at least one, changed.

    Numbers by a normal step whose size is drawn between a thousandth and a tenth of their range, on a log scale;
    categories to any of them.
    """
    units = parents[random_state.integers(len(parents), size=count)]
    names = list(cube.slices)
    changed = random_state.random((count, len(names))) < 0.3
    changed[np.arange(count), random_state.integers(len(names), size=count)] = True
    steps = _LARGEST_STEP * 10 ** (-2 * random_state.random((count, 1)))
    moved = np.clip(units + steps * random_state.standard_normal(units.shape), 0.0, 1.0)
    anew = random_state.random(units.shape)
    for column, name in enumerate(names):
        place = cube.slices[name]
        source = anew if is_categorical(cube, name) else moved
        units[:, place] = np.where(changed[:, column, None], source[:, place], units[:, place])
    return snapped(cube, units)


def snapped(cube: UnitCube, units: Array) -> Array:
    """Points with categories where encoding puts them; numbers stay between those of a finite domain."""
    units = np.clip(units, 0.0, 1.0)
    for name, place in cube.slices.items():
        if is_categorical(cube, name) and place.stop - place.start > 1:
            largest = units[:, place].argmax(axis=1)
            units[:, place] = np.arange(place.stop - place.start) == largest[:, None]
        elif is_categorical(cube, name):
            units[:, place] = np.floor(np.minimum(units[:, place] * (cube.domains[name].size or 1), 1.0))
    return units


def is_categorical(cube: UnitCube, name: str) -> bool:
    return isinstance(cube.domains[name], Categorical)
