"""Numbers in an interval: floats, integers, normal variables, and multiples of a step."""

from __future__ import annotations

import math
import numbers
import sys
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, Literal

from cloudtune.space import checks, precision
from cloudtune.space.domain import Domain
from cloudtune.space.precision import Precision

MAX_INTEGER_VALUES = 2**50  # more would not be told apart in the unit cube


def _is_number(value: Any) -> bool:
    kind = type(value)
    return kind is float or kind is int or (isinstance(value, numbers.Real) and not isinstance(value, bool))


def _is_integer(value: Any) -> bool:
    return type(value) is int or (isinstance(value, numbers.Integral) and not isinstance(value, bool))


@dataclass(frozen=True, eq=False, repr=False)
class Float(Domain):
    """Floats of the closed interval [lower, upper], uniform on ``scale``.

    ``reverse-log`` is uniform in -log(1 - x), for 0 <= lower <= upper < 1.
    """

    lower: float
    upper: float
    scale: Literal["linear", "log", "reverse-log"] = "linear"

    def __post_init__(self) -> None:
        owner = f"{self._factory}({self.lower!r}, {self.upper!r})"
        object.__setattr__(self, "lower", checks.real(self.lower, f"{owner}: lower") + 0.0)
        object.__setattr__(self, "upper", checks.real(self.upper, f"{owner}: upper") + 0.0)
        checks.ordered(self.lower, self.upper, owner)
        if not math.isfinite(4 * (self.upper - self.lower)):
            checks.fail(f"{owner}: the range is wider than a float can measure", "use a log scale or a smaller range")
        if self.scale == "log":
            checks.positive(self.lower, f"{owner}: lower")
            if self.lower < sys.float_info.min:
                checks.fail(f"{owner}: lower {self.lower!r} is subnormal", "start at 1e-300 or above")
        if self.scale == "reverse-log" and not (self.lower >= 0 and self.upper < 1):
            checks.fail(f"{owner}: values of reverseloguniform lie in [0, 1)", "for example (0.9, 0.9999)")

    @property
    def _factory(self) -> str:
        return {"linear": "uniform", "log": "loguniform", "reverse-log": "reverseloguniform"}[self.scale]

    @property
    def precision(self) -> Precision:
        if self.scale == "log":
            return precision.log_precision(self.lower, self.upper)
        if self.scale == "reverse-log":
            return precision.reverse_log_precision(self.lower, self.upper)
        return precision.linear_precision(self.lower, self.upper)

    @property
    def value_type(self) -> type:
        return float

    @property
    def size(self) -> int | None:
        return 1 if self.lower == self.upper else None

    @property
    def midpoint(self) -> float:
        if self.lower == self.upper:
            return self.lower
        middle = self.lower + (self.upper - self.lower) / 2
        if self.scale == "log":
            middle = math.sqrt(self.lower) * math.sqrt(self.upper)
        elif self.scale == "reverse-log":
            middle = -math.expm1((math.log1p(-self.lower) + math.log1p(-self.upper)) / 2)
        return min(max(float(f"{middle:.15g}"), self.lower), self.upper)

    def cast(self, value: Any) -> float:
        return float(checks.to_number(value, float, self))

    def is_valid(self, value: Any) -> bool:
        return _is_number(value) and self.lower <= value <= self.upper

    def match_string(self, value: Any) -> str:
        return f"{value:.12g}"

    def to_dict(self) -> dict[str, Any]:
        return {"domain": self._factory, "lower": self.lower, "upper": self.upper}


@dataclass(frozen=True, eq=False, repr=False)
class Normal(Domain):
    """Floats x (or log x) drawn from a normal distribution, ended at five standard deviations.

    The ends drop 6 draws in ten million and make the domain a bounded one like all others. In the unit cube a value is
    its probability of not being exceeded.
    """

    mu: float
    sigma: float
    log: bool = False

    def __post_init__(self) -> None:
        owner = f"{self._factory}({self.mu!r}, {self.sigma!r})"
        object.__setattr__(self, "mu", checks.real(self.mu, f"{owner}: mu") + 0.0)
        object.__setattr__(self, "sigma", checks.real(self.sigma, f"{owner}: sigma"))
        if self.sigma <= 0:
            checks.fail(f"{owner}: sigma {self.sigma!r} is not above 0", "for one fixed value give the constant")
        largest = abs(self.mu) + precision.SIGMAS * self.sigma
        if self.log and largest > 700:
            checks.fail(
                f"{owner}: values reach exp(±{largest:g}), which no float holds",
                "mu and sigma are those of log x: for values around 1e-3 write lognormal(log(1e-3), 1)",
            )
        if not math.isfinite(4 * largest) or self.precision.digits < 3 or self.lower == self.upper:
            checks.fail(f"{owner}: sigma is out of proportion to mu", "rescale the parameter in the script")

    @property
    def _factory(self) -> str:
        return "lognormal" if self.log else "normal"

    @property
    def lower(self) -> float:
        end = self.mu - precision.SIGMAS * self.sigma
        return math.exp(end) if self.log else end

    @property
    def upper(self) -> float:
        end = self.mu + precision.SIGMAS * self.sigma
        return math.exp(end) if self.log else end

    @property
    def precision(self) -> Precision:
        return precision.normal_precision(self.mu, self.sigma, self.log)

    @property
    def value_type(self) -> type:
        return float

    @property
    def size(self) -> int | None:
        return None

    @property
    def midpoint(self) -> float:
        return math.exp(self.mu) if self.log else self.mu

    def cast(self, value: Any) -> float:
        return float(checks.to_number(value, float, self))

    def is_valid(self, value: Any) -> bool:
        return _is_number(value) and self.lower <= value <= self.upper

    def match_string(self, value: Any) -> str:
        return f"{value:.12g}"

    def to_dict(self) -> dict[str, Any]:
        return {"domain": self._factory, "mu": self.mu, "sigma": self.sigma}


@dataclass(frozen=True, eq=False, repr=False)
class Integer(Domain):
    """Integers from ``lower`` to ``upper``, both included.

    On the log scale: round(exp(x)) with x uniform on [log(lower - 0.5), log(upper + 0.5)].
    """

    lower: int
    upper: int
    scale: Literal["linear", "log"] = "linear"

    def __post_init__(self) -> None:
        owner = f"{self._factory}({self.lower!r}, {self.upper!r})"
        object.__setattr__(self, "lower", checks.integer(self.lower, f"{owner}: lower"))
        object.__setattr__(self, "upper", checks.integer(self.upper, f"{owner}: upper"))
        checks.ordered(self.lower, self.upper, owner)
        if self.scale == "log":
            checks.positive(self.lower, f"{owner}: lower")
        elif self.upper - self.lower >= MAX_INTEGER_VALUES:
            checks.fail(f"{owner}: more than 2**50 integers can't be kept apart", "use uniform and round, or narrow it")
        if self.scale == "log" and self.precision.spacing(self.upper) > 1 / 8:
            checks.fail(
                f"{owner}: integers as large as {self.upper} can't be kept apart on a log scale", "use loguniform"
            )

    @property
    def _factory(self) -> str:
        return "lograndint" if self.scale == "log" else "randint"

    @property
    def precision(self) -> Precision:
        kind = precision.log_precision if self.scale == "log" else precision.linear_precision
        return kind(self.lower - 0.5, self.upper + 0.5)

    @property
    def value_type(self) -> type:
        return int

    @property
    def size(self) -> int | None:
        return self.upper - self.lower + 1

    @property
    def midpoint(self) -> int:
        if self.scale == "log":
            return round(math.sqrt(self.lower) * math.sqrt(self.upper))
        return (self.lower + self.upper) // 2

    def cast(self, value: Any) -> int:
        return int(checks.to_number(value, int, self))

    def is_valid(self, value: Any) -> bool:
        return _is_integer(value) and self.lower <= value <= self.upper

    def match_string(self, value: Any) -> str:
        return str(int(value))

    def to_dict(self) -> dict[str, Any]:
        return {"domain": self._factory, "lower": self.lower, "upper": self.upper}


@dataclass(frozen=True, eq=False, repr=False)
class Quantized(Domain):
    """The multiples of ``q`` inside ``base``, each drawn when it is nearest to a draw from ``base``.

    ``q`` and bounds are read as the decimals they are written as: 0.3 is the third multiple of 0.1.
    """

    base: Float | Normal | Integer
    q: float

    def __post_init__(self) -> None:
        owner = f"q{self.base!r} with q={self.q!r}"
        check = checks.integer if self.value_type is int else checks.real
        object.__setattr__(self, "q", check(self.q, f"{owner}: q"))
        if self.q <= 0:
            checks.fail(f"{owner}: q is not above 0", "q is the distance of neighbouring values")
        first, last = self.multiples
        if first > last:
            checks.fail(f"{owner}: no multiple of {self.q!r} lies inside", "make q smaller or the range wider")
        largest = max(abs(self.base.lower), abs(self.base.upper))
        if self.base.precision.spacing(largest) > self.q / 8:
            checks.fail(f"{owner}: q is too fine to tell values apart", f"use {self.base!r}")

    @cached_property
    def multiples(self) -> tuple[int, int]:
        """The first and the last multiple of ``q`` inside."""
        first = Fraction(repr(self.base.lower)) / Fraction(repr(self.q))
        last = Fraction(repr(self.base.upper)) / Fraction(repr(self.q))
        return math.ceil(first), math.floor(last)

    @cached_property
    def step(self) -> tuple[int, int]:
        """``q`` as a fraction."""
        return Fraction(repr(self.q)).as_integer_ratio()

    def value(self, multiple: int) -> Any:
        """``multiple * q``, rounded once."""
        numerator, denominator = self.step
        return multiple * numerator if self.value_type is int else multiple * numerator / denominator

    @property
    def lower(self) -> Any:
        return self.value(self.multiples[0])

    @property
    def upper(self) -> Any:
        return self.value(self.multiples[1])

    @property
    def value_type(self) -> type:
        return self.base.value_type

    @property
    def size(self) -> int | None:
        first, last = self.multiples
        return last - first + 1

    @property
    def midpoint(self) -> Any:
        return self.cast(self.base.midpoint)

    def cast(self, value: Any) -> Any:
        number = checks.to_number(value, float, self)
        first, last = self.multiples
        multiple = round(Fraction(repr(number)) / Fraction(repr(self.q)))
        return self.value(min(max(multiple, first), last))

    def is_valid(self, value: Any) -> bool:
        return self.base.is_valid(value) and bool(self.value(round(value / self.q)) == value)

    def match_string(self, value: Any) -> str:
        return self.base.match_string(value)

    def to_dict(self) -> dict[str, Any]:
        arguments = self.base.to_dict()
        return {**arguments, "domain": "q" + arguments["domain"], "q": self.q}
