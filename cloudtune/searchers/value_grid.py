"""The cartesian product of some values per hyperparameter, numbered and never written down."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cloudtune.searchers.pools import distinct_values
from cloudtune.space import Domain, Float, Integer, Normal, Quantized
from cloudtune.space.codec import scale_of
from cloudtune.trial import Config


class ValueGrid:
    """Configurations numbered 0 … size - 1, the last name running fastest; constants included."""

    def __init__(self, config_space: Mapping[str, Any], values: Mapping[str, Sequence[Any]]) -> None:
        self._space = dict(config_space)
        self._values = values
        self._positions = {
            name: {self._space[name].match_string(value): index for index, value in enumerate(listed)}
            for name, listed in values.items()
        }
        self.size = 1
        for listed in values.values():
            self.size *= len(listed)

    def config(self, number: int) -> dict[str, Any]:
        positions = {}
        for name, listed in reversed(list(self._values.items())):
            number, positions[name] = divmod(number, len(listed))
        return {
            name: self._values[name][positions[name]] if name in positions else copy.deepcopy(entry)
            for name, entry in self._space.items()
        }

    def number(self, config: Config) -> int | None:
        """None for a configuration that is not on the grid."""
        number = 0
        for name, table in self._positions.items():
            position = table.get(self._space[name].match_string(config[name]))
            if position is None:
                return None
            number = number * len(table) + position
        return number


def spread(domain: Domain, count: int) -> Sequence[Any]:
    """``count`` values of a domain, both ends among them, equally far apart on its own scale.

    Of categories, ordered lists and finite ranges: all. Of integers and multiples of a step: all, if there are no more
    than ``count``, else ``count`` different ones. Of a normal distribution: the middles of ``count`` equally likely
    parts. One value alone is the middle.
    """
    if isinstance(domain, Normal):
        return domain.codec.decode((np.arange(count)[:, None] + 0.5) / count)
    if isinstance(domain, (Integer, Quantized)) and (domain.size or 0) > count:
        return [domain.midpoint] if count == 1 else _of_many(domain, count)
    if domain.size is None and isinstance(domain, Float):
        return [domain.midpoint] if count == 1 else domain.codec.decode(np.linspace(0.0, 1.0, count)[:, None])
    return distinct_values(domain)


def _of_many(domain: Integer | Quantized, count: int) -> list[Any]:
    base = domain.base if isinstance(domain, Quantized) else domain
    if isinstance(base, Normal):
        numbers = np.array(spread(base, count))
    else:
        scale = scale_of(Float(float(domain.lower), float(domain.upper), base.scale))
        numbers = scale.numbers(np.linspace(0.0, 1.0, count))
    if isinstance(domain, Integer):
        return [int(value) for value in _different(np.rint(numbers), domain.lower, domain.upper)]
    first, last = domain.multiples
    return [domain.value(int(multiple)) for multiple in _different(np.rint(numbers / domain.q), first, last)]


def _different(increasing: Any, lower: int, upper: int) -> list[int]:
    """Moved apart where they coincide, within the bounds, which have room for all."""
    count = len(increasing)
    values: list[int] = []
    for value in increasing.tolist():
        values.append(max(int(value), values[-1] + 1 if values else lower))
    return [min(value, upper - (count - 1 - index)) for index, value in enumerate(values)]
