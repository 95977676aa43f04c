"""Improvement that counts only where a constraint is kept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import log_ndtr

from cloudtune.surrogates.acquisition import LEAST_STD, LOG_SQRT_2PI, Score, log_h, log_mean_exp
from cloudtune.surrogates.prediction import Array, DifferentiablePredictor, Prediction, Predictor


@dataclass(frozen=True)
class FeasibleImprovement:
    """A ``Score``: the logarithm of expected improvement times probability of feasibility.

    Gardner et al. 2014, "Bayesian optimization with inequality constraints", equation 4. Averaged over members, the
    i-th of the objective with the i-th of the constraint: in each there is one outcome of all trials at work.
    ``incumbents``: ``(s,)``, the least feasible value of each member; infinite where it knows none, and then the
    probability alone counts. ``threshold``: the constraint is kept where it is at most that, on its model's scale.
    """

    objective: Predictor
    constraint: Predictor
    incumbents: Array
    threshold: float

    def values(self, points: Array) -> Array:
        objective, constraint = self.objective.predict(points), self.constraint.predict(points)
        return log_mean_exp(self._members(objective, constraint).log_values)

    def _members(self, objective: Prediction, constraint: Prediction) -> _Members:
        members = max(len(self.incumbents), objective.mean.shape[1], constraint.mean.shape[1])
        improvement = _improvement(
            _spread(self.incumbents[None, :], members),
            _spread(objective.mean, members),
            _spread(objective.std, members),
        )
        feasibility = _feasibility(self.threshold, _spread(constraint.mean, members), _spread(constraint.std, members))
        return _Members(improvement.log_values + feasibility.log_values, improvement, feasibility)


@dataclass(frozen=True)
class DifferentiableFeasibleImprovement:
    """A ``DifferentiableScore``: the same where both models know their slopes."""

    inner: FeasibleImprovement
    objective: DifferentiablePredictor
    constraint: DifferentiablePredictor

    def values(self, points: Array) -> Array:
        return self.inner.values(points)

    def values_and_gradients(self, points: Array) -> tuple[Array, Array]:
        objective, pull_objective = self.objective.predict_with_pullback(points)
        constraint, pull_constraint = self.constraint.predict_with_pullback(points)
        members = self.inner._members(objective, constraint)
        values = log_mean_exp(members.log_values)
        share = np.exp(members.log_values - values[:, None]) / members.log_values.shape[1]
        gradients = np.zeros_like(points)
        for part, prediction, pull in (
            (members.improvement, objective, pull_objective),
            (members.feasibility, constraint, pull_constraint),
        ):
            by_mean = _folded(share * part.by_mean, prediction.mean.shape[1])
            by_std = _folded(share * part.by_std, prediction.std.shape[1])
            gradients += pull(by_mean, by_std)
        return values, gradients


def feasible_improvement(objective: Predictor, constraint: Predictor, incumbents: Array, threshold: float) -> Score:
    """With gradients if both models have them."""
    score = FeasibleImprovement(objective, constraint, incumbents, threshold)
    if isinstance(objective, DifferentiablePredictor) and isinstance(constraint, DifferentiablePredictor):
        return DifferentiableFeasibleImprovement(score, objective, constraint)
    return score


@dataclass(frozen=True)
class _Part:
    """All ``(n, s)``: logarithms of a factor, and their slopes by its prediction's mean and standard deviation."""

    log_values: Array
    by_mean: Array
    by_std: Array


@dataclass(frozen=True)
class _Members:
    log_values: Array
    improvement: _Part
    feasibility: _Part


def _improvement(incumbents: Array, mean: Array, std: Array) -> _Part:
    std = np.maximum(std, LEAST_STD)
    known = np.isfinite(incumbents)
    z = (np.where(known, incumbents, 0.0) - mean) / std
    log_values = log_h(z)
    # h' = Phi, and h - z Phi = phi
    by_mean = -np.exp(log_ndtr(z) - log_values) / std
    by_std = np.exp(-0.5 * z * z - LOG_SQRT_2PI - log_values) / std
    return _Part(known * (np.log(std) + log_values), known * by_mean, known * by_std)


def _feasibility(threshold: float, mean: Array, std: Array) -> _Part:
    std = np.maximum(std, LEAST_STD)
    z = (threshold - mean) / std
    log_values = log_ndtr(z)
    by_z = np.exp(-0.5 * z * z - LOG_SQRT_2PI - log_values)
    return _Part(log_values, -by_z / std, -by_z * z / std)


def _spread(values: Array, members: int) -> Array:
    """Columns repeated in turn until there are ``members``: a model with fewer says the same for several."""
    k = values.shape[1]
    return values if k == members else values[:, np.arange(members) % k]


def _folded(slopes: Array, k: int) -> Array:
    """Slopes by what was spread, ``(n, k)``."""
    if slopes.shape[1] == k:
        return slopes
    return np.stack([slopes[:, column::k].sum(axis=1) for column in range(k)], axis=1)
