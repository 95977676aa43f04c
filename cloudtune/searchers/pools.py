"""Where random configurations come from, and which of them may still be proposed."""

from __future__ import annotations

import copy
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from cloudtune.searchers.seeding import BLOCK, generator
from cloudtune.space import Domain, FiniteDomain, Integer, Quantized, UnitCube, config_space_size
from cloudtune.trial import Config


class Pool(Protocol):
    """Configurations to draw from, minus those that were banned."""

    @property
    def exhausted(self) -> bool:
        """Whether every configuration is banned."""

    def sample(self, random_state: np.random.Generator, n: int) -> list[dict[str, Any]]:
        """n independent draws, banned ones among them."""

    def allows(self, config: Config) -> bool: ...

    def ban(self, config: Config) -> None: ...

    def pick(self, random_state: np.random.Generator) -> dict[str, Any] | None:
        """One that is allowed, however few are left; None if there is none."""


class Numbered(Protocol):
    """Finitely many configurations, numbered from 0."""

    @property
    def size(self) -> int: ...

    def number(self, config: Config) -> int | None:
        """None for a configuration that is not one of them."""

    def config(self, number: int) -> dict[str, Any]: ...

    def sample(self, random_state: np.random.Generator, n: int) -> list[dict[str, Any]]: ...


class Grid:
    """All configurations of a finite space, numbered with the last name running fastest."""

    def __init__(self, cube: UnitCube) -> None:
        self._cube = cube
        self._values = {name: distinct_values(domain) for name, domain in cube.domains.items()}
        self._positions = {
            name: None if isinstance(values, range) else {value: index for index, value in enumerate(values)}
            for name, values in self._values.items()
        }
        self.size = 1
        for values in self._values.values():
            self.size *= len(values)

    def number(self, config: Config) -> int | None:
        number = 0
        for name, values in self._values.items():
            table = self._positions[name]
            position = config[name] - values[0] if table is None else table.get(config[name])
            if position is None or not 0 <= position < len(values):
                return None
            number = number * len(values) + position
        return int(number)

    def config(self, number: int) -> dict[str, Any]:
        positions = {}
        for name, values in reversed(self._values.items()):
            number, positions[name] = divmod(number, len(values))
        return {
            name: self._values[name][positions[name]] if name in positions else copy.deepcopy(entry)
            for name, entry in self._cube.config_space.items()
        }

    def sample(self, random_state: np.random.Generator, n: int) -> list[dict[str, Any]]:
        return self._cube.sample(random_state, n)


def distinct_values(domain: Domain) -> Sequence[Any]:
    """The values of a domain with a ``size``, each once, in order."""
    if isinstance(domain, Integer):
        return range(domain.lower, domain.upper + 1)
    if isinstance(domain, Quantized):
        first, last = domain.multiples
        return [domain.value(multiple) for multiple in range(first, last + 1)]
    if isinstance(domain, FiniteDomain):
        return list(dict.fromkeys(domain.values))
    return [domain.midpoint]  # an interval of one float


class Listed:
    """Configurations that a user listed."""

    def __init__(self, cube: UnitCube, configs: Sequence[Mapping[str, Any]]) -> None:
        self._cube = cube
        self._configs = [dict(config) for config in configs]
        self._numbers = {cube.match_key(config): index for index, config in enumerate(self._configs)}
        self.size = len(self._configs)

    def number(self, config: Config) -> int | None:
        return self._numbers.get(self._cube.match_key(config))

    def config(self, number: int) -> dict[str, Any]:
        return dict(self._configs[number])

    def sample(self, random_state: np.random.Generator, n: int) -> list[dict[str, Any]]:
        return [self._configs[index] for index in random_state.integers(self.size, size=n).tolist()]


class Countable:
    """A pool that knows what is left of it."""

    def __init__(self, numbered: Numbered) -> None:
        self._numbered = numbered
        self._free = np.ones(numbered.size, dtype=np.bool_)
        self._left = numbered.size

    @property
    def exhausted(self) -> bool:
        return self._left == 0

    def sample(self, random_state: np.random.Generator, n: int) -> list[dict[str, Any]]:
        return self._numbered.sample(random_state, n)

    def allows(self, config: Config) -> bool:
        number = self._numbered.number(config)
        return number is not None and bool(self._free[number])

    def ban(self, config: Config) -> None:
        number = self._numbered.number(config)
        if number is not None and self._free[number]:
            self._free[number] = False
            self._left -= 1

    def pick(self, random_state: np.random.Generator) -> dict[str, Any] | None:
        if self.exhausted:
            return None
        remainder = np.flatnonzero(self._free)
        return self._numbered.config(int(remainder[random_state.integers(self._left)]))


class Uncountable:
    """A pool that is too large to run out; 2,000 draws in a row that are all banned count as its end."""

    _LIMIT = 2000

    def __init__(self, cube: UnitCube) -> None:
        self._cube = cube
        self._banned: set[Hashable] = set()
        self._latest: tuple[Any, Hashable] = (None, None)

    @property
    def exhausted(self) -> bool:
        return False

    def sample(self, random_state: np.random.Generator, n: int) -> list[dict[str, Any]]:
        return self._cube.sample(random_state, n)

    def allows(self, config: Config) -> bool:
        key = self._cube.match_key(config)
        self._latest = self._cube.values(config), key
        return key not in self._banned

    def ban(self, config: Config) -> None:
        values, key = self._latest  # what is proposed is usually launched
        self._banned.add(key if values == self._cube.values(config) else self._cube.match_key(config))

    def pick(self, random_state: np.random.Generator) -> dict[str, Any] | None:
        draws = self.sample(random_state, self._LIMIT)
        return next((config for config in draws if self.allows(config)), None)


def pool_of(cube: UnitCube, restrict_configurations: Sequence[Mapping[str, Any]] | None = None) -> Pool:
    """The configurations of a space, or only the listed ones, which must be complete."""
    if restrict_configurations is not None:
        return Countable(Listed(cube, restrict_configurations))
    return Uncountable(cube) if config_space_size(cube.config_space) is None else Countable(Grid(cube))


class Draws:
    """``per_trial`` draws for every trial, made for ``BLOCK`` trials at once."""

    def __init__(self, pool: Pool, seed: int, purpose: str, per_trial: int) -> None:
        self._pool, self._seed, self._purpose = pool, seed, purpose
        self._per_trial = per_trial
        self._block: int | None = None
        self._configs: list[dict[str, Any]] = []

    def of(self, trial_id: int) -> list[dict[str, Any]]:
        block, position = divmod(trial_id, BLOCK)
        if block != self._block:
            random_state = generator(self._seed, self._purpose, block)
            self._configs = self._pool.sample(random_state, BLOCK * self._per_trial)
            self._block = block
        return self._configs[position * self._per_trial : (position + 1) * self._per_trial]
