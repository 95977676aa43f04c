"""Asynchronous successive halving and Hyperband."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib import import_module
from typing import Any

from cloudtune.errors import MetricError
from cloudtune.options import named_options
from cloudtune.schedulers.base import (
    NOT_NOW,
    Action,
    Decision,
    NotNow,
    Reason,
    Resume,
    Suggestion,
    TrialScheduler,
)
from cloudtune.schedulers.checkpoint_removal import EarlyCheckpointRemoval
from cloudtune.schedulers.cost_promotion import CostPromotionOptions
from cloudtune.schedulers.hyperband_options import HyperbandOptions, SearcherData, rule_options
from cloudtune.schedulers.objective import Objective, as_number, check_distinct, missing
from cloudtune.schedulers.progress import Arrival, Phase, Progress
from cloudtune.schedulers.rung_systems import PausedTrial, Promotion, RungRule, RungSetting, RungSystem
from cloudtune.schedulers.rungs import WORST, Rung
from cloudtune.schedulers.setup import NOT_HERE, searcher_name, start, tell_of_new_trial
from cloudtune.searchers.base import Searcher
from cloudtune.searchers.factory import searcher_for
from cloudtune.searchers.problem import SearchProblem
from cloudtune.searchers.random_searcher import RandomSearcher
from cloudtune.searchers.seeding import Uniforms, checked_seed
from cloudtune.space import impute_points_to_evaluate, validate_config_space
from cloudtune.trial import Config, Metrics, Mode, Trial


@named_options(NOT_HERE)
class HyperbandScheduler(TrialScheduler):
    """Asynchronous successive halving (``brackets=1``, "ASHA") and Hyperband.

    Scripts report the objective and how many units of work they have done (``resource_attr``, from 1), after
    each unit. At rung levels a trial is compared with all others that came there.

    :param metric: what reports call the objective.
    :param mode: "min" or "max". NaN and infinite objectives rank last in both.
    :param searcher: a name ("random") or a ``Searcher``, which then has its own points_to_evaluate and options.
    :param search_options: of a searcher given by name; an unknown one is an error.
    :param points_to_evaluate: configurations tried first, partial ones completed (None: one of middles; ``[]``: none).
    :param random_seed: an integer of at least 0; if None, one is drawn now and can be read from ``random_seed``.
    :param resource_attr: what reports call the units of work done.
    :param max_t: the most a trial may use. Default: the entry ``max_resource_attr`` of the space, else its entry
        "epochs", "max_t" or "max_epochs".
    :param max_resource_attr: the entry of the configuration that tells a script how long to run. Preferred over
        ``max_t``: scripts then end by themselves, and "promotion" sets it to where the trial will pause.
    :param type: "stopping": a trial that is not among the best at its rung is stopped. "promotion": every trial pauses
        at every rung, and whenever a worker is free the best one that deserves it is resumed. "cost_promotion",
        "pasha", "rush_stopping" and "rush_promotion" are variants of these: see their rules and ``docs/hyperband.md``.
    :param grace_period: the lowest rung level.
    :param reduction_factor: η of at least 2 (default 3): levels are round(grace_period · η^j), and one in η goes on.
    :param rung_increment: distance of levels, if they are to be equally spaced and no reduction_factor is given.
    :param rung_levels: the levels themselves, increasing.
    :param brackets: number of brackets; trials of bracket b skip the lowest b levels. A trial's is drawn at random,
        each as often as synchronous Hyperband uses it.
    :param rung_system_per_bracket: compare trials only with those of their bracket.
    :param searcher_data: what a searcher learns: results at "rungs" and at the maximum, or "all".
    :param cost_attr: for "cost_promotion": what reports call the cost of their attempt so far.
    :param rung_system_kwargs: options of the type: ``CostPromotionOptions``, ``PashaOptions``, ``RushStoppingOptions``
        or ``RushPromotionOptions``.
    :param early_checkpoint_removal_kwargs: for types that pause, with ``delete_checkpoints=True`` of the backend: keep
        at most ``max_num_checkpoints`` checkpoints, which must be more than workers, and let go of those that are
        least likely to be needed. Other entries: arguments of ``HyperbandRemoveCheckpointsCallback``; ``baseline``.

    A resource that jumps over a level counts for it, with the value seen first at or above it; a level counts once,
    so repeated or earlier reports (a script that starts again from scratch) change nothing. At the maximum a script
    that was told its limit is left to end by itself; any other is stopped. Raises OptionError and ConfigSpaceError.
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
        max_t: int | None = None,
        max_resource_attr: str | None = None,
        type: str = "stopping",
        grace_period: int = 1,
        reduction_factor: float | None = None,
        rung_increment: int | None = None,
        rung_levels: Sequence[int] | None = None,
        brackets: int = 1,
        rung_system_per_bracket: bool = False,
        searcher_data: SearcherData = "rungs",
        cost_attr: str | None = None,
        rung_system_kwargs: Mapping[str, Any] | None = None,
        early_checkpoint_removal_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        validate_config_space(config_space)
        super().__init__(config_space)
        self._objective = Objective(metric, mode)
        self._options = HyperbandOptions(
            resource_attr=resource_attr,
            max_t=max_t,
            max_resource_attr=max_resource_attr,
            type=type,
            grace_period=grace_period,
            reduction_factor=reduction_factor,
            rung_increment=rung_increment,
            rung_levels=rung_levels,
            brackets=brackets,
            rung_system_per_bracket=rung_system_per_bracket,
            searcher_data=searcher_data,
        )
        self._rules = rule_options(type, rung_system_kwargs, cost_attr)
        check_distinct(metric=metric, resource_attr=resource_attr)
        check_distinct(metric=metric, cost_attr=self._cost_attr)
        removal = early_checkpoint_removal_kwargs
        self.early_checkpoint_removal = None if removal is None else EarlyCheckpointRemoval.of(removal)
        self._pauses = self._rules.pauses
        self._plan = self._options.plan(self.config_space, self._pauses)
        self._max_t = self._plan.limit.max_t
        self.random_seed = checked_seed(random_seed)
        problem = SearchProblem(
            config_space, points_to_evaluate, self.random_seed, (metric,), (mode,), resource_attr, self._max_t
        )
        self.searcher = searcher_for(searcher, problem, search_options)
        self._rules.check(self._setting(points_to_evaluate))
        self._brackets = Uniforms(self.random_seed, "bracket")
        self._milestones = [self._plan.milestones(bracket) for bracket in range(self._plan.num_brackets)]
        self._systems = self._make_systems()
        self._resource_attr = resource_attr
        self._all_are_data = searcher_data == "all"
        self._trials: dict[int, Progress] = {}
        self._running = 0
        self._between: dict[int, Decision] = {}
        self._hopeless: dict[int, bool] = {}
        """Paused trials that are never resumed, and whether they have been named."""

    @property
    def _cost_attr(self) -> str | None:
        return self._rules.cost_attr if isinstance(self._rules, CostPromotionOptions) else None

    def _setting(self, points_to_evaluate: Sequence[Mapping[str, Any]] | None) -> RungSetting:
        num_points = None
        if isinstance(self.searcher, RandomSearcher):
            num_points = len(self.searcher.points_to_evaluate)
        elif points_to_evaluate is not None:
            num_points = len(impute_points_to_evaluate(points_to_evaluate, self.config_space))
        per_bracket = self._options.rung_system_per_bracket
        return RungSetting(self._plan.levels, self._max_t, self._plan.num_brackets, per_bracket, num_points)

    def _make_systems(self) -> list[RungSystem]:
        """The rung system of each bracket."""
        if self._options.rung_system_per_bracket:
            return [self._make_system(milestones) for milestones in self._milestones]
        return [self._make_system(self._plan.levels)] * self._plan.num_brackets

    def _make_system(self, levels: Sequence[int]) -> RungSystem:
        return RungSystem(levels, self._max_t, self._rules.rule(levels, self._max_t))

    # -- what to do next -----------------------------------------------------------------------------------------

    def suggest(self, trial_id: int) -> Suggestion | NotNow | None:
        bracket = self._bracket_of(trial_id)
        promotion = self._systems[bracket].promotion()
        if promotion is not None:
            return self._resume(promotion)
        config = self.searcher.suggest(trial_id)
        if config is not None:
            return start(self.searcher, trial_id, self._limited(config, self._plan.first_milestone(bracket)))
        return self._without_new_configurations()

    def _without_new_configurations(self) -> Resume | NotNow | None:
        for system in self._systems:
            promotion = system.promotion()
            if promotion is not None:
                return self._resume(promotion)
        return NOT_NOW if self._pauses and self._running else None

    def _resume(self, promotion: Promotion) -> Resume:
        progress = self._trials[promotion.trial_id]
        config = self._limited(progress.config, progress.next_milestone)
        return Resume(promotion.trial_id, None if config is progress.config else config, self._why(promotion))

    def _why(self, promotion: Promotion) -> Reason:
        shown = self._objective.shown
        numbers = {self._objective.metric: shown(promotion.key), "rung": promotion.level}
        numbers["recorded"] = promotion.recorded
        return Reason(promotion.rule, numbers, None if promotion.cutoff is None else shown(promotion.cutoff))

    def _limited(self, config: Config, milestone: int) -> Config:
        """The configuration that tells its script to end at ``milestone``, if that is how trials pause."""
        name = self._options.max_resource_attr
        return config if name is None or not self._pauses else {**config, name: milestone}

    def _bracket_of(self, trial_id: int) -> int:
        return self._plan.bracket_at(self._brackets.of(trial_id)) if len(self._systems) > 1 else 0

    # -- what has happened -----------------------------------------------------------------------------------------

    def on_trial_add(self, trial: Trial) -> None:
        self._progress(trial)

    def on_trial_resume(self, trial: Trial) -> None:
        progress = self._progress(trial)
        progress.rungs.leave(trial.trial_id)
        self._hopeless.pop(trial.trial_id, None)
        if progress.rungs.listener is not None:
            progress.rungs.listener.relaunched(trial.trial_id)
        self._launched(progress, trial)

    def on_trial_result(self, trial: Trial, result: Metrics) -> Decision:
        progress = self._trials.get(trial.trial_id) or self._progress(trial)
        value = self._objective.value(result, trial.trial_id)
        resource = self._resource(result, trial.trial_id)
        if resource is None:
            return _UNREADABLE
        listener = progress.rungs.listener
        if listener is not None:
            listener.hear(trial.trial_id, resource, self._objective.key(value), result)
        if resource < progress.next_milestone and resource < progress.target and not progress.overdue:
            self._teach(progress, trial, resource, result, wanted=False)
            return self._before(progress.next_milestone)
        return self._at_a_milestone(progress, trial, resource, value, result)

    def _at_a_milestone(
        self, progress: Progress, trial: Trial, resource: float, value: float, result: Metrics
    ) -> Decision:
        arrivals = self._take_in(progress, trial, resource, value, result)
        if progress.overdue:
            arrivals, progress.overdue = [*progress.overdue, *arrivals], ()
        decision = self._decide(progress, trial, resource, value, arrivals)
        if decision.action is not Action.CONTINUE:
            progress.stopped = decision.action is Action.STOP
            self._enter(progress, Phase.PAUSING if decision.action is Action.PAUSE else Phase.ENDED)
            self.searcher.cleanup_pending(trial.trial_id)
        elif arrivals:
            self._register_pending(progress, trial.trial_id, resource)
        return decision

    def on_late_result(self, trial: Trial, result: Metrics) -> None:
        progress = self._progress(trial)
        value = self._objective.value(result, trial.trial_id)
        resource = self._resource(result, trial.trial_id)
        if resource is None:
            return
        listener = progress.rungs.listener
        if listener is not None:
            listener.hear(trial.trial_id, resource, self._objective.key(value), result)
        if progress.stopped:
            # how far it comes depends on how late its logs are; whom else that stops must not
            self._teach(progress, trial, resource, result, wanted=progress.go_past(resource))
            return
        arrivals = self._take_in(progress, trial, resource, value, result)
        if progress.phase is Phase.PAUSED and resource >= self._max_t:
            self._end_paused(progress, trial)
        elif progress.phase is Phase.PAUSED and arrivals:
            self._wait(progress, trial.trial_id)
        elif progress.phase is Phase.RUNNING:
            progress.overdue += tuple(arrivals)

    def on_repeated_result(self, trial: Trial, result: Metrics) -> None:
        progress = self._progress(trial)
        listener = progress.rungs.listener
        if listener is not None and self._objective.metric in result:
            resource = self._resource(result, trial.trial_id)
            if resource is not None:
                key = self._objective.key(self._objective.value(result, trial.trial_id))
                listener.hear(trial.trial_id, resource, key, result)
        self.searcher.on_result(trial.trial_id, trial.config, result, update=False)

    def on_trial_complete(self, trial: Trial, result: Metrics) -> None:
        progress = self._progress(trial)
        resource = self._resource(result, trial.trial_id)
        if resource is not None:
            self._teach(progress, trial, resource, result, wanted=True)
        self._end(progress, trial)

    def on_trial_error(self, trial: Trial) -> None:
        self._end(self._progress(trial), trial)
        self.searcher.on_trial_error(trial.trial_id)

    def on_trial_remove(self, trial: Trial) -> None:
        progress = self._trials.get(trial.trial_id) or self._progress(trial)
        if progress.phase is Phase.PAUSING:
            # only now: a job that is still stopping could not be followed by the next one, and would block its worker
            self._enter(progress, Phase.PAUSED)
            if progress.updated >= self._max_t:
                self._end_paused(progress, trial)
            else:
                self._wait(progress, trial.trial_id)
        elif progress.phase is Phase.RUNNING:
            # stopped by somebody else, a policy around this scheduler for example
            progress.stopped = True
            self._end(progress, trial)

    def _wait(self, progress: Progress, trial_id: int) -> None:
        progress.rungs.wait(trial_id, progress.level)
        if progress.rungs.rung_at(progress.level).keys[trial_id] == WORST:
            self._hopeless.setdefault(trial_id, False)

    def _end_paused(self, progress: Progress, trial: Trial) -> None:
        """Late reports say that all its work is done: there is nothing to resume."""
        self._end(progress, trial)
        self._hopeless.setdefault(trial.trial_id, False)

    # -- checkpoints -----------------------------------------------------------------------------------------------

    def trials_checkpoints_can_be_removed(self) -> Sequence[int]:
        """Paused trials that nobody resumes: at their rung they have no finite number, or all their work is done.

        Each named once.
        """
        named = [trial_id for trial_id, is_named in self._hopeless.items() if not is_named]
        self._hopeless.update(dict.fromkeys(named, True))
        return named

    def paused_trials(self, resource: int | None = None) -> list[PausedTrial]:
        """Trials that may be resumed, in the order of their numbers; only those paused at the level ``resource``."""
        paused = filter(None, (self.paused_trial(trial_id) for trial_id in self._trials))
        return [trial for trial in paused if resource is None or trial.level == resource]

    def paused_trial(self, trial_id: int) -> PausedTrial | None:
        """None if it is not paused at a rung."""
        progress = self._trials.get(trial_id)
        if progress is None or progress.phase is not Phase.PAUSED:
            return None
        rung = progress.rungs.rung_at(progress.level)
        return PausedTrial(trial_id, rung.rank(trial_id), self._objective.shown(rung.keys[trial_id]), rung.level)

    def rung_of(self, trial_id: int) -> Rung:
        """The highest rung that a trial has come to. Read only."""
        progress = self._trials[trial_id]
        return progress.rungs.rung_at(progress.level)

    def all_rungs(self) -> list[Rung]:
        """Of every bracket, each once. Read only."""
        systems = {id(system): system for system in self._systems}
        return [rung for system in systems.values() for rung in system.rungs()]

    def callback_for_checkpoint_removal(self, stop_criterion: object) -> Any:
        """What lets go of checkpoints early, for a Tuner with this criterion; None if that was not asked for.

        Raises ``OptionError`` if neither the criterion nor ``early_checkpoint_removal_kwargs`` says how long it tunes.
        """
        if self.early_checkpoint_removal is None or not self._pauses:
            return None
        # callbacks are above schedulers, which know this one by its name only
        module = import_module("cloudtune.callbacks.hyperband_remove_checkpoints")
        return module.removal_callback(self, self.early_checkpoint_removal, stop_criterion)

    # -- bookkeeping -----------------------------------------------------------------------------------------------

    def _progress(self, trial: Trial) -> Progress:
        """What is known of a trial; one that was never announced is taken as launched now."""
        progress = self._trials.get(trial.trial_id)
        if progress is None:
            bracket = self._bracket_of(trial.trial_id)
            milestones = self._milestones[bracket]
            first = milestones[0] if milestones else self._max_t
            progress = Progress(self._systems[bracket], milestones, self._max_t, trial.config, first)
            self._trials[trial.trial_id] = progress
            tell_of_new_trial(self.searcher, trial)
            self._launched(progress, trial)
        return progress

    def _launched(self, progress: Progress, trial: Trial) -> None:
        progress.config = trial.config
        if self._pauses:
            progress.target = progress.next_milestone
            if self._options.max_resource_attr is not None:
                # a script ends where it was told, whatever has become known since
                told = self._plan.limit.told(trial.config)
                progress.target = progress.target if told is None else min(told, progress.target)
        self._enter(progress, Phase.RUNNING)
        self._register_pending(progress, trial.trial_id, progress.level)

    def _enter(self, progress: Progress, phase: Phase) -> None:
        self._running += (phase in _AT_WORK) - (progress.phase in _AT_WORK)
        progress.phase = phase

    def _end(self, progress: Progress, trial: Trial) -> None:
        progress.rungs.leave(trial.trial_id)
        self._enter(progress, Phase.ENDED)
        self.searcher.cleanup_pending(trial.trial_id)

    def _resource(self, result: Metrics, trial_id: int) -> float | None:
        """None if it is no finite number. Raises MetricError if the report does not carry it."""
        try:
            resource = result[self._resource_attr]
        except KeyError:
            raise missing(self._resource_attr, result, trial_id) from None
        if type(resource) is int:
            return resource
        number = as_number(resource)
        return number if math.isfinite(number) else None

    def _take_in(
        self, progress: Progress, trial: Trial, resource: float, value: float, result: Metrics
    ) -> list[Arrival]:
        if resource < progress.next_milestone:
            self._teach(progress, trial, resource, result, wanted=False)
            return []
        arrivals = progress.come_to(trial.trial_id, resource, value, self._objective.key(value))
        self._teach(progress, trial, resource, result, wanted=bool(arrivals) or resource >= self._max_t)
        return arrivals

    def _teach(self, progress: Progress, trial: Trial, resource: float, result: Metrics, wanted: bool) -> None:
        """Tell the searcher. Work that is repeated after a resume from scratch is not new data."""
        update = (wanted or self._all_are_data) and resource > progress.updated
        if update:
            progress.updated = resource
        self.searcher.on_result(trial.trial_id, trial.config, result, update)

    def _register_pending(self, progress: Progress, trial_id: int, resource: float) -> None:
        if not self._all_are_data:
            self.searcher.register_pending(trial_id, progress.next_milestone)
            return
        for level in range(int(resource) + 1, progress.next_milestone + 1):
            self.searcher.register_pending(trial_id, level)

    # -- decisions -------------------------------------------------------------------------------------------------

    def _decide(
        self, progress: Progress, trial: Trial, resource: float, value: float, arrivals: Sequence[Arrival]
    ) -> Decision:
        if resource >= self._max_t:
            return self._at_the_maximum(trial, resource)
        if self._pauses:
            if resource >= progress.target and progress.passed:
                numbers = self._numbers(value, resource, progress.level)
                return Decision(Action.PAUSE, Reason("pauses at its rung", numbers, progress.target))
        elif arrivals:
            return self._judged(resource, arrivals)
        return self._before(progress.next_milestone)

    def _at_the_maximum(self, trial: Trial, resource: float) -> Decision:
        told = self._plan.limit.told(trial.config)
        numbers = {self._options.resource_attr: resource}
        if told is not None and resource >= told:
            return Decision(Action.CONTINUE, Reason("ends by itself at the maximum", numbers, self._max_t))
        return Decision(Action.STOP, Reason("has reached the maximum", numbers, self._max_t))

    def _judged(self, resource: float, arrivals: Sequence[Arrival]) -> Decision:
        verdict, value = _decisive(arrivals)
        numbers = self._numbers(value, resource, verdict.level)
        numbers["recorded"] = verdict.recorded
        threshold = None if verdict.cutoff is None else self._objective.shown(verdict.cutoff)
        action = Action.CONTINUE if verdict.goes_on else Action.STOP
        return Decision(action, Reason(verdict.rule, numbers, threshold))

    def _numbers(self, value: float, resource: float, level: int) -> dict[str, float]:
        return {self._objective.metric: value, self._options.resource_attr: resource, "rung": level}

    def _before(self, milestone: int) -> Decision:
        decision = self._between.get(milestone)
        if decision is None:
            reason = Reason("between rungs", {"next rung": milestone})
            decision = self._between[milestone] = Decision(Action.CONTINUE, reason)
        return decision

    # -- what it says about itself -----------------------------------------------------------------------------------

    def metric_names(self) -> Sequence[str]:
        return [self._objective.metric]

    def metric_mode(self) -> Mode:
        return self._objective.mode

    def needed_metrics(self) -> Sequence[str]:
        return [*super().needed_metrics(), *([] if self._cost_attr is None else [self._cost_attr])]

    @property
    def resource_attr(self) -> str:
        return self._options.resource_attr

    @property
    def max_resource_attr(self) -> str | None:
        return self._options.max_resource_attr

    @property
    def max_resource_level(self) -> int:
        """The most a trial may use."""
        return self._max_t

    @property
    def rung_levels(self) -> list[int]:
        """Increasing, without the maximum."""
        return list(self._plan.levels)

    @property
    def num_brackets(self) -> int:
        return self._plan.num_brackets

    @property
    def searcher_data(self) -> SearcherData:
        return self._options.searcher_data

    def does_pause_resume(self) -> bool:
        return self._pauses

    def rungs(self, bracket: int = 0) -> Sequence[Rung]:
        """The rungs where trials of this bracket are compared, lowest first, those they skip included. Read only."""
        return self._systems[bracket].rungs()

    def rung_rule(self, bracket: int = 0) -> RungRule:
        """Who goes on from the rungs of this bracket. Read only."""
        return self._systems[bracket].rule

    def complaint(self) -> MetricError | None:
        return self.searcher.complaint()

    def metadata(self) -> dict[str, Any]:
        return {
            **super().metadata(),
            "searcher": searcher_name(self.searcher),
            "random_seed": self.random_seed,
            "resource_attr": self.resource_attr,
            "max_resource_attr": self.max_resource_attr,
            "max_resource_level": self._max_t,
            "type": self._options.type,
            "rung_levels": self.rung_levels,
            "num_brackets": self.num_brackets,
            "rung_system_per_bracket": self._options.rung_system_per_bracket,
            "searcher_data": self.searcher_data,
            **({"rung_system_kwargs": options} if (options := asdict(self._rules)) else {}),
        }


def _decisive(arrivals: Sequence[Arrival]) -> Arrival:
    """At the first rung that a trial does not pass, or at the last."""
    for verdict, value in arrivals:
        if not verdict.goes_on:
            return verdict, value
    return arrivals[-1]


_AT_WORK = (Phase.RUNNING, Phase.PAUSING)
_UNREADABLE = Decision(Action.CONTINUE, Reason("the resource is no finite number"))
