"""Small data sets and finite differences for the tests of surrogates."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cloudtune.surrogates.hyperparameters import Hyperparameters
from cloudtune.surrogates.inputs import Dimensions
from cloudtune.surrogates.prediction import Array

MIXED = Dimensions.of({"a": slice(0, 1), "b": slice(1, 4), "c": slice(4, 5)}, frozenset({"b"}), warp=True)
"""Two numbers, warped, and three one-hot dimensions of one category."""
PLAIN = Dimensions.of({"a": slice(0, 1), "b": slice(1, 4), "c": slice(4, 5)}, frozenset({"b"}))


def data(n: int, seed: int = 0) -> tuple[Array, Array]:
    """Points ``(n, 5)`` and standardized targets."""
    random_state = np.random.default_rng(seed)
    points = random_state.random((n, 5))
    targets = np.sin(4 * points[:, 0]) + points[:, 4] ** 2 - points[:, 2] + 0.05 * random_state.standard_normal(n)
    return points, (targets - targets.mean()) / targets.std()


def learned(warped: bool = False, noise: float = 1e-3) -> Hyperparameters:
    warp = np.array([1.4, 0.8]) if warped else np.empty(0)
    return Hyperparameters(np.array([0.4, 1.1, 0.7]), noise, warp, warp[::-1])


def slopes(function: Callable[[Array], float], at: Array, step: float = 1e-5) -> Array:
    """By central differences."""
    return np.array([(function(at + move) - function(at - move)) / (2 * step) for move in step * np.eye(len(at))])
