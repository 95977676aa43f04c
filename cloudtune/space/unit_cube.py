"""A whole configuration space as a unit cube, for searchers and models."""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from itertools import repeat
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cloudtune.errors import ConfigSpaceError
from cloudtune.options import nearest_name
from cloudtune.space import checks
from cloudtune.space.domain import Domain
from cloudtune.space.finite import Categorical, FiniteDomain
from cloudtune.space.numeric import Integer, Quantized
from cloudtune.space.validate import validate_config_space

if TYPE_CHECKING:
    from cloudtune.space.domain import RandomState

Array = NDArray[np.float64]


class UnitCube:
    """Configurations to and from [0, 1]^d; constants are left out and put back.

    Dimensions follow the order of the space, except that ``last`` (a resource, say) comes at the end. With
    ``last_value`` the bounds of ``last`` are that one point and drawn configurations carry it, while data may
    have any value. Raises ConfigSpaceError for an impossible space or an unknown ``last``.
    """

    def __init__(self, config_space: Mapping[str, Any], *, last: str | None = None, last_value: Any = None) -> None:
        validate_config_space(config_space)
        domains = {name: value for name, value in config_space.items() if isinstance(value, Domain)}
        if last is not None and last not in domains:
            checks.fail(f"last is {last!r}, which is not tuned in this space", nearest_name(last, domains))
        if last is not None:
            domains[last] = domains.pop(last)
        self.config_space: dict[str, Any] = dict(config_space)
        self.domains: dict[str, Domain] = domains
        self.constants: dict[str, Any] = {k: v for k, v in config_space.items() if k not in domains}
        self.slices: dict[str, slice] = _slices(domains)
        self._last, self._last_value = last, last_value
        self._bounds = self._make_bounds()
        formats = {name: _format(domain) for name, domain in domains.items() if not isinstance(domain, FiniteDomain)}
        self._number_format = ",".join(formats.values())
        self._numbers_of = _values_under(list(formats))
        self._categories_of = _values_under([name for name in domains if name not in formats])
        self._values_of = _values_under(list(domains))

    @property
    def names(self) -> tuple[str, ...]:
        """Tuned names, in the order of their dimensions."""
        return tuple(self.domains)

    @property
    def dimension(self) -> int:
        """d, the length of an encoded vector."""
        return sum(domain.encoded_size for domain in self.domains.values())

    @property
    def dimension_names(self) -> tuple[str, ...]:
        """One name per dimension; a one-hot dimension is called ``name=category``."""
        return tuple(label for name, domain in self.domains.items() for label in _labels(name, domain))

    @property
    def bounds(self) -> Array:
        """``(d, 2)``: where to search."""
        return np.array(self._bounds)

    def encode(self, configs: Sequence[Mapping[str, Any]]) -> Array:
        """``(n, d)`` for n configurations; names the cube does not tune are ignored.

        Raises ConfigSpaceError if a tuned name is missing or its value is not in its domain.
        """
        matrix = np.empty((len(configs), self.dimension))
        for name, domain in self.domains.items():
            try:
                column = [config[name] for config in configs]
                matrix[:, self.slices[name]] = domain.codec.encode(column)
            except KeyError:
                checks.fail(f"a configuration has no value for {name!r}", f"tuned names: {', '.join(self.names)}")
            except ConfigSpaceError as error:
                raise ConfigSpaceError(f"{name!r}: {error.message}", error.hint) from error
        return matrix

    def decode(self, matrix: ArrayLike) -> list[dict[str, Any]]:
        """n configurations, constants included, for any points ``(n, d)``; beyond [0, 1] the ends count."""
        points = np.asarray(matrix, dtype=np.float64)
        if points.ndim != 2 or points.shape[1] != self.dimension:
            checks.fail(f"encoded configurations have shape {points.shape}", f"this space needs (n, {self.dimension})")
        columns = {name: domain.codec.decode(points[:, self.slices[name]]) for name, domain in self.domains.items()}
        names, count = tuple(self.config_space), len(points)
        if not names:
            return [{} for _ in range(count)]
        rows = zip(*(columns.get(name) or _copies(self.config_space[name], count) for name in names), strict=True)
        # a row has a value per name; to have that checked again takes as long as half of this
        return [dict(zip(names, row, strict=False)) for row in rows]

    def encode_one(self, config: Mapping[str, Any]) -> Array:
        """``(d,)``"""
        return self.encode([config]).reshape(-1)

    def decode_one(self, vector: ArrayLike) -> dict[str, Any]:
        """The configuration at a point ``(d,)``."""
        return self.decode(np.asarray(vector, dtype=np.float64).reshape(1, -1))[0]

    def sample(self, random_state: RandomState, n: int) -> list[dict[str, Any]]:
        """n configurations drawn independently, as the domains' own ``sample`` draws."""
        configs = self.decode(random_state.random((n, self.dimension)))
        if self._last is not None and self._last_value is not None:
            for config in configs:
                config[self._last] = self._last_value
        return configs

    def match_string(self, config: Mapping[str, Any]) -> str:
        """Equal for configurations that count as the same one; constants don't matter."""
        return ",".join(f"{name}:{domain.match_string(config[name])}" for name, domain in self.domains.items())

    def match_key(self, config: Mapping[str, Any]) -> Hashable:
        """Equal, and of equal hash, for configurations whose match strings are equal; sooner made than those."""
        return self._number_format % self._numbers_of(config), self._categories_of(config)

    def values(self, config: Mapping[str, Any]) -> Any:
        """What is tuned, to be compared with that of another configuration."""
        return self._values_of(config)

    def _make_bounds(self) -> Array:
        bounds = np.tile(np.array([0.0, 1.0]), (self.dimension, 1))
        if self._last is not None and self._last_value is not None:
            place = self.domains[self._last].to_unit(self._last_value)
            bounds[self.slices[self._last]] = place[:, None]
        return bounds


def _slices(domains: Mapping[str, Domain]) -> dict[str, slice]:
    slices, start = {}, 0
    for name, domain in domains.items():
        slices[name] = slice(start, start + domain.encoded_size)
        start += domain.encoded_size
    return slices


def _labels(name: str, domain: Domain) -> list[str]:
    if isinstance(domain, Categorical) and domain.encoded_size > 1:
        return [f"{name}={category}" for category in domain.values]
    return [name]


def _copies(constant: Any, count: int) -> Iterable[Any]:
    """A constant for each of ``count`` configurations: a list or dict is not shared between them."""
    if isinstance(constant, (list, dict)):
        return [copy.deepcopy(constant) for _ in range(count)]
    return repeat(constant, count)


def _format(domain: Domain) -> str:
    """What ``match_string`` does to a number, as a format: many numbers are formatted at once."""
    base = domain.base if isinstance(domain, Quantized) else domain
    return "%d" if isinstance(base, Integer) else "%.12g"


def _values_under(names: Sequence[str]) -> Callable[[Mapping[str, Any]], Any]:
    """A function that gives the values under these names: a tuple, or the value itself of only one."""
    return itemgetter(*names) if names else _nothing


def _nothing(config: Mapping[str, Any]) -> tuple[()]:
    return ()
