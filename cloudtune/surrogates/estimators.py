"""Models of your own: whatever is fitted to data and predicts with an uncertainty."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np

from cloudtune.errors import OptionError
from cloudtune.surrogates.prediction import Array, Fit, Prediction
from cloudtune.surrogates.targets import Standard


class SKLearnPredictor(Protocol):
    """A fitted model."""

    def predict(self, X: Array) -> tuple[Array, Array]:  # noqa: N803 - as scikit-learn has it
        """Mean and standard deviation, ``(m,)`` each, at points ``(m, d)`` of the unit cube."""
        ...


class SKLearnEstimator(Protocol):
    """A model that learns. Same arguments, same fit: any random numbers must have a seed of their own."""

    def fit(self, X: Array, y: Array, update_params: bool) -> SKLearnPredictor:  # noqa: N803
        """To targets ``(n,)``, to be minimized, at points ``(n, d)`` of the unit cube, n at least 1.

        Without ``update_params``, hyperparameters may stay those of the call right before, which had the same points
        and some fewer.
        """
        ...


class Regressor(Protocol):
    """What scikit-learn's regressors have in common."""

    def fit(self, X: Array, y: Array) -> object: ...  # noqa: N803


@dataclass(frozen=True)
class EstimatorSurrogate:
    """A ``Surrogate``: an estimator on targets of mean 0 and standard deviation 1 (as they are, unless ``normalize``).

    Trials at work count as if they had come out as expected ("Kriging believer", Ginsbourger et al. 2010, section 4.2),
    so that their surroundings are not proposed again; with ``ignore_pending`` not at all.
    """

    estimator: SKLearnEstimator
    normalize: bool = True
    ignore_pending: bool = False

    def fit(
        self,
        points: Array,
        targets: Array,
        pending: Array,
        carried: Mapping[str, Any] | None,
        random_state: np.random.Generator,
    ) -> Fit:
        scale = Standard.of(targets) if self.normalize else Standard(0.0, 1.0)
        values = scale.forward(targets)
        predictor = _Checked(self.estimator.fit(points, values, True))
        if len(pending) and not self.ignore_pending:
            believed = predictor.predict(pending).mean[:, 0]
            points, values = np.concatenate([points, pending]), np.concatenate([values, believed])
            predictor = _Checked(self.estimator.fit(points, values, False))
        least = predictor.predict(points).mean.min(axis=0)
        return Fit(predictor, least, scale.forward, scale.backward)


@dataclass(frozen=True)
class _Checked:
    """A ``Predictor``."""

    inner: SKLearnPredictor

    def predict(self, points: Array) -> Prediction:
        answer = self.inner.predict(points)
        if not isinstance(answer, tuple) or len(answer) != 2:
            raise OptionError(
                f"predict of {type(self.inner).__name__} returned {type(answer).__name__}",
                "it must return two arrays: means and standard deviations",
            )
        columns = [np.asarray(each, dtype=np.float64).reshape(-1, 1) for each in answer]
        if any(len(column) != len(points) for column in columns):
            raise OptionError(
                f"predict of {type(self.inner).__name__} returned {len(columns[0])} means and {len(columns[1])} "
                f"standard deviations for {len(points)} points",
                "it must return one of each per point",
            )
        return Prediction(*columns)


class RegressorEstimator:
    """A ``SKLearnEstimator`` of a scikit-learn regressor, which is copied for every fit.

    The standard deviation is that of ``predict(X, return_std=True)`` where it has that (``GaussianProcessRegressor``,
    ``BayesianRidge``), or the spread of its ``estimators_`` (a forest's trees, the members of ``BaggingRegressor``).
    One that draws random numbers without a ``random_state`` gets 0. Raises OptionError for any other.
    """

    def __init__(self, regressor: Regressor) -> None:
        if isinstance(regressor, type) or not all(callable(getattr(regressor, name, None)) for name in _METHODS):
            raise OptionError(
                f"estimator is {regressor!r}", "give an object with fit and predict, BayesianRidge() for example"
            )
        mine = cast(Any, copy.deepcopy(regressor))
        parameters = mine.get_params() if hasattr(mine, "get_params") else {}
        if parameters.get("random_state", 0) is None:
            mine.set_params(random_state=0)
        self._regressor = mine
        self._returns_std = "return_std" in inspect.signature(mine.predict).parameters
        # members of a boosted ensemble each learn what those before them left over: their spread says nothing
        averages = "n_estimators" in parameters and "learning_rate" not in parameters
        if not self._returns_std and not averages:
            raise OptionError(
                f"estimator {regressor!r} doesn't say how uncertain it is",
                "give one whose predict has return_std, a forest, or BaggingRegressor(estimator) of it",
            )
        self._latest: Any = None

    def fit(self, X: Array, y: Array, update_params: bool) -> SKLearnPredictor:  # noqa: N803
        regressor = copy.deepcopy(self._regressor)
        if not update_params and hasattr(self._latest, "kernel_"):
            regressor.set_params(kernel=self._latest.kernel_, optimizer=None)
        regressor.fit(X, y)
        self._latest = regressor
        return _StandardDeviation(regressor) if self._returns_std else _Spread(regressor)


_METHODS = ("fit", "predict")


@dataclass(frozen=True)
class _StandardDeviation:
    regressor: Any

    def predict(self, X: Array) -> tuple[Array, Array]:  # noqa: N803
        mean, std = self.regressor.predict(X, return_std=True)
        return mean, std


@dataclass(frozen=True)
class _Spread:
    regressor: Any

    def predict(self, X: Array) -> tuple[Array, Array]:  # noqa: N803
        members = list(self.regressor.estimators_)
        chosen = getattr(self.regressor, "estimators_features_", [slice(None)] * len(members))
        answers = np.stack([one.predict(X[:, some]) for one, some in zip(members, chosen, strict=True)])
        return answers.mean(axis=0), answers.std(axis=0)


def estimator_of(given: SKLearnEstimator | Regressor) -> SKLearnEstimator:
    """The estimator itself, or that of a regressor. Raises ``OptionError``."""
    fit = getattr(given, "fit", None)
    if not isinstance(given, type) and callable(fit) and "update_params" in inspect.signature(fit).parameters:
        return cast(SKLearnEstimator, given)
    return RegressorEstimator(cast(Regressor, given))
