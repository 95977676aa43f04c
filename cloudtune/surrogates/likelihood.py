"""The marginal likelihood of a Gaussian process, with its gradient."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import blas, lapack

from cloudtune.surrogates.hyperparameters import Hyperparameters, Layout
from cloudtune.surrogates.inputs import Dimensions, warp, warp_slopes
from cloudtune.surrogates.matern import symmetric_matern52
from cloudtune.surrogates.prediction import Array
from cloudtune.surrogates.targets import boxcox, boxcox_slope

JITTER = 1e-12
MEAN_VARIANCE = 1.0
"""Prior variance of the constant mean, in units of the signal variance."""
SIGNAL_PRIOR = (1.0, 1.0)
"""Shape and rate of the inverse gamma prior of the signal variance, of standardized targets."""
IMPOSSIBLE = 1e10


@dataclass(frozen=True)
class _Solved:
    """``weights``: C^-1 (y - m). ``ratio``: one over the signal variance. ``objective``: without the prior."""

    factor: Array
    weights: Array
    ratio: float
    objective: float


@dataclass(frozen=True)
class MarginalLikelihood:
    """Of ``targets`` ``(n,)`` at ``points`` ``(n, d)`` under y = m + s (f + noise), f with a Matérn 5/2 kernel.

    The constant mean m and the signal variance s^2 stand at their own posterior modes, given the rest: they have closed
    forms, and an optimizer need not search for them. ``logs``: with a Box-Cox transform, the logarithms of
    the targets over their geometric mean, and ``targets`` their scale only.
    """

    points: Array
    targets: Array
    dimensions: Dimensions
    layout: Layout
    log_scale: float = 1.0

    def values_at(self, learned: Hyperparameters) -> Array:
        """The targets as the model sees them: transformed, with a Box-Cox transform; then ``targets`` are logarithms
        over ``log_scale``."""
        return boxcox(self.targets, learned.boxcox) / self.log_scale if self.layout.boxcox else self.targets

    def value(self, vector: Array) -> float:
        """Minus the log posterior of the hyperparameters, up to a constant."""
        learned = self.layout.unpack(vector)
        kernel = self._room[0]
        symmetric_matern52(features_of(self.points, learned, self.dimensions), kernel)
        kernel.flat[:: len(kernel) + 1] = 1.0 + learned.noise + JITTER
        solved = self._solved(kernel, learned)
        return IMPOSSIBLE if solved is None else solved.objective - self.layout.log_prior(vector)[0]

    def __call__(self, vector: Array) -> tuple[float, Array]:
        """``value`` and its gradient."""
        learned = self.layout.unpack(vector)
        features = features_of(self.points, learned, self.dimensions)
        kernel, slope = self._room
        symmetric_matern52(features, kernel, slope)
        kernel.flat[:: len(kernel) + 1] = 1.0 + learned.noise + JITTER
        solved = self._solved(kernel, learned)
        if solved is None:
            return IMPOSSIBLE, np.zeros_like(vector)
        weights, ratio = solved.weights, solved.ratio
        log_prior, by_prior = self.layout.log_prior(vector)
        inverse, _ = lapack.dpotri(solved.factor, lower=1, overwrite_c=1)
        gradient = -by_prior
        p = self.layout.scales
        trace = float(np.trace(inverse)) - ratio * float(weights @ weights)
        gradient[p] += 0.5 * learned.noise * trace
        # G = (C^-1 - ratio w w') * slope, one triangle of it; what is on its diagonal cancels out
        inverse = blas.dsyr(-ratio, weights, lower=1, a=inverse, overwrite_a=1)
        inverse *= slope.T
        sums = blas.dsymm(1.0, inverse, np.column_stack([features, np.ones(len(features))]), lower=1)
        pulls = sums[:, -1:] * features - sums[:, :-1]
        by_dimension = np.einsum("ij,ij->j", features, pulls)
        gradient[:p] += np.bincount(self.dimensions.scale_of, by_dimension, minlength=p)
        if self.layout.warped:
            self._add_warping(gradient, learned, pulls)
        if self.layout.boxcox:
            gradient[-1] += ratio * float(weights @ boxcox_slope(self.targets, learned.boxcox)) / self.log_scale
        return solved.objective - log_prior, gradient

    @cached_property
    def _room(self) -> tuple[Array, Array]:
        """Two ``(n, n)`` matrices to work in: to get memory for them takes longer than to fill it."""
        n = len(self.points)
        return np.zeros((n, n)), np.zeros((n, n))

    def _solved(self, kernel: Array, learned: Hyperparameters) -> _Solved | None:
        """None if the matrix is not positive definite in floating point."""
        factor, failed = lapack.dpotrf(kernel.T, lower=1, clean=0, overwrite_a=1)
        if failed:
            return None
        targets = self.values_at(learned)
        n = len(targets)
        solved, _ = lapack.dpotrs(factor, np.stack([np.ones(n), targets], axis=1), lower=1)
        mean = float(solved[:, 1].sum() / (solved[:, 0].sum() + 1.0 / MEAN_VARIANCE))
        weights = solved[:, 1] - mean * solved[:, 0]
        shape, rate = SIGNAL_PRIOR
        squares = float((targets - mean) @ weights) + mean * mean / MEAN_VARIANCE + 2.0 * rate
        count = n + 2.0 * shape
        objective = float(np.log(np.diagonal(factor)).sum()) + 0.5 * count * math.log(squares)
        return _Solved(factor, weights, count / squares, objective)

    def _add_warping(self, gradient: Array, learned: Hyperparameters, pulls: Array) -> None:
        p, q = self.layout.scales, self.layout.warped
        warped = self.dimensions.warped
        _, by_log_a, by_log_b = warp_slopes(self.points[:, warped], learned.warp_a, learned.warp_b)
        pulls = pulls[:, warped] / learned.length_scales[self.dimensions.scale_of[warped]]
        gradient[p + 1 : p + 1 + q] -= np.einsum("ij,ij->j", by_log_a, pulls)
        gradient[p + 1 + q : p + 1 + 2 * q] -= np.einsum("ij,ij->j", by_log_b, pulls)


def features_of(points: Array, learned: Hyperparameters, dimensions: Dimensions) -> Array:
    """Warped points in units of the length scales: ``(n, d)``, around 0 so that distances keep their digits."""
    features = points - 0.5
    if len(dimensions.warped):
        features[:, dimensions.warped] = warp(points[:, dimensions.warped], learned.warp_a, learned.warp_b) - 0.5
    features /= learned.length_scales[dimensions.scale_of]
    return np.asarray(features)


def feature_slopes(points: Array, learned: Hyperparameters, dimensions: Dimensions) -> Array:
    """``(n, d)``: slope of every feature by its own coordinate."""
    slopes = np.empty_like(points)
    slopes[:] = 1.0 / learned.length_scales[dimensions.scale_of]
    if len(dimensions.warped):
        by_x, _, _ = warp_slopes(points[:, dimensions.warped], learned.warp_a, learned.warp_b)
        slopes[:, dimensions.warped] *= by_x
    return slopes
