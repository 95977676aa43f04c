"""Bayesian optimization where only some configurations are feasible, and trials report which."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cloudtune.errors import OptionError
from cloudtune.searchers.base import Searcher
from cloudtune.searchers.bayesopt import gaussian_process, proposer
from cloudtune.searchers.bayesopt_options import BayesianOptimizationOptions, check_is_here
from cloudtune.searchers.factory import several_options_from
from cloudtune.searchers.guided import Carried, GuidedSearcher, Judgement
from cloudtune.searchers.lattice import Array
from cloudtune.searchers.modelled import Modelled
from cloudtune.searchers.observations import Observations, TrainingSet
from cloudtune.searchers.problem import SearchProblem
from cloudtune.searchers.proposing import CENTERS
from cloudtune.searchers.random_searcher import RandomOptions, random_searcher
from cloudtune.surrogates.constrained import feasible_improvement
from cloudtune.surrogates.prediction import Fit

OBJECTIVE, CONSTRAINT = "objective", "constraint"


@dataclass(frozen=True)
class ConstraintOptions:
    """``search_options`` of ``searcher="bayesopt_constrained"``, besides those of Bayesian optimization.

    ``constraint_attr``: the metric that says whether a configuration is feasible: where it is 0 or less. Raises
    OptionError without it.
    """

    constraint_attr: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.constraint_attr, str) or not self.constraint_attr:
            raise OptionError(
                f"search_options: constraint_attr is {self.constraint_attr!r}",
                "name the metric that is 0 or less where a configuration is feasible",
            )


def make(problem: SearchProblem, given: Mapping[str, Any]) -> Searcher:
    """Constrained expected improvement. Every result that counts carries the objective and the constraint.

    A constraint that is no finite number, or is not reported, is not kept. Before there is a feasible trial, the one
    proposed is most likely to be feasible.
    """
    check_is_here(given)
    kinds = (RandomOptions, BayesianOptimizationOptions, ConstraintOptions)
    random_options, options, constraint = several_options_from(kinds, given)
    check_improvement(options)
    random = random_searcher(problem, random_options)
    objectives = Observations.of(problem)
    constraints = Observations(constraint.constraint_attr, "min", problem.resource_attr, stand_in=clearly_positive)
    seed = random.random_seed
    guide = ConstrainedGuide(
        Modelled(objectives, gaussian_process(random.cube, options), random.cube, seed),
        Modelled(
            constraints,
            # the scale that a power transform gives to positive values says nothing about where 0 is; and 0 may well
            # lie far above half of the values
            gaussian_process(random.cube, replace(options, boxcox_transform=False), ordinary_share=0.9),
            random.cube,
            seed,
            CONSTRAINT,
        ),
        awaits=not options.no_fantasizing,
    )
    return GuidedSearcher(
        random,
        proposer(random, options),
        guide,
        objectives,
        (constraints,),
        constraint.constraint_attr,
        "bayesopt_constrained",
    )


def check_improvement(options: BayesianOptimizationOptions) -> None:
    if options.acq_function != "ei":
        raise OptionError(
            f"search_options: acq_function is {options.acq_function!r}",
            'this searcher weights the expected improvement: leave it out, or give "ei"',
        )
    usual = BayesianOptimizationOptions()
    for name in ("initial_scoring", "opt_skip_num_max_resource", "map_reward"):
        if getattr(options, name) != getattr(usual, name):
            raise OptionError(
                f"search_options: {name} is {getattr(options, name)!r}", "this searcher does not know it: leave it out"
            )


def clearly_positive(finite: Array) -> float:
    """What a constraint that is no number counts as: as far above 0 as any is from it."""
    return float(np.abs(finite).max(initial=0.0)) or 1.0


@dataclass(frozen=True)
class ConstrainedGuide:
    """A ``Guide``: improvement on the best feasible trial, weighted by how likely it is to be feasible.

    ``awaits``: trials at work count with what may come out.
    """

    objective: Modelled
    constraint: Modelled
    awaits: bool = True

    def is_informed(self) -> bool:
        return len(self.objective.observations) > 0 and len(self.constraint.observations) > 0

    def judge(self, carried: Carried) -> Judgement:
        objective = self.objective.fitted(carried.get(OBJECTIVE))
        constraint = self.constraint.fitted(carried.get(CONSTRAINT))
        threshold = float(constraint.forward(np.zeros(1))[0])
        data = self.objective.data()
        violations = self._violations(data)
        incumbents = self._incumbents(data, violations, objective, constraint, threshold)
        score = feasible_improvement(objective.predictor, constraint.predictor, incumbents, threshold)
        order = np.lexsort((data.targets, np.maximum(violations, 0.0)))[:CENTERS]
        centers = self.objective.encoded([data.trial_ids[place] for place in order.tolist()])
        fits = {OBJECTIVE: objective.carried, CONSTRAINT: constraint.carried}
        return Judgement(score, centers, {name: each for name, each in fits.items() if each is not None})

    def _violations(self, data: TrainingSet) -> Array:
        """Of the constraint by each trial; infinite where it is not known."""
        known = self.constraint.observations.at(math.inf if data.resource is None else data.resource)
        values = dict(zip(known.trial_ids, known.targets.tolist(), strict=True))
        return np.array([values.get(trial_id, math.inf) for trial_id in data.trial_ids])

    def _incumbents(
        self, data: TrainingSet, violations: Array, objective: Fit, constraint: Fit, threshold: float
    ) -> Array:
        """``(s,)``: the least value expected of a feasible trial, those at work with what comes out in each member."""
        feasible = [data.trial_ids[place] for place in np.flatnonzero(violations <= 0.0).tolist()]
        least = np.array([math.inf])
        if feasible:
            least = np.asarray(objective.predictor.predict(self.objective.encoded(feasible)).mean.min(axis=0))
        known = set(data.trial_ids)
        awaited = [trial_id for trial_id, _ in self.objective.observations.pending() if trial_id not in known]
        if not awaited or not self.awaits:
            return least
        points = self.objective.encoded(awaited)
        values = objective.predictor.predict(points).mean
        kept = constraint.predictor.predict(points).mean <= threshold
        members = max(values.shape[1], kept.shape[1])
        turn = np.arange(members)
        outcomes = np.where(kept[:, turn % kept.shape[1]], values[:, turn % values.shape[1]], math.inf)
        return np.asarray(np.minimum(least[turn % len(least)], outcomes.min(axis=0)))
