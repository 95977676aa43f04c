"""The points of a space that score best: many tried, the best of them improved."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cloudtune.searchers.lattice import Array, Lattice
from cloudtune.surrogates.acquisition import DifferentiableScore, Score
from cloudtune.surrogates.ascent import ascend

ENOUGH = 1e-3
"""Scores, logarithms in general, that differ by less are as good as the same."""


@dataclass(frozen=True)
class SearchEffort:
    """``candidates`` drawn in the whole space, ``near`` around known good points, the best ``starts`` improved."""

    candidates: int = 400
    near: int = 200
    starts: int = 8
    iterations: int = 20
    sweeps: int = 3


class AcquisitionSearch:
    """Finds points that score well, best first."""

    def __init__(self, lattice: Lattice, effort: SearchEffort, local: bool = True) -> None:
        self._lattice = lattice
        self._effort = effort
        self._local = local

    def best(
        self, score: Score, centers: Array, random_state: np.random.Generator, ranking: Score | None = None
    ) -> Array:
        """Points ``(m, d)`` of the lattice.

        ``centers``: ``(c, d)``, points known to be good. ``ranking``: another score, by which candidates are ordered
        and chosen to be improved.
        """
        anywhere = random_state.random((self._effort.candidates, self._lattice.dimension))
        near = perturbed(centers, self._effort.near, random_state)
        points = self._lattice.snap(np.concatenate([anywhere, near]))
        values = _comparable((ranking or score).values(points))
        order = np.argsort(-values, kind="stable")
        points, values = points[order], values[order]
        if self._local:
            starts = self._starts(order < len(anywhere))
            before = values[starts] if ranking is None else _comparable(score.values(points[starts]))
            improved, reached = self._improved(score, points[starts], before)
            if ranking is not None:
                return np.concatenate([improved[np.argsort(-reached, kind="stable")], points])
            points, values = np.concatenate([improved, points]), np.concatenate([reached, values])
            points = points[np.argsort(-values, kind="stable")]
        return points

    def _starts(self, anywhere: NDArray[np.bool_]) -> list[int]:
        """The best from anywhere and the best near good points: one kind alone may all lie in one place."""
        half = max(self._effort.starts // 2, 1)
        first = np.flatnonzero(anywhere)[:half].tolist()
        second = np.flatnonzero(~anywhere)[: self._effort.starts - half].tolist()
        return [*first, *second]

    def _improved(self, score: Score, points: Array, values: Array) -> tuple[Array, Array]:
        lattice, effort = self._lattice, self._effort
        for _ in range(2 if lattice.discrete else 1):
            before = values
            if lattice.discrete:
                points, values = self._swept(score, points, values)
            if isinstance(score, DifferentiableScore) and lattice.continuous.any():
                points, values = ascend(score, points, lattice.continuous, effort.iterations)
            elif lattice.continuous.any():
                break
            if (values - before).max() < ENOUGH:
                break
        return points, _comparable(values)

    def _swept(self, score: Score, points: Array, values: Array) -> tuple[Array, Array]:
        """One discrete hyperparameter changed at a time, as long as that helps."""
        points, values = points.copy(), values.copy()
        going = np.arange(len(points))
        for _ in range(self._effort.sweeps):
            around = self._lattice.neighbours(points[going])
            scored = _comparable(score.values(around.reshape(-1, self._lattice.dimension))).reshape(around.shape[:2])
            winners = scored.argmax(axis=1)
            rows = np.arange(len(going))
            better = scored[rows, winners] > values[going] + ENOUGH
            points[going[better]] = around[rows, winners][better]
            values[going[better]] = scored[rows, winners][better]
            going = going[better]
            if not len(going):
                break
        return points, values


def perturbed(centers: Array, count: int, random_state: np.random.Generator) -> Array:
    """``(count, d)``: each around one of ``centers`` ``(c, d)``, some dimensions moved, by steps of all sizes."""
    if not len(centers) or not count:
        return np.empty((0, centers.shape[1]))
    d = centers.shape[1]
    around = centers[np.arange(count) % len(centers)]
    sizes = 10.0 ** random_state.uniform(-3.0, -0.5, (count, 1))
    shares = random_state.uniform(0.0, 1.0, (count, 1))
    moved = random_state.random((count, d)) < np.maximum(shares, 1.5 / d)
    return np.asarray(np.clip(around + moved * sizes * random_state.standard_normal((count, d)), 0.0, 1.0))


def _comparable(values: Array) -> Array:
    return np.where(np.isnan(values), -np.inf, values)
