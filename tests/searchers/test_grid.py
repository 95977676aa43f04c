"""Grid search: which values, how many configurations, in which order, and its end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudtune.errors import ConfigSpaceError, OptionError
from cloudtune.searchers.factory import make_searcher as make_by_name
from cloudtune.searchers.grid_searcher import GridSearcher
from cloudtune.searchers.permutation import Permutation
from cloudtune.searchers.problem import SearchProblem
from cloudtune.searchers.value_grid import spread
from cloudtune.space import (
    Domain,
    choice,
    finrange,
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
from cloudtune.testing.searcher_contract import MakeSearcher, SearcherContract
from tests.searchers.test_random_searcher import as_set, launch


class TestShuffled(SearcherContract):
    @pytest.fixture
    def make_searcher(self) -> MakeSearcher:
        return lambda space, seed: GridSearcher(space, random_seed=seed)


class TestAfterPoints(SearcherContract):
    @pytest.fixture
    def make_searcher(self) -> MakeSearcher:
        return lambda space, seed: GridSearcher(space, [{}], random_seed=seed)


class TestWithDuplicates(SearcherContract):
    exhausts_finite_spaces = False

    @pytest.fixture
    def make_searcher(self) -> MakeSearcher:
        return lambda space, seed: GridSearcher(space, random_seed=seed, allow_duplicates=True)


# -- values ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("domain", "count", "values"),
    [
        (uniform(0, 1), 5, [0.0, 0.25, 0.5, 0.75, 1.0]),
        (uniform(0, 1), 11, [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]),
        (uniform(2, 4), 1, [3.0]),
        (uniform(3, 3), 5, [3.0]),
        (loguniform(1e-5, 1e-1), 5, [1e-5, 1e-4, 1e-3, 1e-2, 1e-1]),
        (reverseloguniform(0.9, 0.999), 3, [0.9, 0.99, 0.999]),
        (randint(1, 4), 5, [1, 2, 3, 4]),
        (randint(0, 100), 5, [0, 25, 50, 75, 100]),
        (randint(0, 5), 5, [0, 1, 2, 4, 5]),
        (randint(0, 100), 1, [50]),
        (lograndint(1, 10_000), 5, [1, 10, 100, 1000, 10_000]),
        (lograndint(1, 6), 5, [1, 2, 3, 4, 6]),
        (quniform(0, 1, 0.5), 5, [0.0, 0.5, 1.0]),
        (quniform(0, 1, 0.1), 3, [0.0, 0.5, 1.0]),
        (qloguniform(1, 100, 1), 3, [1.0, 10.0, 100.0]),
        (choice(["a", "b", "c"]), 2, ["a", "b", "c"]),
        (ordinal([1, 10, 7, 8, 9, 20]), 2, [1, 10, 7, 8, 9, 20]),
        (finrange(0.0, 1.0, 11), 2, [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]),
    ],
    ids=str,
)
def test_values_are_spread_over_the_scale_of_their_domain(domain: Domain, count: int, values: list[Any]) -> None:
    assert list(spread(domain, count)) == values


def test_values_of_a_normal_distribution_are_middles_of_equally_likely_parts() -> None:
    assert spread(normal(0, 1), 2) == pytest.approx([-0.6745, 0.6745], abs=1e-3)


@given(st.integers(1, 50), st.integers(0, 300), st.integers(1, 40), st.booleans())
def test_an_integer_has_exactly_as_many_values_as_asked_for(lower: int, width: int, count: int, log: bool) -> None:
    domain = lograndint(lower, lower + width) if log else randint(lower, lower + width)
    values = list(spread(domain, count))
    assert len(values) == min(count, width + 1)
    assert values == sorted(set(values))
    assert all(domain.is_valid(value) for value in values)
    if count > 1:
        assert (values[0], values[-1]) == (lower, lower + width)


# -- order and number --------------------------------------------------------------------------------------------------

SPACE: dict[str, Any] = {"x": uniform(0, 1), "n": randint(1, 2), "epochs": 9, "kind": choice(["a", "b"])}


def test_the_last_name_runs_fastest() -> None:
    searcher = GridSearcher(SPACE, num_samples={"x": 2}, shuffle_config=False)
    assert [tuple(config.values()) for config in launch(searcher, 20)] == [
        (0.0, 1, 9, "a"),
        (0.0, 1, 9, "b"),
        (0.0, 2, 9, "a"),
        (0.0, 2, 9, "b"),
        (1.0, 1, 9, "a"),
        (1.0, 1, 9, "b"),
        (1.0, 2, 9, "a"),
        (1.0, 2, 9, "b"),
    ]
    assert searcher.suggest(8) is None


def test_shuffled_it_is_the_same_set_in_another_order() -> None:
    plain = launch(GridSearcher(SPACE, shuffle_config=False), 50)
    shuffled = launch(GridSearcher(SPACE, random_seed=1), 50)
    assert len(plain) == len(shuffled) == 5 * 2 * 2
    assert as_set(plain) == as_set(shuffled)
    assert plain != shuffled


@pytest.mark.parametrize("shuffle", [True, False])
def test_points_come_first_and_once(shuffle: bool) -> None:
    points = [{"x": 0.3, "n": 2, "kind": "a"}, {"x": 0.5, "n": 1, "kind": "a"}, {"x": 1.0, "n": 2, "kind": "b"}]
    searcher = GridSearcher(SPACE, points, random_seed=0, shuffle_config=shuffle)
    configs = launch(searcher, 50)
    assert [config["x"] for config in configs[:3]] == [0.3, 0.5, 1.0]
    assert len(configs) == len(as_set(configs)) == 20 + 1
    others = launch(GridSearcher(SPACE, random_seed=0, shuffle_config=shuffle), 50)
    assert configs[3:] == [config for config in others if config not in configs[:3]]


def test_with_duplicates_the_grid_begins_again() -> None:
    searcher = GridSearcher({"n": randint(1, 3)}, shuffle_config=False, allow_duplicates=True)
    assert [config["n"] for config in launch(searcher, 7)] == [1, 2, 3, 1, 2, 3, 1]
    searcher.on_trial_error(6)
    assert [config["n"] for config in launch(searcher, 3, start=7)] == [2, 3, 2]


def test_a_grid_of_any_size_costs_nothing() -> None:
    space = {f"x{index}": uniform(0, 1) for index in range(100)}
    searcher = GridSearcher(space, random_seed=0, num_samples={"x7": 9})
    assert searcher.size == 5**99 * 9
    configs = launch(searcher, 50)
    assert len(as_set(configs)) == 50
    assert {config["x3"] for config in configs} == {0.0, 0.25, 0.5, 0.75, 1.0}


@pytest.mark.parametrize("size", [1, 2, 3, 10, 36, 257, 1000])
def test_a_permutation_has_every_number_once_and_can_be_inverted(size: int) -> None:
    permutation = Permutation(size, seed=5)
    numbers = [permutation.of(position) for position in range(size)]
    assert sorted(numbers) == list(range(size))
    assert [permutation.position(number) for number in numbers] == list(range(size))


def test_a_permutation_looks_random() -> None:
    firsts = [Permutation(6, seed).of(0) for seed in range(6000)]
    assert all(abs(firsts.count(number) - 1000) < 150 for number in range(6))


# -- options -----------------------------------------------------------------------------------------------------------


def problem(space: Mapping[str, Any]) -> SearchProblem:
    return SearchProblem(space, None, 0, ("loss",), ("min",))


def test_by_name_with_options() -> None:
    searcher = make_by_name("grid", problem(SPACE), {"num_samples": {"x": 3}, "shuffle_config": False})
    assert len(launch(searcher, 99)) == 12


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_samples": {"y": 3}}, "'y' is not tuned"),
        ({"num_samples": {"x": 0}}, r"num_samples\['x'\]=0"),
        ({"num_samples": 3}, "num_samples is 3"),
        ({"shuffle": True}, "did you mean 'shuffle_config'"),
        ({"shuffle_config": "yes"}, "shuffle_config='yes'"),
    ],
)
def test_a_wrong_option_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        make_by_name("grid", problem(SPACE), options)


def test_a_point_outside_the_space_is_refused() -> None:
    with pytest.raises(ConfigSpaceError, match="'n'"):
        GridSearcher(SPACE, [{"n": 7}])


def test_with_duplicates_what_failed_is_not_repeated_whatever_is_said_first() -> None:
    """Schedulers with rungs say that nothing is awaited any more, and then that the trial failed."""
    searcher = GridSearcher({"n": randint(1, 3)}, shuffle_config=False, allow_duplicates=True)
    for trial_id in range(3):
        config = searcher.suggest(trial_id)
        assert config == {"n": trial_id + 1}
        searcher.on_trial_add(trial_id, config)
        searcher.cleanup_pending(trial_id)
    searcher.on_trial_error(1)
    assert [searcher.suggest(trial_id) for trial_id in (3, 4, 5)] == [{"n": 1}, {"n": 3}, {"n": 3}]
