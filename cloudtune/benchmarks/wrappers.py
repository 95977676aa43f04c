"""Blackboxes made of others: with noise, with fewer configurations or fidelities, with more metrics."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import ArrayLike

from cloudtune.benchmarks.blackbox import Array, Blackbox
from cloudtune.errors import ConfigSpaceError, OptionError
from cloudtune.space.unit_cube import UnitCube
from cloudtune.trial import Config


class Noisy(Blackbox):
    """See ``with_noise``."""

    def __init__(self, blackbox: Blackbox, std: Mapping[str, float], num_seeds: int, random_seed: int) -> None:
        super().__init__(
            blackbox.configuration_space,
            blackbox.fidelity_space,
            blackbox.objectives_names,
            blackbox.fidelity_values,
            num_seeds,
        )
        for name, value in std.items():
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
                raise OptionError(f"the noise of {name!r} is {value!r}", "give a standard deviation of 0 or more")
        self._blackbox = blackbox
        self._random_seed = random_seed
        self._std = np.zeros(len(self.objectives_names))
        for name, value in std.items():
            self._std[blackbox.place_of(name)] = value

    def curves(self, configuration: Config, seed: int = 0) -> Array:
        values = np.asarray(self._blackbox.curves(configuration, seed % self._blackbox.num_seeds), dtype=np.float64)
        known = {name: configuration[name] for name in self.configuration_space}
        text = json.dumps(known, sort_keys=True, default=repr)
        random = np.random.default_rng((self._random_seed, seed, crc32(text.encode())))
        noisy: Array = values + self._std * random.standard_normal(values.shape)
        return noisy

    def all_configurations(self) -> list[dict[str, Any]]:
        return self._blackbox.all_configurations()


def with_noise(
    blackbox: Blackbox, std: Mapping[str, float], num_seeds: int | None = None, random_seed: int = 0
) -> Blackbox:
    """Gaussian noise on some objectives: ``std`` by name, in their units.

    It is the same for the same configuration, fidelity and seed. ``num_seeds``: repetitions of a blackbox that had
    fewer; default: as many as before. Raises ``OptionError`` for an objective it doesn't have.
    """
    return Noisy(blackbox, std, num_seeds or blackbox.num_seeds, random_seed)


class Restricted(Blackbox):
    """See ``restricted``."""

    def __init__(
        self, blackbox: Blackbox, configurations: Sequence[Config] | None, fidelity_values: ArrayLike | None
    ) -> None:
        known = blackbox.fidelity_values
        kept = known if fidelity_values is None else np.asarray(fidelity_values, dtype=np.float64)
        super().__init__(
            blackbox.configuration_space,
            blackbox.fidelity_space,
            blackbox.objectives_names,
            kept,
            blackbox.num_seeds,
        )
        self._blackbox = blackbox
        self._places: list[int] | None = None
        if fidelity_values is not None:
            if known is None:
                raise OptionError("the blackbox has no fidelities", "leave fidelity_values out")
            strange = sorted(
                set(self.fidelity_values.tolist() if self.fidelity_values is not None else []) - set(known)
            )
            if strange:
                raise OptionError(f"fidelity {strange[0]:g} was not recorded", f"there are {known.tolist()}")
            assert self.fidelity_values is not None
            self._places = np.searchsorted(known, self.fidelity_values).tolist()
        self._cube = UnitCube(blackbox.configuration_space)
        self._configurations = None if configurations is None else [dict(each) for each in configurations]
        self._allowed = None if configurations is None else {self._cube.match_string(each) for each in configurations}
        if self._allowed is not None and not self._allowed:
            raise OptionError("no configuration is left", "allow some")

    def curves(self, configuration: Config, seed: int = 0) -> Array:
        if self._allowed is not None and self._cube.match_string(configuration) not in self._allowed:
            raise ConfigSpaceError(
                f"{dict(configuration)!r} is none of the configurations that the blackbox is restricted to",
                "give the searcher restrict_configurations=blackbox.all_configurations()",
            )
        values = self._blackbox.curves(configuration, seed)
        return values if self._places is None else values[self._places]

    def all_configurations(self) -> list[dict[str, Any]]:
        return self._blackbox.all_configurations() if self._configurations is None else list(self._configurations)


def restricted(
    blackbox: Blackbox,
    configurations: Iterable[Config] | Callable[[Config], bool] | None = None,
    fidelity_values: ArrayLike | None = None,
) -> Blackbox:
    """The same blackbox with some of its configurations and some of its fidelities.

    ``configurations``: a list of them, or a function that says of each evaluated one whether it stays.
    Raises ``OptionError`` if none is left, or for a fidelity that was not recorded.
    """
    if callable(configurations):
        configurations = [each for each in blackbox.all_configurations() if configurations(each)]
    return Restricted(blackbox, None if configurations is None else list(configurations), fidelity_values)


class Joined(Blackbox):
    """See ``joined``."""

    def __init__(self, first: Blackbox, second: Blackbox) -> None:
        if first.configuration_space != second.configuration_space:
            raise OptionError("the blackboxes have different configuration spaces", "join those of the same script")
        ours, theirs = first.fidelity_values, second.fidelity_values
        same = ours is None if theirs is None else ours is not None and np.array_equal(ours, theirs)
        if not same or first.fidelity_name() != second.fidelity_name():
            raise OptionError(
                "the blackboxes have different fidelities", "restricted(…, fidelity_values=…) makes them equal"
            )
        super().__init__(
            first.configuration_space,
            first.fidelity_space,
            [*first.objectives_names, *second.objectives_names],
            ours,
            min(first.num_seeds, second.num_seeds),
        )
        self._first, self._second = first, second

    def curves(self, configuration: Config, seed: int = 0) -> Array:
        return np.hstack([self._first.curves(configuration, seed), self._second.curves(configuration, seed)])

    def all_configurations(self) -> list[dict[str, Any]]:
        cube = UnitCube(self.configuration_space)
        theirs = {cube.match_string(each) for each in self._second.all_configurations()}
        return [each for each in self._first.all_configurations() if cube.match_string(each) in theirs]


def joined(first: Blackbox, second: Blackbox) -> Blackbox:
    """The objectives of both, where both know a configuration; seeds are matched by number.

    Raises ``OptionError`` if spaces or fidelities differ, or if an objective is in both.
    """
    return Joined(first, second)
