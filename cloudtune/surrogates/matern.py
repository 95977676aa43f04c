"""Matérn 5/2, and distances by matrix products."""

from __future__ import annotations

import numpy as np

from cloudtune.surrogates.prediction import Array

CHUNK = 8192
"""Numbers worked on at once: they stay in the processor's cache from one step to the next."""


def squared_distances(left: Array, right: Array) -> Array:
    """``(n, m)`` between rows of ``(n, d)`` and ``(m, d)``."""
    squares = _with_squares(left, first=False) @ _with_squares(right, first=True).T
    return np.asarray(np.maximum(squares, 0.0, out=squares))


def _with_squares(points: Array, first: bool) -> Array:
    """``(n, d + 2)``, so that one product gives |x|^2 - 2 x y + |y|^2: ``first`` has -2 y, 1, |y|^2; the other one x,
    |x|^2, 1."""
    n, d = points.shape
    extended = np.empty((n, d + 2))
    np.multiply(points, -2.0 if first else 1.0, out=extended[:, :d])
    extended[:, d + 1 if first else d] = np.einsum("ij,ij->i", points, points)
    extended[:, d if first else d + 1] = 1.0
    return extended


def matern52(squares: Array) -> Array:
    """(1 + s + s^2/3) exp(-s) with s^2 = 5 r^2, of squared distances r^2 in units of the length scale."""
    values = np.empty(squares.shape)
    inputs, outputs = np.ravel(squares), values.ravel()
    for start in range(0, len(inputs), CHUNK):
        out = outputs[start : start + CHUNK]
        s = 5.0 * inputs[start : start + CHUNK]
        np.sqrt(s, out=s)
        np.multiply(s, 1.0 / 3.0, out=out)
        out += 1.0
        out *= s
        out += 1.0
        np.negative(s, out=s)
        np.exp(s, out=s)
        out *= s
    return values


def matern52_and_slope(squares: Array) -> tuple[Array, Array]:
    """Values, and -2 times their slope by r^2: 5/3 (1 + s) exp(-s)."""
    values, slopes = np.empty(squares.shape), np.empty(squares.shape)
    inputs, outputs, slope_outputs = np.ravel(squares), values.ravel(), slopes.ravel()
    for start in range(0, len(inputs), CHUNK):
        out, slope = outputs[start : start + CHUNK], slope_outputs[start : start + CHUNK]
        s = 5.0 * inputs[start : start + CHUNK]
        np.multiply(s, 1.0 / 3.0, out=out)
        np.sqrt(s, out=s)
        np.add(s, 1.0, out=slope)
        out += slope
        np.negative(s, out=s)
        np.exp(s, out=s)
        out *= s
        slope *= s
        slope *= 5.0 / 3.0
    return values, slopes


def symmetric_matern52(features: Array, values: Array, slopes: Array | None = None) -> None:
    """Fills ``values`` ``(n, n)``, and ``slopes`` as above, between all rows of ``(n, d)``: above the diagonal and on
    it. What lies below is not to be read."""
    np.matmul(_with_squares(features, first=False), _with_squares(features, first=True).T, out=values)
    n = len(features)
    rows = max(CHUNK // max(n, 1), 16)
    for start in range(0, n, rows):
        out = values[start : start + rows, start:]
        np.maximum(out, 0.0, out=out)
        s = 5.0 * out
        np.multiply(s, 1.0 / 3.0, out=out)
        np.sqrt(s, out=s)
        slope = s + 1.0 if slopes is None else np.add(s, 1.0, out=slopes[start : start + rows, start:])
        out += slope
        np.negative(s, out=s)
        np.exp(s, out=s)
        out *= s
        if slopes is not None:
            slope *= s
            slope *= 5.0 / 3.0
