"""Counting, casting, matching, restricting."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudtune.errors import ConfigSpaceError
from cloudtune.space import (
    Domain,
    FiniteDomain,
    cast_config_values,
    choice,
    config_space_size,
    config_to_match_string,
    finrange,
    is_log_space,
    is_uniform_space,
    logfinrange,
    lognormal,
    logordinal,
    lograndint,
    loguniform,
    non_constant_hyperparameter_keys,
    normal,
    ordinal,
    qlograndint,
    quniform,
    randint,
    restrict_domain,
    reverseloguniform,
    uniform,
)
from tests.space.strategies import finite_domains

SPACE: dict[str, Any] = {"lr": uniform(0, 1), "epochs": 3, "n": randint(1, 9), "opt": choice(["adam", "sgd"])}


def test_tuned_names_are_those_of_domains() -> None:
    assert non_constant_hyperparameter_keys(SPACE) == ["lr", "n", "opt"]


def test_casting_a_configuration_touches_what_is_tuned() -> None:
    assert cast_config_values({"lr": "0.5", "n": 2.0, "epochs": "3", "extra": "x"}, SPACE) == {
        "lr": 0.5,
        "n": 2,
        "epochs": "3",
        "extra": "x",
    }
    with pytest.raises(ConfigSpaceError, match="'opt': 'adm' is not among"):
        cast_config_values({"opt": "adm"}, SPACE)


@given(st.lists(finite_domains(), max_size=3))
def test_the_size_of_a_space_is_the_number_of_its_configurations(drawn: list[FiniteDomain]) -> None:
    space = {f"x{index}": domain for index, domain in enumerate(drawn)}
    keys = list(space)
    configs = (dict(zip(keys, values, strict=True)) for values in itertools.product(*(set(d.values) for d in drawn)))
    distinct = {config_to_match_string(config, space) for config in itertools.islice(configs, 3000)}
    size = config_space_size(space)
    assert size is not None
    assert len(distinct) == min(size, 3000)


def test_sizes_count_every_value_once() -> None:
    assert config_space_size({"a": randint(1, 9), "b": choice(["x", "x", "y"]), "c": 3}) == 18
    assert config_space_size({"a": finrange(1, 2, 5, cast_int=True)}) == 2
    assert config_space_size({"a": quniform(0, 1, 0.1)}) == 11
    assert config_space_size({"a": 1}) == 1
    assert config_space_size({"a": uniform(0, 1), "b": choice([1])}) is None
    assert config_space_size({"a": randint(1, 2**20)}) == 2**20
    assert config_space_size({"a": randint(0, 2**20)}) is None
    assert config_space_size({"a": randint(0, 9)}, upper_limit=9) is None


def test_match_strings_use_the_given_keys_in_their_order() -> None:
    config = {"lr": 0.1, "epochs": 3, "n": 2, "opt": "adam"}
    assert config_to_match_string(config, SPACE, ["opt", "n"]) == "opt:'adam',n:2"
    assert config_to_match_string(config, SPACE) == "lr:0.1,n:2,opt:'adam'"
    assert config_to_match_string(config, SPACE, ["epochs"]) == "epochs:3"


def test_match_strings_cannot_be_forged_by_separators() -> None:
    space = {"a": choice(["x", "x',b:'y"]), "b": choice(["y", "z"])}
    configs = [{"a": a, "b": b} for a in space["a"].values for b in space["b"].values]
    assert len({config_to_match_string(config, space) for config in configs}) == 4


@pytest.mark.parametrize(
    ("domain", "log", "linear"),
    [
        (uniform(1, 2), False, True),
        (loguniform(1, 2), True, False),
        (reverseloguniform(0, 0.5), False, False),
        (randint(1, 2), False, True),
        (lograndint(1, 2), True, False),
        (finrange(1, 2, 2), False, True),
        (logfinrange(1, 2, 2), True, False),
        (logordinal([1, 2]), True, False),
        (ordinal([1, 2]), False, True),
        (ordinal(["a", "b"]), False, False),
        (choice([1, 2]), False, False),
        (quniform(1, 2, 1), False, True),
        (qlograndint(1, 2, 1), True, False),
        (normal(0, 1), False, False),
        (lognormal(0, 1), False, False),
    ],
    ids=repr,
)
def test_scales(domain: Domain, log: bool, linear: bool) -> None:
    assert (is_log_space(domain), is_uniform_space(domain)) == (log, linear)


@pytest.mark.parametrize(
    ("domain", "lower", "upper", "expected"),
    [
        (uniform(0, 1), 0.2, 0.5, uniform(0.2, 0.5)),
        (loguniform(1e-3, 1), 0.01, 5, loguniform(0.01, 1)),
        (randint(1, 10), 2.5, 7.9, randint(3, 7)),
        (randint(-10, -1), -7.9, -2.5, randint(-7, -3)),
        (lograndint(1, 10), 5, 5, lograndint(5, 5)),
        (logordinal([1, 2, 4, 8]), 2, 5, logordinal([2, 4])),
        (quniform(0, 1, 0.25), 0.3, 0.8, quniform(0.3, 0.8, 0.25)),
    ],
    ids=repr,
)
def test_restricting_keeps_the_scale(domain: Domain, lower: float, upper: float, expected: Domain) -> None:
    assert restrict_domain(domain, lower, upper) == expected


@pytest.mark.parametrize(
    "domain",
    [
        finrange(0, 1, 11),
        finrange(0, 100, 8, cast_int=True),
        logfinrange(1, 48, 6, cast_int=True),
        logfinrange(1e-3, 1, 7),
    ],
    ids=repr,
)
def test_restricting_a_grid_keeps_its_values(domain: FiniteDomain) -> None:
    for first, last in itertools.combinations_with_replacement(range(len(domain.values)), 2):
        part = restrict_domain(domain, domain.values[first], domain.values[last])
        assert isinstance(part, FiniteDomain)
        assert sorted(set(part.values)) == pytest.approx(list(domain.values[first : last + 1]))


@pytest.mark.parametrize(
    ("domain", "lower", "upper", "message"),
    [
        (uniform(0, 1), 2, 3, "nothing is left"),
        (randint(0, 9), 2.1, 2.9, "nothing is left"),
        (finrange(0, 1, 3), 0.6, 0.9, "nothing is left"),
        (uniform(0, 1), 0.5, 0.2, "lower 0.5 is above"),
        (normal(0, 1), -1, 1, "no bounds to move"),
        (choice([1, 2]), 1, 1, "no bounds to move"),
    ],
)
def test_what_cannot_be_restricted(domain: Domain, lower: float, upper: float, message: str) -> None:
    with pytest.raises(ConfigSpaceError, match=message):
        restrict_domain(domain, lower, upper)
