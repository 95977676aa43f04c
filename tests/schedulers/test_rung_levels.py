"""Rung levels, their fractions, and brackets: tables by hand."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudtune.errors import OptionError
from cloudtune.schedulers.quantile import RunningQuantile
from cloudtune.schedulers.rung_levels import (
    bracket_probabilities,
    number_of_brackets,
    successive_halving_rung_levels,
)
from cloudtune.schedulers.rungs import Rung, is_within


@pytest.mark.parametrize(
    ("grace_period", "factor", "max_t", "levels"),
    [
        (1, 3, 81, (1, 3, 9, 27)),
        (1, 3, 56, (1, 3, 9, 27)),
        (1, 3, 200, (1, 3, 9, 27, 81)),
        (1, None, 27, (1, 3, 9)),
        (1, 2, 8, (1, 2, 4)),
        (2, 2.5, 40, (2, 5, 12, 31)),
        (5, 3, 30, (5, 15)),
        (1, 4, 1, ()),
        (7, 3, 7, ()),
        (1, 3, 2, (1,)),
    ],
)
def test_geometric_levels(grace_period: int, factor: float | None, max_t: int, levels: tuple[int, ...]) -> None:
    assert successive_halving_rung_levels(max_t, grace_period, factor) == levels


@pytest.mark.parametrize(
    ("grace_period", "increment", "max_t", "levels"),
    [(1, 1, 5, (1, 2, 3, 4)), (1, 2, 9, (1, 3, 5, 7)), (2, 5, 20, (2, 7, 12, 17)), (1, 10, 5, (1,))],
)
def test_equally_spaced_levels(grace_period: int, increment: int, max_t: int, levels: tuple[int, ...]) -> None:
    assert successive_halving_rung_levels(max_t, grace_period, rung_increment=increment) == levels


@pytest.mark.parametrize(
    ("listed", "levels"), [([1, 4, 8], (1, 4, 8)), ([1, 4, 10], (1, 4)), ((10,), ()), ([2.0, 4], (2, 4))]
)
def test_listed_levels_lose_a_last_one_that_is_the_maximum(listed: Any, levels: tuple[int, ...]) -> None:
    assert successive_halving_rung_levels(10, rung_levels=listed) == levels


def test_precedence_and_warnings(caplog: pytest.LogCaptureFixture) -> None:
    assert successive_halving_rung_levels(20, 1, 4, 3, [2, 9]) == (2, 9)
    assert "reduction_factor=4 is ignored, because rung_levels is used" in caplog.text
    assert "rung_increment=3 is ignored, because rung_levels is used" in caplog.text
    caplog.clear()
    assert successive_halving_rung_levels(20, 1, 4, 3) == (1, 4, 16)
    assert "rung_increment=3 is ignored, because reduction_factor is used" in caplog.text
    caplog.clear()
    successive_halving_rung_levels(20, 2, rung_increment=3)
    assert not caplog.text


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"reduction_factor": 1.5}, "reduction_factor=1.5"),
        ({"reduction_factor": math.nan}, "reduction_factor"),
        ({"reduction_factor": math.inf}, "reduction_factor"),
        ({"reduction_factor": "3"}, "reduction_factor"),
        ({"grace_period": 0}, "grace_period"),
        ({"grace_period": 1.5}, "grace_period"),
        ({"grace_period": 11}, "grace_period=11"),
        ({"rung_increment": 0}, "rung_increment"),
        ({"rung_levels": [1, 3, 3]}, "3 does not lie above 3"),
        ({"rung_levels": [3, 1]}, "1 does not lie above 3"),
        ({"rung_levels": [0, 1]}, "entry of rung_levels is 0"),
        ({"rung_levels": [1, 11]}, "beyond the maximum resource 10"),
        ({"rung_levels": []}, "rung_levels"),
        ({"rung_levels": "1,3"}, "rung_levels"),
    ],
)
def test_impossible_levels_are_refused(options: dict[str, Any], named: str) -> None:
    with pytest.raises(OptionError, match=named):
        successive_halving_rung_levels(10, **options)


@given(st.integers(1, 500), st.integers(1, 20), st.floats(2, 5))
def test_geometric_levels_increase_strictly_below_the_maximum(max_t: int, grace_period: int, factor: float) -> None:
    if grace_period > max_t:
        return
    levels = [*successive_halving_rung_levels(max_t, grace_period, factor), max_t]
    assert all(low < high for low, high in itertools.pairwise(levels))


def test_brackets_are_used_as_often_as_synchronous_hyperband_uses_them() -> None:
    levels = (1, 3, 9, 27, 81)
    expected = [243 / 415, 98 / 415, 41 / 415, 18 / 415, 9 / 415, 6 / 415]
    assert bracket_probabilities(6, levels, 200, 3.0) == pytest.approx(expected)
    assert bracket_probabilities(1, levels, 200, 3.0) == (1.0,)
    assert bracket_probabilities(2, levels, 200, 3.0) == pytest.approx([243 / 341, 98 / 341])
    # 81: sizes of algorithm 1 in the paper
    assert bracket_probabilities(5, (1, 3, 9, 27), 81, 3.0) == pytest.approx([n / 143 for n in (81, 34, 15, 8, 5)])


def test_brackets_of_levels_that_are_not_geometric() -> None:
    # 3/3 · 12/2, 3/2 · 12/4, 3/1 · 12/12 = 6, 4.5, 3
    assert bracket_probabilities(3, (2, 4), 12, None) == pytest.approx([6 / 14, 5 / 14, 3 / 14])


def test_more_brackets_than_levels_allow_are_cut_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    assert number_of_brackets(9, (1, 3)) == 3
    assert "only 3 are possible" in caplog.text
    with pytest.raises(OptionError, match="brackets"):
        number_of_brackets(0, (1, 3))


# -- quantiles -------------------------------------------------------------------------------------------------------

FINITE_FLOATS = st.floats(-1e6, 1e6)


def rung_of(values: list[float], level: int = 1, following: int = 3) -> Rung:
    rung = Rung(level, following)
    for trial_id, value in enumerate(values):
        rung.record(trial_id, value)
    return rung


def test_no_cutoff_with_fewer_than_two() -> None:
    assert rung_of([]).cutoff() is None
    assert rung_of([1.0]).cutoff() is None
    # a third of the way from 1 to 2
    assert rung_of([2.0, 1.0]).cutoff() == pytest.approx(4 / 3)
    assert rung_of([4.0, 1.0, 2.0, 3.0]).cutoff() == 2.0


@given(st.lists(FINITE_FLOATS, min_size=2, max_size=30), st.integers(1, 20), st.integers(1, 60))
def test_the_cutoff_is_numpys_linear_quantile(values: list[float], level: int, more: int) -> None:
    cutoff = rung_of(values, level, level + more).cutoff()
    assert cutoff == pytest.approx(float(np.quantile(values, level / (level + more))), rel=1e-9, abs=1e-6)


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=40), st.integers(1, 9))
def test_a_running_quantile_is_numpys_after_every_number(numbers: list[int], tenths: int) -> None:
    quantile = RunningQuantile(tenths, 10)
    assert quantile.value is None
    for count, number in enumerate(numbers, 1):
        quantile.add(number)
        assert quantile.value == pytest.approx(float(np.quantile(numbers[:count], tenths / 10)))


@given(st.integers(1, 40), st.integers(2, 5))
def test_the_best_fraction_is_within_the_cutoff_exactly(groups: int, factor: int) -> None:
    """Of factor·k + 1 different results, k + 1 are: the last of them lies on the quantile, and no rounding loses it."""
    count = factor * groups + 1
    rung = rung_of([0.1 * index for index in range(count)], 1, factor)
    cutoff = rung.cutoff()
    assert cutoff is not None
    assert sum(is_within(0.1 * index, cutoff) for index in range(count)) == groups + 1


@given(st.lists(st.one_of(FINITE_FLOATS, st.just(math.inf), st.sampled_from([1e308, -1e308])), min_size=2))
def test_infinite_keys_never_pass_and_the_best_finite_one_always_does(keys: list[float]) -> None:
    cutoff = rung_of(keys).cutoff()
    assert cutoff is not None
    assert not math.isnan(cutoff)
    assert not is_within(math.inf, cutoff)
    if min(keys) < math.inf:
        assert is_within(min(keys), cutoff)


@given(st.lists(st.tuples(FINITE_FLOATS, st.sampled_from(["wait", "leave"])), max_size=40))
def test_the_best_waiting_is_the_least_key_then_the_first_trial(steps: list[tuple[float, str]]) -> None:
    rung = Rung(1, 3)
    waiting: dict[int, float] = {}
    for trial_id, (key, step) in enumerate(steps):
        rung.record(trial_id, key)
        if step == "leave" and waiting:
            leaving = sorted(waiting)[trial_id % len(waiting)]
            rung.leave(leaving)
            del waiting[leaving]
        rung.wait(trial_id)
        waiting[trial_id] = key
        assert all(rung.waits(each) is (each in waiting) for each in range(trial_id + 2))
        best = min(waiting, key=lambda each: (waiting[each], each))
        assert rung.best_waiting() == (best, waiting[best])
        assert rung.waiting() == sorted(waiting, key=lambda each: (waiting[each], each))


def test_a_factor_beyond_all_bounds_leaves_the_first_level() -> None:
    assert successive_halving_rung_levels(9, 5, 1e308) == (5,)
    assert successive_halving_rung_levels(9, 9, 1e308) == ()
