"""Draws have the documented distribution. Bounds are at least five standard errors wide; seeds are fixed."""

from __future__ import annotations

import math
from collections import Counter
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudtune.space import (
    Domain,
    choice,
    finrange,
    logfinrange,
    lognormal,
    logordinal,
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
from tests.space.strategies import domains

N = 20_000


def draws(domain: Domain, seed: int = 3) -> list[Any]:
    return domain.sample(np.random.default_rng(seed), N)


def assert_uniform(numbers: np.ndarray[Any, Any], lower: float, upper: float) -> None:
    """Kolmogorov-Smirnov distance to the uniform distribution, at a level of about 1e-6."""
    ordered = (np.sort(numbers) - lower) / (upper - lower)
    distance = np.abs(ordered - (np.arange(N) + 0.5) / N).max()
    assert distance < 2.6 / math.sqrt(N)


def assert_probabilities(values: list[Any], expected: dict[Any, float]) -> None:
    counts = Counter(values)
    assert set(counts) <= set(expected)
    for value, probability in expected.items():
        error = math.sqrt(probability * (1 - probability) / N)
        assert counts[value] / N == pytest.approx(probability, abs=5 * error), value


@given(domains(), st.integers(0, 2**32 - 1))
def test_every_draw_is_inside_and_of_the_right_type(domain: Domain, seed: int) -> None:
    for value in domain.sample(np.random.default_rng(seed), 20):
        assert domain.is_valid(value)
        assert type(value) is domain.value_type


@given(domains())
def test_generators_and_legacy_random_states_both_work_and_repeat(domain: Domain) -> None:
    assert domain.sample(np.random.default_rng(7), 3) == domain.sample(np.random.default_rng(7), 3)
    assert domain.sample(np.random.RandomState(7)) == domain.sample(np.random.RandomState(7))


def test_without_a_size_a_value_is_drawn_and_with_one_a_list() -> None:
    assert 0 <= uniform(0, 1).sample() <= 1
    assert isinstance(uniform(0, 1).sample(size=1), list)
    assert len(uniform(0, 1).sample(size=5)) == 5


def test_continuous_domains_are_uniform_on_their_own_scale() -> None:
    assert_uniform(np.array(draws(uniform(-2, 6))), -2, 6)
    assert_uniform(np.log(draws(loguniform(1e-6, 1))), math.log(1e-6), 0)
    reverse = draws(reverseloguniform(0.9, 0.9999))
    assert_uniform(-np.log1p(-np.array(reverse)), -math.log(0.1), -math.log(1e-4))


def test_normal_domains_have_the_normal_distribution_function() -> None:
    cdf = NormalDist(3, 2).cdf
    assert_uniform(np.array([cdf(x) for x in draws(normal(3, 2))]), 0, 1)
    assert_uniform(np.array([cdf(math.log(x)) for x in draws(lognormal(3, 2))]), 0, 1)


def test_integers_are_equally_likely_with_both_ends() -> None:
    assert_probabilities(draws(randint(-2, 4)), dict.fromkeys(range(-2, 5), 1 / 7))


def test_log_integers_own_half_a_unit_on_each_side() -> None:
    width = math.log(10.5) - math.log(0.5)
    expected = {i: (math.log(i + 0.5) - math.log(i - 0.5)) / width for i in range(1, 11)}
    assert_probabilities(draws(lograndint(1, 10)), expected)


@pytest.mark.parametrize(
    "domain",
    [
        choice(["a", "b", "c", "d"]),
        choice([True, False]),
        ordinal(["s", "m", "l"]),
        ordinal([1, 2, 100], kind="equal"),
        finrange(0, 1, 5),
        logfinrange(1, 1e6, 7),
    ],
    ids=repr,
)
def test_listed_values_are_equally_likely(domain: Domain) -> None:
    values = domain.codec.decode(np.random.default_rng(0).random((50, domain.encoded_size)))
    assert domain.size is not None
    expected = dict.fromkeys(set(values), 1 / domain.size)
    assert len(expected) == domain.size
    assert_probabilities(draws(domain), expected)


def test_nearest_neighbor_ordinals_own_what_is_nearest_with_half_a_gap_at_the_ends() -> None:
    # interval [0.5, 5.5], borders at 1.5 and 3
    assert_probabilities(draws(ordinal([1, 2, 4], kind="nn")), {1: 1 / 4.5, 2: 1.5 / 4.5, 4: 2 / 4.5})
    assert_probabilities(draws(logordinal([1, 10, 100])), {1: 1 / 3, 10: 1 / 3, 100: 1 / 3})


def test_coinciding_integers_of_a_grid_are_as_many_times_as_likely() -> None:
    assert_probabilities(draws(finrange(1, 2, 3, cast_int=True)), {1: 1 / 3, 2: 2 / 3})


def test_quantized_draws_go_to_the_nearest_multiple_inside() -> None:
    assert_probabilities(draws(quniform(0, 1, 0.5)), {0.0: 0.25, 0.5: 0.5, 1.0: 0.25})
    assert_probabilities(draws(quniform(0.4, 1.6, 0.5)), {0.5: 0.35 / 1.2, 1.0: 0.5 / 1.2, 1.5: 0.35 / 1.2})
    assert_probabilities(draws(qrandint(0, 6, 3)), {0: 2 / 7, 3: 3 / 7, 6: 2 / 7})
    border = math.log(1.5) / math.log(2)
    assert_probabilities(draws(qloguniform(1, 2, 1)), {1.0: border, 2.0: 1 - border})
    border = math.log(1.5 / 0.5) / math.log(2.5 / 0.5)
    assert_probabilities(draws(qlograndint(1, 2, 1)), {1: border, 2: 1 - border})


def test_quantized_normals_round_a_normal_draw() -> None:
    cdf = NormalDist().cdf
    values = draws(qnormal(0, 1, 2))
    assert_probabilities(
        values, {-4.0: cdf(-3), -2.0: cdf(-1) - cdf(-3), 0.0: cdf(1) - cdf(-1), 2.0: cdf(3) - cdf(1), 4.0: cdf(-3)}
    )
    positive = draws(qlognormal(0, 0.5, 1))
    assert Counter(positive)[1.0] / N == pytest.approx(cdf(math.log(1.5) / 0.5), abs=0.02)
