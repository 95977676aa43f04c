"""The posterior of a Gaussian process: predictions, their gradients, and what a few more observations change."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import blas, lapack

from cloudtune.surrogates.hyperparameters import Hyperparameters
from cloudtune.surrogates.inputs import Dimensions
from cloudtune.surrogates.likelihood import JITTER, MEAN_VARIANCE, SIGNAL_PRIOR, feature_slopes, features_of
from cloudtune.surrogates.matern import matern52, matern52_and_slope, squared_distances, symmetric_matern52
from cloudtune.surrogates.prediction import Array, Prediction, Pullback


@dataclass(frozen=True)
class Factor:
    """Of the kernel matrix C = R + noise I at n points: ``features`` ``(n, d)``, ``lower`` ``(n, n)``, L L' = C.

    Rasmussen and Williams 2006, algorithm 2.1. What is above L's diagonal is not read.
    """

    features: Array
    lower: Array
    diagonal: float
    learned: Hyperparameters
    dimensions: Dimensions

    @classmethod
    def of(cls, points: Array, learned: Hyperparameters, dimensions: Dimensions) -> Factor:
        """Adds more to the diagonal, tenfold each time, until the matrix is positive definite in floating point."""
        features = features_of(points, learned, dimensions)
        kernel = np.zeros((len(features), len(features)))
        symmetric_matern52(features, kernel)
        jitter = JITTER
        while True:
            diagonal = 1.0 + learned.noise + jitter
            kernel.flat[:: len(kernel) + 1] = diagonal
            lower, failed = lapack.dpotrf(kernel.T, lower=1, clean=0)
            if not failed:
                return cls(features, lower, diagonal, learned, dimensions)
            jitter *= 10.0

    def __len__(self) -> int:
        return len(self.features)

    def append(self, points: Array) -> Factor:
        """With m more points: O(m n^2) instead of O(n^3)."""
        features = features_of(points, self.learned, self.dimensions)
        n, m = len(self), len(features)
        cross = matern52(squared_distances(features, self.features))
        left = blas.dtrsm(1.0, self.lower, cross.T, lower=1)
        corner = matern52(squared_distances(features, features))
        corner.flat[:: m + 1] = self.diagonal
        corner -= left.T @ left
        small = _cholesky(corner, self.learned.noise + JITTER)
        lower = np.empty((n + m, n + m), order="F")
        lower[:n, :n] = self.lower
        lower[n:, :n] = left.T
        lower[n:, n:] = small
        return replace(self, features=np.concatenate([self.features, features]), lower=lower)

    def solve(self, right: Array) -> Array:
        """C^-1 times ``(n, k)``."""
        solved, _ = lapack.dpotrs(self.lower, right, lower=1)
        return np.asarray(solved)


def _cholesky(matrix: Array, least: float) -> Array:
    """Of what rounding may have made indefinite: ``least`` is what its true eigenvalues can't be below."""
    extra = 0.0
    while True:
        lower, failed = lapack.dpotrf(matrix + extra * np.eye(len(matrix)), lower=1, clean=1)
        if not failed and np.diagonal(lower).min() ** 2 >= 0.5 * least:
            return np.asarray(lower)
        extra = 10.0 * extra if extra else least


@dataclass(frozen=True)
class GaussianProcess:
    """A ``DifferentiablePredictor``: posterior given values ``(n, s)``, each column one member with a mean of its own.

    ``weights``: ``(n, s)``, C^-1 (y - m). ``mean``: ``(s,)``. ``signal``: standard deviation of the signal.
    """

    factor: Factor
    weights: Array
    mean: Array
    signal: float

    @classmethod
    def given(cls, factor: Factor, values: Array) -> GaussianProcess:
        """``values``: ``(n,)``; mean and signal variance are learned from them (see ``MarginalLikelihood``)."""
        n = len(values)
        solved = factor.solve(np.stack([np.ones(n), values], axis=1))
        mean = float(solved[:, 1].sum() / (solved[:, 0].sum() + 1.0 / MEAN_VARIANCE))
        weights = solved[:, 1] - mean * solved[:, 0]
        shape, rate = SIGNAL_PRIOR
        squares = float((values - mean) @ weights) + mean * mean / MEAN_VARIANCE + 2.0 * rate
        return cls(factor, weights[:, None], np.array([mean]), float(np.sqrt(squares / (n + 2.0 * shape))))

    @property
    def learned(self) -> Hyperparameters:
        return self.factor.learned

    @property
    def noise(self) -> float:
        """Standard deviation."""
        return float(self.signal * np.sqrt(self.factor.diagonal - 1.0))

    def incumbents(self, values: Array) -> Array:
        """``(s,)``: the least posterior mean at the n points, for ``values`` ``(n, s)`` or ``(n, 1)``."""
        noise = self.factor.diagonal - 1.0
        return np.asarray((values - noise * self.weights).min(axis=0))

    def predict(self, points: Array) -> Prediction:
        """Of the signal, without the noise of an observation."""
        features = features_of(points, self.learned, self.factor.dimensions)
        cross = matern52(squared_distances(features, self.factor.features))
        mean = self.mean + cross @ self.weights
        half = blas.dtrsm(1.0, self.factor.lower, cross.T, lower=1, overwrite_b=1)
        variance = 1.0 - np.einsum("ij,ij->j", half, half)
        return Prediction(mean, self.signal * _root(variance)[:, None])

    def predict_with_pullback(self, points: Array) -> tuple[Prediction, Pullback]:
        learned, dimensions = self.learned, self.factor.dimensions
        features = features_of(points, learned, dimensions)
        cross, slope = matern52_and_slope(squared_distances(features, self.factor.features))
        mean = self.mean + cross @ self.weights
        half = blas.dtrsm(1.0, self.factor.lower, cross.T, lower=1, overwrite_b=1)
        std = _root(1.0 - np.einsum("ij,ij->j", half, half))
        prediction = Prediction(mean, self.signal * std[:, None])

        def pullback(by_mean: Array, by_std: Array) -> Array:
            # the slope of every cross-covariance, with s^2 (1 - k' C^-1 k) as the variance
            solved = blas.dtrsm(1.0, self.factor.lower, half, lower=1, trans_a=1)
            by_cross = by_mean @ self.weights.T
            by_cross -= (self.signal * by_std[:, 0] / std)[:, None] * solved.T
            by_cross *= slope
            pulled = by_cross @ self.factor.features
            pulled -= by_cross.sum(axis=1)[:, None] * features
            return np.asarray(pulled * feature_slopes(points, learned, dimensions))

        return prediction, pullback

    def fantasize(self, points: Array, values: Array, samples: int, random_state: np.random.Generator) -> Fantasies:
        """Members that each draw what comes out at ``points`` ``(m, d)``, jointly, noise included."""
        factor = self.factor.append(points)
        n, m = len(self.factor), len(points)
        left, corner = factor.lower[n:, :n], np.tril(factor.lower[n:, n:])
        half = blas.dtrsm(1.0, self.factor.lower, (values - self.mean)[:, None], lower=1)
        center = self.mean[0] + left @ half
        drawn = center + self.signal * (corner @ random_state.standard_normal((m, samples)))
        everything = np.concatenate([np.repeat(values[:, None], samples, axis=1), drawn])
        weights = factor.solve(everything - self.mean[0])
        return Fantasies(GaussianProcess(factor, weights, np.full(samples, self.mean[0]), self.signal), everything)


@dataclass(frozen=True)
class Fantasies:
    """``values``: ``(n + m, s)``, what was observed or drawn."""

    process: GaussianProcess
    values: Array


def _root(variance: Array) -> Array:
    return np.asarray(np.sqrt(np.maximum(variance, 1e-18)))
