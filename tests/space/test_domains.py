"""What domains know about their values."""

from __future__ import annotations

import dataclasses
import math
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudtune.errors import ConfigSpaceError
from cloudtune.space import (
    Domain,
    FiniteDomain,
    Ordinal,
    OrdinalNearestNeighbor,
    choice,
    finrange,
    logfinrange,
    lognormal,
    logordinal,
    lograndint,
    loguniform,
    normal,
    ordinal,
    qloguniform,
    qnormal,
    qrandint,
    quniform,
    randint,
    reverseloguniform,
    uniform,
)
from tests.space.strategies import domains, values_of


@pytest.mark.parametrize(
    ("domain", "values"),
    [
        (finrange(0.5, 1.5, 3), (0.5, 1.0, 1.5)),
        (finrange(0.1, 1.0, 10), (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)),
        (finrange(1, 7, 3, cast_int=True), (1, 4, 7)),
        (logfinrange(8, 256, 6, cast_int=True), (8, 16, 32, 64, 128, 256)),
        (logfinrange(8, 256, 6), (8.0, 16.0, 32.0, 64.0, 128.0, 256.0)),
        (logfinrange(4, 1024, 9, cast_int=True), (4, 8, 16, 32, 64, 128, 256, 512, 1024)),
        (logfinrange(0.001, 1, 4), (0.001, 0.01, 0.1, 1.0)),
        (choice(["b", "a", "b"]), ("b", "a")),
        (choice([True, False]), (True, False)),
        (ordinal([3, 1, 2]), (3, 1, 2)),
    ],
    ids=repr,
)
def test_the_values_of_finite_domains(domain: FiniteDomain, values: tuple[Any, ...]) -> None:
    assert domain.values == values
    assert [type(value) for value in domain.values] == [domain.value_type] * len(values)
    assert domain.size == len(values)


def test_multiples_are_decimals_inside_the_range() -> None:
    assert [quniform(0.1, 0.4, 0.1).value(i) for i in range(1, 5)] == [0.1, 0.2, 0.3, 0.4]
    assert (quniform(0.1, 0.3, 0.1).lower, quniform(0.1, 0.3, 0.1).upper) == (0.1, 0.3)
    assert (quniform(1, 10, 3).lower, quniform(1, 10, 3).upper) == (3.0, 9.0)
    assert (qrandint(0, 100, 16).lower, qrandint(0, 100, 16).upper) == (0, 96)
    assert qrandint(0, 100, 16).value_type is int
    assert qloguniform(1e-4, 1e-2, 1e-4).size == 100


@pytest.mark.parametrize(
    ("categories", "kind", "expected"),
    [
        ([1, 2, 5], None, OrdinalNearestNeighbor),
        ([0.1, 0.2], None, OrdinalNearestNeighbor),
        ([2, 1, 5], None, Ordinal),
        ([1, 1, 5], None, Ordinal),
        ([7], None, Ordinal),
        (["s", "m", "l"], None, Ordinal),
        ([False, True], None, Ordinal),
        ([1, 2, 5], "equal", Ordinal),
        ([1, 2, 5], "nn", OrdinalNearestNeighbor),
        ([1, 2, 5], "nn-log", OrdinalNearestNeighbor),
    ],
)
def test_the_kind_of_an_ordinal(categories: list[Any], kind: Any, expected: type) -> None:
    assert type(ordinal(categories, kind=kind)) is expected


def test_logordinal_is_an_ordinal_by_ratio() -> None:
    assert logordinal([1, 2, 5]) == ordinal([1, 2, 5], kind="nn-log")


@pytest.mark.parametrize(
    ("domain", "value", "expected"),
    [
        (uniform(0, 1), "0.25", 0.25),
        (uniform(0, 1), 1, 1.0),
        (uniform(0, 1), 3, 3.0),
        (randint(0, 9), "7", 7),
        (randint(0, 9), 6.7, 7),
        (randint(0, 9), np.int64(3), 3),
        (randint(2**53 - 9, 2**53), 2**53 - 1, 2**53 - 1),
        (randint(2**53 - 9, 2**53), "9007199254740991", 2**53 - 1),
        (choice(["a", "1"]), 1, "1"),
        (choice([1, 2]), "2", 2),
        (choice([0.1, 0.3]), 0.1 + 0.2, 0.3),
        (choice([True, False]), "false", False),
        (choice([True, False]), 1, True),
        (finrange(0, 1, 11), 0.34, 0.3),
        (finrange(0, 1, 11), 99, 1.0),
        (logfinrange(1, 100, 3), 4, 10.0),
        (logordinal([1, 100]), "11", 100),
        (ordinal([1, 100], kind="nn"), 11, 1),
        (quniform(0, 1, 0.25), 0.4, 0.5),
        (quniform(0.3, 1, 0.25), 0.0, 0.5),
        (qnormal(0, 1, 0.5), "0.7", 0.5),
    ],
    ids=repr,
)
def test_casting_converts_and_rounds_to_finite_domains(domain: Domain, value: Any, expected: Any) -> None:
    result = domain.cast(value)
    assert result == expected
    assert type(result) is domain.value_type


@pytest.mark.parametrize(
    ("domain", "value", "message"),
    [
        (uniform(0, 1), "fast", "'fast' is not a number"),
        (uniform(0, 1), None, "None is not a number"),
        (uniform(0, 1), math.nan, "nan is not finite"),
        (randint(0, 1), "inf", "'inf' is not finite"),
        (randint(0, 1), True, "True is not a number"),
        (choice(["adam", "sgd"]), "adm", r"'adm' is not among choice.*\n.*did you mean 'adam'"),
        (choice([1, 2]), 3, "3 is not among"),
        (choice([True]), "maybe", "'maybe' is neither true nor false"),
    ],
)
def test_casting_refuses_what_is_no_such_value(domain: Domain, value: Any, message: str) -> None:
    with pytest.raises(ConfigSpaceError, match=message):
        domain.cast(value)


@pytest.mark.parametrize(
    ("domain", "inside", "outside"),
    [
        (uniform(0, 1), [0, 1, 0.5, np.float32(0.5)], [-0.1, 1.1, "0.5", None, True, math.nan, math.inf]),
        (randint(1, 3), [1, 3, np.int64(2)], [0, 4, 2.0, "2", True, np.True_]),
        (choice(["a", "b"]), ["a"], ["c", "A", 1, None]),
        (choice([1, 2]), [1, np.int32(2)], [1.0, True, "1", 3]),
        (choice([1.0, 2.5]), [1.0, 1, np.float64(2.5)], [True, 2]),
        (choice([True]), [True], [1, False]),
        (finrange(0, 1, 3), [0.0, 0.5, 1], [0.4]),
        (quniform(0, 1, 0.1), [0.3, 0.7, 1.0, 0], [0.35, 1.1, -0.1, 0.1 + 0.2]),
        (normal(0, 1), [0.0, 5.0, -5], [5.1]),
        (lognormal(0, 1), [1.0], [0.0, -1.0]),
        (reverseloguniform(0.9, 0.99), [0.9, 0.99], [1.0]),
    ],
    ids=repr,
)
def test_validity_is_about_type_and_range(domain: Domain, inside: list[Any], outside: list[Any]) -> None:
    for value in inside:
        assert domain.is_valid(value), value
    for value in outside:
        assert not domain.is_valid(value), value


@pytest.mark.parametrize(
    ("domain", "middle"),
    [
        (uniform(0, 10), 5.0),
        (loguniform(1e-4, 1), 0.01),
        (loguniform(1e-300, 1e300), 1.0),
        (reverseloguniform(0.9, 0.999), 0.99),
        (randint(1, 9), 5),
        (lograndint(1, 100), 10),
        (normal(3, 1), 3.0),
        (lognormal(0, 1), 1.0),
        (choice(["z", "a"]), "z"),
        (ordinal(["s", "m", "l"]), "m"),
        (ordinal([1, 2, 100], kind="nn"), 2),
        (logordinal([1, 8, 100]), 8),
        (finrange(0, 1, 5), 0.5),
        (logfinrange(1, 100, 3, cast_int=True), 10),
        (quniform(0, 1, 0.4), 0.4),
        (uniform(0.3, 0.3), 0.3),
    ],
    ids=repr,
)
def test_the_middle_is_that_of_the_scale(domain: Domain, middle: Any) -> None:
    assert domain.midpoint == pytest.approx(middle) if isinstance(middle, float) else domain.midpoint == middle


@given(domains())
def test_the_middle_is_a_value(domain: Domain) -> None:
    assert domain.is_valid(domain.midpoint)
    assert type(domain.midpoint) is domain.value_type


@given(domains(), st.data())
def test_valid_values_are_left_alone_by_casting(domain: Domain, data: st.DataObject) -> None:
    value = data.draw(values_of(domain))
    assert domain.is_valid(value)
    assert domain.cast(value) == value
    assert type(domain.cast(value)) is domain.value_type


def test_match_strings_forgive_round_off_in_floats_and_nothing_else() -> None:
    assert uniform(0, 1).match_string(0.1 + 0.2) == uniform(0, 1).match_string(0.3)
    assert uniform(0, 1).match_string(0.3) != uniform(0, 1).match_string(0.30000001)
    assert randint(0, 9).match_string(3) == "3"
    assert choice(["1", "2"]).match_string("1") != choice([1, 2]).match_string(1)


@given(domains())
def test_domains_are_immutable_hashable_values_that_can_be_pickled(domain: Domain) -> None:
    domain.sample()
    twin = pickle.loads(pickle.dumps(domain))
    assert twin == domain
    assert hash(twin) == hash(domain)
    with pytest.raises(dataclasses.FrozenInstanceError):
        domain.lower = 0  # type: ignore[attr-defined]


def test_domains_are_equal_when_the_same_call_makes_them() -> None:
    assert uniform(0, 1) == uniform(0.0, 1.0)
    assert uniform(1, 2) != loguniform(1, 2)
    assert choice([1, 0]) != choice([True, False])
    assert choice([1, 2]) != choice([1.0, 2.0])
    assert uniform(0, 1) != "uniform(lower=0.0, upper=1.0)"
    assert len({randint(1, 2), randint(1, 2), lograndint(1, 2)}) == 2


def test_a_domain_shows_as_the_call_that_makes_it() -> None:
    assert repr(loguniform(1e-4, 1)) == "loguniform(lower=0.0001, upper=1.0)"
    assert repr(qrandint(0, 64, 8)) == "qrandint(lower=0, upper=64, q=8)"
    assert repr(choice(["a", "b"])) == "choice(categories=['a', 'b'])"
