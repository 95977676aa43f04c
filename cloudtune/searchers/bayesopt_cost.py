"""Bayesian optimization for trials that differ in what they cost."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from cloudtune.errors import OptionError
from cloudtune.searchers.base import Searcher
from cloudtune.searchers.bayesopt import gaussian_process, proposer
from cloudtune.searchers.bayesopt_constrained import check_improvement
from cloudtune.searchers.bayesopt_options import BayesianOptimizationOptions, check_is_here
from cloudtune.searchers.cost_models import CostFeatures, cost_features
from cloudtune.searchers.cost_records import Account, LogCosts
from cloudtune.searchers.cost_scores import CostModel, CostToResource, SmoothCost
from cloudtune.searchers.factory import several_options_from
from cloudtune.searchers.guided import Carried, GuidedSearcher, Judgement
from cloudtune.searchers.modelled import Modelled
from cloudtune.searchers.observations import Observations
from cloudtune.searchers.problem import SearchProblem
from cloudtune.searchers.proposing import CENTERS
from cloudtune.searchers.random_searcher import RandomOptions, random_searcher
from cloudtune.surrogates.acquisition import LogExpectedImprovement, total, worth

OBJECTIVE, COST = "objective", "cost"


@dataclass(frozen=True)
class CostOptions:
    """``search_options`` of ``searcher="bayesopt_cost"``, besides those of Bayesian optimization.

    - ``cost_attr``: the metric that says what a trial has cost so far, above 0: since its start or, of one that was
      paused, since it was resumed. Costs of earlier attempts are added to it.
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
            raise OptionError(
                f"search_options: exponent_cost is {self.exponent_cost!r}", "give a number above 0, up to 1"
            )
        budget = self.cost_budget
        if budget is not None and (not _is_number(budget) or not 0 < budget < math.inf):
            raise OptionError(f"search_options: cost_budget is {budget!r}", "give it in units of the cost, or None")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def make(problem: SearchProblem, given: Mapping[str, Any]) -> Searcher:
    """Expected improvement per cost: Snoek et al. 2012, section 3.2, with the cost expected in logarithms.

    With ``cost_budget``: Lee et al. 2020, "Cost-aware Bayesian optimization", section 3 (EI-cool).
    """
    check_is_here(given)
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
        plain = replace(options, no_fantasizing=True, boxcox_transform=False, gp_hyperparameters="map")
        surrogate = gaussian_process(random.cube, plain, ordinary_share=1.0)  # a dear trial is no diverged one
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
        objectives,
        (account, logarithms),
        cost.cost_attr,
        "bayesopt_cost",
    )


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
