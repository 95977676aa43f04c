"""Climbing from several points at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cloudtune.surrogates.acquisition import DifferentiableScore
from cloudtune.surrogates.prediction import Array

FIRST_STEP, LONGEST_STEP = 0.05, 0.3
SHORTEST_STEP = 1e-9
SUFFICIENT = 1e-4
"""Armijo's condition: the part of the expected gain that a step must bring."""


def ascend(
    score: DifferentiableScore, points: Array, free: NDArray[np.bool_], iterations: int, enough: float = 1e-3
) -> tuple[Array, Array]:
    """Where projected BFGS searches from points ``(k, d)`` end, and the scores ``(k,)`` there, never worse than before.

    All k are evaluated together, each with an inverse Hessian and a step length of its own (Bertsekas 1982, "Projected
    Newton methods", with BFGS in the place of Newton). Moves along ``free`` dimensions within [0, 1] only. A search
    ends when a step gains less than ``enough``.
    """
    x = points.copy()
    values, gradients = score.values_and_gradients(x)
    gradients = gradients[:, free]
    inverse = np.zeros((len(x), gradients.shape[1], gradients.shape[1]))
    fresh = np.ones(len(x), dtype=np.bool_)
    shrink = np.ones(len(x))
    going = np.flatnonzero(np.isfinite(values))
    for _ in range(iterations):
        if not len(going):
            break
        at, slope = x[going][:, free], gradients[going]
        movable = ~(((at <= 0.0) & (slope < 0.0)) | ((at >= 1.0) & (slope > 0.0)))
        slope = slope * movable
        step = (inverse[going] @ slope[:, :, None])[:, :, 0] * movable
        uphill = (step * slope).sum(axis=1) > 0.0
        step = np.where(uphill[:, None], step, slope)
        longest = np.maximum(np.abs(step).max(axis=1), 1e-300)
        factor = np.where(uphill, np.minimum(1.0, LONGEST_STEP / longest), FIRST_STEP / longest) * shrink[going]
        there = np.clip(at + factor[:, None] * step, 0.0, 1.0)
        moved = there - at
        expected = (moved * slope).sum(axis=1)
        tried = x[going]
        tried[:, free] = there
        new_values, new_gradients = score.values_and_gradients(tried)
        new_gradients = new_gradients[:, free]
        gain = new_values - values[going]
        better = gain > SUFFICIENT * expected  # False for nan
        rows = going[better]
        _update(inverse, fresh, rows, moved[better], (gradients[going] - new_gradients)[better])
        x[rows], values[rows], gradients[rows] = tried[better], new_values[better], new_gradients[better]
        shrink[rows] = 1.0
        shrink[going[~better]] *= 0.25
        still = (np.abs(moved).max(axis=1) > SHORTEST_STEP) & np.where(better, gain > enough, expected > enough)
        going = going[still]
    return x, values


def _update(inverse: Array, fresh: NDArray[np.bool_], rows: NDArray[np.intp], moved: Array, change: Array) -> None:
    """BFGS (Nocedal and Wright 2006, equations 6.17 and 6.20) of the rows whose curvature allows it."""
    curvature = (moved * change).sum(axis=1)
    squares = (change * change).sum(axis=1)
    fine = curvature > 1e-10 * np.sqrt((moved * moved).sum(axis=1) * squares)
    rows, s, y, curvature, squares = rows[fine], moved[fine], change[fine], curvature[fine], squares[fine]
    if not len(rows):
        return
    first = rows[fresh[rows]]
    if len(first):
        inverse[first] = (curvature / squares)[fresh[rows]][:, None, None] * np.eye(s.shape[1])
        fresh[first] = False
    matrix = inverse[rows]
    along = (matrix @ y[:, :, None])[:, :, 0]
    rho = 1.0 / curvature
    scaled = rho[:, None] * s
    cross = along[:, :, None] * scaled[:, None, :]
    bend = (1.0 + rho * (y * along).sum(axis=1))[:, None] * s
    inverse[rows] = matrix - cross - cross.transpose(0, 2, 1) + bend[:, :, None] * scaled[:, None, :]
