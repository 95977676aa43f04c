"""Every value survives the unit cube, and every point of it is a value."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cloudtune.errors import ConfigSpaceError
from cloudtune.space import (
    Domain,
    FiniteDomain,
    Float,
    Integer,
    Normal,
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
    quniform,
    randint,
    reverseloguniform,
    uniform,
)
from tests.space.strategies import domains, finite_domains, float_domains, normal_domains, values_of

units = st.floats(0, 1)


def round_trip(domain: Domain, value: Any) -> Any:
    return domain.from_unit(domain.to_unit(value))


@settings(max_examples=400)
@given(st.data())
def test_every_value_of_a_countable_domain_comes_back_exactly(data: st.DataObject) -> None:
    domain = data.draw(domains().filter(lambda d: not isinstance(d, (Float, Normal))))
    value = data.draw(values_of(domain))
    result = round_trip(domain, value)
    assert result == value
    assert type(result) is domain.value_type


@settings(max_examples=400)
@given(domains(), st.data())
@example(loguniform(1e-6, 1), None)
@example(normal(0, 0.0010000000000000002), None)
def test_every_point_of_the_cube_is_a_value_and_comes_back_exactly(domain: Domain, data: st.DataObject | None) -> None:
    size = domain.encoded_size
    point = [1e-170] * size if data is None else data.draw(st.lists(units, min_size=size, max_size=size))
    value = domain.from_unit(point)
    assert domain.is_valid(value)
    assert type(value) is domain.value_type
    assert round_trip(domain, value) == value


@settings(max_examples=400)
@given(st.data())
def test_a_float_moves_by_less_than_its_domain_promises(data: st.DataObject) -> None:
    domain = data.draw(st.one_of(float_domains(), normal_domains()))
    assert isinstance(domain, (Float, Normal))
    value = data.draw(values_of(domain))
    step = 10.0**-domain.precision.digits * (10 * abs(value) if domain.precision.relative else 1)
    underflow = domain.upper * sys.float_info.min  # on a linear scale, a unit coordinate has only that many zeros
    assert round_trip(domain, value) == pytest.approx(value, rel=0, abs=max(step, underflow))


@pytest.mark.parametrize(
    ("domain", "texts"),
    [
        (uniform(0, 1), ["0", "1", "0.1", "0.3", "0.7", "0.123456789012", "1e-3", "1e-200", "7e-300"]),
        (uniform(0, 1e300), ["1e300", "0.1", "123456.789"]),
        (uniform(-1, 1), ["-1", "-0.1", "0", "0.3", "-0.123456789012", "1e-12"]),
        (uniform(0.5, 1000), ["0.5", "0.6", "999.99", "123.4567890"]),
        (uniform(-1e300, 1e300), ["-1e300", "1e300", "0", "1e290", "-1.5e299"]),
        (uniform(1e15, 1e15 + 64), ["1000000000000001", "1000000000000064"]),
        (loguniform(1e-6, 1), ["1e-6", "1", "0.001", "3e-4", "0.123456789012"]),
        (loguniform(1e-300, 1e300), ["1e-300", "1e300", "1e-299", "3.14159", "2.5e250", "1e-9"]),
        (reverseloguniform(0.9, 0.9999), ["0.9", "0.9999", "0.95", "0.99", "0.999", "0.99895"]),
        (reverseloguniform(0, 0.999999), ["0", "0.5", "0.999999", "0.1"]),
        (normal(0, 1), ["0", "1.5", "-4.9", "0.1", "0.12345678"]),
        (normal(100, 0.5), ["100.25", "98", "102.125"]),
        (lognormal(-7, 1), ["0.001", "0.0009", "1e-4"]),
    ],
    ids=repr,
)
def test_what_people_write_comes_back_as_written(domain: Domain, texts: list[str]) -> None:
    for text in texts:
        assert round_trip(domain, float(text)) == float(text)


@given(st.floats(-1000, 1000), st.floats(1e-3, 1000), st.integers(0, 10**9))
def test_nine_decimals_survive_in_ordinary_ranges(lower: float, width: float, billionths: int) -> None:
    domain = uniform(round(lower, 6), round(lower + width, 6))
    value = round(domain.lower + (domain.upper - domain.lower) * billionths / 10**9, 9)
    value = min(max(value, domain.lower), domain.upper)
    assert round_trip(domain, value) == value


@pytest.mark.parametrize(
    "domain",
    [
        randint(2**53 - 1000, 2**53),
        randint(-(2**53), -(2**53) + 2**50 - 1),
        randint(0, 2**50 - 1),
        lograndint(1, 10**12),
    ],
    ids=repr,
)
def test_large_integers_are_kept_apart(domain: Integer) -> None:
    ends = [*range(domain.lower, domain.lower + 300), *range(domain.upper - 300, domain.upper + 1)]
    codes = domain.codec.encode(ends)
    assert domain.codec.decode(codes) == ends
    assert (np.diff(codes[:, 0]) > 0).all()


@given(finite_domains())
def test_every_value_of_a_finite_domain_is_reached_by_some_point(domain: FiniteDomain) -> None:
    codes = domain.codec.encode(domain.values)
    assert codes.shape == (len(domain.values), domain.encoded_size)
    assert ((codes >= 0) & (codes <= 1)).all()
    assert set(domain.codec.decode(codes)) == set(domain.values)


@pytest.mark.parametrize(
    "domain",
    [
        uniform(-3, 5),
        loguniform(1e-5, 2),
        reverseloguniform(0.1, 0.999),
        normal(3, 2),
        lognormal(0, 1),
        randint(-5, 17),
        lograndint(1, 300),
        finrange(0, 1, 11),
        logfinrange(1, 1000, 7),
        ordinal([1, 2, 4, 40]),
        logordinal([1, 2, 4, 40]),
        ordinal(["s", "m", "l"]),
        quniform(0.05, 1.9, 0.3),
        qloguniform(0.5, 90, 0.5),
    ],
    ids=repr,
)
def test_encoding_keeps_the_order_and_the_ends(domain: Domain) -> None:
    grid = domain.codec.decode(np.linspace(0, 1, 2001)[:, None])
    if domain.value_type is not str:
        assert grid == sorted(grid)
    distinct = list(dict.fromkeys(grid))
    assert (np.diff(domain.codec.encode(distinct)[:, 0]) > 0).all()
    if domain.size is not None:
        assert len(distinct) == domain.size


@pytest.mark.parametrize("domain", [uniform(-3, 5), loguniform(1e-5, 2), normal(0.1, 0.3), lognormal(1, 2)], ids=repr)
def test_the_ends_of_a_range_are_the_ends_of_its_unit_interval(domain: Float | Normal) -> None:
    assert domain.to_unit(domain.lower).tolist() == [0.0]
    assert domain.to_unit(domain.upper).tolist() == [1.0]
    assert domain.from_unit([0.0]) == domain.lower
    assert domain.from_unit([1.0]) == domain.upper


def test_places_in_the_cube_follow_the_scale() -> None:
    assert loguniform(1e-4, 1).to_unit(1e-2) == pytest.approx([0.5])
    assert reverseloguniform(0.9, 0.9999).to_unit(1 - 1e-2) == pytest.approx([1 / 3])
    assert normal(5, 2).to_unit(5.0) == pytest.approx([0.5])
    assert normal(5, 2).to_unit(7.0) == pytest.approx([0.8413447], abs=1e-6)
    assert lognormal(0, 1).to_unit(1.0) == pytest.approx([0.5])
    assert randint(1, 4).to_unit(1) == pytest.approx([0.125])
    assert lograndint(1, 10).to_unit(3) == pytest.approx([math.log(6) / math.log(21)])
    assert ordinal(["s", "m", "l"]).to_unit("m") == pytest.approx([0.5])
    assert logordinal([1, 10, 100]).to_unit(10) == pytest.approx([0.5])


def test_categories_are_corners_at_equal_distance_and_two_of_them_share_a_dimension() -> None:
    three = choice(["a", "b", "c"])
    assert three.codec.encode(["a", "b", "c"]).tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert three.from_unit([0.2, 0.9, 0.3]) == "b"
    assert choice(["a", "b"]).codec.encode(["a", "b"]).tolist() == [[0], [1]]
    assert choice(["only"]).encoded_size == 1
    assert choice(["only"]).from_unit([0.9]) == "only"


def test_points_beyond_the_cube_count_as_its_ends_and_nan_is_refused() -> None:
    assert uniform(2, 3).from_unit([1 + 1e-12]) == 3
    assert randint(2, 3).from_unit([-0.5]) == 2
    with pytest.raises(ConfigSpaceError, match="nan"):
        uniform(2, 3).from_unit([math.nan])


def test_singletons_have_one_value_everywhere() -> None:
    for domain in (uniform(2, 2), loguniform(2, 2), randint(2, 2), lograndint(2, 2), finrange(2, 2, 2), ordinal([2])):
        assert domain.size == 1
        assert domain.sample() == 2
        assert round_trip(domain, 2) == 2


def test_a_value_outside_is_not_encoded() -> None:
    with pytest.raises(ConfigSpaceError, match=r"1\.5 is not in uniform"):
        uniform(0, 1).to_unit(1.5)
    with pytest.raises(ConfigSpaceError, match="'d' is not in choice"):
        choice(["a", "b", "c"]).to_unit("d")
