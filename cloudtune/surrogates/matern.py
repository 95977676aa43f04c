"""Matérn 5/2, and distances by matrix products."""

from __future__ import annotations

import numpy as np

from cloudtune.surrogates.prediction import Array


def squared_distances(left: Array, right: Array) -> Array:
    """``(n, m)`` between rows of ``(n, d)`` and ``(m, d)``."""
    squares = left @ right.T
    squares *= -2.0
    squares += np.einsum("ij,ij->i", left, left)[:, None]
    squares += np.einsum("ij,ij->i", right, right)
    return np.asarray(np.maximum(squares, 0.0, out=squares))


def matern52(squares: Array) -> Array:
    """(1 + s + s^2/3) exp(-s) with s^2 = 5 r^2, of squared distances r^2 in units of the length scale."""
    s = np.sqrt(5.0 * squares)
    values = s * (1.0 / 3.0)
    values += 1.0
    values *= s
    values += 1.0
    np.negative(s, out=s)
    np.exp(s, out=s)
    values *= s
    return np.asarray(values)


def matern52_and_slope(squares: Array) -> tuple[Array, Array]:
    """Values, and -2 times their slope by r^2: 5/3 (1 + s) exp(-s)."""
    s = np.sqrt(5.0 * squares)
    decay = np.exp(-s)
    slope = s + 1.0
    values = s * s
    values *= 1.0 / 3.0
    values += slope
    values *= decay
    slope *= decay
    slope *= 5.0 / 3.0
    return values, slope
