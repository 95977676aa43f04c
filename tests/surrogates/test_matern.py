"""The kernel, however many numbers are worked on at once."""

from __future__ import annotations

import numpy as np
import pytest

from cloudtune.surrogates.matern import (
    CHUNK,
    matern52,
    matern52_and_slope,
    squared_distances,
    symmetric_matern52,
)
from cloudtune.surrogates.prediction import Array


def plain(left: Array, right: Array) -> Array:
    s = np.sqrt(5.0) * np.linalg.norm(left[:, None] - right[None], axis=2)
    return np.asarray((1 + s + s**2 / 3) * np.exp(-s))


@pytest.mark.parametrize(("n", "m"), [(1, 1), (3, 40), (150, 97)])
def test_values_are_those_of_the_formula(n: int, m: int) -> None:
    random_state = np.random.default_rng(n)
    left, right = 3 * random_state.standard_normal((n, 4)), 3 * random_state.standard_normal((m, 4))
    squares = squared_distances(left, right)
    np.testing.assert_allclose(squares, ((left[:, None] - right[None]) ** 2).sum(axis=2), atol=1e-12)
    np.testing.assert_allclose(matern52(squares), plain(left, right), atol=1e-12)
    values, slopes = matern52_and_slope(squares)
    np.testing.assert_allclose(values, plain(left, right), atol=1e-12)
    step = 1e-6
    differences = (matern52(squares + step) - matern52(squares)) / step
    np.testing.assert_allclose(slopes, -2 * differences, atol=1e-5)


@pytest.mark.parametrize("n", [1, 30, 129, 200])
def test_one_triangle_is_that_of_the_whole_matrix(n: int) -> None:
    features = np.random.default_rng(n).standard_normal((n, 3))
    assert n < 100 or n * n > CHUNK, "more than is worked on at once"
    whole, whole_slopes = matern52_and_slope(squared_distances(features, features))
    alone, values, slopes = np.zeros((n, n)), np.zeros((n, n)), np.zeros((n, n))
    symmetric_matern52(features, alone)
    symmetric_matern52(features, values, slopes)
    above = np.triu_indices(n)
    np.testing.assert_allclose(alone[above], whole[above], atol=1e-12)
    np.testing.assert_allclose(values[above], whole[above], atol=1e-12)
    np.testing.assert_allclose(slopes[above], whole_slopes[above], atol=1e-12)
