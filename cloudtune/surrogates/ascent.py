"""Climbing from several points at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cloudtune.surrogates.acquisition import DifferentiableScore
from cloudtune.surrogates.prediction import Array

FIRST_STEP, LONGEST_STEP = 0.05, 0.3


def ascend(
    score: DifferentiableScore, points: Array, free: NDArray[np.bool_], iterations: int, enough: float = 1e-4
) -> tuple[Array, Array]:
    """Where projected BFGS searches from points ``(k, d)`` end, and the scores ``(k,)`` there, never worse than before.

    All k are evaluated together, each with an inverse Hessian and a step length of its own (Bertsekas 1982, "Projected
    Newton methods", with BFGS in the place of Newton). Moves along ``free`` dimensions within [0, 1] only. A search
    ends when a step gains less than ``enough``.
    """
    x = points.copy()
    values, gradients = score.values_and_gradients(x)
    k, d = x.shape
    inverse = np.tile(np.eye(d), (k, 1, 1))
    fresh = np.ones(k, dtype=np.bool_)
    shrink = np.ones(k)
    going = np.flatnonzero(np.isfinite(values))
    for _ in range(iterations):
        if not len(going):
            break
        at, slope = x[going], gradients[going]
        movable = free & ~((at <= 0.0) & (slope < 0.0)) & ~((at >= 1.0) & (slope > 0.0))
        slope = np.where(movable, slope, 0.0)
        step = np.where(movable, np.einsum("kij,kj->ki", inverse[going], slope), 0.0)
        uphill = np.einsum("ki,ki->k", step, slope)
        step = np.where((uphill > 0.0)[:, None], step, slope)
        longest = np.abs(step).max(axis=1)
        limit = np.where(fresh[going], FIRST_STEP, LONGEST_STEP)
        factor = np.minimum(1.0, limit / np.maximum(longest, 1e-300))
        factor = np.where(fresh[going], limit / np.maximum(longest, 1e-300), factor)
        there = np.clip(at + (shrink[going] * factor)[:, None] * step, 0.0, 1.0)
        moved = there - at
        expected = np.einsum("ki,ki->k", moved, slope)
        new_values, new_gradients = score.values_and_gradients(there)
        better = np.isfinite(new_values) & (new_values > values[going] + 1e-4 * expected)
        gain = new_values - values[going]
        still = (longest > 1e-9) & (expected > 1e-12)
        rows = going[better]
        _update(inverse, fresh, rows, moved[better], (gradients[going] - new_gradients)[better] * free)
        x[rows], values[rows], gradients[rows] = there[better], new_values[better], new_gradients[better]
        shrink[rows] = 1.0
        shrink[going[~better]] *= 0.25
        still &= np.where(better, gain > enough, shrink[going] > 1e-4)
        going = going[still]
    return x, values


def _update(inverse: Array, fresh: NDArray[np.bool_], rows: NDArray[np.intp], moved: Array, change: Array) -> None:
    """BFGS (Nocedal and Wright 2006, equations 6.17 and 6.20) of the rows whose curvature allows it."""
    curvature = np.einsum("ki,ki->k", moved, change)
    fine = curvature > 1e-10 * np.linalg.norm(moved, axis=1) * np.linalg.norm(change, axis=1)
    rows, s, y, curvature = rows[fine], moved[fine], change[fine], curvature[fine]
    if not len(rows):
        return
    first = fresh[rows]
    size = curvature / np.einsum("ki,ki->k", y, y)
    matrix = np.where(first[:, None, None], size[:, None, None] * np.eye(s.shape[1]), inverse[rows])
    fresh[rows] = False
    rho = 1.0 / curvature
    along = np.einsum("kij,kj->ki", matrix, y)
    factor = (1.0 + rho * np.einsum("ki,ki->k", y, along)) * rho
    cross = np.einsum("ki,kj->kij", along, s)
    inverse[rows] = (
        matrix
        - rho[:, None, None] * (cross + cross.transpose(0, 2, 1))
        + factor[:, None, None] * np.einsum("ki,kj->kij", s, s)
    )
