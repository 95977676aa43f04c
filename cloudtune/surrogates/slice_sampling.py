"""Slice sampling, along random directions."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from cloudtune.surrogates.prediction import Array

MOST_STEPS = 50


def slice_samples(
    log_density: Callable[[Array], float],
    start: Array,
    widths: Array,
    random_state: np.random.Generator,
    samples: int,
    burn_in: int = 0,
    thinning: int = 1,
) -> Array:
    """``(samples, p)``, after ``burn_in`` sweeps, one in ``thinning`` kept; a sweep goes once along p directions.

    Neal 2003, "Slice sampling", figures 3 (stepping out) and 5 (shrinkage), along random orthogonal directions in units
    of ``widths`` ``(p,)``. ``log_density`` is -inf where there is none; at ``start`` it must be finite.
    """
    kept = []
    point, level = start.copy(), log_density(start)
    for sweep in range(burn_in + samples * thinning):
        directions, _ = np.linalg.qr(random_state.standard_normal((len(start), len(start))))
        for direction in directions:
            point, level = _slice_step(log_density, point, level, direction * widths, random_state)
        if sweep >= burn_in and (sweep - burn_in) % thinning == thinning - 1:
            kept.append(point)
    return np.array(kept).reshape(samples, len(start))


def _slice_step(
    log_density: Callable[[Array], float],
    point: Array,
    level: float,
    direction: Array,
    random_state: np.random.Generator,
) -> tuple[Array, float]:
    height = level + math.log(1.0 - random_state.random())
    low = -random_state.random()
    high = low + 1.0
    for _ in range(MOST_STEPS):
        if log_density(point + low * direction) <= height:
            break
        low -= 1.0
    for _ in range(MOST_STEPS):
        if log_density(point + high * direction) <= height:
            break
        high += 1.0
    while True:
        place = low + (high - low) * random_state.random()
        proposal = point + place * direction
        reached = log_density(proposal)
        if reached > height:
            return proposal, reached
        if place < 0:
            low = place
        else:
            high = place
        if high - low < 1e-12:  # density with a hole around the point: stay
            return point, level
