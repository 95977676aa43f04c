"""Kernel density estimates: the densities themselves, and what is proposed from them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy.stats import truncnorm

from cloudtune.errors import OptionError
from cloudtune.searchers.kde_searcher import DensityRatio, KDEOptions, distances_to_neighbours
from cloudtune.searchers.observations import TrainingSet
from cloudtune.searchers.parzen import MixedPoints, MixedSpace, Parzen
from cloudtune.searchers.random_searcher import RandomSearcher
from cloudtune.space import UnitCube, choice, lograndint, ordinal, randint, uniform
from cloudtune.testing.searcher_contract import MakeSearcher, SearcherContract
from tests.searchers.learning import BRANIN, NETWORK, Landscape, by_name, mean_log_best


class TestKDE(SearcherContract):
    @pytest.fixture
    def make_searcher(self) -> MakeSearcher:
        return lambda space, seed: by_name("kde", space, seed)


class TestMaximizing(SearcherContract):
    @pytest.fixture
    def make_searcher(self) -> MakeSearcher:
        return lambda space, seed: by_name("kde", space, seed, "max", random_fraction=0.3, bandwidth_factor=3)


class TestRestricted(SearcherContract):
    @pytest.fixture
    def make_searcher(self) -> MakeSearcher:
        def make(space: Any, seed: int) -> Any:
            # of the finite space: all of them
            listed = [RandomSearcher(space, random_seed=99).suggest(index) for index in range(200)]
            return by_name("kde", space, seed, restrict_configurations=[*listed, *every(space)])

        return make


def every(space: dict[str, Any]) -> list[dict[str, Any]]:
    if "a" not in space:
        return []
    return [{"a": a, "b": b, "c": c} for a in range(4) for b in "xyz" for c in space["c"].values]


# -- densities ---------------------------------------------------------------------------------------------------------


def mixed(numbers: list[list[float]], categories: list[list[int]]) -> MixedPoints:
    return MixedPoints(
        np.array(numbers, dtype=float).reshape(len(numbers), -1),
        np.array(categories, dtype=np.int64).reshape(len(categories), -1),
    )


def test_one_number_s_density_is_a_mixture_of_truncated_normals_and_a_uniform() -> None:
    centers, widths = [0.1, 0.7, 0.72], np.array([[0.2], [0.05], [0.3]])
    density = Parzen(mixed([[each] for each in centers], [[]] * 3), [], widths, np.array([]), prior=0.5)
    at = np.linspace(0, 1, 41)
    expected = np.full(41, 0.5)
    for center, (width,) in zip(centers, widths, strict=True):
        expected += truncnorm.pdf(at, -center / width, (1 - center) / width, center, width)
    got = np.exp(density.log_density(mixed([[each] for each in at], [[]] * 41)))
    assert got == pytest.approx(expected / 3.5, rel=1e-9)


def test_a_category_s_density_is_that_of_aitchison_and_aitken() -> None:
    density = Parzen(mixed([[], []], [[0], [2]]), [3], np.empty((2, 0)), np.array([0.3]), prior=0)
    got = np.exp(density.log_density(mixed([[], [], []], [[0], [1], [2]])))
    assert got.tolist() == pytest.approx([(0.7 + 0.15) / 2, 0.15, (0.15 + 0.7) / 2])


def example() -> Parzen:
    points = mixed([[0.2, 0.9], [0.25, 0.1], [0.8, 0.5]], [[0, 1], [2, 1], [2, 0]])
    widths = np.array([[0.1, 0.3], [0.02, 0.5], [0.2, 0.05]])
    return Parzen(points, [3, 2], widths, np.array([0.2, 0.4]), prior=1)


def test_a_mixed_density_integrates_to_1() -> None:
    middles = (np.arange(200) + 0.5) / 200
    grid = np.stack(np.meshgrid(middles, middles), axis=-1).reshape(-1, 2)
    total = 0.0
    for first in range(3):
        for second in range(2):
            categories = np.tile(np.array([first, second]), (len(grid), 1))
            total += np.exp(example().log_density(MixedPoints(grid, categories))).mean()
    assert total == pytest.approx(1.0, abs=2e-3)


def test_draws_follow_the_density() -> None:
    density, count = example(), 40_000
    drawn = density.sample(np.random.default_rng(1), count)
    even = MixedPoints(
        np.random.default_rng(2).random((count, 2)),
        np.random.default_rng(3).integers([3, 2], size=(count, 2)),
    )
    weights = np.exp(density.log_density(even)) * 6
    for here, there in zip(corners(drawn), corners(even), strict=True):
        assert here.mean() == pytest.approx((weights * there).mean(), abs=0.015)


def corners(points: MixedPoints) -> list[Any]:
    numbers, categories = points.numbers, points.categories
    return [numbers[:, 0] < 0.22, (numbers[:, 1] > 0.6) & (categories[:, 0] == 2), categories[:, 1] == 0]


def test_wider_kernels_draw_from_further_away() -> None:
    density = Parzen(mixed([[0.5]], [[]]), [], np.array([[0.05]]), np.array([]), prior=0)
    near = density.sample(np.random.default_rng(0), 4000).numbers.std()
    far = density.sample(np.random.default_rng(0), 4000, factor=3).numbers.std()
    assert (near, far) == (pytest.approx(0.05, rel=0.05), pytest.approx(0.15, rel=0.05))


def test_bandwidths_are_distances_to_neighbours() -> None:
    numbers = np.array([[0.5, 0.2], [0.1, 0.2], [0.7, 0.9]])
    assert distances_to_neighbours(numbers) == pytest.approx(np.array([[0.4, 0.0], [0.4, 0.7], [0.2, 0.7]]))
    assert distances_to_neighbours(np.array([[0.2, 0.5]])) == pytest.approx(np.array([[0.8, 0.5]]))


def test_a_mixed_space_has_each_hyperparameter_once() -> None:
    space = {
        "x": uniform(0, 2),
        "flag": choice([True, False]),
        "kind": choice(["a", "b", "c"]),
        "n": lograndint(1, 4),
        "size": ordinal([1, 2, 8]),
        "only": choice(["one"]),
        "epochs": 9,
    }
    mixed_space = MixedSpace(UnitCube(space))
    assert mixed_space.dimension == 6
    assert mixed_space.sizes == [2, 3, 1]
    assert mixed_space.cells == pytest.approx([0, 1 / 4, 1 / 3])
    configs = [
        {"x": 1.0, "flag": False, "kind": "c", "n": 4, "size": 2, "only": "one", "epochs": 9},
        {"x": 0.5, "flag": True, "kind": "a", "n": 1, "size": 8, "only": "one", "epochs": 9},
    ]
    points = mixed_space.points(configs)
    assert points.categories.tolist() == [[1, 2, 0], [0, 0, 0]]
    assert points.numbers[:, 0].tolist() == [0.5, 0.25]
    assert mixed_space.configs(points) == configs


# -- proposals ---------------------------------------------------------------------------------------------------------


def proposals(space: dict[str, Any], data: TrainingSet, pending: tuple[Any, ...] = (), **options: Any) -> list[Any]:
    model = DensityRatio(RandomSearcher(space, [], 0), KDEOptions(**options))
    return list(model.proposals(data, pending, np.random.default_rng(0)))


def test_what_is_proposed_first_lies_among_the_good() -> None:
    space = {"x": uniform(0, 1), "kind": choice(["a", "b", "c"])}
    configs: tuple[dict[str, Any], ...] = tuple({"x": index / 40, "kind": "abc"[index % 3]} for index in range(40))
    targets = np.array([abs(config["x"] - 0.3) + (config["kind"] != "b") for config in configs])
    proposed = proposals(space, TrainingSet(tuple(range(40)), configs, targets))
    assert len(proposed) == 128
    assert all(abs(config["x"] - 0.3) < 0.2 and config["kind"] == "b" for config in proposed[:10])


def test_where_others_are_at_work_is_not_proposed_first() -> None:
    space = {"x": uniform(0, 1)}
    configs = tuple({"x": x} for x in (0.2, 0.8, 0.0, 0.4, 0.5, 0.6, 1.0))
    data = TrainingSet(tuple(range(7)), configs, np.array([0.0, 0.0, 1, 1, 1, 1, 1]))
    alone = proposals(space, data, top_n_percent=25)
    beside = proposals(space, data, tuple({"x": 0.8 + shift / 100} for shift in range(-5, 6)), top_n_percent=25)
    assert max(config["x"] for config in alone[:30]) > 0.7
    assert max(config["x"] for config in beside[:30]) < 0.4


@pytest.mark.parametrize("on", [BRANIN, NETWORK], ids=["branin", "network"])
def test_it_beats_random_search(on: Landscape) -> None:
    learned = mean_log_best(lambda space, seed: by_name("kde", space, seed), on, trials=60, seeds=10)
    assert learned < mean_log_best(lambda space, seed: by_name("random", space, seed), on, trials=60, seeds=10) - 0.3


def test_many_equal_results_and_few_values_are_survived() -> None:
    space = {"n": randint(0, 1), "x": uniform(0, 1), "kind": choice(["a", "b"])}
    configs = tuple({"n": 0, "x": 0.5, "kind": "a"} for _ in range(30))
    assert len(proposals(space, TrainingSet(tuple(range(30)), configs, np.zeros(30)))) == 128


@pytest.mark.parametrize(
    "options",
    [
        {"num_min_data_points": 1},
        {"num_candidates": 0},
        {"random_fraction": 1.1},
        {"top_n_percent": 0},
        {"top_n_percent": 100},
        {"top_n_percent": "15"},
        {"top_n_percent": True},
        {"bandwidth_factor": "3"},
        {"min_bandwidth": 0},
        {"bandwidth_factor": math.inf},
    ],
)
def test_options_are_checked(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=next(iter(options))):
        by_name("kde", BRANIN.space, 0, **options)


def test_enough_is_one_more_than_hyperparameters_and_at_least_6_unless_it_is_given() -> None:
    def first_learned(dimension: int, **options: Any) -> int:
        space = {f"x{index}": uniform(0, 1) for index in range(dimension)}
        learner, random = by_name("kde", space, 0, **options), by_name("random", space, 0)
        for trial_id in range(99):
            config = learner.suggest(trial_id)
            assert config is not None
            if config != random.suggest(trial_id):
                return trial_id
            learner.on_trial_add(trial_id, config)
            learner.on_result(trial_id, config, {"loss": config["x0"]}, update=True)
        raise AssertionError("it never learned")

    assert first_learned(2) == 6
    assert first_learned(9) == 10
    assert first_learned(9, num_min_data_points=4) == 4
