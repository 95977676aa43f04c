"""The slice sampler draws from a known density."""

from __future__ import annotations

import math

import numpy as np

from cloudtune.surrogates.prediction import Array
from cloudtune.surrogates.slice_sampling import slice_samples


def test_a_correlated_normal_distribution() -> None:
    covariance = np.array([[1.0, 0.8], [0.8, 2.0]])
    precision, mean = np.linalg.inv(covariance), np.array([1.0, -2.0])

    def log_density(x: Array) -> float:
        return float(-0.5 * (x - mean) @ precision @ (x - mean))

    drawn = slice_samples(log_density, mean + 3, np.ones(2), np.random.default_rng(0), 4000, burn_in=20)
    np.testing.assert_allclose(drawn.mean(axis=0), mean, atol=0.12)
    np.testing.assert_allclose(np.cov(drawn.T), covariance, atol=0.25)


def test_bounds_and_skewness() -> None:
    """Exponential: mean 1, median log 2, nothing below 0."""

    def log_density(x: Array) -> float:
        return float(-x[0]) if x[0] >= 0 else -math.inf

    drawn = slice_samples(log_density, np.array([1.0]), np.ones(1), np.random.default_rng(1), 4000)
    assert (drawn >= 0).all()
    assert abs(drawn.mean() - 1) < 0.1
    assert abs(np.median(drawn) - math.log(2)) < 0.07
