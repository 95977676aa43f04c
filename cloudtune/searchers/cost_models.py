"""What trials cost, by their configuration and how far they run: c(x, r) = c0(x) + r c1(x), linear in features of x."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cloudtune.errors import OptionError
from cloudtune.options import nearest_name
from cloudtune.space import Domain, FiniteDomain
from cloudtune.surrogates.ridge import ridge
from cloudtune.trial import Config

Array = NDArray[np.float64]


class CostFeatures(Protocol):
    """Of configurations: what the cost is linear in."""

    def __call__(self, configs: Sequence[Config]) -> tuple[Array, Array]:
        """``(n, p)`` for the cost c0 of a start, ``(n, q)`` for the cost c1 of each unit of work."""
        ...


class BiasOnly:
    """The same cost for all configurations, which depends on how far they run."""

    def __call__(self, configs: Sequence[Config]) -> tuple[Array, Array]:
        ones = np.ones((len(configs), 1))
        return ones, ones


class LinearInValues:
    """A unit of work costs a constant and something in proportion to every number; each category has a cost, and an
    ordered list of texts something in proportion to the place."""

    def __init__(self, config_space: Mapping[str, Any]) -> None:
        self._domains = {name: entry for name, entry in config_space.items() if isinstance(entry, Domain)}

    def __call__(self, configs: Sequence[Config]) -> tuple[Array, Array]:
        ones = np.ones((len(configs), 1))
        columns = [ones]
        for name, domain in self._domains.items():
            values = [config[name] for config in configs]
            if isinstance(domain, FiniteDomain) and not all(isinstance(value, (int, float)) for value in domain.values):
                columns.append(np.asarray(domain.codec.encode(values), dtype=np.float64).reshape(len(values), -1))
            else:
                columns.append(np.array(values, dtype=np.float64).reshape(-1, 1))
        return ones, np.concatenate(columns, axis=1)


@dataclass(frozen=True)
class FullyConnected:
    """A network of layers: a unit of work costs a constant and something in proportion to the number of weights.

    ``num_units_keys``: the hyperparameters that say how wide the hidden layers are, from the first to the last.
    """

    num_inputs: int
    num_outputs: int
    num_units_keys: Sequence[str]

    def __call__(self, configs: Sequence[Config]) -> tuple[Array, Array]:
        rows = []
        for config in configs:
            widths = [self.num_inputs, *(float(config[key]) for key in self.num_units_keys), self.num_outputs]
            rows.append([1.0, sum(before * after for before, after in pairwise(widths))])
        return np.ones((len(rows), 1)), np.array(rows, dtype=np.float64).reshape(len(rows), 2)


@dataclass(frozen=True)
class LinearCost:
    """A fitted model. ``start``: ``(p,)``, ``per_unit``: ``(q,)``, weights of the features. ``least``: of all costs."""

    features: CostFeatures
    start: Array
    per_unit: Array
    least: float

    @classmethod
    def fit(
        cls, features: CostFeatures, configs: Sequence[Config], resources: Sequence[float], costs: Sequence[float]
    ) -> LinearCost:
        """To ``costs`` above 0, each that of a trial from its start on to the resource.

        It is the error in proportion to the cost that is made small: cheap trials are told apart as well as dear ones.
        """
        first, second = features(configs)
        target = np.array(costs, dtype=np.float64)
        both = np.concatenate([first, np.array(resources, dtype=np.float64)[:, None] * second], axis=1)
        weights = ridge(both / target[:, None], np.ones(len(target)))
        width = first.shape[1]
        return cls(features, weights[:width], weights[width:], 0.1 * float(target.min()))

    def __call__(self, configs: Sequence[Config], resource: float) -> Array:
        """``(n,)``: what it costs to run each until ``resource`` units of work are done."""
        first, second = self.features(configs)
        return np.asarray(np.maximum(first @ self.start + resource * (second @ self.per_unit), self.least))


COST_MODELS: Mapping[str, Callable[[Mapping[str, Any]], CostFeatures]] = {
    "bias": lambda config_space: BiasOnly(),
    "linear": LinearInValues,
}


def cost_features(cost_model: object, config_space: Mapping[str, Any]) -> CostFeatures:
    """The features of that name, or the given ones. Raises ``OptionError``."""
    if isinstance(cost_model, str):
        make = COST_MODELS.get(cost_model)
        if make is None:
            raise OptionError(f"search_options: cost_model is {cost_model!r}", nearest_name(cost_model, COST_MODELS))
        return make(config_space)
    if isinstance(cost_model, type) or not callable(cost_model):
        raise OptionError(
            f"search_options: cost_model is {cost_model!r}",
            f"give one of {', '.join(map(repr, COST_MODELS))}, or CostFeatures of your own",
        )
    features: CostFeatures = cost_model
    return features
