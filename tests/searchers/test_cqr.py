"""Conformalized quantile regression: trees, quantiles, coverage, and what is proposed from them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

from cloudtune.errors import OptionError
from cloudtune.searchers.candidates import Candidates, mutations, snapped, uniform_and_near
from cloudtune.searchers.cqr_searcher import normal_scores
from cloudtune.searchers.forest import Forest, ForestOptions
from cloudtune.searchers.quantile_forest import QuantileForest
from cloudtune.searchers.random_searcher import RandomSearcher
from cloudtune.space import UnitCube, choice, randint, uniform
from cloudtune.testing.searcher_contract import MakeSearcher, SearcherContract
from tests.searchers.learning import BRANIN, NETWORK, Landscape, by_name, mean_log_best


class TestCQR(SearcherContract):
    @pytest.fixture
    def make_searcher(self) -> MakeSearcher:
        return lambda space, seed: by_name("cqr", space, seed, num_candidates=200)


class TestMaximizing(SearcherContract):
    @pytest.fixture
    def make_searcher(self) -> MakeSearcher:
        return lambda space, seed: by_name(
            "cqr", space, seed, "max", num_init_random=4, num_candidates=50, num_trees=8, random_fraction=0.2
        )


# -- trees -------------------------------------------------------------------------------------------------------------


def grown(points: Any, targets: Any, **options: Any) -> Forest:
    return Forest(np.array(points), np.array(targets), ForestOptions(**options), np.random.default_rng(0))


def test_trees_of_all_points_learn_a_step() -> None:
    points = np.linspace(0, 1, 40)[:, None]
    forest = grown(points, points[:, 0] > 0.5, share=1.0)
    assert forest.members.all()
    assert forest.mean(np.array([[0.1], [0.3], [0.7], [0.9]])) == pytest.approx([0, 0, 1, 1], abs=0.05)


def test_what_does_not_matter_is_rarely_split_on() -> None:
    points = np.random.default_rng(1).random((100, 5))
    forest = grown(points, 10 * points[:, 3], trees=100, depth=1)
    moved = points.copy()
    moved[:, 3] = 1 - moved[:, 3]
    assert (forest.leaves_of(moved) != forest.leaves).mean() > 0.5
    moved = points.copy()
    moved[:, [0, 1, 2, 4]] = 1 - moved[:, [0, 1, 2, 4]]
    assert (forest.leaves_of(moved) != forest.leaves).mean() < 0.15


@pytest.mark.parametrize("count", [1, 2, 3, 10, 400])
def test_leaves_have_no_fewer_points_than_allowed_and_trees_no_more_than_they_may(count: int) -> None:
    points = np.random.default_rng(2).random((count, 3))
    forest = grown(points, points.sum(axis=1), least_leaf=3, most=200)
    assert (forest.members.sum(axis=1) == min(max(1, round(0.8 * count)), 200)).all()
    sizes = np.bincount(forest.leaves[forest.members.T])
    assert sizes[sizes > 0].min() >= min(3, forest.members[0].sum())
    assert forest.leaves.max() < forest.places
    assert (forest.leaves >> forest.options.depth == np.arange(64)).all()


# -- quantiles ---------------------------------------------------------------------------------------------------------

LEVELS = np.array([0.1, 0.3, 0.7, 0.9])


def test_without_information_the_quantiles_are_those_of_the_sample() -> None:
    targets = np.arange(1.0, 101.0)
    model = QuantileForest(np.zeros((100, 2)), targets, LEVELS, ForestOptions(share=1.0), np.random.default_rng(0))
    assert model.offsets.tolist() == [0, 0, 0, 0]
    assert model.quantiles(np.zeros((1, 2))).tolist() == [[10, 30, 70, 90]]


def noisy(count: int, seed: int) -> tuple[Any, Any]:
    """Noise that grows with the first of three coordinates."""
    random_state = np.random.default_rng(seed)
    points = random_state.random((count, 3))
    return points, 3 * points[:, 1] + (0.1 + points[:, 0]) * random_state.standard_normal(count)


@pytest.mark.parametrize("count", [25, 100, 400])
def test_conformal_intervals_hold_as_much_as_they_promise(count: int) -> None:
    shares = []
    for seed in range(10):
        model = QuantileForest(*noisy(count, seed), LEVELS, ForestOptions(), np.random.default_rng(seed))
        points, targets = noisy(500, 1000 + seed)
        quantiles = model.quantiles(points)
        assert (np.diff(quantiles, axis=1) >= 0).all()
        below = targets[:, None] <= quantiles
        shares.append([below[:, 3].mean() - below[:, 0].mean(), below[:, 2].mean() - below[:, 1].mean()])
    outer, inner = np.mean(shares, axis=0)
    assert (outer, inner) == (pytest.approx(0.8, abs=0.06), pytest.approx(0.4, abs=0.08))


def test_where_noise_is_larger_the_quantiles_are_further_apart() -> None:
    model = QuantileForest(*noisy(400, 0), LEVELS, ForestOptions(), np.random.default_rng(0))
    quiet, loud = model.quantiles(np.array([[0.1, 0.5, 0.5], [0.9, 0.5, 0.5]]))
    assert loud[3] - loud[0] > 1.2 * (quiet[3] - quiet[0])


# -- proposals ---------------------------------------------------------------------------------------------------------


def test_targets_count_by_rank() -> None:
    scores = normal_scores(np.array([5.0, -1e100, 1e100, 5.0]))
    assert scores.tolist() == pytest.approx([0, norm.ppf(0.125), norm.ppf(0.875), 0])


def test_mutations_change_something_and_little() -> None:
    cube = UnitCube({"x": uniform(0, 1), "kind": choice(["a", "b", "c"]), "n": randint(0, 99), "epochs": 9})
    parent = cube.encode([{"x": 0.5, "kind": "b", "n": 50}])
    children = cube.decode(mutations(cube, parent, 2000, np.random.default_rng(0)))
    assert np.mean([child["x"] == 0.5 for child in children]) == pytest.approx(0.47, abs=0.05)
    assert np.mean([child["kind"] == "b" for child in children]) == pytest.approx(0.47 + 0.53 / 3, abs=0.05)
    steps = np.array([abs(child["x"] - 0.5) for child in children if child["x"] != 0.5])
    assert 0.001 < np.median(steps) < 0.02
    assert steps.max() > 0.1


def test_candidates_are_half_random_half_near_the_best_or_among_those_allowed() -> None:
    space = {"x": uniform(0, 1), "y": uniform(0, 1)}
    near = uniform_and_near(RandomSearcher(space), np.array([[0.5, 0.5]]), 400, np.random.default_rng(0)).units
    assert 0.6 < (np.abs(near - 0.5).max(axis=1) < 0.3).mean() < 0.75
    listed = [{"x": 0.1, "y": 0.2}, {"x": 1 / 3, "y": 0.4}]
    restricted = RandomSearcher(space, restrict_configurations=listed)
    among = uniform_and_near(restricted, np.eye(2), 50, np.random.default_rng(0))
    assert all(each in listed for each in among.ranked(np.zeros(50), np.random.default_rng(0)))


def test_categories_of_candidates_lie_where_encoding_puts_them() -> None:
    cube = UnitCube(
        {"kind": choice(["a", "b", "c"]), "flag": choice([True, False]), "only": choice([1]), "x": uniform(0, 1)}
    )
    units = snapped(cube, np.random.default_rng(0).random((200, cube.dimension)))
    back = cube.encode(cube.decode(units))
    assert np.abs(back - units).max() < 1e-9
    assert back[:, :4].mean(axis=0) == pytest.approx([1 / 3, 1 / 3, 1 / 3, 1 / 2], abs=0.1)


def test_equal_candidates_come_in_random_order() -> None:
    cube = UnitCube({"n": randint(0, 39)})
    candidates = Candidates(cube, cube.encode([{"n": index} for index in range(40)]))
    firsts = {next(candidates.ranked(np.zeros(40), np.random.default_rng(seed)))["n"] for seed in range(40)}
    assert len(firsts) > 20
    order = [config["n"] for config in candidates.ranked(-np.arange(40.0), np.random.default_rng(0))]
    assert order == list(range(39, -1, -1))


@pytest.mark.parametrize("on", [BRANIN, NETWORK], ids=["branin", "network"])
def test_it_beats_random_search(on: Landscape) -> None:
    def cqr(space: Any, seed: int) -> Any:
        return by_name("cqr", space, seed, num_candidates=500, num_trees=32)

    learned = mean_log_best(cqr, on, trials=50, seeds=5)
    assert learned < mean_log_best(lambda space, seed: by_name("random", space, seed), on, trials=50, seeds=5) - 0.1


@pytest.mark.parametrize(
    "options", [{"quantiles": 3}, {"quantiles": 0}, {"num_trees": 0}, {"num_candidates": 1.5}, {"random_fraction": 2}]
)
def test_options_are_checked(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=next(iter(options))):
        by_name("cqr", BRANIN.space, 0, **options)


def test_a_space_of_constants_is_survived() -> None:
    searcher = by_name("cqr", {"epochs": 9}, 0, allow_duplicates=True, num_init_random=1)
    for trial_id in range(5):
        assert searcher.suggest(trial_id) == {"epochs": 9}
        searcher.on_trial_add(trial_id, {"epochs": 9})
        searcher.on_result(trial_id, {"epochs": 9}, {"loss": 1.0}, update=True)
