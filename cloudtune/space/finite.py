"""Domains that list their values: categories, ordered values, regular grids."""

from __future__ import annotations

import math
import numbers
from abc import abstractmethod
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from typing import Any

from cloudtune.options import nearest_name
from cloudtune.space import checks
from cloudtune.space.domain import Domain

VALUE_TYPES = (str, int, float, bool)


class FiniteDomain(Domain):
    """A domain that lists its values; a value listed twice counts once in ``size``."""

    @property
    @abstractmethod
    def values(self) -> tuple[Any, ...]:
        """All values, in order."""

    @cached_property
    def positions(self) -> dict[Any, int]:
        """Where each value first occurs in ``values``."""
        return {value: index for index, value in reversed(list(enumerate(self.values)))}

    @property
    def value_type(self) -> type:
        return type(self.values[0])

    @property
    def size(self) -> int | None:
        return len(self.positions)

    def is_valid(self, value: Any) -> bool:
        if type(value) is not self.value_type:
            kinds = (_plain_type(value), self.value_type)
            if kinds[0] is not kinds[1] and kinds != (int, float):
                return False
        return value in self.positions

    def match_string(self, value: Any) -> str:
        return repr(self.value_type(value))


def _plain_type(value: Any) -> type | None:
    """The Python type that stands for ``value``'s, numpy scalars included; None for what no domain holds."""
    for plain, kind in ((bool, bool), (str, str), (int, numbers.Integral), (float, numbers.Real)):
        if isinstance(value, kind):
            return plain
    return None


def checked_categories(categories: Any, owner: str) -> tuple[Any, ...]:
    """Categories of one type, each once, in the order of their first occurrence."""
    if isinstance(categories, (str, bytes, dict, set, frozenset)) or not hasattr(categories, "__iter__"):
        checks.fail(f"{owner}: categories are {categories!r}", "give a list")
    values = list(categories)
    if not values:
        checks.fail(f"{owner}: the list of categories is empty", "give at least one value")
    types = [_plain_type(value) for value in values]
    for value, kind in zip(values, types, strict=True):
        if kind is None:
            checks.fail(
                f"{owner}: {value!r} can't be a category", "categories are str, int, float or bool; name it by a str"
            )
        if kind is not types[0]:
            first = values[0]
            checks.fail(
                f"{owner}: {first!r} is {_name(types[0])} and {value!r} is {_name(kind)}; categories have one type",
                "write 1.0 instead of 1 among floats, or all as strings",
            )
        if kind is float:
            checks.real(value, f"{owner}: category")
        if kind is int:
            checks.integer(value, f"{owner}: category")
    plain = types[0]
    assert plain is not None
    return tuple(dict.fromkeys(plain(value) for value in values))


def _name(kind: type | None) -> str:
    return kind.__name__ if kind else "unknown"


def cast_category(value: Any, domain: FiniteDomain) -> Any:
    """The category equal to ``value``, to its text, or within round-off of it."""
    if domain.is_valid(value):
        return domain.values[domain.positions[value]]
    kind = domain.value_type
    if kind is str:
        if str(value) in domain.positions:
            return str(value)
    elif kind is bool:
        converted = checks.to_bool(value)
        if converted in domain.positions:
            return converted
    else:
        number = checks.to_number(value, float, domain)
        for category in domain.values:
            if math.isclose(category, number, rel_tol=1e-9):
                return category
    return checks.fail(f"{value!r} is not among {domain!r}", nearest_name(str(value), map(str, domain.values)))


@dataclass(frozen=True, eq=False, repr=False)
class Categorical(FiniteDomain):
    """One of ``categories``, unordered. One dimension per category (one-hot); one in all for one or two categories."""

    categories: Sequence[Any]

    def __post_init__(self) -> None:
        object.__setattr__(self, "categories", checked_categories(self.categories, "choice"))

    @property
    def values(self) -> tuple[Any, ...]:
        return tuple(self.categories)

    @property
    def encoded_size(self) -> int:
        count = len(self.categories)
        return count if count > 2 else 1

    @property
    def midpoint(self) -> Any:
        return self.categories[0]

    def cast(self, value: Any) -> Any:
        return cast_category(value, self)

    def to_dict(self) -> dict[str, Any]:
        return {"domain": "choice", "categories": list(self.categories)}


@dataclass(frozen=True, eq=False, repr=False)
class Ordinal(FiniteDomain):
    """One of ``categories``, ordered, all equally likely and equally far apart. One dimension."""

    categories: Sequence[Any]

    def __post_init__(self) -> None:
        object.__setattr__(self, "categories", checked_categories(self.categories, "ordinal"))

    @property
    def values(self) -> tuple[Any, ...]:
        return tuple(self.categories)

    @property
    def midpoint(self) -> Any:
        return self.categories[len(self.categories) // 2]

    def cast(self, value: Any) -> Any:
        return cast_category(value, self)

    def to_dict(self) -> dict[str, Any]:
        return {"domain": "ordinal", "categories": list(self.categories), "kind": "equal"}


def is_strictly_increasing(values: Sequence[Any]) -> bool:
    return all(a < b for a, b in pairwise(values))


@dataclass(frozen=True, eq=False, repr=False)
class OrdinalNearestNeighbor(FiniteDomain):
    """Strictly increasing numbers, spaced in the unit interval as they are on their scale.

    A point of the interval stands for the nearest number; the interval reaches half a gap beyond the first and
    the last. Numbers with wide gaps around them are drawn more often.
    """

    categories: Sequence[Any]
    log_scale: bool = False

    def __post_init__(self) -> None:
        owner = "logordinal" if self.log_scale else "ordinal with kind 'nn'"
        given = list(self.categories) if hasattr(self.categories, "__iter__") else self.categories
        categories = checked_categories(given, owner)
        if type(categories[0]) not in (int, float):
            checks.fail(f"{owner}: {categories[0]!r} is not a number", "use kind='equal'")
        if len(categories) < len(given) or not is_strictly_increasing(categories):
            checks.fail(f"{owner}: {given!r} is not strictly increasing", "sort it and remove repetitions")
        if self.log_scale:
            checks.positive(categories[0], f"{owner}: the first category")
        object.__setattr__(self, "categories", categories)
        units, edges = self.units, self.edges
        if not all(a < m <= b for a, m, b in zip(units, edges, units[1:], strict=False)):
            checks.fail(f"{owner}: values of {given!r} lie too close to tell apart", "use kind='equal' or a log scale")

    @property
    def values(self) -> tuple[Any, ...]:
        return tuple(self.categories)

    @cached_property
    def units(self) -> tuple[float, ...]:
        """Where each category lies in [0, 1]."""
        if len(self.categories) == 1:
            return (0.5,)
        codes = [math.log(value) if self.log_scale else float(value) for value in self.categories]
        low = codes[0] - (codes[1] - codes[0]) / 2
        high = codes[-1] + (codes[-1] - codes[-2]) / 2
        if not math.isfinite(high - low):
            checks.fail(f"{self!r} is wider than a float can measure", "use kind='nn-log' or kind='equal'")
        return tuple((code - low) / (high - low) for code in codes)

    @cached_property
    def edges(self) -> tuple[float, ...]:
        """Where, between two categories, the nearest one changes; the upper one owns the edge."""
        return tuple((a + b) / 2 for a, b in pairwise(self.units))

    @property
    def midpoint(self) -> Any:
        first, last = self.categories[0], self.categories[-1]
        return self.cast(math.sqrt(first) * math.sqrt(last) if self.log_scale else first + (last - first) / 2)

    def cast(self, value: Any) -> Any:
        number = checks.to_number(value, float, self)
        return nearest(self.categories, number, self.log_scale)

    def to_dict(self) -> dict[str, Any]:
        kind = "nn-log" if self.log_scale else "nn"
        return {"domain": "ordinal", "categories": list(self.categories), "kind": kind}


def nearest(values: Sequence[Any], number: float, log_scale: bool) -> Any:
    """The one of increasing ``values`` closest to ``number``; the upper one in a tie."""
    index = bisect_right(values, number)
    if index == 0:
        return values[0]
    if index == len(values):
        return values[-1]
    below, above = values[index - 1], values[index]
    if number == below:
        return below
    if log_scale:
        return below if math.log(number) - math.log(below) < math.log(above) - math.log(number) else above
    return below if number - below < above - number else above


@dataclass(frozen=True, eq=False, repr=False)
class FiniteRange(FiniteDomain):
    """``points`` numbers from ``lower`` to ``upper``, equally spaced on their scale and equally likely.

    With ``cast_int`` each is rounded; numbers that then coincide are as many times as likely, and ``size`` counts
    them once.
    """

    lower: float
    upper: float
    points: int
    log_scale: bool = False
    cast_int: bool = False

    def __post_init__(self) -> None:
        owner = f"{self._factory}({self.lower!r}, {self.upper!r}, {self.points!r})"
        object.__setattr__(self, "lower", checks.real(self.lower, f"{owner}: lower") + 0.0)
        object.__setattr__(self, "upper", checks.real(self.upper, f"{owner}: upper") + 0.0)
        object.__setattr__(self, "points", checks.integer(self.points, f"{owner}: size"))
        checks.ordered(self.lower, self.upper, owner)
        if self.points < 2:
            checks.fail(
                f"{owner}: size {self.points} is below 2", "both ends are values; for one value give the constant"
            )
        if self.points > 2**20:
            checks.fail(f"{owner}: size {self.points} is above 2**20", "use uniform, quniform or randint")
        if self.log_scale:
            checks.positive(self.lower, f"{owner}: lower")
        if self.cast_int:
            checks.integer(float(round(self.lower)), f"{owner}: lower")
            checks.integer(float(round(self.upper)), f"{owner}: upper")

    @property
    def _factory(self) -> str:
        return "logfinrange" if self.log_scale else "finrange"

    @cached_property
    def values(self) -> tuple[Any, ...]:
        return tuple(round(point) for point in self.grid) if self.cast_int else self.grid

    @cached_property
    def grid(self) -> tuple[float, ...]:
        """The values before ``cast_int`` rounds them."""
        points = self._log_points() if self.log_scale else self._linear_points()
        return tuple(min(max(point, self.lower), self.upper) for point in points)

    def _linear_points(self) -> list[float]:
        lower, upper = Fraction(repr(self.lower)), Fraction(repr(self.upper))
        return [float(lower + (upper - lower) * index / (self.points - 1)) for index in range(self.points)]

    def _log_points(self) -> list[float]:
        low, high = math.log(self.lower), math.log(self.upper)
        inner = [low + (high - low) * index / (self.points - 1) for index in range(1, self.points - 1)]
        return [self.lower, *(float(f"{math.exp(point):.13g}") for point in inner), self.upper]

    @property
    def midpoint(self) -> Any:
        return self.values[self.points // 2]

    def cast(self, value: Any) -> Any:
        return nearest(self.values, checks.to_number(value, float, self), self.log_scale)

    def to_dict(self) -> dict[str, Any]:
        arguments = {"lower": self.lower, "upper": self.upper, "size": self.points, "cast_int": self.cast_int}
        return {"domain": self._factory, **arguments}
