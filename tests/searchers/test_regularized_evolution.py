"""Regularized evolution: who is a parent, and how offspring differ."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cloudtune.errors import OptionError
from cloudtune.searchers.observations import TrainingSet
from cloudtune.searchers.regularized_evolution import AgingEvolution, EvolutionOptions
from cloudtune.space import choice, randint, uniform
from cloudtune.testing.searcher_contract import MakeSearcher, SearcherContract
from tests.searchers.learning import BRANIN, NETWORK, Landscape, by_name, mean_log_best


class TestREA(SearcherContract):
    @pytest.fixture
    def make_searcher(self) -> MakeSearcher:
        return lambda space, seed: by_name("rea", space, seed, population_size=5, sample_size=2)


class TestMaximizing(SearcherContract):
    @pytest.fixture
    def make_searcher(self) -> MakeSearcher:
        return lambda space, seed: by_name("rea", space, seed, "max", population_size=5, sample_size=5)


SPACE: dict[str, Any] = {"n": randint(0, 9), "x": uniform(0, 1), "kind": choice(["a", "b", "c"]), "epochs": 9}


def generation(*targets: float) -> TrainingSet:
    configs = tuple({"n": index, "x": 0.5, "kind": "a", "epochs": 9} for index in range(len(targets)))
    return TrainingSet(tuple(range(len(targets))), configs, np.array(targets))


def parents(data: TrainingSet, population_size: int, sample_size: int, draws: int = 300) -> list[int]:
    model = AgingEvolution(SPACE, EvolutionOptions(population_size, sample_size))
    random_state = np.random.default_rng(0)
    return [model.parent(data, random_state) for _ in range(draws)]


def test_the_old_die_however_good_they_are() -> None:
    data = generation(0.0, 0.1, 5.0, 3.0, 4.0)
    assert set(parents(data, population_size=3, sample_size=1)) == {2, 3, 4}
    assert set(parents(data, population_size=4, sample_size=1)) == {1, 2, 3, 4}
    assert set(parents(data, population_size=100, sample_size=1)) == {0, 1, 2, 3, 4}


def test_the_parent_is_the_best_of_a_sample_with_replacement() -> None:
    data = generation(1.0, 2.0, 3.0)
    drawn = parents(data, population_size=3, sample_size=2, draws=9000)
    # both draws among the best k of 3: (k / 3)²
    assert [drawn.count(index) / 1000 for index in range(3)] == pytest.approx([5, 3, 1], abs=0.2)


def test_one_hyperparameter_changes_and_the_scheduler_s_constant_is_put_right() -> None:
    model = AgingEvolution(SPACE, EvolutionOptions())
    parent = {"n": 3, "x": 0.5, "kind": "a", "epochs": 1}
    changed = []
    for seed in range(300):
        child = model.mutated(parent, np.random.default_rng(seed))
        assert child["epochs"] == 9
        differing = [name for name in ("n", "x", "kind") if child[name] != parent[name]]
        assert len(differing) == 1
        changed += differing
    assert all(changed.count(name) > 70 for name in ("n", "x", "kind"))


def test_what_can_not_change_is_left_alone() -> None:
    model = AgingEvolution({"x": uniform(0.5, 0.5), "n": randint(0, 1)}, EvolutionOptions())
    assert model.mutated({"x": 0.5, "n": 0}, np.random.default_rng(0)) == {"x": 0.5, "n": 1}


@pytest.mark.parametrize(("on", "trials"), [(BRANIN, 100), (NETWORK, 100)], ids=["branin", "network"])
def test_it_beats_random_search(on: Landscape, trials: int) -> None:
    evolved = mean_log_best(
        lambda space, seed: by_name("rea", space, seed, population_size=20, sample_size=5), on, trials, seeds=20
    )
    assert evolved < mean_log_best(lambda space, seed: by_name("random", space, seed), on, trials, seeds=20) - 0.1


def test_options_are_checked() -> None:
    for population_size, sample_size in ((0, 10), (100, 0), (5, 6)):
        with pytest.raises(OptionError, match=r"_size="):
            by_name("rea", SPACE, 0, population_size=population_size, sample_size=sample_size)
    with pytest.raises(OptionError, match="did you mean 'population_size'"):
        by_name("rea", SPACE, 0, population=5)
