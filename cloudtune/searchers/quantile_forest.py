"""Conditional quantiles from a forest, conformalized."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from cloudtune.searchers.forest import Array, Forest, ForestOptions


class QuantileForest:
    """Quantiles of a target given a point (Meinshausen 2006), with intervals conformalized (Romano et al. 2019).

    ``levels``: increasing and symmetric about 1/2. The interval between a level and its mirror image is widened or
    narrowed by the conformity score (equation 6 of Romano et al.) that makes it hold the target with the
    probability it promises. Instead of results held back, the scores are those of all results, each by the trees that
    were not grown on it (as jackknife+-after-bootstrap does, Kim et al. 2020): tens of results are too few
    to split.
    """

    def __init__(
        self,
        points: Array,
        targets: Array,
        levels: Array,
        options: ForestOptions,
        random_state: np.random.Generator,
    ) -> None:
        order = np.argsort(targets, kind="stable")
        self._targets = targets[order]
        self._levels = levels
        self._forest = Forest(points[order], self._targets, options, random_state)
        self._weights = self._leaf_weights()
        self.offsets = self._conformity_offsets()
        """``(len(levels),)``, added to raw quantiles."""

    def quantiles(self, points: Array) -> Array:
        """``(m, len(levels))`` for points ``(m, d)``, increasing along the levels."""
        raw = self._raw(self._forest.leaves_of(points), None)
        return np.maximum.accumulate(raw + self.offsets, axis=1)

    def _raw(self, leaves: NDArray[np.int64], counts: NDArray[np.bool_] | None) -> Array:
        """Quantiles of points in these leaves ``(m, trees)``, of which only some count."""
        share = np.ones(leaves.shape) if counts is None else counts.astype(np.float64)
        share /= share.sum(axis=1, keepdims=True)
        rows = np.repeat(np.arange(len(leaves)), leaves.shape[1])
        query = csr_array((share.ravel(), (rows, leaves.ravel())), shape=(len(leaves), self._forest.places))
        cumulated = np.cumsum((query @ self._weights).toarray(), axis=1)
        reached = np.stack([(cumulated < level - 1e-9).sum(axis=1) for level in self._levels], axis=1)
        return np.asarray(self._targets[np.minimum(reached, len(self._targets) - 1)])

    def _leaf_weights(self) -> csr_array:
        """``(places, n)``: the weight of each point in its leaf, where the tree was grown on it."""
        members = self._forest.members.T
        places = self._forest.leaves[members]
        sizes = np.bincount(places, minlength=self._forest.places)
        rows = np.nonzero(members)[0]
        shape = (self._forest.places, len(self._targets))
        return csr_array((1.0 / sizes[places], (places, rows)), shape=shape)

    def _conformity_offsets(self) -> Array:
        others = ~self._forest.members.T
        held_out = others.any(axis=1)
        offsets = np.zeros(len(self._levels))
        if not held_out.any():
            return offsets
        raw = self._raw(self._forest.leaves[held_out], others[held_out])
        targets = self._targets[held_out]
        for index in range(len(self._levels) // 2):
            low, high = raw[:, index], raw[:, -1 - index]
            scores = np.sort(np.maximum(low - targets, targets - high))
            inside = self._levels[-1 - index] - self._levels[index]
            rank = min(math.ceil((len(scores) + 1) * inside), len(scores))
            offsets[index], offsets[-1 - index] = -scores[rank - 1], scores[rank - 1]
        return offsets
