"""What trials have cost, as searchers remember it."""

from __future__ import annotations

import math

import numpy as np

from cloudtune.searchers.attempt_costs import AttemptCosts
from cloudtune.searchers.cost_models import CostFeatures, LinearCost
from cloudtune.searchers.observations import Observations
from cloudtune.trial import Config, Metrics


class Account:
    """A ``Record`` of what each trial had cost by when, as often as it was reported.

    With a resource, attempts add up. One that is awaited again after it was not has been resumed: what it then reports
    is the cost of another attempt.
    """

    def __init__(self, cost_attr: str, resource_attr: str | None) -> None:
        self._cost_attr, self._resource_attr = cost_attr, resource_attr
        self._configs: dict[int, Config] = {}
        self._costs: dict[int, float] = {}
        self._at: dict[int, dict[float, float]] = {}
        self._attempts = AttemptCosts()
        self._waits: set[int] = set()
        """Trials of which nothing is awaited."""

    def on_trial_add(self, trial_id: int, config: Config) -> None:
        self._configs[trial_id] = config

    def on_result(self, trial_id: int, config: Config, result: Metrics, update: bool) -> None:
        cost = positive(result.get(self._cost_attr))
        if cost is None:
            return
        self._configs.setdefault(trial_id, config)
        resource = None if self._resource_attr is None else positive(result.get(self._resource_attr))
        if resource is not None:
            cost = self._attempts.report(trial_id, resource, cost)
            self._at.setdefault(trial_id, {})[resource] = cost
        self._costs[trial_id] = max(cost, self._costs.get(trial_id, 0.0))

    def register_pending(self, trial_id: int, resource: int | None = None) -> None:
        if trial_id in self._waits:
            self._waits.discard(trial_id)
            self._attempts.relaunched(trial_id)

    def remove_case(self, trial_id: int, resource: int) -> None:
        pass  # it was paid all the same

    def cleanup_pending(self, trial_id: int) -> None:
        self._waits.add(trial_id)

    def spent(self, trials: float = math.inf) -> float:
        """By the trials with smaller numbers, together; in whatever order it was reported."""
        return math.fsum(cost for trial_id, cost in self._costs.items() if trial_id < trials)

    @property
    def largest_resource(self) -> float | None:
        return max((resource for costs in self._at.values() for resource in costs), default=None)

    def fitted(self, features: CostFeatures) -> LinearCost | None:
        """To the first and the last report of each trial, between which there is a line.

        None as long as nobody has reported a cost with a resource.
        """
        rows = [
            (self._configs[trial_id], resource, self._at[trial_id][resource])
            for trial_id in sorted(self._at)
            for resource in sorted({min(self._at[trial_id]), max(self._at[trial_id])})
        ]
        if not rows:
            return None
        configs, resources, costs = zip(*rows, strict=True)
        return LinearCost.fit(features, configs, resources, costs)


class LogCosts:
    """A ``Record`` of the logarithms of final costs, as ``observations``. What is no positive number is left out."""

    def __init__(self, cost_attr: str) -> None:
        self.observations = Observations(cost_attr, "min")

    def on_trial_add(self, trial_id: int, config: Config) -> None:
        self.observations.on_trial_add(trial_id, config)

    def register_pending(self, trial_id: int, resource: int | None = None) -> None:
        pass  # what is at work says nothing about costs yet

    def on_result(self, trial_id: int, config: Config, result: Metrics, update: bool) -> None:
        name = self.observations.metric
        cost = positive(result.get(name))
        if cost is not None:
            self.observations.on_result(trial_id, config, {name: math.log(cost)}, update)

    def remove_case(self, trial_id: int, resource: int) -> None:
        self.observations.remove_case(trial_id, resource)

    def cleanup_pending(self, trial_id: int) -> None:
        self.observations.cleanup_pending(trial_id)


def positive(value: object) -> float | None:
    """None for what is no finite number above 0."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
        return None
    number = float(value)
    return number if 0.0 < number < math.inf else None
