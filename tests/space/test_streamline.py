"""Spaces written for other systems, rewritten for better models."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudtune.errors import ConfigSpaceError
from cloudtune.space import (
    Domain,
    FiniteDomain,
    choice,
    convert_domain,
    finrange,
    fit_to_regular_grid,
    logfinrange,
    logordinal,
    lograndint,
    loguniform,
    normal,
    ordinal,
    quniform,
    randint,
    streamline_config_space,
    uniform,
)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (randint(4, 1024), lograndint(4, 1024)),
        (uniform(0, 0.9), uniform(0, 0.9)),
        (uniform(1e-6, 1), loguniform(1e-6, 1)),
        (uniform(1, 100), loguniform(1, 100)),
        (uniform(1, 99.9), uniform(1, 99.9)),
        (uniform(-1, 1000), uniform(-1, 1000)),
        (choice([0.001, 0.01, 0.1, 1.0]), logfinrange(0.001, 1, 4)),
        (choice([1.0, 0.001, 0.1, 0.01]), logfinrange(0.001, 1, 4)),
        (choice([8, 16, 32, 64, 128, 256]), logfinrange(8, 256, 6, cast_int=True)),
        (choice([1, 2, 3, 4]), finrange(1, 4, 4, cast_int=True)),
        (choice([-0.5, 0.0, 0.5]), finrange(-0.5, 0.5, 3)),
        (choice([1, 2, 5, 10, 15, 30]), logordinal([1, 2, 5, 10, 15, 30])),
        (choice([0.0005, 0.001, 0.005, 0.01, 0.05, 0.1]), logordinal([0.0005, 0.001, 0.005, 0.01, 0.05, 0.1])),
        (choice([1, 2, 5, 10, 20, 50]), logfinrange(1, 48, 6, cast_int=True)),
        (choice([0, 1, 2, 4, 16]), ordinal([0, 1, 2, 4, 16], kind="nn")),
        (choice([1, 100]), choice([1, 100])),
        (choice(["1", "2", "3"]), choice(["1", "2", "3"])),
        (choice([True, False]), choice([True, False])),
        (choice([1e-30, 2e-30, -1.0]), choice([1e-30, 2e-30, -1.0])),
        (randint(1, 2**50), randint(1, 2**50)),
        (loguniform(1e-6, 1), loguniform(1e-6, 1)),
        (normal(0, 1), normal(0, 1)),
        (quniform(1, 1000, 1), quniform(1, 1000, 1)),
        (ordinal([1, 2, 3]), ordinal([1, 2, 3])),
    ],
    ids=repr,
)
def test_conversions(before: Domain, after: Domain) -> None:
    assert convert_domain(before) == after
    assert convert_domain(before).value_type is before.value_type


def test_the_approximation_of_a_near_grid_changes_its_last_values() -> None:
    converted = convert_domain(choice([1, 2, 5, 10, 20, 50]))
    assert isinstance(converted, FiniteDomain)
    assert converted.values == (1, 2, 5, 10, 22, 48)


@given(st.lists(st.integers(-100, 100), min_size=3, max_size=8, unique=True))
def test_conversion_keeps_number_sign_and_type_of_values(values: list[int]) -> None:
    converted = convert_domain(choice(values))
    assert converted.value_type is int
    assert converted.size == len(values)
    assert isinstance(converted, FiniteDomain)
    assert (min(converted.values) > 0) == (min(values) > 0)


def test_streamlining_a_space_leaves_constants_exclusions_and_the_original_alone() -> None:
    space = {"n": randint(4, 1024), "lr": uniform(1e-6, 1), "epochs": 27, "sizes": choice([1, 2, 5, 10, 20, 50])}
    original = dict(space)
    assert streamline_config_space(space, exclude_names=["sizes"]) == {
        "n": lograndint(4, 1024),
        "lr": loguniform(1e-6, 1),
        "epochs": 27,
        "sizes": choice([1, 2, 5, 10, 20, 50]),
    }
    assert space == original
    with pytest.raises(ConfigSpaceError, match=r"(?s)'size', which is not in the space.*'sizes'"):
        streamline_config_space(space, exclude_names=["size"])


def test_verbose_tells_what_changed(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        streamline_config_space({"n": randint(4, 1024), "m": randint(1, 2)}, verbose=True)
    assert [record.getMessage() for record in caplog.records] == [
        "n: randint(lower=4, upper=1024) becomes lograndint(lower=4, upper=1024)"
    ]


def test_the_fit_of_a_regular_grid() -> None:
    assert fit_to_regular_grid([1, 3, 5]) == pytest.approx({"a": 2, "b": 1, "r2": 1})
    assert fit_to_regular_grid([0, 1, 4]) == pytest.approx({"a": 2, "b": -1 / 3, "r2": 12 / 13})
    with pytest.raises(ConfigSpaceError, match="not strictly increasing"):
        fit_to_regular_grid([1, 1])
