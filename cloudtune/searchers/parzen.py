"""Kernel density estimates on spaces of numbers and categories."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cloudtune.space import Categorical, UnitCube
from cloudtune.trial import Config

Array = NDArray[np.float64]


@dataclass(frozen=True)
class MixedPoints:
    """n configurations: ``numbers`` ``(n, d)`` in the unit cube, ``categories`` ``(n, c)``, counted from 0."""

    numbers: Array
    categories: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, rows: NDArray[np.int64]) -> MixedPoints:
        return MixedPoints(self.numbers[rows], self.categories[rows])


class MixedSpace:
    """The same points as in a unit cube, with categories as such instead of one-hot.

    ``cells`` ``(d,)``: the width of what one value of each number takes of [0, 1]; 0 for floats. ``sizes``: numbers of
    categories.
    """

    def __init__(self, cube: UnitCube) -> None:
        self._cube = cube
        domains = cube.domains.items()
        self._numbers = [name for name, domain in domains if not isinstance(domain, Categorical)]
        self._categories = [name for name, domain in domains if isinstance(domain, Categorical)]
        self.cells = np.array([1.0 / (cube.domains[name].size or math.inf) for name in self._numbers])
        self.sizes = [cube.domains[name].size or 1 for name in self._categories]

    @property
    def dimension(self) -> int:
        """Hyperparameters, one dimension each."""
        return len(self._numbers) + len(self._categories)

    def points(self, configs: Sequence[Config]) -> MixedPoints:
        return self.of_cube(self._cube.encode(configs))

    def of_cube(self, units: Array) -> MixedPoints:
        numbers = np.empty((len(units), len(self._numbers)))
        for column, name in enumerate(self._numbers):
            numbers[:, column] = units[:, self._cube.slices[name].start]
        categories = np.empty((len(units), len(self._categories)), dtype=np.int64)
        for column, name in enumerate(self._categories):
            block = units[:, self._cube.slices[name]]
            categories[:, column] = np.argmax(block, axis=1) if block.shape[1] > 1 else np.rint(block[:, 0])
        return MixedPoints(numbers, categories)

    def configs(self, points: MixedPoints) -> list[dict[str, object]]:
        units = np.zeros((len(points), self._cube.dimension))
        for column, name in enumerate(self._numbers):
            units[:, self._cube.slices[name].start] = points.numbers[:, column]
        for column, name in enumerate(self._categories):
            place = self._cube.slices[name]
            one_hot = place.stop - place.start > 1
            if one_hot:
                units[np.arange(len(units)), place.start + points.categories[:, column]] = 1.0
            else:
                units[:, place.start] = points.categories[:, column]
        return self._cube.decode(units)


class Parzen:
    """A density over a mixed space: one kernel per point, and a uniform density that counts as ``prior`` points.

    A kernel is a product of Gaussians truncated to [0, 1], with ``bandwidths`` ``(n, d)``, and of the kernels of
    Aitchison and Aitken (1976) on categories: 1 - λ for the point's own, λ / (k - 1) for each other one, with
    ``lambdas`` ``(c,)`` between 0 and 1.
    """

    def __init__(
        self, points: MixedPoints, sizes: Sequence[int], bandwidths: Array, lambdas: Array, prior: float
    ) -> None:
        self._points = points
        self._sizes = sizes
        self._bandwidths = bandwidths
        self._lambdas = lambdas
        self._prior = prior
        self._precisions = bandwidths**-2.0
        mass = _mass(-points.numbers / bandwidths, (1.0 - points.numbers) / bandwidths)
        self._log_norm = -np.log(bandwidths * math.sqrt(2 * math.pi) * mass).sum(axis=1)

    def log_density(self, at: MixedPoints) -> Array:
        """``(m,)``: log of the density, of numbers in the unit cube and categories together."""
        centers = self._points.numbers
        distances = (at.numbers**2) @ self._precisions.T - 2.0 * at.numbers @ (centers * self._precisions).T
        distances += (centers**2 * self._precisions).sum(axis=1)
        logs = self._log_norm - 0.5 * np.maximum(distances, 0.0)
        for column, size in enumerate(self._sizes):
            if size > 1:
                own, other = np.log1p(-self._lambdas[column]), np.log(self._lambdas[column] / (size - 1))
                same = at.categories[:, column, None] == self._points.categories[:, column]
                logs += np.where(same, own, other)
        if self._prior > 0:
            uniform = math.log(self._prior) - sum(math.log(size) for size in self._sizes)
            logs = np.hstack([logs, np.full((len(logs), 1), uniform)])
        largest = logs.max(axis=1)
        total = largest + np.log(np.exp(logs - largest[:, None]).sum(axis=1))
        return np.asarray(total - math.log(len(self._points) + self._prior))

    def sample(self, random_state: np.random.Generator, count: int, factor: float = 1.0) -> MixedPoints:
        """Draws; Gaussians are ``factor`` times as wide as in the density."""
        from scipy.special import ndtr, ndtri

        dimension, kernels = self._points.numbers.shape[1], len(self._points)
        chosen = (random_state.random(count) * (kernels + self._prior)).astype(np.int64)
        uniform = chosen >= kernels
        chosen = np.minimum(chosen, kernels - 1)
        centers, widths = self._points.numbers[chosen], factor * self._bandwidths[chosen]
        draws = random_state.random((count, dimension))
        low, high = ndtr(-centers / widths), ndtr((1.0 - centers) / widths)
        numbers = np.clip(centers + widths * ndtri(low + draws * (high - low)), 0.0, 1.0)
        numbers[uniform] = draws[uniform]
        categories = self._points.categories[chosen]
        for column, size in enumerate(self._sizes):
            anew = random_state.integers(size, size=count)
            moved = random_state.random(count) < self._lambdas[column] * size / max(size - 1, 1)
            categories[:, column] = np.where(moved | uniform, anew, categories[:, column])
        return MixedPoints(numbers, categories)


def _mass(low: Array, high: Array) -> Array:
    from scipy.special import ndtr

    return np.asarray(ndtr(high) - ndtr(low))
