"""How cheap a point is, in logarithms: a score that is added to that of its improvement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from cloudtune.searchers.cost_models import CostFeatures, LinearCost
from cloudtune.searchers.cost_records import Account
from cloudtune.searchers.lattice import Array
from cloudtune.searchers.modelled import Modelled
from cloudtune.space import UnitCube
from cloudtune.surrogates.acquisition import Score, worth
from cloudtune.surrogates.prediction import Prediction

STEP = 1e-4
"""Of differences in the unit cube."""


@dataclass(frozen=True)
class CostScore:
    """``score``: minus the logarithm of the cost, times an exponent. ``carried``: what the fit handed on."""

    score: Score
    carried: Mapping[str, Any] | None = None


class CostModel(Protocol):
    def scored(self, exponent: float, resource: float | None, carried: Mapping[str, Any] | None) -> CostScore | None:
        """For trials that run to ``resource`` (None: to their end); None as long as no costs are known."""
        ...


@dataclass(frozen=True)
class SmoothCost:
    """A Gaussian process of the logarithm of final costs."""

    model: Modelled

    def scored(self, exponent: float, resource: float | None, carried: Mapping[str, Any] | None) -> CostScore | None:
        if not len(self.model.observations):
            return None
        fit = self.model.fitted(carried)
        # the scale of a logarithm is a line
        below, mean = fit.backward(np.array([-1.0, 0.0])).tolist()
        return CostScore(worth(fit.predictor, Cheapness(exponent * (mean - below))), fit.carried)


@dataclass(frozen=True)
class Cheapness:
    """An ``Acquisition``: minus the mean, times ``factor``."""

    factor: float

    def values(self, prediction: Prediction) -> Array:
        return np.asarray(-self.factor * prediction.mean.mean(axis=1))

    def slopes(self, prediction: Prediction) -> tuple[Array, Array, Array]:
        by_mean = np.full(prediction.mean.shape, -self.factor / prediction.mean.shape[1])
        return self.values(prediction), by_mean, np.zeros(prediction.std.shape)


@dataclass(frozen=True)
class CostToResource:
    """A linear model of what was reported. ``max_t``: how far trials run, if that is known."""

    account: Account
    features: CostFeatures
    cube: UnitCube
    max_t: int | None

    def scored(self, exponent: float, resource: float | None, carried: Mapping[str, Any] | None) -> CostScore | None:
        cost = self.account.fitted(self.features)
        if cost is None:
            return None
        end = resource or self.max_t or self.account.largest_resource
        return CostScore(LinearCheapness(cost, self.cube, float(end or 1.0), exponent))


@dataclass(frozen=True)
class LinearCheapness:
    """A ``DifferentiableScore``: minus the logarithm of a linear model's cost; gradients by differences.

    Features are of configurations, not of points: they are the user's.
    """

    cost: LinearCost
    cube: UnitCube
    resource: float
    exponent: float

    def values(self, points: Array) -> Array:
        return np.asarray(-self.exponent * np.log(self.cost(self.cube.decode(points), self.resource)))

    def values_and_gradients(self, points: Array) -> tuple[Array, Array]:
        n, d = points.shape
        step = np.where(points > 0.5, -STEP, STEP)  # inwards
        moved = np.repeat(points[:, None, :], d, axis=1)
        moved[:, np.arange(d), np.arange(d)] += step
        values = self.values(np.concatenate([points, moved.reshape(n * d, d)]))
        return values[:n], np.asarray((values[n:].reshape(n, d) - values[:n, None]) / step)
