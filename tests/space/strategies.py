"""Hypothesis strategies: every kind of domain, and values inside a given one."""

from __future__ import annotations

from typing import Any, Literal

from hypothesis import assume
from hypothesis import strategies as st

from cloudtune.errors import ConfigSpaceError
from cloudtune.space import (
    Domain,
    FiniteDomain,
    Float,
    Integer,
    Normal,
    Quantized,
    choice,
    finrange,
    logfinrange,
    lognormal,
    lograndint,
    loguniform,
    normal,
    ordinal,
    qlognormal,
    qlograndint,
    qloguniform,
    qnormal,
    qrandint,
    quniform,
    randint,
    reverseloguniform,
    uniform,
)

finite_floats = st.floats(-1e300, 1e300, allow_subnormal=False)
positive_floats = st.floats(1e-300, 1e300)
decent_floats = st.floats(-1e6, 1e6, allow_subnormal=False).filter(lambda x: x == 0 or abs(x) > 1e-6)
texts = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=8)


def _ordered(values: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, Any]]:
    return st.tuples(values, values).map(lambda pair: (min(pair), max(pair)))


@st.composite
def float_domains(draw: st.DrawFn) -> Float:
    kind = draw(st.sampled_from(["uniform", "zero", "log", "reverse"]))
    if kind == "log":
        return loguniform(*draw(_ordered(positive_floats)))
    if kind == "reverse":
        return reverseloguniform(*draw(_ordered(st.floats(0, 1 - 1e-9))))
    if kind == "zero":
        return uniform(0, draw(positive_floats))
    return uniform(*draw(_ordered(finite_floats)))


@st.composite
def normal_domains(draw: st.DrawFn) -> Normal:
    mu, sigma = draw(st.floats(-100, 100)), draw(st.floats(1e-3, 50))
    return draw(st.sampled_from([normal, lognormal]))(mu, sigma)


@st.composite
def integer_domains(draw: st.DrawFn) -> Integer:
    if draw(st.booleans()):
        return lograndint(*draw(_ordered(st.integers(1, 10**12))))
    lower = draw(st.integers(-(2**53), 2**53))
    return randint(lower, min(lower + draw(st.integers(0, 2**50 - 1)), 2**53))


@st.composite
def quantized_domains(draw: st.DrawFn) -> Quantized:
    kind = draw(st.sampled_from(["float", "log", "int", "logint", "normal", "lognormal"]))
    q = draw(st.sampled_from([0.1, 0.25, 1.0, 2.5, 1e-3, 7.0]) | st.floats(1e-3, 100))
    whole = draw(st.integers(1, 1000))
    try:
        if kind == "float":
            return quniform(*draw(_ordered(decent_floats)), q)
        if kind == "log":
            return qloguniform(*draw(_ordered(st.floats(1e-3, 1e6))), q)
        if kind == "int":
            return qrandint(*draw(_ordered(st.integers(-(10**9), 10**9))), whole)
        if kind == "logint":
            return qlograndint(*draw(_ordered(st.integers(1, 10**9))), whole)
        make = qnormal if kind == "normal" else qlognormal
        return make(draw(st.floats(-5, 5)), draw(st.floats(0.1, 2)), q)
    except ConfigSpaceError:
        assume(False)
        raise


@st.composite
def finite_domains(draw: st.DrawFn) -> FiniteDomain:
    size = draw(st.integers(2, 40))
    cast_int = draw(st.booleans())
    numbers = st.lists(decent_floats, min_size=1, max_size=12, unique=True)
    kind = draw(st.sampled_from(["choice", "equal", "nn", "nn-log", "finrange", "logfinrange"]))
    if kind == "finrange":
        return finrange(*draw(_ordered(decent_floats)), size, cast_int)
    if kind == "logfinrange":
        return logfinrange(*draw(_ordered(st.floats(1e-3, 1e9))), size, cast_int)
    if kind == "nn":
        integers = st.lists(st.integers(-1000, 1000), min_size=1, max_size=12, unique=True)
        return _nearest_neighbor(sorted(draw(integers | numbers)), "nn")
    if kind == "nn-log":
        positive = st.lists(st.floats(1e-9, 1e9), min_size=1, max_size=12, unique=True)
        return _nearest_neighbor(sorted(draw(positive)), "nn-log")
    lists = [texts, st.integers(-(2**53), 2**53), finite_floats, st.booleans()]
    values = draw(st.one_of([st.lists(element, min_size=1, max_size=12) for element in lists]))
    return choice(values) if kind == "choice" else ordinal(values, kind="equal")


def _nearest_neighbor(values: list[Any], kind: Literal["nn", "nn-log"]) -> FiniteDomain:
    try:
        return ordinal(values, kind=kind)
    except ConfigSpaceError as error:
        assume("too close" not in error.message)
        raise


def domains() -> st.SearchStrategy[Domain]:
    return st.one_of(float_domains(), normal_domains(), integer_domains(), quantized_domains(), finite_domains())


def values_of(domain: Domain) -> st.SearchStrategy[Any]:
    """Any value of ``domain``, its ends included."""
    if isinstance(domain, FiniteDomain):
        return st.sampled_from(domain.values)
    if isinstance(domain, Quantized):
        return st.integers(*domain.multiples).map(domain.value)
    if isinstance(domain, Integer):
        return st.integers(domain.lower, domain.upper)
    assert isinstance(domain, (Float, Normal))
    return st.floats(domain.lower, domain.upper, allow_subnormal=False) | st.sampled_from([domain.lower, domain.upper])
