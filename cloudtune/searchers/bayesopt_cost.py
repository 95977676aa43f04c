"""Bayesian optimization for trials that differ in what they cost."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from cloudtune.errors import OptionError
from cloudtune.searchers.base import Searcher
from cloudtune.searchers.bayesopt import gaussian_process, proposer
from cloudtune.searchers.bayesopt_constrained import check_improvement
from cloudtune.searchers.bayesopt_options import BayesianOptimizationOptions
from cloudtune.searchers.cost_models import CostFeatures, LinearCost, cost_features
from cloudtune.searchers.factory import several_options_from
from cloudtune.searchers.guided import Carried, GuidedSearcher, Judgement
from cloudtune.searchers.lattice import Array
from cloudtune.searchers.modelled import Modelled
from cloudtune.searchers.observations import Observations
from cloudtune.searchers.problem import SearchProblem
from cloudtune.searchers.proposing import CENTERS
from cloudtune.searchers.random_searcher import RandomOptions, random_searcher
from cloudtune.space import UnitCube
from cloudtune.surrogates.acquisition import LogExpectedImprovement, Score, total, worth
from cloudtune.surrogates.prediction import Prediction
from cloudtune.trial import Config, Metrics

OBJECTIVE, COST = "objective", "cost"


@dataclass(frozen=True)
class CostOptions:
    """``search_options`` of ``searcher="bayesopt_cost"``, besides those of Bayesian optimization.

    - ``cost_attr``: the metric that says what a trial has cost so far, from its start on; above 0.
    - ``resource_attr``: the metric that counts units of work. With it (or with the scheduler's) the cost is read from
      every report, and a linear model says what it costs to come to a resource; without, it is read at the end of a
      trial, and a Gaussian process of its logarithm says what the next one costs.
    - ``cost_model``: of the linear one: "bias", the same for all configurations; "linear" (default), in the values of
      hyperparameters; or ``cost_models.CostFeatures`` of your own.
    - ``exponent_cost``: of the cost by which the expected improvement is divided; above 0, up to 1.
    - ``cost_budget``: what all trials may cost together. The exponent then falls to 0 while the budget is used up.
    """

    cost_attr: str | None = None
    resource_attr: str | None = None
    cost_model: str | CostFeatures | None = None
    exponent_cost: float = 1.0
    cost_budget: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.cost_attr, str) or not self.cost_attr:
            raise OptionError(
                f"search_options: cost_attr is {self.cost_attr!r}", "name the metric that says what a trial has cost"
            )
        if self.resource_attr is not None and (not isinstance(self.resource_attr, str) or not self.resource_attr):
            raise OptionError(
                f"search_options: resource_attr is {self.resource_attr!r}", "name the metric that counts units of work"
            )
        if not _is_number(self.exponent_cost) or not 0 < self.exponent_cost <= 1:
            raise OptionError(f"search_options: exponent_cost is {self.exponent_cost!r}", "give a number up to 1")
        budget = self.cost_budget
        if budget is not None and (not _is_number(budget) or not 0 < budget < math.inf):
            raise OptionError(f"search_options: cost_budget is {budget!r}", "give it in units of the cost, or None")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def make(problem: SearchProblem, given: Mapping[str, Any]) -> Searcher:
    """Expected improvement per cost: Snoek et al. 2012, section 3.2, with the cost expected in logarithms.

    With ``cost_budget``: Lee et al. 2020, "Cost-aware Bayesian optimization", section 3 (EI-cool).
    """
    kinds = (RandomOptions, BayesianOptimizationOptions, CostOptions)
    random_options, options, cost = several_options_from(kinds, given)
    check_improvement(options)
    resource_attr = _resource_attr(problem, cost)
    random = random_searcher(problem, random_options)
    objectives = Observations.of(problem)
    account = Account(cost.cost_attr, resource_attr)
    logarithms = LogCosts(cost.cost_attr)
    model: CostModel
    if resource_attr is None:
        surrogate = gaussian_process(random.cube, COST_FIT)
        model = SmoothCost(Modelled(logarithms.observations, surrogate, random.cube, random.random_seed, COST))
    else:
        features = cost_features(cost.cost_model or "linear", problem.config_space)
        model = CostToResource(account, features, random.cube, problem.max_t)
    guide = CostGuide(
        Modelled(objectives, gaussian_process(random.cube, options), random.cube, random.random_seed),
        model,
        Cooling(account, max(options.num_init_random, len(random.points_to_evaluate)), cost),
    )
    return GuidedSearcher(
        random,
        proposer(random, options),
        guide,
        (objectives, account, logarithms),
        problem.metric,
        problem.mode,
        cost.cost_attr,
    )


COST_FIT = BayesianOptimizationOptions(no_fantasizing=True)


def _resource_attr(problem: SearchProblem, cost: CostOptions) -> str | None:
    if problem.resource_attr is not None and cost.resource_attr not in (None, problem.resource_attr):
        raise OptionError(
            f"search_options: resource_attr is {cost.resource_attr!r}, the scheduler's {problem.resource_attr!r}",
            "leave it out of search_options",
        )
    resource_attr = problem.resource_attr or cost.resource_attr
    if resource_attr is None and cost.cost_model is not None:
        raise OptionError(
            f"search_options: cost_model is {cost.cost_model!r}, without a resource_attr",
            "name the metric that counts units of work, or leave cost_model out",
        )
    return resource_attr


# -- what is remembered ------------------------------------------------------------------------------------------------


class Account:
    """A ``Record`` of what each trial had cost by when, as often as it was reported."""

    def __init__(self, cost_attr: str, resource_attr: str | None) -> None:
        self._cost_attr, self._resource_attr = cost_attr, resource_attr
        self._configs: dict[int, Config] = {}
        self._costs: dict[int, float] = {}
        self._at: dict[int, dict[float, float]] = {}

    def on_trial_add(self, trial_id: int, config: Config) -> None:
        self._configs[trial_id] = config

    def on_result(self, trial_id: int, config: Config, result: Metrics, update: bool) -> None:
        cost = positive(result.get(self._cost_attr))
        if cost is None:
            return
        self._configs.setdefault(trial_id, config)
        self._costs[trial_id] = max(cost, self._costs.get(trial_id, 0.0))
        resource = None if self._resource_attr is None else positive(result.get(self._resource_attr))
        if resource is not None:
            self._at.setdefault(trial_id, {})[resource] = cost

    def register_pending(self, trial_id: int, resource: int | None = None) -> None:
        pass

    def remove_case(self, trial_id: int, resource: int) -> None:
        pass  # it was paid all the same

    def cleanup_pending(self, trial_id: int) -> None:
        pass

    def spent(self, trials: float = math.inf) -> float:
        """By the trials with smaller numbers, together; in whatever order it was reported."""
        return math.fsum(cost for trial_id, cost in self._costs.items() if trial_id < trials)

    @property
    def largest_resource(self) -> float | None:
        return max((resource for costs in self._at.values() for resource in costs), default=None)

    def fitted(self, features: CostFeatures) -> LinearCost | None:
        """To the first and the last report of each trial, between which there is a line.

        None as long as nobody has reported a cost with a resource.
        """
        rows = [
            (self._configs[trial_id], resource, self._at[trial_id][resource])
            for trial_id in sorted(self._at)
            for resource in sorted({min(self._at[trial_id]), max(self._at[trial_id])})
        ]
        if not rows:
            return None
        configs, resources, costs = zip(*rows, strict=True)
        return LinearCost.fit(features, configs, resources, costs)


class LogCosts:
    """A ``Record`` of the logarithms of final costs, as ``observations``. What is no positive number is left out."""

    def __init__(self, cost_attr: str) -> None:
        self.observations = Observations(cost_attr, "min")

    def on_trial_add(self, trial_id: int, config: Config) -> None:
        self.observations.on_trial_add(trial_id, config)

    def register_pending(self, trial_id: int, resource: int | None = None) -> None:
        pass  # what is at work says nothing about costs yet

    def on_result(self, trial_id: int, config: Config, result: Metrics, update: bool) -> None:
        name = self.observations.metric
        cost = positive(result.get(name))
        if cost is not None:
            self.observations.on_result(trial_id, config, {name: math.log(cost)}, update)

    def remove_case(self, trial_id: int, resource: int) -> None:
        self.observations.remove_case(trial_id, resource)

    def cleanup_pending(self, trial_id: int) -> None:
        self.observations.cleanup_pending(trial_id)


def positive(value: object) -> float | None:
    """None for what is no finite number above 0."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
        return None
    number = float(value)
    return number if 0.0 < number < math.inf else None


# -- what it costs -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CostScore:
    """``score``: minus the logarithm of the cost, times an exponent. ``carried``: what the fit handed on."""

    score: Score
    carried: Mapping[str, Any] | None = None


class CostModel(Protocol):
    def scored(self, exponent: float, resource: float | None, carried: Mapping[str, Any] | None) -> CostScore | None:
        """For trials that run to ``resource`` (None: to their end); None as long as no costs are known."""
        ...


@dataclass(frozen=True)
class SmoothCost:
    """A Gaussian process of the logarithm of final costs."""

    model: Modelled

    def scored(self, exponent: float, resource: float | None, carried: Mapping[str, Any] | None) -> CostScore | None:
        if not len(self.model.observations):
            return None
        fit = self.model.fitted(carried)
        # the scale of a logarithm is a line, but for what lies far above all others
        below, mean = fit.backward(np.array([-1.0, 0.0])).tolist()
        return CostScore(worth(fit.predictor, Cheapness(exponent * (mean - below))), fit.carried)


@dataclass(frozen=True)
class Cheapness:
    """An ``Acquisition``: minus the mean, times ``factor``."""

    factor: float

    def values(self, prediction: Prediction) -> Array:
        return np.asarray(-self.factor * prediction.mean.mean(axis=1))

    def slopes(self, prediction: Prediction) -> tuple[Array, Array, Array]:
        by_mean = np.full(prediction.mean.shape, -self.factor / prediction.mean.shape[1])
        return self.values(prediction), by_mean, np.zeros(prediction.std.shape)


@dataclass(frozen=True)
class CostToResource:
    """A linear model of what was reported. ``max_t``: how far trials run, if that is known."""

    account: Account
    features: CostFeatures
    cube: UnitCube
    max_t: int | None

    def scored(self, exponent: float, resource: float | None, carried: Mapping[str, Any] | None) -> CostScore | None:
        cost = self.account.fitted(self.features)
        if cost is None:
            return None
        end = resource or self.max_t or self.account.largest_resource
        return CostScore(LinearCheapness(cost, self.cube, float(end or 1.0), exponent))


STEP = 1e-4


@dataclass(frozen=True)
class LinearCheapness:
    """A ``DifferentiableScore``: minus the logarithm of a linear model's cost; gradients by differences.

    Features are of configurations, not of points: they are the user's.
    """

    cost: LinearCost
    cube: UnitCube
    resource: float
    exponent: float

    def values(self, points: Array) -> Array:
        return np.asarray(-self.exponent * np.log(self.cost(self.cube.decode(points), self.resource)))

    def values_and_gradients(self, points: Array) -> tuple[Array, Array]:
        n, d = points.shape
        step = np.where(points > 0.5, -STEP, STEP)  # inwards
        moved = np.repeat(points[:, None, :], d, axis=1)
        moved[:, np.arange(d), np.arange(d)] += step
        values = self.values(np.concatenate([points, moved.reshape(n * d, d)]))
        return values[:n], np.asarray((values[n:].reshape(n, d) - values[:n, None]) / step)


# -- the two together --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cooling:
    """The exponent of the cost. ``first``: so many trials belong to the initial design."""

    account: Account
    first: int
    options: CostOptions

    @property
    def exponent(self) -> float:
        """Without a budget always the same. With one, in proportion to what is left of it after the initial design."""
        budget = self.options.cost_budget
        if budget is None:
            return self.options.exponent_cost
        rest = budget - self.account.spent(self.first)
        share = (budget - self.account.spent()) / rest if rest > 0 else 0.0
        return self.options.exponent_cost * max(share, 0.0)


@dataclass(frozen=True)
class CostGuide:
    """A ``Guide``: expected improvement per cost; under Hyperband, that of coming to where the model is."""

    objective: Modelled
    cost: CostModel
    cooling: Cooling

    def is_informed(self) -> bool:
        return len(self.objective.observations) > 0

    def judge(self, carried: Carried) -> Judgement:
        fit = self.objective.fitted(carried.get(OBJECTIVE))
        improvement = worth(fit.predictor, LogExpectedImprovement(fit.incumbents))
        fits = {OBJECTIVE: fit.carried}
        score, exponent = improvement, self.cooling.exponent
        if exponent > 0:
            cost = self.cost.scored(exponent, self.objective.data().resource, carried.get(COST))
            if cost is not None:
                score = total([improvement, cost.score])
                fits[COST] = cost.carried
        centers = self.objective.leaders(CENTERS)
        return Judgement(score, centers, {name: each for name, each in fits.items() if each is not None})
