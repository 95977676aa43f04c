"""What a model of the objective says, and what a model is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Prediction:
    """Normal distributions at n points by each of s members of a model, all equally likely.

    ``mean``, ``std``: ``(n, s)``, or ``(n, 1)`` for what all members agree on; of a quantity to be minimized.
    Members are what a model averages over: samples of its hyperparameters, fantasies of pending trials.
    """

    mean: Array
    std: Array

    @property
    def moments(self) -> tuple[Array, Array]:
        """Mean and standard deviation ``(n,)`` of the mixture of all members."""
        mean = self.mean.mean(axis=1)
        variance = (self.std**2).mean(axis=1) + ((self.mean - mean[:, None]) ** 2).mean(axis=1)
        return mean, np.sqrt(variance)


Pullback = Callable[[Array, Array], Array]
"""From slopes of a number per point with respect to ``Prediction.mean`` and ``std`` (of their shapes) to slopes with
respect to the points, ``(n, d)``."""


class Predictor(Protocol):
    """A fitted model."""

    def predict(self, points: Array) -> Prediction:
        """At points ``(n, d)`` of the unit cube."""
        ...


@runtime_checkable
class DifferentiablePredictor(Predictor, Protocol):
    """One that knows its slopes: proposals are then improved along gradients."""

    def predict_with_pullback(self, points: Array) -> tuple[Prediction, Pullback]: ...


@dataclass(frozen=True)
class Fit:
    """A model fitted to observations, in its own monotone scale of the targets.

    ``incumbents``: ``(s,)`` or ``(1,)``, the least expected value among what is known, per member; in the model's
    scale, like what ``predictor`` predicts. ``forward``: targets to the model's scale (a constraint's threshold, say).
    ``backward``: from it. ``carried``: JSON for the next fit, None if hyperparameters were not fitted this time.
    ``noise``: standard deviation of an observation around the predicted signal.
    """

    predictor: Predictor
    incumbents: Array
    forward: Callable[[Array], Array]
    backward: Callable[[Array], Array]
    carried: Mapping[str, Any] | None = None
    noise: float = 0.0


class Surrogate(Protocol):
    """A model that learns. Same arguments, same fit: random numbers come from ``random_state`` alone."""

    def fit(
        self,
        points: Array,
        targets: Array,
        pending: Array,
        carried: Mapping[str, Any] | None,
        random_state: np.random.Generator,
    ) -> Fit:
        """To ``targets`` ``(n,)``, finite and to be minimized, observed at ``points`` ``(n, d)``, n at least 1.

        ``pending``: ``(m, d)``, where results are still to come. ``carried``: what an earlier fit handed on.
        """
        ...
