"""Population-based training."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from cloudtune.errors import OptionError
from cloudtune.options import check_count, check_flag, named_options
from cloudtune.schedulers.base import NOT_NOW, Action, Decision, NotNow, Reason, Start, Suggestion, TrialScheduler
from cloudtune.schedulers.max_resource import infer_max_resource
from cloudtune.schedulers.objective import Objective, check_distinct, checked_name, resource_of
from cloudtune.schedulers.perturbation import checked_exploration, explored
from cloudtune.schedulers.population import Population
from cloudtune.schedulers.termination_policies import is_number
from cloudtune.searchers.random_searcher import RandomSearcher
from cloudtune.searchers.seeding import checked_seed, generator
from cloudtune.space import validate_config_space
from cloudtune.trial import Config, Metrics, Mode, Trial

logger = logging.getLogger("cloudtune.schedulers")

ATTEMPTS = 20
"""So often is an exploration drawn again that came upon a configuration which has failed before."""

_PARENT, _REPLACES = "pbt_parent", "pbt_replaces"
"""What a launch carries: the trial whose checkpoint it goes on from, and the one whose place it takes."""

_GO_ON = Decision(Action.CONTINUE, Reason("between perturbations"))
_UNREADABLE = Decision(Action.CONTINUE, Reason("the resource is no finite number"))


@named_options({"searcher": "a population begins with random configurations; leave it out"})
class PopulationBasedTraining(TrialScheduler):
    """Trains a population; members that fall behind are replaced by explorations of those that are ahead.

    Jaderberg et al. 2017, with truncation selection (section 4.1.1), asynchronously. Every ``perturbation_interval``
    units of work a member's last result is compared with those of the others at work. A member in the lower quantile is
    stopped, and a new trial starts from the checkpoint of one that is drawn from the upper quantile, with that trial's
    configuration perturbed (``perturbation.explored``). Scripts must save and load checkpoints.

    :param metric: what reports call the objective.
    :param resource_attr: what reports call the work done: epochs or seconds, counted on from the checkpoint.
    :param mode: "min" or "max". NaN and infinite objectives rank last in both.
    :param max_t: where a trial ends. Default: the entry ``max_resource_attr`` of the space; 100 without one.
    :param max_resource_attr: the entry of the configuration that tells a script when to end by itself.
    :param custom_explore_fn: from the configuration of the trial that is ahead (a copy) to the one to go on with, in
        place of perturbations. It should give the same for the same. Numbers are brought into their ranges.
    :param population_size: so many trials at once at most, however many workers there are; at least 2.
    :param perturbation_interval: units of work between two comparisons of a member; fewer than a whole trial has.
    :param quantile_fraction: the share of the population that is replaced, and of that it is replaced by: 0 (nobody is)
        to 0.5. ⌈n · fraction⌉ members of n.
    :param resample_probability: of each hyperparameter, to be drawn anew rather than perturbed.
    :param log_config: log how each configuration came about.
    :param points_to_evaluate: configurations of the first members, partial ones completed (None: one of middles;
        ``[]``: none). All others are drawn at random.
    :param random_seed: an integer of at least 0; if None, one is drawn now and can be read from ``random_seed``.

    A member that ends or fails leaves the population, and a new one starts from scratch with a random configuration, so
    a stop criterion ends the experiment. From whom a new trial goes on is decided when it is launched, among the trials
    then at work. Raises OptionError and ConfigSpaceError.
    """

    def __init__(
        self,
        config_space: Mapping[str, Any],
        metric: str,
        resource_attr: str,
        *,
        mode: Mode = "min",
        max_t: int | None = None,
        max_resource_attr: str | None = None,
        custom_explore_fn: Callable[[dict[str, Any]], Mapping[str, Any]] | None = None,
        population_size: int = 4,
        perturbation_interval: float = 60,
        quantile_fraction: float = 0.25,
        resample_probability: float = 0.25,
        log_config: bool = True,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        random_seed: int | None = None,
    ) -> None:
        validate_config_space(config_space)
        super().__init__(config_space)
        self._objective = Objective(metric, mode)
        self._resource_attr = checked_name(resource_attr, "resource_attr")
        check_distinct(metric=metric, resource_attr=resource_attr)
        limit_given = max_t if max_t is not None or max_resource_attr is not None else 100
        limit = infer_max_resource(config_space, limit_given, max_resource_attr)
        assert limit is not None
        self._limit, self._max_resource_attr = limit, max_resource_attr
        check_count("population_size", population_size, 2, "4 is usual")
        _check_number("perturbation_interval", perturbation_interval, 0, math.inf, "give units of work, above 0")
        if perturbation_interval == 0:
            raise OptionError("perturbation_interval is 0", "give units of work, above 0")
        _check_number("quantile_fraction", quantile_fraction, 0, 0.5, "0.25: a quarter of the population")
        if perturbation_interval >= limit.max_t and quantile_fraction > 0:
            raise OptionError(
                f"perturbation_interval={perturbation_interval!r}, and trials end at {limit.max_t}: nobody is compared",
                "lower it, raise max_t, or give quantile_fraction=0",
            )
        _check_number("resample_probability", resample_probability, 0, 1, "give a probability, 0.25 say")
        if custom_explore_fn is not None and not callable(custom_explore_fn):
            raise OptionError(
                f"custom_explore_fn={custom_explore_fn!r} is no function", "from configuration to configuration"
            )
        check_flag("log_config", log_config)
        self._population_size, self._interval = population_size, perturbation_interval
        self._fraction, self._resample_probability = quantile_fraction, resample_probability
        self._explore, self._log_config = custom_explore_fn, log_config
        self.random_seed = checked_seed(random_seed)
        # the same hyperparameters are not the same trial: it goes on from somewhere else
        self._searcher = RandomSearcher(config_space, points_to_evaluate, self.random_seed, allow_duplicates=True)
        self._population = Population(quantile_fraction)
        self._known: set[int] = set()
        self._from_scratch = 0

    # -- what to do next -------------------------------------------------------------------------------------------

    def suggest(self, trial_id: int) -> Suggestion | NotNow | None:
        if self._population.vacant:
            successor = self._successor(trial_id)
            if successor is not None:
                return successor
        elif len(self._population) >= self._population_size:
            return NOT_NOW
        config = self._searcher.suggest(self._from_scratch)
        if config is None:
            return NOT_NOW if self._population.members else None
        return Start(config)

    def _successor(self, trial_id: int) -> Start | None:
        """None if there is nobody to go on from."""
        upper = self._population.upper()
        if not upper:
            return None
        random_state = generator(self.random_seed, "exploit and explore", trial_id)
        parent = upper[int(random_state.integers(len(upper)))]
        config = self._population.members[parent].config
        for _ in range(ATTEMPTS):
            new = self._explored(config, random_state)
            if self._searcher.allows(new):
                return Start(new, parent, {_PARENT: parent, _REPLACES: next(iter(self._population.vacant))})
        return None

    def _explored(self, config: Config, random_state: np.random.Generator) -> dict[str, Any]:
        if self._explore is None:
            return explored(config, self.config_space, random_state, self._resample_probability)
        return checked_exploration(self._explore(copy.deepcopy(dict(config))), self.config_space)

    # -- what has happened -----------------------------------------------------------------------------------------

    def on_trial_add(self, trial: Trial) -> None:
        trial_id = trial.trial_id
        if trial_id in self._known:
            return
        self._known.add(trial_id)
        self._searcher.on_trial_add(trial_id, trial.config)
        carried = trial.carried or {}
        if _PARENT not in carried:
            self._from_scratch += 1
        self._population.enter(trial_id, trial.config, carried.get(_PARENT), carried.get(_REPLACES))
        if self._log_config:
            self._log(trial_id, trial.config, carried)

    def on_trial_result(self, trial: Trial, result: Metrics) -> Decision:
        self.on_trial_add(trial)
        value = self._objective.value(result, trial.trial_id)
        resource = resource_of(result, self._resource_attr, trial.trial_id)
        if resource is None:
            return _UNREADABLE
        member = self._population.members.get(trial.trial_id)
        if member is None or not member.report(resource, self._objective.key(value)):
            return _GO_ON
        if resource >= self._limit.max_t:
            return self._at_the_maximum(trial, resource)
        if resource - member.perturbed_at < self._interval:
            return _GO_ON
        member.perturbed_at = resource
        return self._compared(trial.trial_id, resource, value)

    def on_late_result(self, trial: Trial, result: Metrics) -> None:
        value = self._objective.value(result, trial.trial_id)
        resource = resource_of(result, self._resource_attr, trial.trial_id)
        member = self._population.members.get(trial.trial_id)
        if member is not None and resource is not None:
            member.report(resource, self._objective.key(value))

    def on_trial_complete(self, trial: Trial, result: Metrics) -> None:
        self._leaves(trial)

    def on_trial_error(self, trial: Trial) -> None:
        self._leaves(trial)
        self._searcher.on_trial_error(trial.trial_id)

    def on_trial_remove(self, trial: Trial) -> None:
        self._leaves(trial)

    def _leaves(self, trial: Trial) -> None:
        self.on_trial_add(trial)
        self._population.leave(trial.trial_id)

    def _log(self, trial_id: int, config: Config, carried: Mapping[str, Any]) -> None:
        if _PARENT in carried:
            came = f"goes on from trial {carried[_PARENT]}, in place of trial {carried.get(_REPLACES)}"
        else:
            came = "starts from scratch"
        logger.info("trial %d %s: %s", trial_id, came, dict(config))

    # -- decisions -------------------------------------------------------------------------------------------------

    def _at_the_maximum(self, trial: Trial, resource: float) -> Decision:
        numbers, max_t = {self._resource_attr: resource}, self._limit.max_t
        told = self._limit.told(trial.config)
        self._population.leave(trial.trial_id)  # nobody can go on from where there is nothing left to do
        if self._max_resource_attr is not None and told is not None and resource >= told:
            return Decision(Action.CONTINUE, Reason("ends by itself at the maximum", numbers, max_t))
        return Decision(Action.STOP, Reason("has reached the maximum", numbers, max_t))

    def _compared(self, trial_id: int, resource: float, value: float) -> Decision:
        cutoff = self._population.worst_of_upper()
        numbers = {self._objective.metric: value, self._resource_attr: resource, "members": len(self._population)}
        threshold = None if cutoff is None else self._objective.shown(cutoff)
        if not self._population.is_behind(trial_id):
            return Decision(Action.CONTINUE, Reason("is not behind its population", numbers, threshold))
        self._population.vacate(trial_id)
        return Decision(Action.STOP, Reason("in the lower quantile of its population", numbers, threshold))

    # -- what it says about itself ---------------------------------------------------------------------------------

    def metric_names(self) -> Sequence[str]:
        return [self._objective.metric]

    def metric_mode(self) -> Mode:
        return self._objective.mode

    @property
    def resource_attr(self) -> str:
        return self._resource_attr

    @property
    def max_resource_attr(self) -> str | None:
        return self._max_resource_attr

    @property
    def max_resource_level(self) -> int:
        """Where a trial ends."""
        return self._limit.max_t

    def metadata(self) -> dict[str, Any]:
        return {
            **super().metadata(),
            "random_seed": self.random_seed,
            "resource_attr": self._resource_attr,
            "max_resource_attr": self._max_resource_attr,
            "max_resource_level": self._limit.max_t,
            "population_size": self._population_size,
            "perturbation_interval": self._interval,
            "quantile_fraction": self._fraction,
            "resample_probability": self._resample_probability,
        }


def _check_number(name: str, value: object, least: float, most: float, hint: str) -> None:
    if not is_number(value) or not least <= value <= most or value == math.inf:
        raise OptionError(f"{name}={value!r} is not between {least} and {most}", hint)
