"""How much it is worth to evaluate a point, by what a model predicts there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from scipy.special import erfcx, log_ndtr, ndtr

from cloudtune.surrogates.prediction import Array, DifferentiablePredictor, Prediction, Predictor

LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)
LEAST_STD = 1e-12


class Acquisition(Protocol):
    """Worth of points by predictions there, the more the better."""

    def values(self, prediction: Prediction) -> Array:
        """``(n,)``"""
        ...

    def slopes(self, prediction: Prediction) -> tuple[Array, Array, Array]:
        """Values ``(n,)`` and their slopes by ``prediction.mean`` and ``prediction.std``, of the shapes of these."""
        ...


class Score(Protocol):
    """Worth of points of the unit cube, the more the better: what proposals are chosen by."""

    def values(self, points: Array) -> Array:
        """``(n,)`` at points ``(n, d)``"""
        ...


@runtime_checkable
class DifferentiableScore(Score, Protocol):
    def values_and_gradients(self, points: Array) -> tuple[Array, Array]:
        """``(n,)`` and ``(n, d)``"""
        ...


@dataclass(frozen=True)
class LogExpectedImprovement:
    """Logarithm of the expected improvement on the incumbents, averaged over members.

    Finite where EI underflows, and with useful slopes there: Ament et al. 2023, "Unexpected improvements to expected
    improvement for Bayesian optimization", equations 5 to 9. ``incumbents``: ``(s,)`` or ``(1,)``.
    """

    incumbents: Array

    def values(self, prediction: Prediction) -> Array:
        std = np.maximum(prediction.std, LEAST_STD)
        members = np.log(std) + log_h((self.incumbents - prediction.mean) / std)
        return log_mean_exp(members)

    def slopes(self, prediction: Prediction) -> tuple[Array, Array, Array]:
        std = np.maximum(prediction.std, LEAST_STD)
        z = (self.incumbents - prediction.mean) / std
        log_values = log_h(z)
        members = np.log(std) + log_values
        values = log_mean_exp(members)
        share = np.exp(members - values[:, None]) / members.shape[1]
        # h' = Phi, and h - z Phi = phi
        by_mean = -share * np.exp(log_ndtr(z) - log_values) / std
        by_std = share * np.exp(-0.5 * z * z - LOG_SQRT_2PI - log_values) / std
        return values, _like(by_mean, prediction.mean), _like(by_std, prediction.std)


@dataclass(frozen=True)
class LowerConfidenceBound:
    """-(mean - kappa std), averaged over members; ``kappa`` > 0."""

    kappa: float = 1.0

    def values(self, prediction: Prediction) -> Array:
        return np.asarray((self.kappa * prediction.std - prediction.mean).mean(axis=1))

    def slopes(self, prediction: Prediction) -> tuple[Array, Array, Array]:
        by_mean = np.full(prediction.mean.shape, -1.0 / prediction.mean.shape[1])
        by_std = np.full(prediction.std.shape, self.kappa / prediction.std.shape[1])
        return self.values(prediction), by_mean, by_std


@dataclass(frozen=True)
class Worth:
    """A ``Score``: an acquisition function of what a predictor says."""

    predictor: Predictor
    acquisition: Acquisition

    def values(self, points: Array) -> Array:
        return self.acquisition.values(self.predictor.predict(points))


@dataclass(frozen=True)
class DifferentiableWorth:
    """A ``DifferentiableScore``: an acquisition function of what a predictor says."""

    predictor: DifferentiablePredictor
    acquisition: Acquisition

    def values(self, points: Array) -> Array:
        return self.acquisition.values(self.predictor.predict(points))

    def values_and_gradients(self, points: Array) -> tuple[Array, Array]:
        prediction, pullback = self.predictor.predict_with_pullback(points)
        values, by_mean, by_std = self.acquisition.slopes(prediction)
        return values, pullback(by_mean, by_std)


@dataclass(frozen=True)
class IndependentDraws:
    """A ``Score``: minus a value drawn at each point from what a predictor says there (Thompson 1933), independently of
    the other points. Drawn anew each time."""

    predictor: Predictor
    random_state: np.random.Generator

    def values(self, points: Array) -> Array:
        mean, std = self.predictor.predict(points).moments
        return np.asarray(-mean - std * self.random_state.standard_normal(len(points)))


def worth(predictor: Predictor, acquisition: Acquisition) -> Score:
    """With gradients if the predictor has them."""
    if isinstance(predictor, DifferentiablePredictor):
        return DifferentiableWorth(predictor, acquisition)
    return Worth(predictor, acquisition)


@dataclass(frozen=True)
class Sum:
    """Scores in logarithms add up: expected improvement times probability of feasibility, or per cost."""

    terms: Sequence[Score]

    def values(self, points: Array) -> Array:
        return np.asarray(sum(term.values(points) for term in self.terms))


@dataclass(frozen=True)
class DifferentiableSum:
    terms: Sequence[DifferentiableScore]

    def values(self, points: Array) -> Array:
        return np.asarray(sum(term.values(points) for term in self.terms))

    def values_and_gradients(self, points: Array) -> tuple[Array, Array]:
        values, gradients = zip(*(term.values_and_gradients(points) for term in self.terms), strict=True)
        return np.asarray(sum(values)), np.asarray(sum(gradients))


def total(terms: Sequence[Score]) -> Score:
    """The sum of scores, with gradients if all of them have them."""
    differentiable = [term for term in terms if isinstance(term, DifferentiableScore)]
    return DifferentiableSum(differentiable) if len(differentiable) == len(terms) else Sum(terms)


def expected_improvement(incumbent: Array, mean: Array, std: Array) -> Array:
    """E[max(incumbent - y, 0)] for y normal (Jones et al. 1998, equation 15)."""
    std = np.maximum(std, LEAST_STD)
    z = (incumbent - mean) / std
    return np.asarray((incumbent - mean) * ndtr(z) + std * np.exp(-0.5 * z * z - LOG_SQRT_2PI))


def log_h(z: Array) -> Array:
    """log(phi(z) + z Phi(z)), without cancellation for negative z."""
    near = np.maximum(z, -1.0)
    direct = np.log(np.exp(-0.5 * near * near - LOG_SQRT_2PI) + near * ndtr(near))
    if z.size and z.min() >= -1.0:
        return np.asarray(direct)
    # phi (1 - |z| Phi(-|z|) / phi), with Mills' ratio by the scaled complementary error function
    far = np.minimum(z, -1.0)
    ratio = math.sqrt(math.pi / 2) * erfcx(-far / math.sqrt(2)) * -far
    # 1 - ratio ~ 1 / z^2 where the two can't be told apart any more
    rest = np.where(far > -1e5, np.log1p(-np.minimum(ratio, 1 - 1e-16)), -2 * np.log(-far))
    return np.where(z >= -1.0, direct, -0.5 * far * far - LOG_SQRT_2PI + rest)


def log_mean_exp(members: Array) -> Array:
    """``(n,)`` of ``(n, s)``."""
    if members.shape[1] == 1:
        return members[:, 0]
    most = members.max(axis=1, keepdims=True)
    return np.asarray(most[:, 0] + np.log(np.exp(members - most).mean(axis=1)))


def _like(slopes: Array, values: Array) -> Array:
    """Slopes per member, summed where ``values`` says the same for all members."""
    return slopes if slopes.shape == values.shape else slopes.sum(axis=1, keepdims=True)
