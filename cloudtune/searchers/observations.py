"""What searchers with a model learn from: results that count, and trials whose results are still to come."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cloudtune.errors import OptionError
from cloudtune.options import nearest_name
from cloudtune.searchers.problem import SearchProblem
from cloudtune.trial import Config, Metrics

StandIn = Callable[[NDArray[np.float64]], float]

LARGEST = 1e100
"""Targets are cut off here: sums of their squares are still numbers."""


@dataclass(frozen=True)
class TrainingSet:
    """Results of n trials in the order of their numbers.

    ``targets``: ``(n,)``, to be minimized, all finite: a result that was no finite number counts as the worst that was
    one, unless ``Observations`` have another ``stand_in``. ``resource``: the units of work after which all of them were
    obtained; None where trials run to their end.
    """

    trial_ids: tuple[int, ...]
    configs: tuple[Config, ...]
    targets: NDArray[np.float64]
    resource: float | None = None

    def __len__(self) -> int:
        return len(self.trial_ids)


class Observations:
    """One metric's results, per resource and trial, in whatever order they come.

    ``resource_attr``: None if trials count by their last result alone. ``stand_in``: what a target that is no finite
    number counts as, given those that are.
    """

    def __init__(
        self, metric: str, mode: str, resource_attr: str | None = None, stand_in: StandIn | None = None
    ) -> None:
        self.metric = metric
        self._stand_in = stand_in or _worst
        self.mode = mode
        self.resource_attr = resource_attr
        self._sign = 1.0 if mode == "min" else -1.0
        self._configs: dict[int, Config] = {}
        self._pending: dict[int, set[int]] = {}
        self._results: dict[float, dict[int, float]] = {}
        self._highest: dict[int, float] = {}
        self.version = 0
        """Changes with everything that a training set or the pending trials depend on."""

    @classmethod
    def of(cls, problem: SearchProblem) -> Observations:
        """Of a problem with one metric. Raises ``OptionError`` if it has several."""
        if len(problem.metrics) != 1:
            raise OptionError(f"several metrics: {list(problem.metrics)}", "this searcher works for one")
        return cls(problem.metric, problem.mode, problem.resource_attr)

    # -- what happens ----------------------------------------------------------------------------------------------

    def on_trial_add(self, trial_id: int, config: Config) -> None:
        self._configs[trial_id] = config
        self._pending[trial_id] = set()
        self.version += 1

    def register_pending(self, trial_id: int, resource: int | None = None) -> None:
        if trial_id in self._configs:
            self._pending.setdefault(trial_id, set()).update(() if resource is None else (resource,))
            self.version += 1

    def on_result(self, trial_id: int, config: Config, result: Metrics, update: bool) -> None:
        if not update or self.metric not in result:
            return
        resource = self._level(trial_id, result)
        if resource is None:
            return
        self._configs.setdefault(trial_id, config)
        value = result[self.metric]
        number = float(value) if isinstance(value, (int, float, np.number)) else math.nan
        self._results.setdefault(resource, {})[trial_id] = self._sign * number
        self._highest[trial_id] = max(resource, self._highest.get(trial_id, resource))
        self.version += 1

    def remove_case(self, trial_id: int, resource: int) -> None:
        if self._results.get(float(resource), {}).pop(trial_id, None) is not None:
            left = [each for each, results in self._results.items() if trial_id in results]
            self._highest.pop(trial_id, None)
            self._highest.update({trial_id: max(left)} if left else {})
            self.version += 1

    def cleanup_pending(self, trial_id: int) -> None:
        if self._pending.pop(trial_id, None) is not None:
            self.version += 1

    def _level(self, trial_id: int, result: Metrics) -> float | None:
        """The resource under which a result is filed: where it was awaited, if it jumped over that."""
        if self.resource_attr is None:
            return math.inf
        value = result.get(self.resource_attr)
        if not isinstance(value, (int, float, np.number)) or not math.isfinite(value):
            return None
        awaited = self._pending.get(trial_id, set())
        level = max((each for each in awaited if each <= value), default=value)
        awaited -= {each for each in awaited if each <= value}
        return float(level)

    # -- what is known -----------------------------------------------------------------------------------------------

    def pending(self) -> list[tuple[int, Config]]:
        """Trials at work, by number: their results are still to come."""
        return [(trial_id, self._configs[trial_id]) for trial_id in sorted(self._pending)]

    def config(self, trial_id: int) -> Config:
        return self._configs[trial_id]

    def __len__(self) -> int:
        """Trials with a result."""
        return len({trial_id for results in self._results.values() for trial_id in results})

    def resources(self) -> list[float]:
        """Where there are results, increasing."""
        return sorted(resource for resource, results in self._results.items() if results)

    def at(self, resource: float) -> TrainingSet:
        """All results obtained there."""
        results = self._results.get(resource, {})
        trial_ids = tuple(sorted(results))
        configs = tuple(self._configs[trial_id] for trial_id in trial_ids)
        targets = _finite(np.array([results[trial_id] for trial_id in trial_ids], dtype=np.float64), self._stand_in)
        return TrainingSet(trial_ids, configs, targets, None if math.isinf(resource) else resource)

    def ended_below(self, resource: float) -> dict[float, list[int]]:
        """Trials whose results all came before ``resource`` and that are not at work, by their highest resource."""
        ended: dict[float, list[int]] = {}
        for trial_id, highest in self._highest.items():
            if highest < resource and trial_id not in self._pending:
                ended.setdefault(highest, []).append(trial_id)
        return ended

    def training_set(self, least: int) -> TrainingSet:
        """Results at the highest resource where there are at least ``least``, else where there are most.

        The rule of BOHB (Falkner et al. 2018, section 3.2). Without a resource: all results.
        """
        resources = self.resources()
        if not resources:
            return self.at(math.inf)
        enough = [each for each in resources if len(self._results[each]) >= least]
        most = max(resources, key=lambda each: (len(self._results[each]), each))
        return self.at(enough[-1] if enough else most)


def check_same(
    problem: SearchProblem, observations: Observations, config_space: Mapping[str, Any], name: str = "searcher"
) -> None:
    """A searcher object learns what its scheduler reports, of the same space. Raises ``OptionError``.

    Where the scheduler compares trials at several resources, the searcher must tell their results apart.
    """
    metric, mode, resource_attr = observations.metric, observations.mode, observations.resource_attr
    if problem.metric != metric:
        raise OptionError(
            f"the scheduler's metric is {problem.metric!r}, its {name}'s {metric!r}",
            nearest_name(metric, problem.metrics),
        )
    if problem.mode != mode:
        raise OptionError(f"the scheduler's mode is {problem.mode!r}, its {name}'s {mode!r}", "give both the same")
    if problem.resource_attr not in (None, resource_attr):
        raise OptionError(
            f"the scheduler's resource_attr is {problem.resource_attr!r}, its {name}'s {resource_attr!r}",
            f"make the searcher with resource_attr={problem.resource_attr!r}",
        )
    problem.check_space(config_space, name)


def _finite(targets: NDArray[np.float64], stand_in: StandIn) -> NDArray[np.float64]:
    finite = np.isfinite(targets)
    return np.asarray(np.clip(np.where(finite, targets, stand_in(targets[finite])), -LARGEST, LARGEST))


def _worst(finite: NDArray[np.float64]) -> float:
    return float(finite.max()) if len(finite) else 0.0
