"""How users write domains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from cloudtune.space import checks
from cloudtune.space.finite import (
    Categorical,
    FiniteRange,
    Ordinal,
    OrdinalNearestNeighbor,
    is_strictly_increasing,
)
from cloudtune.space.numeric import Float, Integer, Normal, Quantized


def uniform(lower: float, upper: float) -> Float:
    """Floats, uniform on [lower, upper]."""
    return Float(lower, upper)


def loguniform(lower: float, upper: float) -> Float:
    """Floats exp(x), x uniform on [log lower, log upper]; lower > 0."""
    return Float(lower, upper, "log")


def reverseloguniform(lower: float, upper: float) -> Float:
    """Floats 1 - exp(-x), x uniform on [-log(1 - lower), -log(1 - upper)]; 0 <= lower, upper < 1. For 0.9 … 0.9999."""
    return Float(lower, upper, "reverse-log")


def randint(lower: int, upper: int) -> Integer:
    """Integers, all equally likely; ``upper`` is included."""
    return Integer(lower, upper)


def lograndint(lower: int, upper: int) -> Integer:
    """Integers round(exp(x)), x uniform on [log(lower - 0.5), log(upper + 0.5)]; ``upper`` is included."""
    return Integer(lower, upper, "log")


def normal(mu: float, sigma: float) -> Normal:
    """Floats from a normal distribution, ended at five sigma."""
    return Normal(mu, sigma)


def lognormal(mu: float, sigma: float) -> Normal:
    """Floats exp(x), x from ``normal(mu, sigma)``: mu and sigma are those of the logarithm."""
    return Normal(mu, sigma, log=True)


def choice(categories: Sequence[Any]) -> Categorical:
    """One of a list without order: str, int, float or bool, all of one type. A repeated category counts once.

    For numbers prefer ``ordinal``, ``finrange`` or ``logfinrange``: they keep the order and need one dimension.
    """
    return Categorical(categories)


def ordinal(
    categories: Sequence[Any], kind: Literal["equal", "nn", "nn-log"] | None = None
) -> Ordinal | OrdinalNearestNeighbor:
    """One of an ordered list.

    ``kind`` "equal": all equally likely and equally far apart. "nn", "nn-log": strictly increasing numbers, as far
    apart as they are (as their logarithms are). Default: "nn" for two or more strictly increasing numbers, else
    "equal".
    """
    if kind not in (None, "equal", "nn", "nn-log"):
        checks.fail(f"ordinal: kind {kind!r} is unknown", "one of 'equal', 'nn', 'nn-log'")
    if kind in ("nn", "nn-log"):
        return OrdinalNearestNeighbor(categories, kind == "nn-log")
    equal = Ordinal(categories)
    values = list(categories)
    numeric = equal.value_type in (int, float) and len(values) > 1
    if kind is None and numeric and is_strictly_increasing(values):
        return OrdinalNearestNeighbor(values)
    return equal


def logordinal(categories: Sequence[float]) -> OrdinalNearestNeighbor:
    """Strictly increasing positive numbers as far apart as their logarithms: ``ordinal(…, kind="nn-log")``."""
    return OrdinalNearestNeighbor(categories, log_scale=True)


def finrange(lower: float, upper: float, size: int, cast_int: bool = False) -> FiniteRange:
    """``size`` >= 2 equally spaced floats (ints with ``cast_int``), both ends included."""
    return FiniteRange(lower, upper, size, cast_int=cast_int)


def logfinrange(lower: float, upper: float, size: int, cast_int: bool = False) -> FiniteRange:
    """``size`` >= 2 floats (ints with ``cast_int``) with equally spaced logarithms, both ends included; lower > 0."""
    return FiniteRange(lower, upper, size, log_scale=True, cast_int=cast_int)


def quniform(lower: float, upper: float, q: float) -> Quantized:
    """Multiples of ``q`` in [lower, upper], nearest to a uniform draw."""
    return Quantized(uniform(lower, upper), q)


def qloguniform(lower: float, upper: float, q: float) -> Quantized:
    """Multiples of ``q`` in [lower, upper], nearest to a log-uniform draw."""
    return Quantized(loguniform(lower, upper), q)


def qrandint(lower: int, upper: int, q: int) -> Quantized:
    """Integer multiples of ``q`` in [lower, upper], nearest to a uniform draw."""
    return Quantized(randint(lower, upper), q)


def qlograndint(lower: int, upper: int, q: int) -> Quantized:
    """Integer multiples of ``q`` in [lower, upper], nearest to a log-uniform draw."""
    return Quantized(lograndint(lower, upper), q)


def qnormal(mu: float, sigma: float, q: float) -> Quantized:
    """Multiples of ``q``, nearest to a draw from ``normal(mu, sigma)``."""
    return Quantized(normal(mu, sigma), q)


def qlognormal(mu: float, sigma: float, q: float) -> Quantized:
    """Positive multiples of ``q``, nearest to a draw from ``lognormal(mu, sigma)``."""
    return Quantized(lognormal(mu, sigma), q)
