"""Blackboxes that a model fills in: any configuration of a space, from those that were evaluated."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cloudtune.benchmarks.blackbox import Array, Blackbox
from cloudtune.benchmarks.optional import needed
from cloudtune.errors import OptionError
from cloudtune.options import check_count, nearest_name
from cloudtune.space.unit_cube import UnitCube
from cloudtune.trial import Config

if TYPE_CHECKING:
    import pandas as pd

_MODULES = (
    "neighbors",
    "ensemble",
    "linear_model",
    "neural_network",
    "tree",
    "svm",
    "gaussian_process",
    "kernel_ridge",
)


class Regressor(Protocol):
    """What scikit-learn calls a regressor; X is (n, d), y (n,) or (n, m)."""

    def fit(self, X: NDArray[Any], y: NDArray[Any], /) -> object: ...  # noqa: N803 - scikit-learn's name

    def predict(self, X: NDArray[Any], /) -> Any: ...  # noqa: N803


def make_surrogate(
    surrogate: str | Regressor | None = None, surrogate_kwargs: Mapping[str, Any] | None = None
) -> Regressor:
    """A regressor by its name in scikit-learn, or ``XGBRegressor``; default: the nearest neighbour.

    One that draws random numbers gets ``random_state=0`` unless told otherwise: a blackbox is the same every time.
    Raises ``OptionError`` for a name or an argument that isn't known.
    """
    if surrogate is not None and not isinstance(surrogate, str):
        if surrogate_kwargs:
            raise OptionError("surrogate_kwargs are for a surrogate that is named", "give them to the regressor")
        return surrogate
    kwargs = dict(surrogate_kwargs or {})
    if surrogate is None:
        surrogate, kwargs = "KNeighborsRegressor", {"n_neighbors": 1, **kwargs}
    kind = _regressor(surrogate)
    known = inspect.signature(kind).parameters
    for name in kwargs:
        if name not in known and not any(each.kind is each.VAR_KEYWORD for each in known.values()):
            raise OptionError(f"{surrogate} has no argument {name}={kwargs[name]!r}", nearest_name(name, known))
    if "random_state" in known:
        kwargs.setdefault("random_state", 0)
    made: Regressor = kind(**kwargs)
    return made


def _regressor(name: str) -> type:
    if name == "XGBRegressor":
        found: type = needed("xgboost", "surrogates of xgboost", "xgboost").XGBRegressor
        return found
    names: list[str] = []
    for module in _MODULES:
        place = needed(f"sklearn.{module}", "surrogates")
        kind = getattr(place, name, None)
        if isinstance(kind, type) and name.endswith(("Regressor", "Regression", "Ridge", "SVR", "Lasso", "Net")):
            return kind
        names += [each for each in dir(place) if each.endswith("Regressor")]
    raise OptionError(f"surrogate={name!r} is no regressor of scikit-learn", nearest_name(name, names))


class BlackboxSurrogate(Blackbox):
    """Models fitted on evaluations: ``configuration_space`` may have values that were never evaluated.

    ``X``: a frame with a row per evaluation and a column per hyperparameter. With ``predict_curves``, ``y`` (rows,
    F * M) has all objectives of all fidelities (those of a fidelity side by side), and a model predicts whole curves:
    what all curves have in common, such as time that only grows, predicted curves of averaging models have, too.
    Otherwise the last column of X is the fidelity, and ``y`` is (rows, M). Rows with NaN are left out.
    ``surrogate``: a regressor; default: the nearest neighbour. ``num_seeds``: a model each; the rows of the first seed
    come first, and all have equally many. ``fit_differences``: objectives that add up, such as elapsed time: their
    differences are fitted, and those of predictions are never negative. ``max_fit_samples``: of more rows, so many are
    drawn for each seed.

    Hyperparameters are given to models as coordinates of the unit cube of ``configuration_space``: categories one-hot,
    logarithmic domains on their scale. Raises ``OptionError``, ``ConfigSpaceError`` for a value outside of the space.
    """

    def __init__(
        self,
        X: pd.DataFrame,  # noqa: N803 - scikit-learn's name
        y: ArrayLike,
        configuration_space: Mapping[str, Any],
        objectives_names: Sequence[str],
        fidelity_space: Mapping[str, Any] | None = None,
        fidelity_values: ArrayLike | None = None,
        surrogate: Regressor | None = None,
        predict_curves: bool = False,
        num_seeds: int = 1,
        fit_differences: Sequence[str] = (),
        max_fit_samples: int | None = None,
        random_seed: int = 0,
    ) -> None:
        super().__init__(configuration_space, fidelity_space, objectives_names, fidelity_values, num_seeds)
        self._cube = UnitCube(configuration_space)
        self._differences = [self.place_of(name) for name in fit_differences]
        self._curves = predict_curves or not self.fidelity_space
        targets = np.asarray(y, dtype=np.float64)
        wanted = self.num_fidelities * len(objectives_names) if self._curves else len(objectives_names)
        if targets.ndim != 2 or targets.shape != (len(X), wanted):
            raise OptionError(f"y has the shape {targets.shape}", f"it must be {(len(X), wanted)}, a row for each of X")
        if len(X) % num_seeds:
            raise OptionError(f"{len(X)} rows for {num_seeds} seeds", "every seed has equally many")
        if fit_differences and not self._curves:
            raise OptionError("fit_differences needs whole curves", "give predict_curves=True")
        if max_fit_samples is not None:
            check_count("max_fit_samples", max_fit_samples, 1)
        inputs = self._inputs(X)
        if self._differences:
            targets = self._differenced(targets)
        random = np.random.default_rng(random_seed)
        model = make_surrogate() if surrogate is None else surrogate
        self._models = [
            _fitted(model, *_sampled(*part, max_fit_samples, random)) for part in _parts(inputs, targets, num_seeds)
        ]

    def _inputs(self, X: pd.DataFrame) -> Array:  # noqa: N803
        names = list(self._cube.domains)
        missing = [name for name in names if name not in X]
        if missing:
            raise OptionError(f"X lacks the column {missing[0]!r}", f"it has {list(map(str, X.columns))}")
        columns = [X[name].tolist() for name in names]
        points = self._cube.encode([dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)])
        if self._curves:
            return points
        fidelities = X[self.fidelity_name()].to_numpy(dtype=np.float64)
        return np.column_stack([points, fidelities / self._largest])

    @property
    def _largest(self) -> float:
        assert self.fidelity_values is not None
        return float(self.fidelity_values[-1])

    def _differenced(self, targets: Array) -> Array:
        cubes = targets.reshape(len(targets), self.num_fidelities, -1).copy()
        columns = cubes[:, :, self._differences]
        cubes[:, :, self._differences] = np.diff(columns, axis=1, prepend=0.0)
        return cubes.reshape(targets.shape)

    def curves(self, configuration: Config, seed: int = 0) -> Array:
        point = self._cube.encode([configuration])
        if not self._curves:
            assert self.fidelity_values is not None
            point = np.column_stack(
                [np.repeat(point, self.num_fidelities, axis=0), self.fidelity_values / self._largest]
            )
        predicted = np.asarray(self._models[seed].predict(point), dtype=np.float64)
        curves = predicted.reshape(self.num_fidelities, len(self.objectives_names))
        if self._differences:
            steps = np.maximum(curves[:, self._differences], 0.0)
            curves[:, self._differences] = np.cumsum(steps, axis=0)
        return curves


def add_surrogate(
    blackbox: Blackbox,
    surrogate: str | Regressor | None = None,
    configuration_space: Mapping[str, Any] | None = None,
    predict_curves: bool | None = True,
    separate_seeds: bool = False,
    fit_differences: Sequence[str] | None = (),
    max_fit_samples: int | None = None,
) -> BlackboxSurrogate:
    """A blackbox that knows its whole ``configuration_space``, from what another has evaluated.

    ``configuration_space``: default: the other's, whose domains are finite where it is a table. ``separate_seeds``: a
    model for each seed; otherwise there is one, fitted on all. None stands for a default. The rest is documented at
    ``BlackboxSurrogate``.
    """
    curves = predict_curves in (None, True) and bool(blackbox.fidelity_space)
    known, targets = blackbox.hyperparameter_objectives_values(predict_curves=curves)
    return BlackboxSurrogate(
        known,
        targets.to_numpy(dtype=np.float64),
        blackbox.configuration_space if configuration_space is None else configuration_space,
        blackbox.objectives_names,
        blackbox.fidelity_space,
        blackbox.fidelity_values,
        make_surrogate(surrogate),
        curves,
        blackbox.num_seeds if separate_seeds else 1,
        fit_differences or (),
        max_fit_samples,
    )


def _parts(inputs: Array, targets: Array, seeds: int) -> Iterator[tuple[Array, Array]]:
    yield from zip(np.split(inputs, seeds), np.split(targets, seeds), strict=True)


def _sampled(inputs: Array, targets: Array, count: int | None, random: np.random.Generator) -> tuple[Array, Array]:
    known = np.isfinite(targets).all(axis=1)
    inputs, targets = inputs[known], targets[known]
    if not len(inputs):
        raise OptionError("every row of y has NaN", "a surrogate needs evaluations that are complete")
    if count is None or len(inputs) <= count:
        return inputs, targets
    rows = np.sort(random.choice(len(inputs), count, replace=False))
    return inputs[rows], targets[rows]


def _fitted(model: Regressor, inputs: Array, targets: Array) -> Regressor:
    clone = needed("sklearn.base", "surrogates").clone
    fresh: Regressor = clone(model)
    if targets.shape[1] == 1:
        fresh.fit(inputs, targets[:, 0])
    else:
        try:
            fresh.fit(inputs, targets)
        except ValueError:  # this kind predicts one number
            fresh = needed("sklearn.multioutput", "surrogates").MultiOutputRegressor(clone(model))
            fresh.fit(inputs, targets)
    try:
        fresh.predict(inputs[:1])
    except ValueError as error:
        raise OptionError(
            f"surrogate={model!r} can't predict from {len(inputs)} evaluations: {error}",
            "leave it out, or lower n_neighbors: the nearest one is enough",
        ) from error
    return fresh
