"""Random search: points first, then draws without replacement, to the last configuration."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudtune.errors import ConfigSpaceError, OptionError
from cloudtune.searchers import RandomSearcher, Searcher
from cloudtune.space import (
    choice,
    config_space_size,
    finrange,
    logfinrange,
    lograndint,
    loguniform,
    ordinal,
    qloguniform,
    quniform,
    randint,
    uniform,
)
from cloudtune.testing.searcher_contract import FINITE, SPACE, MakeSearcher, SearcherContract
from cloudtune.trial import Config


class TestWithoutReplacement(SearcherContract):
    @pytest.fixture
    def make_searcher(self) -> MakeSearcher:
        return lambda space, seed: RandomSearcher(space, random_seed=seed)


class TestWithoutPoints(SearcherContract):
    @pytest.fixture
    def make_searcher(self) -> MakeSearcher:
        return lambda space, seed: RandomSearcher(space, points_to_evaluate=[], random_seed=seed)


class TestWithReplacement(SearcherContract):
    exhausts_finite_spaces = False

    @pytest.fixture
    def make_searcher(self) -> MakeSearcher:
        return lambda space, seed: RandomSearcher(space, random_seed=seed, allow_duplicates=True)


class TestRestricted(SearcherContract):
    """Restricted to configurations drawn beforehand (of the finite space: to all of them)."""

    @pytest.fixture
    def make_searcher(self) -> MakeSearcher:
        def make(space: Mapping[str, Any], seed: int) -> Searcher:
            listed = launch(RandomSearcher(space, random_seed=99), 200)
            return RandomSearcher(space, random_seed=seed, restrict_configurations=listed)

        return make


def launch(searcher: Searcher, count: int, start: int = 0) -> list[Config]:
    """Suggest and launch; ends early when the searcher is exhausted."""
    configs = []
    for trial_id in range(start, start + count):
        config = searcher.suggest(trial_id)
        if config is None:
            break
        configs.append(config)
        searcher.on_trial_add(trial_id, config)
    return configs


def as_set(configs: list[Config]) -> set[tuple[tuple[str, Any], ...]]:
    return {tuple(config.items()) for config in configs}


# -- points to evaluate --------------------------------------------------------------------------------------------


def test_points_come_first_in_order_and_are_completed() -> None:
    space = {"lr": loguniform(1e-4, 1e-2), "layers": randint(1, 9), "epochs": 27}
    searcher = RandomSearcher(space, points_to_evaluate=[{"layers": 2}, {"lr": 1e-4}, {"layers": 2}], random_seed=0)
    first, second, third = launch(searcher, 3)
    assert first == {"lr": pytest.approx(1e-3), "layers": 2, "epochs": 27}
    assert second == {"lr": 1e-4, "layers": 5, "epochs": 27}
    assert third not in (first, second)


def test_default_is_one_point_of_middles_and_an_empty_list_is_none() -> None:
    space = {"x": uniform(0, 1)}
    assert RandomSearcher(space, random_seed=0).suggest(0) == {"x": 0.5}
    assert RandomSearcher(space, points_to_evaluate=[], random_seed=0).suggest(0) != {"x": 0.5}


def test_a_point_outside_the_space_is_refused() -> None:
    with pytest.raises(ConfigSpaceError, match="layers"):
        RandomSearcher({"layers": randint(1, 9)}, points_to_evaluate=[{"layers": 12}])


# -- finite spaces -------------------------------------------------------------------------------------------------

DOMAINS = st.one_of(
    st.integers(0, 6).map(lambda n: randint(3, 3 + n)),
    st.integers(0, 6).map(lambda n: lograndint(1, 1 + n)),
    st.integers(2, 6).map(lambda n: finrange(0.1, 0.7, n)),
    st.integers(2, 9).map(lambda n: logfinrange(1, 4, n, cast_int=True)),
    st.integers(1, 5).map(lambda n: choice([f"c{i}" for i in range(n)])),
    st.integers(1, 5).map(lambda n: ordinal([10**i for i in range(n)], kind="nn")),
    st.just(quniform(0, 1, 0.25)),
    st.just(qloguniform(1, 8, 1)),
    st.just(uniform(0.3, 0.3)),
    st.just("a constant"),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(DOMAINS, max_size=3), st.integers(0, 2**32), st.booleans())
def test_every_configuration_of_a_finite_space_comes_exactly_once(domains: list[Any], seed: int, points: bool) -> None:
    space = {f"p{i}": domain for i, domain in enumerate(domains)}
    size = config_space_size(space)
    assert size is not None
    searcher = RandomSearcher(space, points_to_evaluate=None if points else [], random_seed=seed)
    configs = launch(searcher, size + 10)
    assert len(configs) == len(as_set(configs)) == size
    assert searcher.suggest(size) is None


def test_the_end_of_a_large_finite_space_is_reached_without_long_search() -> None:
    space = {"a": lograndint(1, 1000), "b": randint(0, 99)}
    searcher = RandomSearcher(space, points_to_evaluate=[], random_seed=0)
    left = {(1000, 99), (999, 1), (3, 3)}
    for a in range(1, 1001):
        for b in range(100):
            if (a, b) not in left:
                searcher.on_trial_add(a * 100 + b, {"a": a, "b": b})
    configs = launch(searcher, 10)
    assert {(config["a"], config["b"]) for config in configs} == left


def test_a_space_of_constants_has_one_configuration() -> None:
    searcher = RandomSearcher({"epochs": 3, "layers": [1, 2]}, random_seed=0)
    assert launch(searcher, 5) == [{"epochs": 3, "layers": [1, 2]}]


def test_what_was_only_proposed_may_be_proposed_again() -> None:
    searcher = RandomSearcher({"a": randint(0, 2)}, points_to_evaluate=[], random_seed=0)
    for trial_id in range(50):
        assert searcher.suggest(trial_id) is not None


# -- duplicates, failures, restrictions ------------------------------------------------------------------------------


def test_duplicates_if_allowed() -> None:
    searcher = RandomSearcher({"a": randint(0, 2)}, random_seed=0, allow_duplicates=True)
    assert len(launch(searcher, 30)) == 30


def test_failed_configurations_are_not_proposed_again_even_with_duplicates() -> None:
    searcher = RandomSearcher({"a": randint(0, 2)}, points_to_evaluate=[], random_seed=0, allow_duplicates=True)
    (failed,) = launch(searcher, 1)
    searcher.on_trial_error(0)
    others = launch(searcher, 40, start=1)
    assert failed not in others
    assert len(as_set(others)) == 2
    for trial_id in range(1, 41):
        searcher.on_trial_error(trial_id)
    assert searcher.suggest(41) is None


def test_a_failed_point_is_not_proposed_again() -> None:
    point = {"a": 1}
    searcher = RandomSearcher({"a": randint(0, 2)}, points_to_evaluate=[{"a": 2}, point], allow_duplicates=True)
    searcher.on_trial_add(0, point)
    searcher.on_trial_error(0)
    assert searcher.suggest(1) != point


def test_only_listed_configurations_if_restricted() -> None:
    listed = [{"a": 0.1 * i, "b": i} for i in range(5)]
    space = {"a": uniform(0, 1), "b": randint(0, 9)}
    points = [{"a": 0.9}, listed[3]]
    searcher = RandomSearcher(space, points_to_evaluate=points, random_seed=0, restrict_configurations=listed)
    configs = launch(searcher, 10)
    assert configs[0] == listed[3]
    assert as_set(configs) == as_set([*listed])
    assert len(configs) == 5


def test_an_empty_restriction_is_refused() -> None:
    with pytest.raises(OptionError, match="restrict_configurations"):
        RandomSearcher(FINITE, restrict_configurations=[])


@pytest.mark.parametrize("listed", [[{"a": 77}], {"a": 1}, 5])
def test_what_is_wrong_with_a_restriction_is_said_of_it(listed: Any) -> None:
    with pytest.raises(ConfigSpaceError, match="restrict_configurations"):
        RandomSearcher(FINITE, restrict_configurations=listed)


# -- seeds -----------------------------------------------------------------------------------------------------------


def test_a_seed_that_is_not_given_is_drawn_and_visible() -> None:
    drawn = RandomSearcher(SPACE)
    assert launch(RandomSearcher(SPACE, random_seed=drawn.random_seed), 20) == launch(drawn, 20)
    assert RandomSearcher(SPACE).random_seed != drawn.random_seed


@pytest.mark.parametrize("seed", [-1, 1.5, "1", True])
def test_a_seed_that_is_none_is_refused(seed: Any) -> None:
    with pytest.raises(OptionError, match="random_seed"):
        RandomSearcher(SPACE, random_seed=seed)


def test_the_proposal_for_a_trial_does_not_depend_on_which_were_asked_before() -> None:
    forward, backward = RandomSearcher(SPACE, random_seed=5), RandomSearcher(SPACE, random_seed=5)
    ids = [0, 1, 255, 256, 257, 1000, 100_000]
    assert [forward.suggest(i) for i in ids] == [backward.suggest(i) for i in reversed(ids)][::-1]


def test_draws_follow_the_domains() -> None:
    searcher = RandomSearcher({"x": uniform(0, 1), "c": choice(["a", "b"])}, points_to_evaluate=[], random_seed=0)
    configs = launch(searcher, 2000)
    assert 0.47 < sum(config["x"] for config in configs) / 2000 < 0.53
    assert 900 < Counter(config["c"] for config in configs)["a"] < 1100


def test_launches_are_logged_on_request(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        launch(RandomSearcher({"a": randint(1, 3)}, debug_log=True), 1)
    assert "trial 0: {'a': 2}" in caplog.text
