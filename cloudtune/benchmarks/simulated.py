"""Blackboxes in the simulator."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from cloudtune.backends.base import Experiment
from cloudtune.backends.simulator import Curve, CurveSource
from cloudtune.benchmarks.blackbox import Blackbox
from cloudtune.errors import ConfigSpaceError, OptionError
from cloudtune.space import Domain
from cloudtune.trial import Attempt


@runtime_checkable
class HasCurves(Protocol):
    """A blackbox that knows better than its table how trials went."""

    def curve_source(self, elapsed_time_attr: str) -> CurveSource: ...


class BlackboxCurves:
    """The learning curves of a blackbox, for ``SimulatorBackend``.

    ``elapsed_time_attr``: the objective that has the seconds from the beginning of training. What was recorded without
    them is not reported; seconds that go backwards, as surrogates predict them, stand still.
    """

    def __init__(self, blackbox: Blackbox, elapsed_time_attr: str) -> None:
        self.blackbox = blackbox
        self._time = blackbox.place_of(elapsed_time_attr)
        values = blackbox.fidelity_values
        self._resources: list[float] = [1.0] if values is None else [_whole(value) for value in values.tolist()]

    @property
    def num_seeds(self) -> int:
        return self.blackbox.num_seeds

    def check(self, experiment: Experiment) -> None:
        space = self.blackbox.configuration_space
        missing = [name for name, domain in space.items() if isinstance(domain, Domain)]
        missing = [name for name in missing if name not in experiment.config_space]
        if experiment.config_space and missing:
            raise ConfigSpaceError(
                f"the configuration space lacks {missing[0]!r}, which the blackbox needs",
                "start from blackbox.configuration_space",
            )

    def curve(self, attempt: Attempt, seed: int) -> Curve:
        values = self.blackbox.curves(attempt.config, seed)
        names, resources = self.blackbox.objectives_names, self._resources
        elapsed: list[float] = values[:, self._time].tolist()
        if not _ascends(elapsed):
            known = [number for number, seconds in enumerate(elapsed) if not math.isnan(seconds)]
            values, resources = values[known], [resources[number] for number in known]
            elapsed = np.maximum.accumulate([max(elapsed[number], 0.0) for number in known] or [0.0]).tolist()
        if not len(values):
            return Curve((), (), lambda number: {}, 0.0, "nothing was recorded for its configuration")
        rows: list[list[float]] = []

        def metrics(number: int) -> dict[str, Any]:
            while len(rows) <= number:  # most trials are stopped early
                rows.extend(values[len(rows) : 4 * len(rows) + 4].tolist())
            return dict(zip(names, rows[number]))  # noqa: B905 - in a hurry, and they are as many

        return Curve(resources, elapsed, metrics)


def _whole(value: float) -> float:
    return int(value) if value == int(value) else value


def _ascends(elapsed: Sequence[float]) -> bool:
    last = 0.0
    for seconds in elapsed:
        if not seconds >= last:
            return False
        last = seconds
    return True


def curves_of(blackbox: Blackbox, elapsed_time_attr: str) -> CurveSource:
    """What the simulator plays of a blackbox."""
    if isinstance(blackbox, HasCurves):
        return blackbox.curve_source(elapsed_time_attr)
    return BlackboxCurves(blackbox, elapsed_time_attr)


def metrics_for_configuration(
    blackbox: Blackbox,
    config: dict[str, Any],
    resource_attr: str,
    fidelity_range: tuple[float, float] | None = None,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """All results of a configuration, by name, the fidelity as ``resource_attr``; within the range, ends included."""
    values = blackbox.fidelity_values
    if values is None:
        raise OptionError("the blackbox has no fidelities", "call its objective_function")
    low, high = fidelity_range or (float(values[0]), float(values[-1]))
    fidelities = values.tolist()
    first = bisect_left(fidelities, low)
    rows = blackbox.curves(config, seed)[first:].tolist()
    return [
        {resource_attr: _whole(fidelity), **dict(zip(blackbox.objectives_names, row, strict=True))}
        for fidelity, row in zip(fidelities[first:], rows, strict=True)
        if fidelity <= high
    ]
