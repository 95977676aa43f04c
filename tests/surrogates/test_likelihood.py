"""The marginal likelihood: against a naive computation, and its gradient against finite differences."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cloudtune.surrogates.fitting import most_likely
from cloudtune.surrogates.hyperparameters import Layout
from cloudtune.surrogates.inputs import Dimensions
from cloudtune.surrogates.likelihood import IMPOSSIBLE, JITTER, MEAN_VARIANCE, SIGNAL_PRIOR, MarginalLikelihood
from tests.surrogates.problems import MIXED, PLAIN, data, slopes


def likelihood(dimensions: Dimensions, boxcox: bool, n: int = 20) -> MarginalLikelihood:
    points, targets = data(n)
    layout = Layout(dimensions.scales, len(dimensions.warped), boxcox, 3)
    return MarginalLikelihood(points, targets, dimensions, layout, 0.7 if boxcox else 1.0)


@pytest.mark.parametrize("boxcox", [False, True])
@pytest.mark.parametrize("dimensions", [PLAIN, MIXED])
def test_its_gradient_agrees_with_finite_differences(dimensions: Dimensions, boxcox: bool) -> None:
    function = likelihood(dimensions, boxcox)
    random_state = np.random.default_rng(1)
    for _ in range(3):
        vector = function.layout.mean + 0.4 * random_state.standard_normal(function.layout.size)
        value, gradient = function(vector)
        assert value == pytest.approx(function.value(vector), abs=1e-9)
        np.testing.assert_allclose(gradient, slopes(function.value, vector), rtol=1e-4, atol=1e-4)


def test_it_is_what_the_normal_distribution_says() -> None:
    """With signal variance and mean at their best; up to a constant, so differences count."""
    function = likelihood(PLAIN, boxcox=False, n=8)

    def naive(vector: np.ndarray) -> float:
        learned = function.layout.unpack(vector)
        scales = learned.length_scales[PLAIN.scale_of]
        difference = (function.points[:, None] - function.points[None]) / scales
        s = np.sqrt(5 * (difference**2).sum(axis=2))
        kernel = (1 + s + s**2 / 3) * np.exp(-s) + (learned.noise + JITTER) * np.eye(8)
        inverse = np.linalg.inv(kernel)
        y = function.targets
        mean = inverse.sum(axis=0) @ y / (inverse.sum() + 1 / MEAN_VARIANCE)
        shape, rate = SIGNAL_PRIOR
        squares = (y - mean) @ inverse @ (y - mean) + mean**2 / MEAN_VARIANCE + 2 * rate
        log_density = -0.5 * np.linalg.slogdet(kernel)[1] - 0.5 * (8 + 2 * shape) * math.log(squares)
        return float(-log_density - function.layout.log_prior(vector)[0])

    first, second = function.layout.mean, function.layout.mean + np.array([0.3, -0.5, 0.2, 1.0])
    assert function.value(first) == pytest.approx(naive(first), abs=1e-8)
    assert function.value(second) == pytest.approx(naive(second), abs=1e-8)


def test_a_matrix_that_is_not_positive_definite_is_impossible_not_an_error() -> None:
    points = np.full((30, 5), 0.5)
    function = MarginalLikelihood(points, np.zeros(30), PLAIN, Layout(3, 0, False, 3))
    vector = np.array([0.0, 0.0, 0.0, -60.0])
    value, gradient = function(vector)
    assert value == IMPOSSIBLE or math.isfinite(value)
    assert np.isfinite(gradient).all()


def test_the_most_likely_hyperparameters_are_where_the_gradient_vanishes() -> None:
    function = likelihood(PLAIN, boxcox=False, n=40)
    start = function.layout.mean
    found = most_likely(function, [start], searches=1, iterations=100)
    assert function.value(found) < function.value(start)
    lower, upper = function.layout.bounds
    inside = (found > lower + 1e-6) & (found < upper - 1e-6)
    assert np.abs(function(found)[1][inside]).max() < 0.3


def test_what_does_not_matter_gets_a_long_length_scale() -> None:
    random_state = np.random.default_rng(3)
    points = random_state.random((60, 2))
    targets = np.sin(6 * points[:, 0])
    dimensions = Dimensions.of({"a": slice(0, 1), "b": slice(1, 2)})
    layout = Layout(2, 0, False, 2)
    function = MarginalLikelihood(points, (targets - targets.mean()) / targets.std(), dimensions, layout)
    found = layout.unpack(most_likely(function, [layout.mean], 1, 50))
    assert found.length_scales[1] > 3 * found.length_scales[0]
    assert found.noise < 1e-4


def test_a_vector_survives_json() -> None:
    layout = Layout(3, 2, True, 5)
    vector = layout.mean + 0.1
    kept = layout.from_json(layout.to_json(vector))
    assert kept is not None
    np.testing.assert_array_equal(kept, vector)
    for wrong in (None, [1.0], ["a"] * layout.size, [math.nan] * layout.size):
        assert layout.from_json(wrong) is None
