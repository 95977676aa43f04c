"""Targets on the scale of a model, and back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from cloudtune.surrogates.prediction import Array


class Scale(Protocol):
    """A monotone map of targets to numbers of the order of 1."""

    def forward(self, targets: Array) -> Array: ...

    def backward(self, values: Array) -> Array: ...


ORDINARY_SHARE = 0.5
"""Of few targets."""


@dataclass(frozen=True)
class Standard:
    """Mean 0, standard deviation 1; targets that are all the same become 0.

    Those far above most others (a diverged training, say) would leave no digits for the differences that count, and
    teach a model that nothing is smooth: what lies beyond the ``knee`` is bent towards ``knee + width``.
    """

    shift: float
    scale: float
    knee: float = math.inf
    width: float = 1.0

    @classmethod
    def of(cls, targets: Array, ordinary_share: float = ORDINARY_SHARE) -> Standard:
        """``ordinary_share``: at least this part of the targets is not far above most; 1: none is bent."""
        knee, width = _knee(targets, ordinary_share)
        bent = _bent(targets, knee, width)
        largest = float(np.abs(bent).max(initial=0.0)) or 1.0
        shift = float((bent / largest).mean()) * largest
        scale = float(((bent - shift) / largest).std()) * largest
        # what differs by rounding alone counts as the same
        return cls(shift, scale if scale > 1e-14 * largest else max(scale, largest), knee, width)

    def forward(self, targets: Array) -> Array:
        return np.asarray((_bent(targets, self.knee, self.width) - self.shift) / self.scale)

    def backward(self, values: Array) -> Array:
        bent = values * self.scale + self.shift
        part = np.clip((bent - self.knee) / self.width, 0.0, 1.0 - 1e-12)
        return np.where(bent > self.knee, self.knee + self.width * part / (1.0 - part), bent)


def _knee(targets: Array, ordinary_share: float) -> tuple[float, float]:
    """Thrice as far above the least target as most are, and how far these are.

    Most are all but ten, and that share of few: of the first targets, drawn at random, more are bad than of later ones.
    """
    least = float(targets.min())
    width = float(np.quantile(targets, max(ordinary_share, 1.0 - 10.0 / len(targets)), method="lower")) - least
    return (least + 3.0 * width, width) if width > 0 else (math.inf, 1.0)


def _bent(targets: Array, knee: float, width: float) -> Array:
    if math.isinf(knee):
        return targets
    beyond = np.maximum(targets - knee, 0.0) / width
    return np.where(targets > knee, knee + width * (beyond / (1.0 + beyond)), targets)


@dataclass(frozen=True)
class BoxCox:
    """(u^lambda - 1) / lambda / scale for u = y / mean, with the geometric ``mean``: then the Jacobian of the transform
    is the same for every lambda, and likelihoods can be compared (Box and Cox 1964, section 3)."""

    mean: float
    scale: float
    exponent: float = 1.0
    shift: float = 0.0
    """Added to all targets first."""

    @classmethod
    def of(cls, targets: Array, shift: float = 0.0) -> BoxCox:
        """Of targets that are positive once shifted."""
        logs = np.log(targets + shift)
        center = float(logs.mean())
        return cls(math.exp(center), float(logs.std()) or 1.0, shift=shift)

    def logs(self, targets: Array) -> Array:
        """log u"""
        return np.asarray(np.log(np.maximum(targets + self.shift, 1e-300) / self.mean))

    def forward(self, targets: Array) -> Array:
        return boxcox(self.logs(targets), self.exponent) / self.scale

    def backward(self, values: Array) -> Array:
        z = values * self.scale
        if abs(self.exponent) < 1e-6:
            return np.asarray(self.mean * np.exp(z) - self.shift)
        base = np.maximum(1.0 + self.exponent * z, 1e-300)
        return np.asarray(self.mean * base ** (1.0 / self.exponent) - self.shift)


def boxcox(logs: Array, exponent: float) -> Array:
    """(y^lambda - 1) / lambda by log y."""
    if abs(exponent) < 1e-6:
        return np.asarray(logs * (1.0 + 0.5 * exponent * logs))
    return np.asarray(np.expm1(exponent * logs) / exponent)


def boxcox_slope(logs: Array, exponent: float) -> Array:
    """By lambda."""
    if abs(exponent) < 1e-4:
        return np.asarray(0.5 * logs * logs * (1.0 + 2.0 / 3.0 * exponent * logs))
    return np.asarray((np.exp(exponent * logs) * logs - boxcox(logs, exponent)) / exponent)
