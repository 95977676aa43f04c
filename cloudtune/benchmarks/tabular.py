"""Tables: every configuration that was evaluated, with all its results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from cloudtune.benchmarks.blackbox import Array, Blackbox
from cloudtune.errors import ConfigSpaceError, OptionError
from cloudtune.space import Domain
from cloudtune.trial import Config

if TYPE_CHECKING:
    import pandas as pd


class BlackboxTabular(Blackbox):
    """A table in which each configuration has a row, however many fidelities and seeds were recorded.

    ``hyperparameters``: a frame (N rows) with a column per entry of ``configuration_space``.
    ``objectives_evaluations`` (N, S, F, M): N configurations, S seeds, F fidelities, M objectives; NaN where nothing
    was recorded. ``fidelity_values``: default: 1 to F. ``objectives_names``: default: ``metric_0`` and so on.

    Two floats count as one value if they agree in 10 digits. Raises ``OptionError`` for shapes that don't match.
    """

    def __init__(
        self,
        hyperparameters: pd.DataFrame,
        configuration_space: Mapping[str, Any],
        fidelity_space: Mapping[str, Any] | None,
        objectives_evaluations: ArrayLike,
        fidelity_values: ArrayLike | None = None,
        objectives_names: Sequence[str] | None = None,
    ) -> None:
        values = np.asarray(objectives_evaluations)
        if values.dtype != np.float32:
            values = values.astype(np.float64, copy=False)
        if values.ndim != 4 or len(values) != len(hyperparameters):
            raise OptionError(
                f"objectives_evaluations has the shape {values.shape} for {len(hyperparameters)} configurations",
                "its shape is (configurations, seeds, fidelities, objectives)",
            )
        _, seeds, fidelities, objectives = values.shape
        names = [f"metric_{i}" for i in range(objectives)] if objectives_names is None else list(objectives_names)
        if len(names) != objectives:
            raise OptionError(f"objectives_names={names!r} for {objectives} objectives", "give a name for each")
        if not fidelity_space and fidelities != 1:
            raise OptionError(f"{fidelities} fidelities without a fidelity_space", 'give {"epoch": randint(1, …)}')
        if fidelity_space and fidelity_values is None:
            fidelity_values = np.arange(1, fidelities + 1)
        super().__init__(configuration_space, fidelity_space, names, fidelity_values, seeds)
        if self.num_fidelities != fidelities:
            raise OptionError(
                f"fidelity_values has {self.num_fidelities} entries for {fidelities} fidelities", "give each its value"
            )
        self._columns = [name for name, domain in self.configuration_space.items() if isinstance(domain, Domain)]
        missing = [name for name in self._columns if name not in hyperparameters]
        if missing:
            raise OptionError(
                f"hyperparameters lacks the column {missing[0]!r}", f"it has {list(map(str, hyperparameters.columns))}"
            )
        self.hyperparameters = hyperparameters.reset_index(drop=True)
        self.objectives_evaluations = values
        self._rows: dict[tuple[object, ...], int] | None = None

    def curves(self, configuration: Config, seed: int = 0) -> Array:
        values: Array = self.objectives_evaluations[self.row_of(configuration), seed]
        return values

    def evaluations(self) -> Array:
        values: Array = self.objectives_evaluations
        return values

    def row_of(self, configuration: Config) -> int:
        """The row of a configuration. Raises ``ConfigSpaceError`` if it was not evaluated."""
        if self._rows is None:
            self._rows = self._index()
        try:
            key = tuple([configuration[name] for name in self._columns])
        except KeyError as error:
            raise ConfigSpaceError(
                f"the configuration lacks {error.args[0]!r}", f"it has {list(configuration)}"
            ) from None
        row = self._rows.get(key)
        if row is None:
            row = self._rows.get(_rounded(key))
        if row is None:
            raise ConfigSpaceError(
                f"the table has no {dict(zip(self._columns, key, strict=True))!r}",
                "keep to what was evaluated: give the searcher restrict_configurations=blackbox.all_configurations(), "
                'or give the backend surrogate="KNeighborsRegressor"',
            )
        return row

    def _index(self) -> dict[tuple[object, ...], int]:
        """Rows by their values as they are, and as they are rounded."""
        keys = list(zip(*(self.hyperparameters[name].tolist() for name in self._columns), strict=True))
        index = {_rounded(key): row for row, key in enumerate(keys)}
        if len(index) != len(keys):
            first = next(row for row, key in enumerate(keys) if index[_rounded(key)] != row)
            raise OptionError(
                f"hyperparameters has {dict(zip(self._columns, keys[first], strict=True))!r} twice",
                "repetitions of a configuration are seeds: they belong into one row",
            )
        index.update((key, row) for row, key in enumerate(keys))
        return index

    def all_configurations(self) -> list[dict[str, Any]]:
        columns = [self.hyperparameters[name].tolist() for name in self._columns]
        return [dict(zip(self._columns, values, strict=True)) for values in zip(*columns, strict=True)]

    def rename_objectives(self, objective_name_mapping: Mapping[str, str]) -> BlackboxTabular:
        """The same table with the objectives ``{old: new}``, and no others."""
        places = [self.place_of(name) for name in objective_name_mapping]
        return BlackboxTabular(
            self.hyperparameters,
            self.configuration_space,
            self.fidelity_space,
            self.objectives_evaluations[..., places],
            self.fidelity_values,
            list(objective_name_mapping.values()),
        )

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_rows": None}


def tabulated(blackbox: Blackbox, configurations: Sequence[Config] | None = None) -> BlackboxTabular:
    """Any blackbox as a table of all configurations it was evaluated for, or of those given."""
    import pandas as pd

    chosen = blackbox.all_configurations() if configurations is None else configurations
    seeds = range(blackbox.num_seeds)
    values = np.array([[blackbox.curves(each, seed) for seed in seeds] for each in chosen])
    return BlackboxTabular(
        pd.DataFrame([dict(each) for each in chosen]),
        blackbox.configuration_space,
        blackbox.fidelity_space or None,
        values,
        blackbox.fidelity_values,
        blackbox.objectives_names,
    )


def _rounded(key: tuple[object, ...]) -> tuple[object, ...]:
    return tuple([float(f"{value:.10g}") if isinstance(value, float) else value for value in key])
