"""The contract of a blackbox: what training a configuration would have given, without training it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cloudtune.errors import ConfigSpaceError, OptionError
from cloudtune.options import nearest_name
from cloudtune.space import Domain
from cloudtune.trial import Config

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]


class Blackbox(ABC):
    """Objectives of every configuration, at every fidelity, for every seed.

    ``configuration_space``: domains by name. ``fidelity_space``: one domain by its name, such as
    ``{"epoch": randint(1, 50)}``; None: a configuration has one result. ``fidelity_values`` (F,): the fidelities that
    are known, ascending. ``objectives_names`` (M,): what is reported, elapsed seconds included, in the sign in which it
    was measured. ``num_seeds``: independent repetitions.
    """

    def __init__(
        self,
        configuration_space: Mapping[str, Any],
        fidelity_space: Mapping[str, Any] | None = None,
        objectives_names: Sequence[str] = (),
        fidelity_values: ArrayLike | None = None,
        num_seeds: int = 1,
    ) -> None:
        self.configuration_space = dict(configuration_space)
        self.fidelity_space = dict(fidelity_space or {})
        self.objectives_names = list(objectives_names)
        self.num_seeds = num_seeds
        if len(self.fidelity_space) > 1:
            raise OptionError(
                f"fidelity_space={self.fidelity_space!r} has {len(self.fidelity_space)} fidelities",
                "one of them tells how far training has come: fix the others in the configuration space",
            )
        if len(set(self.objectives_names)) != len(self.objectives_names):
            raise OptionError(f"objectives_names={self.objectives_names!r} has a name twice", "give each its own")
        self._fidelity_values = _ascending(fidelity_values) if self.fidelity_space else None

    # -- what implementations say --------------------------------------------------------------------------------------

    @abstractmethod
    def curves(self, configuration: Config, seed: int = 0) -> Array:
        """(F, M): all objectives at all fidelities; F is 1 without fidelities. NaN where nothing is known.

        Names that the configuration space doesn't have are ignored. Raises ``ConfigSpaceError`` for a configuration
        that the blackbox knows nothing of.
        """

    def all_configurations(self) -> list[dict[str, Any]]:
        """The configurations that were evaluated, where they are finitely many.

        Raises ``OptionError`` for a blackbox that knows all configurations.
        """
        raise OptionError(
            f"{type(self).__name__} has no list of configurations", "any configuration of its space can be evaluated"
        )

    def evaluations(self) -> Array:
        """(N, S, F, M): everything about all configurations that were evaluated."""
        seeds = range(self.num_seeds)
        return np.array([[self.curves(each, seed) for seed in seeds] for each in self.all_configurations()])

    # -- what users ask ------------------------------------------------------------------------------------------------

    @property
    def fidelity_values(self) -> Array | None:
        """(F,), ascending; None without fidelities."""
        return self._fidelity_values

    @property
    def num_fidelities(self) -> int:
        return 1 if self._fidelity_values is None else len(self._fidelity_values)

    def fidelity_name(self) -> str | None:
        """The resource that trials report; None without fidelities."""
        return next(iter(self.fidelity_space), None)

    def __call__(
        self, configuration: Config, fidelity: float | Mapping[str, float] | None = None, seed: int | None = None
    ) -> dict[str, float] | Array:
        return self.objective_function(configuration, fidelity, seed)

    def objective_function(
        self, configuration: Config, fidelity: float | Mapping[str, float] | None = None, seed: int | None = None
    ) -> dict[str, float] | Array:
        """Objectives by name at one fidelity; without ``fidelity``, where there are fidelities, all of them, (F, M).

        ``fidelity``: a number, or a dict of it by its name. ``seed``: from 0; default: the first.
        """
        missing = [name for name in self.configuration_space if name not in configuration and self._is_domain(name)]
        if missing:
            raise ConfigSpaceError(f"the configuration lacks {missing[0]!r}", f"it has {list(configuration)}")
        seed = 0 if seed is None else seed
        if not 0 <= seed < self.num_seeds:
            raise OptionError(f"seed={seed!r} is not known", f"there are {self.num_seeds}, counted from 0")
        values = self.curves(configuration, seed)
        if self._fidelity_values is None:
            return dict(zip(self.objectives_names, values[0].tolist(), strict=True))
        if fidelity is None:
            return values
        return dict(zip(self.objectives_names, values[self._row_of(fidelity)].tolist(), strict=True))

    def _row_of(self, fidelity: float | Mapping[str, float]) -> int:
        name = self.fidelity_name()
        if isinstance(fidelity, Mapping):
            if set(fidelity) != {name}:
                raise OptionError(f"fidelity={dict(fidelity)!r} is not known", f"give {{{name!r}: …}}")
            fidelity = next(iter(fidelity.values()))
        assert self._fidelity_values is not None
        rows = np.flatnonzero(self._fidelity_values == fidelity)
        if not len(rows):
            low, high = self._fidelity_values[[0, -1]]
            raise OptionError(f"{name}={fidelity!r} was not recorded", f"there are {low:g} to {high:g}")
        return int(rows[0])

    def configuration_space_with_max_resource_attr(self, max_resource_attr: str) -> dict[str, Any]:
        """The configuration space, and the largest fidelity as a constant of that name."""
        if self._fidelity_values is None:
            raise OptionError("the blackbox has no fidelities", "leave max_resource_attr out")
        return {**self.configuration_space, max_resource_attr: int(self._fidelity_values[-1])}

    def hyperparameter_objectives_values(self, predict_curves: bool = False) -> tuple[pd.DataFrame, pd.DataFrame]:
        """All that is known, for fitting models: X and y, a row per evaluation.

        X has the hyperparameters. With ``predict_curves``, y (N * S, F * M) has a column per fidelity and objective,
        all objectives of a fidelity side by side. Otherwise y (N * S * F, M), and the last column of X is the fidelity.
        N configurations; S seeds, the first seed's rows first.
        """
        import pandas as pd

        configurations = self.all_configurations()
        hyperparameters = pd.DataFrame(configurations, columns=list(self.configuration_space))
        values = np.swapaxes(self.evaluations(), 0, 1)
        seeds, num, fidelities, objectives = values.shape
        repeated = pd.concat([hyperparameters] * seeds, ignore_index=True)
        if predict_curves or self._fidelity_values is None:
            names = self.objectives_names if fidelities == 1 else range(fidelities * objectives)
            return repeated, pd.DataFrame(values.reshape(seeds * num, -1), columns=list(names))
        longer = repeated.loc[repeated.index.repeat(fidelities)].reset_index(drop=True)
        longer[self.fidelity_name()] = np.tile(self._fidelity_values, seeds * num)
        return longer, pd.DataFrame(values.reshape(-1, objectives), columns=self.objectives_names)

    def place_of(self, objective: str) -> int:
        """The column of an objective. Raises ``OptionError``, with the nearest name, if there is none."""
        if objective not in self.objectives_names:
            raise OptionError(
                f"the blackbox has no objective {objective!r}", nearest_name(objective, self.objectives_names)
            )
        return self.objectives_names.index(objective)

    def _is_domain(self, name: str) -> bool:
        return isinstance(self.configuration_space[name], Domain)


class FunctionBlackbox(Blackbox):
    """``eval_fun(configuration, fidelity, seed)`` returns the objectives by name; see ``from_function``."""

    def __init__(
        self,
        configuration_space: Mapping[str, Any],
        eval_fun: Callable[[Config, float | None, int], Mapping[str, float]],
        fidelity_space: Mapping[str, Any] | None = None,
        objectives_names: Sequence[str] | None = None,
        fidelity_values: ArrayLike | None = None,
        num_seeds: int = 1,
    ) -> None:
        if fidelity_space and fidelity_values is None:
            fidelity_values = _all_values(fidelity_space)
        if objectives_names is None:
            example = {
                name: domain.midpoint if isinstance(domain, Domain) else domain
                for name, domain in configuration_space.items()
            }
            first = None if fidelity_values is None else float(np.min(np.asarray(fidelity_values)))
            objectives_names = list(eval_fun(example, first, 0))
        super().__init__(configuration_space, fidelity_space, objectives_names, fidelity_values, num_seeds)
        self._function = eval_fun

    def curves(self, configuration: Config, seed: int = 0) -> Array:
        fidelities: Sequence[float | None] = [None] if self.fidelity_values is None else self.fidelity_values.tolist()
        found = [self._function(configuration, fidelity, seed) for fidelity in fidelities]
        return np.array([[each[name] for name in self.objectives_names] for each in found], dtype=np.float64)


def from_function(
    configuration_space: Mapping[str, Any],
    eval_fun: Callable[[Config, float | None, int], Mapping[str, float]],
    fidelity_space: Mapping[str, Any] | None = None,
    objectives_names: Sequence[str] | None = None,
    fidelity_values: ArrayLike | None = None,
    num_seeds: int = 1,
) -> Blackbox:
    """A function as a blackbox. ``objectives_names``: default: those it returns for the middle of the space.

    ``eval_fun(configuration, fidelity, seed)`` must give the same for the same arguments; ``fidelity`` is None without
    ``fidelity_space``. ``fidelity_values``: default: all whole numbers of the fidelity's domain.
    """
    return FunctionBlackbox(configuration_space, eval_fun, fidelity_space, objectives_names, fidelity_values, num_seeds)


def _ascending(values: ArrayLike | None) -> Array:
    if values is None:
        raise OptionError("fidelity_values is missing", "give the fidelities that were recorded, [1, 2, 3] for example")
    array = np.asarray(values, dtype=np.float64).reshape(-1)
    if not len(array) or not (np.diff(array) > 0).all() or not array[0] > 0:
        raise OptionError(f"fidelity_values={array.tolist()!r} is no ascending list of positive numbers", "sort them")
    return array


def _all_values(fidelity_space: Mapping[str, Any]) -> Array:
    (domain,) = fidelity_space.values()
    lower, upper = getattr(domain, "lower", None), getattr(domain, "upper", None)
    if not isinstance(lower, int) or not isinstance(upper, int):
        raise OptionError(
            f"the fidelities of {domain!r} can't be counted", "give fidelity_values, [1, 3, 9] for example"
        )
    return np.arange(lower, upper + 1, dtype=np.float64)
