"""Bayesian optimization with a model that a user brings along."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import BaggingRegressor, ExtraTreesRegressor, GradientBoostingRegressor, RandomForestRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF
from sklearn.linear_model import BayesianRidge, LinearRegression
from sklearn.tree import DecisionTreeRegressor

from cloudtune.errors import OptionError
from cloudtune.schedulers.fifo import FIFOScheduler
from cloudtune.searchers.base import Searcher
from cloudtune.searchers.bayesopt_options import BayesianOptimizationOptions
from cloudtune.searchers.own_surrogate import SKLearnSurrogateSearcher, bayesian_optimization
from cloudtune.searchers.random_searcher import RandomSearcher
from cloudtune.space import uniform
from cloudtune.surrogates.acquisition import Acquisition, LowerConfidenceBound
from cloudtune.surrogates.estimators import EstimatorSurrogate, RegressorEstimator, estimator_of
from cloudtune.surrogates.prediction import Array, Fit
from cloudtune.testing.searcher_contract import MakeSearcher, SearcherContract, launch
from cloudtune.trial import Mode


class Nearest:
    """Expects what the nearest point had, and is the less sure the further away that is."""

    def __init__(self) -> None:
        self.updates: list[bool] = []

    def fit(self, X: Array, y: Array, update_params: bool) -> Known:  # noqa: N803
        self.updates.append(update_params)
        return Known(X, y)


class Known:
    def __init__(self, points: Array, values: Array) -> None:
        self.points, self.values = points, values

    def predict(self, X: Array) -> tuple[Array, Array]:  # noqa: N803
        distances = np.linalg.norm(X[:, None] - self.points[None], axis=2)
        return self.values[distances.argmin(axis=1)], distances.min(axis=1)


ESTIMATORS: dict[str, Any] = {
    "own": Nearest,
    "ridge": BayesianRidge,
    "forest": lambda: RandomForestRegressor(n_estimators=5),
    "bagging": lambda: BaggingRegressor(DecisionTreeRegressor(), n_estimators=4, max_features=0.8),
}


@pytest.mark.parametrize("name", ESTIMATORS)
class TestContract(SearcherContract):
    @pytest.fixture
    def make_searcher(self, name: str) -> MakeSearcher:
        def made(space: Mapping[str, Any], seed: int) -> Searcher:
            return SKLearnSurrogateSearcher(
                space, "loss", ESTIMATORS[name](), random_seed=seed, num_initial_candidates=60
            )

        return made


# -- where it should be good -------------------------------------------------------------------------------------------

SPACE = {"x": uniform(0, 1), "y": uniform(0, 1)}


def best_of(searcher: Searcher, sign: float = 1.0, trials: int = 25) -> float:
    best = math.inf
    for trial_id in range(trials):
        config = searcher.suggest(trial_id)
        assert config is not None
        value = (config["x"] - 0.7) ** 2 + (config["y"] - 0.2) ** 2
        launch(searcher, trial_id, config, searcher.carried(trial_id))
        searcher.on_result(trial_id, config, {"loss": sign * value}, update=True)
        searcher.cleanup_pending(trial_id)
        best = min(best, value)
    return best


def by_process(seed: int, mode: Mode = "min") -> Searcher:
    regressor = GaussianProcessRegressor(RBF(0.5), alpha=1e-4, optimizer=None)
    return SKLearnSurrogateSearcher(SPACE, "loss", regressor, mode=mode, random_seed=seed)


@pytest.mark.parametrize("seed", range(3))
def test_scikit_learn_s_gaussian_process_beats_random_search(seed: int) -> None:
    assert best_of(by_process(seed)) < 0.2 * best_of(RandomSearcher(SPACE, random_seed=seed))


def test_a_forest_beats_random_search() -> None:
    forest = [
        best_of(SKLearnSurrogateSearcher(SPACE, "loss", ExtraTreesRegressor(10), random_seed=seed)) for seed in range(3)
    ]
    assert np.median(forest) < 0.5 * np.median([best_of(RandomSearcher(SPACE, random_seed=seed)) for seed in range(3)])


def test_maximizing_is_the_mirror_of_minimizing() -> None:
    assert best_of(by_process(1, "max"), sign=-1.0) == best_of(by_process(1))


def test_an_acquisition_function_of_one_s_own() -> None:
    def cautious(fit: Fit) -> Acquisition:
        return LowerConfidenceBound(1e-3)

    def curious(fit: Fit) -> Acquisition:
        return LowerConfidenceBound(1e3)

    xs = []
    for acquisition in (cautious, curious):
        searcher = SKLearnSurrogateSearcher(
            {"x": uniform(0, 1)},
            "loss",
            Nearest(),
            acquisition=acquisition,
            random_seed=0,
            num_initial_random_choices=1,
        )
        for trial_id, x in enumerate((0.4, 0.45, 0.5)):
            searcher.on_trial_add(trial_id, {"x": x})
            searcher.on_result(trial_id, {"x": x}, {"loss": x}, update=True)
            searcher.cleanup_pending(trial_id)
        config = searcher.suggest(3)
        assert config is not None
        xs.append(config["x"])
    assert xs[0] < 0.45
    assert xs[1] > 0.95


# -- what the model is told --------------------------------------------------------------------------------------------


def fitted(estimator: Any, targets: list[float], pending: list[float] | None = None, **options: Any) -> Fit:
    points = np.linspace(0, 1, len(targets))[:, None]
    awaited = np.array(pending or []).reshape(-1, 1)
    surrogate = EstimatorSurrogate(estimator, **options)
    return surrogate.fit(points, np.array(targets), awaited, None, np.random.default_rng(0))


def test_targets_are_standardized_unless_told_otherwise() -> None:
    at = np.array([[0.0], [1.0]])
    assert fitted(Nearest(), [3.0, 7.0]).predictor.predict(at).mean[:, 0].tolist() == [-1.0, 1.0]
    assert fitted(Nearest(), [3.0, 7.0], normalize=False).predictor.predict(at).mean[:, 0].tolist() == [3.0, 7.0]


def test_trials_at_work_count_as_expected_and_leave_hyperparameters() -> None:
    model = Nearest()
    fit = fitted(model, [3.0, 7.0], [0.9])
    assert model.updates == [True, False]
    prediction = fit.predictor.predict(np.array([[0.9]]))
    assert (prediction.mean[0, 0], prediction.std[0, 0]) == (1.0, 0.0)
    quiet = Nearest()
    fitted(quiet, [3.0, 7.0], [0.9], ignore_pending=True)
    assert quiet.updates == [True]


def test_the_kernel_is_kept_when_hyperparameters_are() -> None:
    estimator = RegressorEstimator(GaussianProcessRegressor(RBF(0.3, (0.05, 10))))
    points = np.linspace(0, 1, 8)[:, None]
    estimator.fit(points, np.sin(6 * points[:, 0]), True)
    kept = estimator._latest.kernel_
    estimator.fit(points, np.cos(20 * points[:, 0]), False)
    assert estimator._latest.kernel_ == kept


def test_a_regressor_is_left_as_it_was() -> None:
    regressor = BayesianRidge()
    best_of(SKLearnSurrogateSearcher(SPACE, "loss", regressor, random_seed=0), trials=6)
    assert not hasattr(regressor, "coef_")


# -- mistakes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [BayesianRidge, "BayesianRidge", None, 3])
def test_what_is_no_estimator(given: Any) -> None:
    with pytest.raises(OptionError, match="give an object with fit and predict"):
        estimator_of(given)


@pytest.mark.parametrize("given", [LinearRegression(), DecisionTreeRegressor(), GradientBoostingRegressor()])
def test_what_does_not_say_how_sure_it_is(given: Any) -> None:
    with pytest.raises(OptionError, match="doesn't say how uncertain it is"):
        estimator_of(given)


@pytest.mark.parametrize(
    ("answer", "message"),
    [(np.zeros(2), "returned ndarray"), ((np.zeros(2), np.zeros(1)), "2 means and 1 standard deviations for 2 points")],
)
def test_what_predicts_the_wrong_things(answer: Any, message: str) -> None:
    class Wrong:
        def fit(self, X: Array, y: Array, update_params: bool) -> Any:  # noqa: N803
            return self

        def predict(self, X: Array) -> Any:  # noqa: N803
            return answer

    with pytest.raises(OptionError, match=message):
        fitted(Wrong(), [3.0, 7.0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scoring_class": 1}, "give acquisition="),
        ({"num_initial_candidate": 3}, "did you mean 'num_initial_candidates'"),
        ({"num_initial_candidates": 0}, "num_initial_candidates=0"),
        ({"num_initial_random_choices": 0}, "num_initial_random_choices=0"),
        ({"allow_duplicates": "no"}, "allow_duplicates='no'"),
    ],
)
def test_mistakes_are_said(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        SKLearnSurrogateSearcher(SPACE, "loss", Nearest(), **options)


def test_it_must_fit_its_scheduler() -> None:
    FIFOScheduler(SPACE, "loss", searcher=SKLearnSurrogateSearcher(SPACE, "loss", Nearest()))
    with pytest.raises(OptionError, match="metric is 'other'"):
        FIFOScheduler(SPACE, "other", searcher=SKLearnSurrogateSearcher(SPACE, "loss", Nearest()))


# -- our own model by hand ---------------------------------------------------------------------------------------------


def test_what_a_scheduler_makes_can_be_made_by_hand() -> None:
    by_hand = bayesian_optimization(
        SPACE, "loss", options=BayesianOptimizationOptions(num_init_random=3), random_seed=4, points_to_evaluate=[]
    )
    made = FIFOScheduler(
        SPACE, "loss", searcher="bayesopt", search_options={"num_init_random": 3}, random_seed=4, points_to_evaluate=[]
    )
    assert best_of(by_hand, trials=8) == best_of(made.searcher, trials=8)
    with pytest.raises(OptionError, match="did you mean 'options'"):
        bayesian_optimization(SPACE, "loss", option=None)  # type: ignore[call-arg]
