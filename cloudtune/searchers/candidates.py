"""Configurations among which an acquisition function chooses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cloudtune.searchers.random_searcher import RandomSearcher
from cloudtune.space import Categorical, UnitCube

Array = NDArray[np.float64]

PARENTS = 5
_LARGEST_STEP = 0.1


def uniform_and_near(
    random: RandomSearcher, best: Array, count: int, random_state: np.random.Generator
) -> list[dict[str, Any]]:
    """``count`` configurations: half of them random, half mutations of the ``best`` points ``(k, d)``.

    With restricted configurations all are random among those.
    """
    if random.restrict_configurations is not None or not len(best):
        return random.sample(random_state, count)
    units = random_state.random((count, random.cube.dimension))
    units[: count // 2] = mutations(random.cube, best, count // 2, random_state)
    return random.cube.decode(units)


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
    return units


def is_categorical(cube: UnitCube, name: str) -> bool:
    return isinstance(cube.domains[name], Categorical)


def ranked(configs: Sequence[dict[str, Any]], values: Array, random_state: np.random.Generator) -> list[dict[str, Any]]:
    """By increasing value, equal ones in random order."""
    order = np.lexsort((random_state.random(len(configs)), values))
    return [configs[index] for index in order]
