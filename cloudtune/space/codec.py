"""Where the values of a domain lie in the unit cube, for many values at once.

Every domain cuts its share of the cube into cells, one per value (floats: one per decimal, see
``precision``); encoding gives a point inside the cell, away from its borders, so that no rounding on the way
carries it into another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cloudtune.errors import ConfigSpaceError
from cloudtune.space import checks
from cloudtune.space.domain import Domain
from cloudtune.space.finite import Categorical, FiniteDomain, OrdinalNearestNeighbor
from cloudtune.space.numeric import Float, Integer, Normal, Quantized
from cloudtune.space.precision import SIGMAS

Array = NDArray[np.float64]


class Codec(Protocol):
    """Values to rows of [0, 1] numbers, and back."""

    def encode(self, values: Sequence[Any]) -> Array:
        """``(len(values), encoded_size)``. Raises ConfigSpaceError for a value outside the domain."""
        ...

    def decode(self, units: Array) -> list[Any]:
        """One value per row of ``(n, encoded_size)``; numbers beyond [0, 1] count as its ends."""
        ...


def codec_of(domain: Domain) -> Codec:
    if isinstance(domain, Categorical):
        return OneHot(domain) if domain.encoded_size > 1 else Position(domain, domain.values, spread=True)
    if isinstance(domain, OrdinalNearestNeighbor):
        return Nearest(domain)
    if isinstance(domain, FiniteDomain):
        return Position(domain, domain.values)
    if isinstance(domain, Integer) and domain.scale == "linear":
        return Position(domain, range(domain.lower, domain.upper + 1))
    if isinstance(domain, (Float, Normal, Integer, Quantized)):
        return Rounded(domain)
    raise ConfigSpaceError(f"{domain!r} has no encoding", "use one of the domains of cloudtune.space")


def _checked(domain: Domain, values: Sequence[Any]) -> Sequence[Any]:
    is_valid = domain.is_valid
    for value in values:
        if not is_valid(value):
            checks.fail(f"{value!r} is not in {domain!r}", "cast_config_values converts what is nearly right")
    return values


def _clipped(units: Array) -> Array:
    if np.isnan(units).any():
        checks.fail("a coordinate of the unit cube is nan", "an encoded vector consists of numbers from 0 to 1")
    return np.clip(units, 0.0, 1.0)


@dataclass(frozen=True)
class Position:
    """n values as n equally wide cells; with ``spread`` the first lies at 0 and the last at 1."""

    domain: Domain
    values: Sequence[Any]
    spread: bool = False

    def encode(self, values: Sequence[Any]) -> Array:
        _checked(self.domain, values)
        if isinstance(self.values, range):
            first = self.values.start
            positions = np.array([int(value) - first for value in values], dtype=np.float64)
        else:
            positions = np.array([self._table[value] for value in values], dtype=np.float64)
        count = len(self.values)
        if self.spread:
            return (positions / max(count - 1, 1))[:, None]
        return np.asarray((positions + 0.5) / count)[:, None]

    def decode(self, units: Array) -> list[Any]:
        count = len(self.values)
        positions = np.minimum((_clipped(units[:, 0]) * count).astype(np.int64), count - 1).tolist()
        if isinstance(self.values, range):
            first = self.values.start
            return [first + position for position in positions]
        values = self.values
        return [values[position] for position in positions]

    @property
    def _table(self) -> dict[Any, int]:
        assert isinstance(self.domain, FiniteDomain)
        return self.domain.positions


@dataclass(frozen=True)
class OneHot:
    """k categories as the corners of k dimensions; a point belongs to its largest coordinate."""

    domain: Categorical

    def encode(self, values: Sequence[Any]) -> Array:
        _checked(self.domain, values)
        positions = [self.domain.positions[value] for value in values]
        units = np.zeros((len(positions), self.domain.encoded_size))
        units[np.arange(len(positions)), positions] = 1.0
        return units

    def decode(self, units: Array) -> list[Any]:
        values = self.domain.values
        return [values[position] for position in np.argmax(_clipped(units), axis=1).tolist()]


@dataclass(frozen=True)
class Nearest:
    """Each point belongs to the nearest of the numbers' places."""

    domain: OrdinalNearestNeighbor

    def encode(self, values: Sequence[Any]) -> Array:
        _checked(self.domain, values)
        units = self.domain.units
        return np.array([units[self.domain.positions[value]] for value in values], dtype=np.float64)[:, None]

    def decode(self, units: Array) -> list[Any]:
        values = self.domain.values
        positions = np.searchsorted(np.array(self.domain.edges), _clipped(units[:, 0]), side="right")
        return [values[position] for position in positions.tolist()]


@dataclass(frozen=True)
class Rounded:
    """Numbers on a continuous scale, rounded to what the domain can hold."""

    domain: Float | Normal | Integer | Quantized

    def encode(self, values: Sequence[Any]) -> Array:
        _checked(self.domain, values)
        numbers = np.array(values, dtype=np.float64)
        return scale_of(_base(self.domain)).units(numbers)[:, None]

    def decode(self, units: Array) -> list[Any]:
        units = _clipped(units[:, 0])
        numbers = scale_of(_base(self.domain)).numbers(units)
        if isinstance(self.domain, Quantized):
            return _multiples(self.domain, numbers)
        if isinstance(self.domain, Integer):
            whole = np.clip(np.rint(numbers), self.domain.lower, self.domain.upper)
            return list(whole.astype(np.int64).tolist())
        return list(_decimals(self.domain, numbers, units).tolist())


def _base(domain: Float | Normal | Integer | Quantized) -> Float | Normal | Integer:
    return domain.base if isinstance(domain, Quantized) else domain


def _multiples(domain: Quantized, numbers: Array) -> list[Any]:
    first, last = domain.multiples
    multiples = np.clip(np.rint(numbers / domain.q), first, last).astype(np.int64)
    table = {multiple: domain.value(multiple) for multiple in set(multiples.tolist())}
    return [table[multiple] for multiple in multiples.tolist()]


def _decimals(domain: Float | Normal, numbers: Array, units: Array) -> Array:
    """Rounded numbers; the ends, which may have more digits, stand for all that lies closer than half a step."""
    precision = domain.precision
    rounded = round_decimals(numbers, precision.digits, precision.relative)
    for end, unit in ((domain.lower, 0.0), (domain.upper, 1.0)):
        near = np.abs(rounded - end) < precision.half_step(end)
        rounded = np.where(near | (units == unit), end, rounded)
    return np.clip(rounded, domain.lower, domain.upper)


@dataclass(frozen=True)
class ContinuousScale:
    """A monotone map of [lower, upper] onto [0, 1]."""

    inward: Callable[[Array], Array]
    outward: Callable[[Array], Array]
    low: float
    high: float

    def units(self, numbers: Array) -> Array:
        if self.low == self.high:
            return np.full(numbers.shape, 0.5)
        return np.clip((self.inward(numbers) - self.low) / (self.high - self.low), 0.0, 1.0)

    def numbers(self, units: Array) -> Array:
        return self.outward(self.low + units * (self.high - self.low))


def scale_of(domain: Float | Normal | Integer) -> ContinuousScale:
    if isinstance(domain, Normal):
        return _normal_scale(domain)
    inward, outward = _TRANSFORMS[domain.scale]
    margin = 0.5 if isinstance(domain, Integer) else 0.0
    ends = np.array([domain.lower - margin, domain.upper + margin])
    low, high = inward(ends).tolist()
    return ContinuousScale(inward, outward, low, high)


def _identity(values: Array) -> Array:
    return values


_TRANSFORMS: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    "linear": (_identity, _identity),
    "log": (np.log, np.exp),
    "reverse-log": (lambda x: -np.log1p(-x), lambda y: -np.expm1(-y)),
}


def _normal_scale(domain: Normal) -> ContinuousScale:
    standard = NormalDist()

    def probability(numbers: Array) -> Array:
        deviations = ((np.log(numbers) if domain.log else numbers) - domain.mu) / domain.sigma
        return np.array([standard.cdf(value) for value in deviations.tolist()], dtype=np.float64)

    def quantile(probabilities: Array) -> Array:
        deviations = np.array([standard.inv_cdf(value) for value in probabilities.tolist()], dtype=np.float64)
        numbers = domain.mu + domain.sigma * deviations
        return np.exp(numbers) if domain.log else numbers

    return ContinuousScale(probability, quantile, standard.cdf(-SIGMAS), standard.cdf(SIGMAS))


_POWERS = np.array([float(f"1e{exponent}") for exponent in range(23)])  # those that floats hold exactly


def round_decimals(numbers: Array, digits: int, relative: bool) -> Array:
    """Each number as the float nearest to its decimal with ``digits`` significant digits, or decimal places."""
    if relative:
        magnitudes = np.abs(np.where(numbers == 0.0, 1.0, numbers))
        places = digits - 1 - np.floor(np.log10(magnitudes)).astype(np.int64)
    else:
        places = np.full(numbers.shape, digits, dtype=np.int64)
    exact = np.abs(places) <= 22
    powers = _POWERS[np.where(exact, np.abs(places), 0)]
    near = np.where(exact, numbers, 0.0)
    up = places >= 0
    shifted = np.rint(np.where(up, near * powers, near / powers))
    rounded: Array = np.where(up, shifted / powers, shifted * powers)
    for index in np.flatnonzero(~exact).tolist():
        rounded[index] = round(float(numbers[index]), int(places[index]))
    return rounded
