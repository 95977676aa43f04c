"""Searches from several points at once find maxima, inside and at the border."""

from __future__ import annotations

import numpy as np

from cloudtune.surrogates.ascent import ascend
from cloudtune.surrogates.prediction import Array


class Bowl:
    """Highest at ``top``, wherever that is; far from round."""

    def __init__(self, top: Array, curvature: Array) -> None:
        self.top, self.curvature = top, curvature

    def values(self, points: Array) -> Array:
        return np.asarray(-(((points - self.top) @ self.curvature) * (points - self.top)).sum(axis=1))

    def values_and_gradients(self, points: Array) -> tuple[Array, Array]:
        return self.values(points), -2 * (points - self.top) @ self.curvature


CURVATURE = np.array([[100.0, 20.0, 0.0], [20.0, 10.0, 0.0], [0.0, 0.0, 1.0]])
STARTS = np.random.default_rng(0).random((4, 3))
ALL = np.ones(3, dtype=np.bool_)


def test_every_search_ends_at_the_top() -> None:
    top = np.array([0.3, 0.6, 0.8])
    found, values = ascend(Bowl(top, CURVATURE), STARTS, ALL, iterations=60, enough=1e-12)
    np.testing.assert_allclose(found, np.tile(top, (4, 1)), atol=1e-4)
    np.testing.assert_allclose(values, 0.0, atol=1e-6)


def test_a_top_outside_is_sought_at_the_border() -> None:
    found, _ = ascend(Bowl(np.array([1.2, 0.5, -0.5]), np.diag([5.0, 1.0, 1.0])), STARTS, ALL, 60, 1e-12)
    np.testing.assert_allclose(found, np.tile([1.0, 0.5, 0.0], (4, 1)), atol=1e-4)


def test_what_is_not_free_stays() -> None:
    free = np.array([True, False, True])
    found, _ = ascend(Bowl(np.array([0.3, 0.6, 0.8]), CURVATURE), STARTS, free, 30)
    np.testing.assert_array_equal(found[:, 1], STARTS[:, 1])


def test_it_never_gets_worse() -> None:
    class Rough(Bowl):
        def values(self, points: Array) -> Array:
            return np.asarray(super().values(points) + np.sin(200 * points).sum(axis=1))

    rough = Rough(np.full(3, 0.5), CURVATURE)
    _, values = ascend(rough, STARTS, ALL, iterations=10)
    assert (values >= rough.values(STARTS)).all()
