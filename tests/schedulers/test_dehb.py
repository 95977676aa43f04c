"""Differential evolution by hand, and in the rungs of Hyperband."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from cloudtune.schedulers import FIFOScheduler, Start
from cloudtune.schedulers.base import Action, TrialScheduler
from cloudtune.schedulers.dehb import (
    DifferentialEvolutionHyperbandScheduler,
    GeometricDifferentialEvolutionHyperbandScheduler,
)
from cloudtune.schedulers.differential_evolution import Member, Populations, crossed, mutant
from cloudtune.schedulers.sync_hyperband import SynchronousGeometricHyperbandScheduler
from cloudtune.searchers.base import Searcher
from cloudtune.space import choice, randint, uniform
from cloudtune.testing.mini_tuner import MiniTuner
from cloudtune.trial import Config
from tests.schedulers.sync_bench import SyncBench

SPACE: dict[str, Any] = {"x": uniform(0, 1), "y": uniform(0, 1), "epochs": 9}


def random_state(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


# -- operators ---------------------------------------------------------------------------------------------------------


def test_a_mutant_is_a_parent_moved_by_the_difference_of_two_others() -> None:
    parents = [np.array([0.5, 0.5, 0.2]), np.array([0.9, 0.1, 0.3]), np.array([0.1, 0.3, 0.3])]
    assert mutant(parents, 0.5, random_state()) == pytest.approx([0.9, 0.4, 0.2])
    assert mutant(parents, 0.25, random_state()) == pytest.approx([0.7, 0.45, 0.2])


def test_what_leaves_the_cube_is_drawn_anew() -> None:
    parents = [np.array([0.9, 0.5, 0.1]), np.array([1.0, 0.5, 0.0]), np.array([0.0, 0.5, 1.0])]
    vectors = np.array([mutant(parents, 0.5, random_state(seed)) for seed in range(400)])
    assert np.all(vectors[:, 1] == 0.5)
    for outside in (vectors[:, 0], vectors[:, 2]):
        assert np.all((outside >= 0) & (outside <= 1))
        assert outside.mean() == pytest.approx(0.5, abs=0.06)  # four standard errors


def test_an_offspring_has_each_entry_of_its_target_or_of_the_mutant_and_one_of_the_mutant_at_least() -> None:
    target, mutated = np.zeros(4), np.ones(4)
    assert crossed(target, mutated, 1.0, random_state()).tolist() == [1, 1, 1, 1]
    least = [crossed(target, mutated, 1e-12, random_state(seed)) for seed in range(50)]
    assert all(offspring.sum() == 1 for offspring in least)
    assert {int(offspring.argmax()) for offspring in least} == {0, 1, 2, 3}
    half = [crossed(target, mutated, 0.5, random_state(seed)).mean() for seed in range(400)]
    assert np.mean(half) == pytest.approx(0.5 + 0.5 / 4, abs=0.05)


# -- populations -------------------------------------------------------------------------------------------------------


def member(trial_id: int, key: float) -> Member:
    return Member(trial_id, np.array([0.5]), key)


def test_who_is_as_good_takes_the_place() -> None:
    populations = Populations({1: 2})
    populations.select(1, 0, member(0, 5.0))
    populations.select(1, 0, member(1, 6.0))
    assert [each.trial_id for each in populations.ranked(1)] == [0]
    populations.select(1, 0, member(2, 5.0))
    populations.select(1, 1, member(3, np.inf))
    assert [each.trial_id for each in populations.ranked(1)] == [2]
    populations.select(1, 1, member(4, 1.0))
    assert [each.trial_id for each in populations.ranked(1)] == [4, 2]


def test_parents_are_not_the_target_and_filled_up_to_three_from_all_levels() -> None:
    populations = Populations({1: 4, 3: 2})
    for slot, key in enumerate([0.4, 0.3, 0.2, np.inf]):
        populations.select(1, slot, member(slot, key))
    populations.select(3, 0, member(2, 0.1))
    populations.select(3, 1, member(9, 0.1))
    target = populations.member(3, 0)
    several = [
        [each.trial_id for each in populations.parents(populations.ranked(1)[:2], target, random_state(seed))]
        for seed in range(20)
    ]
    assert all(parents[0] == 1 and len(set(parents)) == 3 for parents in several)
    assert {frozenset(parents) for parents in several} == {frozenset({1, 0, 9})}
    assert [each.trial_id for each in populations.parents([], target, random_state(1))].count(2) == 0
    assert len(populations.parents(populations.ranked(1), None, random_state())) == 3


# -- the scheduler -----------------------------------------------------------------------------------------------------


def evolving(**options: Any) -> SyncBench:
    make: Callable[..., TrialScheduler] = DifferentialEvolutionHyperbandScheduler
    given = {"max_resource_attr": "epochs", "random_seed": 2, **options}
    return SyncBench(make(SPACE, [(6, 1), (3, 3), (1, 9)], "loss", **given))


LOSSES = (0.9, 0.2, 0.8, 0.1, 0.3, 0.7)


def first_bracket(bench: SyncBench) -> None:
    """Trials 3, 1 and 4 are resumed at level 3, then 1."""
    bench.run(1, *LOSSES)
    assert [bench.go() for _ in range(3)] == ["resume 3", "resume 1", "resume 4"]
    for trial_id, loss in ((3, 0.15), (1, 0.12), (4, 0.2)):
        assert bench.report(trial_id, 3, loss) == Action.PAUSE
    assert bench.go() == "resume 1"
    assert bench.report(1, 9, 0.1) == Action.CONTINUE
    bench.completes(1, 9, 0.1)


def population(bench: SyncBench, level: int) -> list[int]:
    assert isinstance(bench.scheduler, DifferentialEvolutionHyperbandScheduler)
    return [each.trial_id for each in bench.scheduler.population(level)]


def vector(bench: SyncBench, trial_id: int) -> tuple[float, float]:
    config = bench.trials[trial_id].config
    return config["x"], config["y"]


def test_the_first_bracket_is_successive_halving_and_makes_the_populations() -> None:
    bench = evolving()
    first_bracket(bench)
    assert population(bench, 1) == [3, 1, 4, 5, 2, 0]
    assert population(bench, 3) == [1, 3, 4]
    assert population(bench, 9) == [1]
    assert sorted(bench.removable()) == [0, 2, 3, 4, 5]


def test_later_brackets_are_evolved_and_get_smaller() -> None:
    bench = evolving()
    first_bracket(bench)
    for level, count in ((3, 3), (9, 1), (9, 1), (1, 6), (3, 3), (9, 1), (3, 3)):
        first = len(bench.trials)
        bench.start(count)
        for trial_id in range(first, first + count):
            assert bench.told[trial_id] == level
            assert bench.trials[trial_id].carried is not None
            assert bench.report(trial_id, level, 0.05) == (Action.CONTINUE if level == 9 else Action.STOP)
            if level == 9:
                bench.completes(trial_id, 9, 0.05)


def offspring(target: tuple[float, float], parents: list[tuple[float, float]]) -> list[set[float]]:
    """For each entry all values that it may have, without those drawn anew."""
    allowed = []
    for entry in range(2):
        moved = [p[entry] + 0.5 * (q[entry] - r[entry]) for p, q, r in itertools.permutations(parents, 3)]
        allowed.append({round(value, 9) for value in [target[entry], *moved]})
    return allowed


def test_at_the_lowest_rung_of_a_bracket_the_parents_are_of_the_same_level() -> None:
    bench = evolving()
    first_bracket(bench)
    bench.go()
    # place 0 at level 3 is that of trial 3; only two of its level are left, so all others may be third
    others = [vector(bench, trial_id) for trial_id in (0, 1, 2, 4, 5)]
    target = vector(bench, 3)
    for entry, (value, allowed) in enumerate(zip(vector(bench, 6), offspring(target, others), strict=True)):
        assert round(value, 9) in allowed, entry


def test_at_other_rungs_the_parents_are_the_best_of_the_level_below() -> None:
    bench = evolving(num_brackets_per_iteration=1)
    first_bracket(bench)
    bench.start(6)
    for trial_id in range(6, 12):
        bench.report(trial_id, 1, 0.001 * trial_id if trial_id in (7, 9, 10, 11) else 5.0)
    # who was evolved for a place has taken it from who was there, where it is better
    assert population(bench, 1)[:4] == [7, 9, 10, 11]
    bench.start(1)
    parents = [vector(bench, trial_id) for trial_id in (7, 9, 10)]  # as many as level 3 has places
    for value, allowed in zip(vector(bench, 12), offspring(vector(bench, 3), parents), strict=True):
        assert round(value, 9) in allowed


def test_selection() -> None:
    bench = evolving()
    first_bracket(bench)
    bench.start(3)
    bench.report(6, 3, 0.14)  # better than trial 3
    bench.report(7, 3, 0.5)  # worse than trial 1
    bench.fails(8)
    assert population(bench, 3) == [1, 6, 4]


def test_while_too_little_is_known_the_searcher_proposes() -> None:
    bench = evolving()
    bench.start(7)  # all places of the first bracket are pending
    assert bench.told[6] == 3
    assert bench.trials[6].carried is None
    random = FIFOScheduler(SPACE, "loss", random_seed=2).suggest(6)
    assert isinstance(random, Start)
    assert {**bench.trials[6].config, "epochs": 9} == random.config


def test_without_pausing_the_best_of_the_first_bracket_begin_anew() -> None:
    bench = evolving(support_pause_resume=False)
    bench.start(6)
    for trial_id, loss in enumerate(LOSSES):
        assert bench.report(trial_id, 1, loss) == Action.STOP
    bench.start(3)
    for trial_id, source in ((6, 3), (7, 1), (8, 4)):
        assert vector(bench, trial_id) == vector(bench, source)
        assert bench.told[trial_id] == 3
        assert bench.report(trial_id, 3, LOSSES[source]) == Action.STOP
    bench.start(1)
    assert vector(bench, 9) == vector(bench, 3)
    assert bench.told[9] == 9
    assert bench.removable() == []


def test_what_carries_vectors_is_not_the_searchers() -> None:
    bench = evolving()
    first_bracket(bench)
    suggestion = bench.scheduler.suggest(6)
    assert isinstance(suggestion, Start)
    assert suggestion.carried is not None
    assert suggestion.carried["dehb_vector"] == pytest.approx([suggestion.config["x"], suggestion.config["y"]])


def test_offspring_are_among_the_configurations_that_are_allowed() -> None:
    allowed = [{"x": x / 10, "y": y / 10} for x in range(11) for y in range(11)]
    make: Callable[..., TrialScheduler] = GeometricDifferentialEvolutionHyperbandScheduler
    scheduler = make(SPACE, "loss", random_seed=2, search_options={"restrict_configurations": allowed})
    tuner = MiniTuner(scheduler, lambda trial_id, config, resource: float(config["x"]))
    tuner.run(200)
    launched = [(trial.config["x"], trial.config["y"]) for trial in tuner.trials]
    assert len(set(launched)) == len(launched) == 121
    assert tuner.exhausted


@pytest.mark.parametrize("searcher", ["random", "kde"])
def test_only_what_is_listed_is_evolved(searcher: str) -> None:
    make: Callable[..., TrialScheduler] = GeometricDifferentialEvolutionHyperbandScheduler
    listed = [{"x": x, "y": y} for x in (0.1, 0.4, 0.8) for y in (0.0, 0.3, 0.5, 0.9, 1.0)]
    options = {"restrict_configurations": listed}
    scheduler = make(SPACE, "loss", random_seed=2, searcher=searcher, search_options=options)
    tuner = MiniTuner(scheduler, lambda trial_id, config, resource: float(config["x"]))
    tuner.run(50)
    found = [(trial.config["x"], trial.config["y"]) for trial in tuner.trials]
    assert sorted(found) == sorted((each["x"], each["y"]) for each in listed)


def test_duplicates_if_they_are_wanted_of_another_searcher() -> None:
    make: Callable[..., TrialScheduler] = GeometricDifferentialEvolutionHyperbandScheduler
    space = {"n": randint(0, 3), "epochs": 9}
    options = {"allow_duplicates": True}
    scheduler = make(space, "loss", random_seed=2, searcher="sobol", search_options=options)
    tuner = MiniTuner(scheduler, lambda trial_id, config, resource: float(config["n"]))
    tuner.run(50)
    assert any(trial.carried for trial in tuner.trials), "some are evolved, though all was launched before"


def test_duplicates_if_they_are_wanted() -> None:
    make: Callable[..., TrialScheduler] = GeometricDifferentialEvolutionHyperbandScheduler
    space = {"n": randint(0, 3), "epochs": 9}
    scheduler = make(space, "loss", random_seed=2, search_options={"allow_duplicates": True})
    tuner = MiniTuner(scheduler, lambda trial_id, config, resource: float(config["n"]))
    tuner.run(50)
    assert len(tuner.trials) == 50


class Corners(Searcher):
    """Proposes (0, 0), (0, 1), (1, 0), (1, 1) and again; writes down what its model is handed."""

    def __init__(self) -> None:
        self.handed: list[tuple[int, Any]] = []

    def suggest(self, trial_id: int) -> Config:
        return {"x": float(trial_id // 2 % 2), "y": float(trial_id % 2), "epochs": 9}

    def carried(self, trial_id: int) -> Mapping[str, Any]:
        return {"fit": trial_id}

    def on_carried(self, trial_id: int, carried: Mapping[str, Any]) -> None:
        self.handed.append((trial_id, carried))


def test_any_searcher_may_propose_the_first_bracket() -> None:
    searcher = Corners()
    bench = evolving(searcher=searcher)
    first_bracket(bench)
    assert [vector(bench, trial_id) for trial_id in range(4)] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    bench.start(3)
    assert searcher.handed == [(trial_id, {"fit": trial_id}) for trial_id in range(6)]


# -- does it help? -----------------------------------------------------------------------------------------------------

MIXED: dict[str, Any] = {
    "a": uniform(0, 1),
    "b": uniform(0, 1),
    "c": uniform(0, 1),
    "n": randint(0, 20),
    "kind": choice(["x", "y", "z"]),
    "epochs": 27,
}


def final(config: Config) -> float:
    squares: list[float] = [(config[name] - 0.3) ** 2 for name in "abc"]
    distance: float = sum(squares) + ((config["n"] - 14) / 20) ** 2
    return distance + 0.3 * "xyz".index(config["kind"])


def learning(trial_id: int, config: Config, epoch: int) -> float:
    """Curves cross: those that begin better need not end better."""
    return final(config) + float(0.3 + 0.4 * config["a"]) / epoch


def regret(make: Callable[..., TrialScheduler], seed: int, epochs: int) -> float:
    """Of the best trial that was trained to the end, when all trials together were trained for so long."""
    scheduler = make(MIXED, "loss", random_seed=seed, max_resource_attr="epochs")
    tuner = MiniTuner(scheduler, learning, max_resource=27, n_workers=4)
    tuner.run(100_000, epochs)
    return min(final(trial.config) for trial in tuner.trials if tuner.work[trial.trial_id] == 27)


def test_in_the_same_time_halving_beats_random_search_and_evolution_beats_both() -> None:
    seeds, epochs = range(6), 2500
    random = [regret(FIFOScheduler, seed, epochs) for seed in seeds]
    halving = [regret(SynchronousGeometricHyperbandScheduler, seed, epochs) for seed in seeds]
    evolved = [regret(GeometricDifferentialEvolutionHyperbandScheduler, seed, epochs) for seed in seeds]
    assert np.mean(halving) < 0.8 * np.mean(random)
    assert np.mean(evolved) < 0.5 * np.mean(halving)
    assert sum(e < r for e, r in zip(evolved, random, strict=True)) >= 5
