"""Linear regression that chooses its regularization itself."""

from __future__ import annotations

import numpy as np

from cloudtune.surrogates.prediction import Array

STRENGTHS = 10.0 ** np.arange(-10.0, 3.0)
"""Penalties that are tried, in units of the largest squared singular value."""


def ridge(features: Array, targets: Array) -> Array:
    """Weights ``(p,)`` for ``targets`` ``(n,)`` by ``features`` ``(n, p)``, n at least 1.

    Of all penalties the one with the least error when each target is predicted from the others (leave-one-out has a
    closed form: Hastie et al. 2009, "The elements of statistical learning", equation 7.64). Columns count alike,
    whatever their units; there is no intercept but a column of ones.
    """
    scales = np.sqrt((features**2).mean(axis=0))
    scales[scales == 0.0] = 1.0
    left, singular, right = np.linalg.svd(features / scales, full_matrices=False)
    along = left.T @ targets
    squares = singular**2
    best, least = np.zeros(features.shape[1]), np.inf
    for strength in STRENGTHS * squares.max(initial=0.0):
        shrink = np.divide(squares, squares + strength, out=np.zeros_like(squares), where=squares > 0)
        fitted = left @ (shrink * along)
        leverage = (left**2) @ shrink
        error = float((((targets - fitted) / np.maximum(1.0 - leverage, 1e-9)) ** 2).mean())
        if error < least:
            factors = np.divide(shrink, singular, out=np.zeros_like(singular), where=singular > 0)
            best, least = right.T @ (factors * along) / scales, error
    return best
