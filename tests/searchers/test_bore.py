"""BORE: classifiers that tell good configurations from others, and what they propose."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cloudtune.errors import OptionError
from cloudtune.searchers.bore_searcher import CLASSIFIERS, BOREOptions, DensityRatioClassifier
from cloudtune.searchers.classifiers import Probability
from cloudtune.searchers.observations import TrainingSet
from cloudtune.searchers.random_searcher import RandomSearcher
from cloudtune.space import choice, uniform
from cloudtune.testing.searcher_contract import MakeSearcher, SearcherContract
from tests.searchers.learning import BRANIN, NETWORK, Landscape, by_name, mean_log_best


class TestBORE(SearcherContract):
    @pytest.fixture
    def make_searcher(self) -> MakeSearcher:
        return lambda space, seed: by_name("bore", space, seed, feval_acq=100)


class TestMaximizingWithEvolution(SearcherContract):
    @pytest.fixture
    def make_searcher(self) -> MakeSearcher:
        return lambda space, seed: by_name(
            "bore", space, seed, "max", classifier="logreg", acq_optimizer="de", feval_acq=50, random_prob=0.2
        )


class TestGaussianProcess(SearcherContract):
    @pytest.fixture
    def make_searcher(self) -> MakeSearcher:
        return lambda space, seed: by_name("bore", space, seed, classifier="gp", feval_acq=50)


class TestNetwork(SearcherContract):
    @pytest.fixture
    def make_searcher(self) -> MakeSearcher:
        return lambda space, seed: by_name("bore", space, seed, classifier="mlp", init_random=12, feval_acq=50)


class TestWithReplacement(SearcherContract):
    exhausts_finite_spaces = False

    @pytest.fixture
    def make_searcher(self) -> MakeSearcher:
        return lambda space, seed: by_name(
            "bore", space, seed, classifier="logreg", acq_optimizer="rs_with_replacement", feval_acq=50
        )


# -- classifiers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifier_finds_a_ball(name: str) -> None:
    random_state = np.random.default_rng(0)
    points, others = random_state.random((100, 3)), random_state.random((1000, 3))
    centre = np.array([0.3, 0.6, 0.5])
    distances = np.linalg.norm(points - centre, axis=1)
    probability = CLASSIFIERS[name](points, distances <= np.quantile(distances, 0.25), random_state)
    likely = np.argsort(-probability(others))
    far = np.linalg.norm(others - centre, axis=1)
    assert far[likely[:100]].mean() < 0.6 * far.mean()
    assert probability(others).shape == (1000,)


@pytest.mark.parametrize("name", CLASSIFIERS)
@pytest.mark.parametrize(("count", "good"), [(2, 1), (6, 2), (450, 113), (30, 29)])
def test_few_many_and_coinciding_points_are_survived(name: str, count: int, good: int) -> None:
    points = np.tile(np.array([0.0, 1.0, 0.5]), (count, 1))
    probability = CLASSIFIERS[name](points, np.arange(count) < good, np.random.default_rng(0))
    assert np.isfinite(probability(np.random.default_rng(1).random((50, 3)))).all()


def test_logistic_regression_is_the_penalized_maximum_of_likelihood() -> None:
    points = np.array([[0.0], [0.5], [1.0]] * 4)
    good = np.array([True, False, False] * 4)
    good[0] = False
    logits = CLASSIFIERS["logreg"](points, good, np.random.default_rng(0))(points[:3])
    # found by minimizing the loss, Σ log(1 + exp(-±z)) + 0.05 |w|², elsewhere
    from scipy.optimize import minimize

    features = np.column_stack([np.ones(12), 2 * points[:, 0] - 1, (2 * points[:, 0] - 1) ** 2])

    def loss(weights: NDArray[np.float64]) -> float:
        z = features @ weights
        return float(np.log1p(np.exp(np.where(good, -z, z))).sum() + 0.05 * weights @ weights)

    assert logits == pytest.approx(features[:3] @ minimize(loss, np.zeros(3)).x, abs=1e-3)


# -- proposals ---------------------------------------------------------------------------------------------------------

SPACE: dict[str, Any] = {"x": uniform(0, 1), "kind": choice(["a", "b", "c"])}


def nearer_to_a_corner(points: NDArray[np.float64], good: NDArray[np.bool_], _: np.random.Generator) -> Probability:
    """A classifier of a user's own, that learns nothing but how many are good."""
    return lambda at: -np.abs(at[:, 0] - good.sum() / 10)


def data(count: int) -> TrainingSet:
    configs = tuple({"x": index / count, "kind": "a"} for index in range(count))
    return TrainingSet(tuple(range(count)), configs, np.arange(count, dtype=float))


@pytest.mark.parametrize(("count", "gamma", "good"), [(20, 0.25, 5), (21, 0.25, 6), (2, 0.9, 1), (8, 0.01, 1)])
def test_a_share_of_the_results_is_good(count: int, gamma: float, good: int) -> None:
    model = DensityRatioClassifier(
        RandomSearcher(SPACE, [], 0), BOREOptions(gamma=gamma, classifier=nearer_to_a_corner)
    )
    first, *_ = model.proposals(data(count), (), np.random.default_rng(0))
    assert first["x"] == pytest.approx(good / 10, abs=0.02)


def in_the_middle(points: NDArray[np.float64], good: NDArray[np.bool_], _: np.random.Generator) -> Probability:
    return lambda at: -np.linalg.norm(at - 0.5, axis=1)


def test_evolution_comes_closer_than_random_draws() -> None:
    space = {f"x{index}": uniform(0, 1) for index in range(4)}
    configs = RandomSearcher(space, [], 0).sample(np.random.default_rng(0), 20)
    results = TrainingSet(tuple(range(20)), tuple(configs), np.arange(20.0))

    def distance(acq_optimizer: str, seed: int) -> float:
        options = BOREOptions(classifier=in_the_middle, acq_optimizer=acq_optimizer, feval_acq=300)
        model = DensityRatioClassifier(RandomSearcher(space, [], 0), options)
        first, *_ = model.proposals(results, (), np.random.default_rng(seed))
        return float(np.linalg.norm(np.array(list(first.values())) - 0.5))

    evolved, drawn = ([distance(name, seed) for seed in range(20)] for name in ("de", "rs"))
    assert np.mean(evolved) < np.mean(drawn) / 3


@pytest.mark.parametrize("on", [BRANIN, NETWORK], ids=["branin", "network"])
def test_it_beats_random_search(on: Landscape) -> None:
    learned = mean_log_best(lambda space, seed: by_name("bore", space, seed, feval_acq=300), on, trials=50, seeds=5)
    assert learned < mean_log_best(lambda space, seed: by_name("random", space, seed), on, trials=50, seeds=5) - 0.1


@pytest.mark.parametrize(
    "options",
    [
        {"init_random": 1},
        {"gamma": 0},
        {"gamma": 1.0},
        {"classifier": "xgboost"},
        {"classifier": 3},
        {"acq_optimizer": "lbfgs"},
        {"feval_acq": 0},
        {"random_prob": -1},
    ],
)
def test_options_are_checked(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=next(iter(options))):
        by_name("bore", SPACE, 0, **options)
