"""What a Gaussian process learns about its kernel: as named numbers, as a vector for optimizers, and as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from cloudtune.surrogates.prediction import Array


@dataclass(frozen=True)
class Hyperparameters:
    """``length_scales``: ``(p,)``. ``noise``: variance of the noise over that of the signal. ``warp_a``, ``warp_b``:
    ``(q,)``, of the warped dimensions. ``boxcox``: lambda; 1 where there is no such transform.

    Constant mean and signal variance have closed forms given these, see ``MarginalLikelihood``.
    """

    length_scales: Array
    noise: float
    warp_a: Array
    warp_b: Array
    boxcox: float = 1.0


@dataclass(frozen=True)
class Layout:
    """How the vector that optimizers see is laid out: log length scales, log noise, log a, log b, lambda.

    Each has a normal prior and bounds. Length scales: Hvarfner et al. 2024, "Vanilla Bayesian optimization performs
    great in high dimensions", section 5: log-normal, growing with the square root of the number of hyperparameters.
    """

    scales: int
    warped: int
    boxcox: bool
    names: int
    """Number of hyperparameters tuned, p of the prior."""

    @property
    def size(self) -> int:
        return self.scales + 1 + 2 * self.warped + self.boxcox

    @cached_property
    def mean(self) -> Array:
        scale = [SCALE_PRIOR[0] + 0.5 * math.log(max(self.names, 1))] * self.scales
        return np.array([*scale, NOISE_PRIOR[0], *[0.0] * (2 * self.warped), *[0.5] * self.boxcox])

    @cached_property
    def std(self) -> Array:
        return np.array(
            [*[SCALE_PRIOR[1]] * self.scales, NOISE_PRIOR[1], *[0.75] * (2 * self.warped), *[1.0] * self.boxcox]
        )

    @cached_property
    def bounds(self) -> tuple[Array, Array]:
        scale, noise, warp, boxcox = SCALE_BOUNDS, NOISE_BOUNDS, (-1.5, 1.5), (-1.0, 2.0)
        pairs = [scale] * self.scales + [noise] + [warp] * (2 * self.warped) + [boxcox] * self.boxcox
        lower, upper = np.array(pairs, dtype=np.float64).T
        return lower, upper

    def unpack(self, vector: Array) -> Hyperparameters:
        p, q = self.scales, self.warped
        return Hyperparameters(
            np.exp(vector[:p]),
            math.exp(vector[p]),
            np.exp(vector[p + 1 : p + 1 + q]),
            np.exp(vector[p + 1 + q : p + 1 + 2 * q]),
            float(vector[-1]) if self.boxcox else 1.0,
        )

    def log_prior(self, vector: Array) -> tuple[float, Array]:
        """Up to a constant, and its slope."""
        deviation = (vector - self.mean) / self.std
        return -0.5 * float(deviation @ deviation), -deviation / self.std

    def to_json(self, vector: Array) -> list[float]:
        return [float(number) for number in vector]

    def from_json(self, numbers: Any) -> Array | None:
        """None for what was not written by such a layout."""
        if not isinstance(numbers, (list, tuple)) or len(numbers) != self.size:
            return None
        if not all(isinstance(number, (int, float)) and math.isfinite(number) for number in numbers):
            return None
        return np.clip(np.array(numbers, dtype=np.float64), *self.bounds)


SCALE_PRIOR = (-1.0, 0.7)
NOISE_PRIOR = (math.log(1e-4), 3.0)
NOISE_BOUNDS = (math.log(1e-10), math.log(2.0))
SCALE_BOUNDS = (math.log(0.02), math.log(200.0))


def named(layout: Layout, vector: Array) -> Mapping[str, Any]:
    """For people: what was learned, by name."""
    learned = layout.unpack(vector)
    return {
        "length_scales": learned.length_scales.tolist(),
        "noise": learned.noise,
        "warp_a": learned.warp_a.tolist(),
        "warp_b": learned.warp_b.tolist(),
        "boxcox": learned.boxcox,
    }
