"""Extremely randomized trees (Geurts, Ernst and Wehenkel 2006), all trees of a forest grown at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_MOST_CUTS = 24
"""Of all dimensions together; but one in each."""


@dataclass(frozen=True)
class ForestOptions:
    """``trees``; ``cuts``: random thresholds that are tried in each dimension to split a node; ``least_leaf``: points
    on either side of one at least; ``depth`` at most; ``share``: of the points that each tree is grown on, and ``most``
    of them.
    """

    trees: int = 64
    cuts: int = 2
    least_leaf: int = 1
    depth: int = 7
    share: float = 0.8
    most: int = 150


class Forest:
    """Regression trees for points ``(n, d)`` in the unit cube and targets ``(n,)``.

    A tree is stored as a complete one of the full depth. Where a node is not split, everything goes left, so that what
    is a leaf has one place at the bottom. ``members`` ``(trees, n)``: which points a tree was grown on.
    """

    def __init__(
        self, points: Array, targets: Array, options: ForestOptions, random_state: np.random.Generator
    ) -> None:
        self.options = options
        self._random = random_state
        self._features: list[NDArray[np.int64]] = []
        self._thresholds: list[Array] = []
        trees, n = options.trees, len(points)
        grown_on = min(max(1, round(options.share * n)), options.most, n)
        self.members = np.zeros((trees, n), dtype=np.bool_)
        ranks = random_state.random((trees, n)).argsort(axis=1)
        np.put_along_axis(self.members, ranks[:, :grown_on], True, axis=1)
        self._targets = targets
        self._grow(points, targets)
        self.leaves = self.leaves_of(points)
        """``(n, trees)``: where the points are, members or not."""

    @property
    def places(self) -> int:
        """Leaves of all trees are numbered 0 … places - 1."""
        return self.options.trees << self.options.depth

    def leaves_of(self, points: Array) -> NDArray[np.int64]:
        """``(m, trees)`` for points ``(m, d)``."""
        node = np.tile(np.arange(self.options.trees), (len(points), 1))
        rows = np.arange(len(points))[:, None]
        for features, thresholds in zip(self._features, self._thresholds, strict=True):
            node = 2 * node + (points[rows, features[node]] > thresholds[node])
        return node << (self.options.depth - len(self._features))

    def mean(self, points: Array) -> Array:
        """``(m,)``: over trees, of the mean target in the leaf."""
        places = self.leaves[self.members.T]
        rows = np.nonzero(self.members.T)[0]
        sums = np.bincount(places, weights=self._targets[rows], minlength=self.places)
        means = sums / np.maximum(np.bincount(places, minlength=self.places), 1)
        return np.asarray(means[self.leaves_of(points)].mean(axis=1))

    def _grow(self, points: Array, targets: Array) -> None:
        trees, rows = np.nonzero(self.members)
        nodes = trees
        for depth in range(self.options.depth):
            order = np.argsort(nodes, kind="stable")
            nodes, rows = nodes[order], rows[order]
            count = self.options.trees << depth
            features, thresholds = np.zeros(count, dtype=np.int64), np.full(count, np.inf)
            self._features.append(features)
            self._thresholds.append(thresholds)
            starts = np.flatnonzero(np.diff(nodes, prepend=-1))
            sizes = np.diff(starts, append=len(nodes))
            splittable = np.repeat(sizes >= 2 * self.options.least_leaf, sizes)
            nodes, rows = nodes[splittable], rows[splittable]
            if not len(nodes):
                return
            starts = np.flatnonzero(np.diff(nodes, prepend=-1))
            chosen, where = self._split(points[rows], targets[rows], starts)
            features[nodes[starts]], thresholds[nodes[starts]] = chosen, where
            nodes = 2 * nodes + (points[rows, features[nodes]] > thresholds[nodes])

    def _split(self, points: Array, targets: Array, starts: NDArray[np.int64]) -> tuple[NDArray[np.int64], Array]:
        """Of every node the dimension and the threshold that explain most variance, of ``cuts`` drawn in each.

        Points come sorted by node; ``starts``: the first of each. A threshold of infinity: no split is good.
        """
        sizes = np.diff(starts, append=len(points))
        cuts = max(1, min(self.options.cuts, _MOST_CUTS // points.shape[1]))
        features = np.repeat(np.arange(points.shape[1]), cuts)
        values = points[:, features]
        low, high = np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)
        thresholds = low + (high - low) * self._random.random(low.shape)
        left = values <= np.repeat(thresholds, sizes, axis=0)
        left_count = np.add.reduceat(left.astype(np.float64), starts)
        left_sum = np.add.reduceat(np.where(left, targets[:, None], 0.0), starts)
        right_count = sizes[:, None] - left_count
        right_sum = np.add.reduceat(targets, starts)[:, None] - left_sum
        allowed = np.minimum(left_count, right_count) >= self.options.least_leaf
        score = left_sum**2 / np.maximum(left_count, 1) + right_sum**2 / np.maximum(right_count, 1)
        score = np.where(allowed, score, -np.inf)
        best = score.argmax(axis=1)[:, None]
        chosen = features[best[:, 0]]
        where = np.take_along_axis(np.where(allowed, thresholds, np.inf), best, axis=1)[:, 0]
        return chosen, where
