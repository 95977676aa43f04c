"""DEHB: differential evolution in the rungs of Hyperband."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cloudtune.errors import MetricError, OptionError
from cloudtune.options import check_flag, named_options
from cloudtune.schedulers.base import Decision, NotNow, Start, Suggestion, TrialScheduler
from cloudtune.schedulers.differential_evolution import PARENTS, Array, Member, Populations, crossed, mutant
from cloudtune.schedulers.hyperband_options import SearcherData
from cloudtune.schedulers.objective import Objective, check_distinct
from cloudtune.schedulers.rung_levels import positive_integer
from cloudtune.schedulers.setup import searcher_name, start
from cloudtune.schedulers.sync_brackets import Ascent, Bracket, Filled, Place
from cloudtune.schedulers.sync_options import SyncOptions, checked_bracket, geometric_brackets
from cloudtune.schedulers.sync_trials import SyncTrials
from cloudtune.searchers.base import Searcher
from cloudtune.searchers.factory import searcher_for
from cloudtune.searchers.problem import SearchProblem
from cloudtune.searchers.random_searcher import RandomSearcher
from cloudtune.searchers.seeding import checked_seed, generator
from cloudtune.space import UnitCube, config_to_match_string, validate_config_space
from cloudtune.trial import Metrics, Mode, Trial

MAX_RETRIES = 50
"""Offspring that were all launched before, until a configuration is drawn at random instead."""

_VECTOR = "dehb_vector"


@dataclass(frozen=True)
class EvolutionOptions:
    """The meaning of each is documented at ``DifferentialEvolutionHyperbandScheduler``."""

    mutation_factor: float
    crossover_probability: float
    support_pause_resume: bool

    def __post_init__(self) -> None:
        for name in ("mutation_factor", "crossover_probability"):
            value = getattr(self, name)
            number = math.nan if isinstance(value, bool) or not isinstance(value, (int, float)) else value
            if not 0 < number <= 1:
                raise OptionError(f"{name} is {value!r}", "give a number above 0 and up to 1; 0.5 is usual")
        check_flag("support_pause_resume", self.support_pause_resume)


@named_options()
class DifferentialEvolutionHyperbandScheduler(TrialScheduler):
    """DEHB (Awad et al. 2021) with the rungs of its first bracket as they are given.

    The first bracket is one of synchronous successive halving, with configurations of the searcher. What was
    evaluated at a level is the level's population, one member per place. All later brackets evolve them: the
    configuration for a place is a mutant of three parents, crossed with the place's member, its target, and takes the
    target's place iff it is as good. Parents are members of the same level at the lowest rung of a bracket, and as many
    of the best at the level below as the rung has places at others (filled up to three from all levels). Evolved
    configurations are new: their trials begin from scratch and are stopped at their level.

    :param rungs_first_bracket: (size, level); sizes fall and levels rise. Later brackets leave out the lowest rungs,
        one more each; sizes go with the level.
    :param num_brackets_per_iteration: after so many brackets all rungs are used again; default: one per level.
    :param searcher: proposes the configurations of the first bracket: a name or a ``Searcher``.
    :param mutation_factor: F in (0, 1]: mutants are ``p0 + F · (p1 - p2)``, in the unit cube.
    :param crossover_probability: in (0, 1]: how much of an offspring is its mutant's.
    :param support_pause_resume: in the first bracket the best trials are resumed at the next rung. If False, they are
        stopped, and new trials evaluate their configurations from scratch: for scripts that write no checkpoint.

    All others as for ``SynchronousHyperbandScheduler``. No configuration is launched twice, unless ``search_options``
    has ``allow_duplicates`` or they are restarted as said. As long as too little is known to evolve anything, the
    searcher proposes. Failed trials and results that are no finite number are nobody's parents.

    Deviations from the paper: brackets may be under way at the same time, each using what is known as it proposes, and
    as long as a target has no result its place goes to the mutant alone; duplicates are avoided, by up to 50 further
    offspring and then a random configuration; categories are encoded one-hot.
    Raises OptionError and ConfigSpaceError.
    """

    def __init__(
        self,
        config_space: Mapping[str, Any],
        rungs_first_bracket: Sequence[tuple[int, int]],
        metric: str,
        *,
        num_brackets_per_iteration: int | None = None,
        mode: Mode = "min",
        searcher: str | Searcher = "random",
        search_options: Mapping[str, Any] | None = None,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        random_seed: int | None = None,
        resource_attr: str = "epoch",
        max_resource_attr: str | None = None,
        max_resource_level: int | None = None,
        mutation_factor: float = 0.5,
        crossover_probability: float = 0.5,
        support_pause_resume: bool = True,
        searcher_data: SearcherData = "rungs",
    ) -> None:
        validate_config_space(config_space)
        super().__init__(config_space)
        self._objective = Objective(metric, mode)
        self._options = SyncOptions(resource_attr, max_resource_attr, max_resource_level, searcher_data)
        check_distinct(metric=metric, resource_attr=resource_attr)
        self._evolution = EvolutionOptions(mutation_factor, crossover_probability, support_pause_resume)
        self.rungs_first_bracket = checked_bracket(rungs_first_bracket, "rungs_first_bracket")
        """(size, level)"""
        self.num_brackets_per_iteration = _checked_count(num_brackets_per_iteration, len(self.rungs_first_bracket))
        limit = self._options.limit(config_space, self.rungs_first_bracket[-1].level)
        self.max_resource_level = limit.max_t
        """The most a trial may use."""
        _check_points(points_to_evaluate, self.rungs_first_bracket[0].size)
        self.random_seed = checked_seed(random_seed)
        problem = SearchProblem(
            config_space, points_to_evaluate, self.random_seed, (metric,), (mode,), resource_attr, limit.max_t
        )
        self.searcher = searcher_for(searcher, problem, search_options)
        self._fresh = self.searcher if isinstance(self.searcher, RandomSearcher) else self._random(search_options or {})
        """Knows which configurations may be evolved."""
        self._cube = UnitCube(config_space)
        self._vectors: dict[int, Array] = {}
        self._populations = Populations({level: size for size, level in self.rungs_first_bracket})
        self._trials = SyncTrials(
            self._objective,
            self._options,
            limit,
            self.searcher,
            self._make_bracket,
            on_filled=self._select,
            belongs=self._belongs,
        )

    def _random(self, search_options: Mapping[str, Any]) -> RandomSearcher:
        return RandomSearcher(
            self.config_space,
            points_to_evaluate=[],
            random_seed=self.random_seed,
            allow_duplicates=search_options.get("allow_duplicates", False),
            restrict_configurations=search_options.get("restrict_configurations"),
        )

    def _make_bracket(self, number: int, outlook: Callable[[int, int], float | None]) -> Bracket:
        rungs = self.rungs_first_bracket[number % self.num_brackets_per_iteration :]
        if number > 0:
            return Bracket(number, rungs, Ascent.EVOLVED, outlook)
        return Bracket(
            number, rungs, Ascent.RESUMED if self._evolution.support_pause_resume else Ascent.RESTARTED, outlook
        )

    # -- what to do next -----------------------------------------------------------------------------------------

    def suggest(self, trial_id: int) -> Suggestion | NotNow | None:
        exhausted = False
        for place in self._trials.places():
            if place.trial_id is not None:
                return self._trials.resume(place)
            if place.source is not None:
                return self._again(place, place.source)
            if not exhausted:
                new = self._new(place, trial_id)
                if new is not None:
                    return new
                exhausted = True
        return self._trials.without_new_configurations()

    def _again(self, place: Place, source: int) -> Start:
        """The configuration of trial ``source``, evaluated from scratch."""
        config = self._trials.limited(self._trials.runs[source].config, place.level)
        return Start(config, carried=_carried(self._vector(source)))

    def _new(self, place: Place, trial_id: int) -> Start | None:
        if place.bracket.number > 0:
            evolved = self._evolved(place, trial_id)
            if evolved is not None:
                return evolved
        config = self.searcher.suggest(trial_id)
        return None if config is None else start(self.searcher, trial_id, self._trials.limited(config, place.level))

    def _evolved(self, place: Place, trial_id: int) -> Start | None:
        """None if there are not yet three parents, or everything there is has been launched."""
        random_state = generator(self.random_seed, "evolution", trial_id)
        target = self._populations.member(place.level, place.slot)
        parents = self._populations.parents(self._pool(place), target, random_state)
        if len(parents) < PARENTS or self._fresh.exhausted:
            return None
        for _ in range(MAX_RETRIES):
            chosen = random_state.choice(len(parents), PARENTS, replace=False)
            vectors = [parents[index].vector for index in chosen]
            vector = mutant(vectors, self._evolution.mutation_factor, random_state)
            if target is not None:
                vector = crossed(target.vector, vector, self._evolution.crossover_probability, random_state)
            config = self._cube.decode_one(vector)
            if self._fresh.allows(config):
                return Start(self._trials.limited(config, place.level), carried=_carried(vector))
        drawn = self._fresh.suggest(trial_id)
        return None if drawn is None else Start(self._trials.limited(drawn, place.level), carried=None)

    def _pool(self, place: Place) -> list[Member]:
        levels = place.bracket.levels
        rung = levels.index(place.level)
        if rung == 0:
            return self._populations.ranked(place.level)
        return self._populations.ranked(levels[rung - 1])[: place.bracket.rung.size]

    # -- what has happened -----------------------------------------------------------------------------------------

    def _known(self, trial: Trial) -> Trial:
        """Remember a new trial; what it carries is the searcher's only if the searcher proposed it."""
        if trial.trial_id in self._trials.runs:
            return trial
        if self._fresh is not self.searcher:
            self._fresh.on_trial_add(trial.trial_id, trial.config)
        if trial.carried is not None and _VECTOR in trial.carried:
            self._vectors[trial.trial_id] = np.array(trial.carried[_VECTOR], np.float64)
            return replace(trial, carried=None)
        return trial

    def _vector(self, trial_id: int) -> Array:
        """The one it was decoded from, which knows more than the rounded configuration does, or that one's."""
        vector = self._vectors.get(trial_id)
        if vector is None:
            vector = self._vectors[trial_id] = self._cube.encode_one(self._trials.runs[trial_id].config)
        return vector

    def _select(self, filled: Filled) -> None:
        member = Member(filled.trial_id, self._vector(filled.trial_id), filled.key)
        self._populations.select(filled.level, filled.slot, member)

    def _belongs(self, trial: Trial, place: Place) -> bool:
        if place.source is None:
            return True
        config = self._trials.runs[place.source].config
        return config_to_match_string(config, self.config_space) == config_to_match_string(
            trial.config, self.config_space
        )

    def on_trial_add(self, trial: Trial) -> None:
        self._trials.on_trial_add(self._known(trial))

    def on_trial_resume(self, trial: Trial) -> None:
        self._trials.on_trial_resume(self._known(trial))

    def on_trial_result(self, trial: Trial, result: Metrics) -> Decision:
        return self._trials.on_trial_result(self._known(trial), result)

    def on_late_result(self, trial: Trial, result: Metrics) -> None:
        self._trials.on_late_result(self._known(trial), result)

    def on_repeated_result(self, trial: Trial, result: Metrics) -> None:
        self._trials.on_repeated_result(self._known(trial), result)

    def on_trial_complete(self, trial: Trial, result: Metrics) -> None:
        self._trials.on_trial_complete(self._known(trial), result)

    def on_trial_error(self, trial: Trial) -> None:
        self._trials.on_trial_error(self._known(trial))
        if self._fresh is not self.searcher:
            self._fresh.on_trial_error(trial.trial_id)

    def on_trial_remove(self, trial: Trial) -> None:
        self._trials.on_trial_remove(self._known(trial))

    def trials_checkpoints_can_be_removed(self) -> Sequence[int]:
        """Paused trials of the first bracket that will never be resumed; each named once."""
        return self._trials.named_removable()

    # -- what it says about itself -----------------------------------------------------------------------------------

    def metric_names(self) -> Sequence[str]:
        return [self._objective.metric]

    def metric_mode(self) -> Mode:
        return self._objective.mode

    @property
    def resource_attr(self) -> str:
        return self._options.resource_attr

    @property
    def max_resource_attr(self) -> str | None:
        return self._options.max_resource_attr

    @property
    def searcher_data(self) -> SearcherData:
        return self._options.searcher_data

    def population(self, level: int) -> list[Member]:
        """Members of this level with a finite result, best first."""
        return self._populations.ranked(level)

    def complaint(self) -> MetricError | None:
        return self.searcher.complaint()

    def metadata(self) -> dict[str, Any]:
        return {
            **super().metadata(),
            "searcher": searcher_name(self.searcher),
            "random_seed": self.random_seed,
            "resource_attr": self.resource_attr,
            "max_resource_attr": self.max_resource_attr,
            "max_resource_level": self.max_resource_level,
            "rungs_first_bracket": [list(rung) for rung in self.rungs_first_bracket],
            "num_brackets_per_iteration": self.num_brackets_per_iteration,
            "mutation_factor": self._evolution.mutation_factor,
            "crossover_probability": self._evolution.crossover_probability,
            "support_pause_resume": self._evolution.support_pause_resume,
            "searcher_data": self.searcher_data,
        }


@named_options()
class GeometricDifferentialEvolutionHyperbandScheduler(DifferentialEvolutionHyperbandScheduler):
    """``DifferentialEvolutionHyperbandScheduler`` whose first bracket is Hyperband's: ``geometric_brackets``.

    :param grace_period: the lowest rung level.
    :param reduction_factor: η of at least 2 (default 3): levels are round(grace_period · η^j), and one in η goes on.
    :param brackets: how many until all rungs are used again; default: one for each rung level.
    """

    def __init__(
        self,
        config_space: Mapping[str, Any],
        metric: str,
        *,
        mode: Mode = "min",
        searcher: str | Searcher = "random",
        search_options: Mapping[str, Any] | None = None,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        random_seed: int | None = None,
        resource_attr: str = "epoch",
        max_resource_attr: str | None = None,
        max_resource_level: int | None = None,
        grace_period: int = 1,
        reduction_factor: float | None = None,
        brackets: int | None = None,
        mutation_factor: float = 0.5,
        crossover_probability: float = 0.5,
        support_pause_resume: bool = True,
        searcher_data: SearcherData = "rungs",
    ) -> None:
        validate_config_space(config_space)
        options = SyncOptions(resource_attr, max_resource_attr, max_resource_level, searcher_data)
        made = geometric_brackets(options.known_limit(config_space).max_t, grace_period, reduction_factor, brackets)
        super().__init__(
            config_space,
            made[0],
            metric,
            num_brackets_per_iteration=len(made),
            mode=mode,
            searcher=searcher,
            search_options=search_options,
            points_to_evaluate=points_to_evaluate,
            random_seed=random_seed,
            resource_attr=resource_attr,
            max_resource_attr=max_resource_attr,
            max_resource_level=max_resource_level,
            mutation_factor=mutation_factor,
            crossover_probability=crossover_probability,
            support_pause_resume=support_pause_resume,
            searcher_data=searcher_data,
        )


def _carried(vector: Array) -> dict[str, Any]:
    return {_VECTOR: vector.tolist()}


def _checked_count(given: object, most: int) -> int:
    count = most if given is None else positive_integer(given, "num_brackets_per_iteration")
    if count > most:
        raise OptionError(
            f"num_brackets_per_iteration={given!r} is above the number of rungs, {most}", f"give at most {most}"
        )
    return count


def _check_points(points: Sequence[Mapping[str, Any]] | None, size: int) -> None:
    if points is not None and len(points) > size:
        raise OptionError(
            f"{len(points)} points_to_evaluate are given, and the first rung has {size} places",
            "give fewer: configurations after the first bracket are evolved",
        )
