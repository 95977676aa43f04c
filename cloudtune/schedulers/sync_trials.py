"""The trials of a synchronous scheduler: what becomes of each, and what its reports fill."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from cloudtune.schedulers.base import Action, Decision, NotNow, Reason, Resume
from cloudtune.schedulers.max_resource import MaxResource
from cloudtune.schedulers.objective import Objective, as_number, missing
from cloudtune.schedulers.progress import Phase
from cloudtune.schedulers.rungs import WORST
from cloudtune.schedulers.setup import tell_of_new_trial
from cloudtune.schedulers.sync_brackets import Ascent, Bracket, Brackets, Filled, Place, Step
from cloudtune.schedulers.sync_options import SyncOptions
from cloudtune.searchers.base import Searcher
from cloudtune.trial import Config, Metrics, Trial


@dataclass(slots=True)
class Run:
    """What is known of one trial. ``levels`` are those where it may be compared; it pauses at all but the last."""

    bracket: Bracket
    levels: tuple[int, ...]
    target: int
    """Where the present attempt ends."""
    config: Config
    phase: Phase = Phase.RUNNING
    keys: dict[int, float] = field(default_factory=dict)
    """By level: of the first report at or above it."""
    updated: float = 0.0
    """The highest resource whose result the searcher has among its data."""
    left: bool = False
    """It will not be resumed: its rung is full, and others were better; or it has come to its last."""

    @property
    def top(self) -> int:
        return self.levels[-1]

    def come_to(self, resource: float, key: float) -> bool:
        """Whether ``resource`` has reached or jumped over levels for the first time."""
        reached = [level for level in self.levels if level <= resource and level not in self.keys]
        self.keys.update(dict.fromkeys(reached, key))
        return bool(reached)

    def come_so_far(self) -> int:
        """The highest level with a result; 0 if there is none."""
        return max(self.keys, default=0)


class SyncTrials:
    """Told what a ``TrialScheduler`` is told, and answers for it.

    ``make_bracket``: of a bracket's number, and what it has to ask about trials. ``on_filled`` hears of each slot that
    becomes occupied. ``belongs`` tells whether a new trial may have been meant for a place; default: it always may.
    """

    def __init__(
        self,
        objective: Objective,
        options: SyncOptions,
        limit: MaxResource,
        searcher: Searcher,
        make_bracket: Callable[[int, Callable[[int, int], float | None]], Bracket],
        on_filled: Callable[[Filled], None] | None = None,
        belongs: Callable[[Trial, Place], bool] | None = None,
    ) -> None:
        self._objective = objective
        self._options = options
        self._limit = limit
        self._searcher = searcher
        self._make_bracket = make_bracket
        self._on_filled = on_filled
        self._belongs = belongs
        self.brackets = Brackets(self._new_bracket)
        self.runs: dict[int, Run] = {}
        self._running = 0
        self._removable: list[int] = []
        self._between: dict[int, Decision] = {}

    def _new_bracket(self, number: int) -> Bracket:
        return self._make_bracket(number, self._outlook)

    def _outlook(self, trial_id: int, level: int) -> float | None:
        run = self.runs[trial_id]
        return run.keys.get(level, WORST if run.phase is Phase.ENDED else None)

    # -- what to do next -----------------------------------------------------------------------------------------

    def places(self) -> Iterator[Place]:
        """Where a worker is wanted now: new trials, and paused ones to resume, in order."""
        return (place for place in self.brackets.places() if place.trial_id is None or self._is_paused(place.trial_id))

    def resume(self, place: Place) -> Resume:
        assert place.trial_id is not None
        run = self.runs[place.trial_id]
        limited = self.limited(run.config, place.level)
        below = run.come_so_far()
        numbers = {self._objective.metric: self._objective.shown(run.keys[below]), "rung": below}
        reason = Reason("among the best of its rung", {**numbers, "places": place.bracket.rung.size})
        return Resume(place.trial_id, None if limited is run.config else limited, reason)

    def limited(self, config: Config, level: int) -> Config:
        """The configuration that tells its script to end at ``level``, if that is how scripts are told."""
        name = self._options.max_resource_attr
        return config if name is None else {**config, name: level}

    def without_new_configurations(self) -> Resume | NotNow | None:
        """What is left to do when the searcher has nothing more to propose and no place wants to be resumed.

        A lowest rung that can't be filled any more is closed, and the best of it go on. That is a guess here, and
        becomes true with ``on_trial_resume``.
        """
        for bracket in self.brackets.active:
            if bracket.may_close:
                for place in bracket.closed().free():
                    if place.trial_id is not None and self._is_paused(place.trial_id):
                        return self.resume(place)
        return NotNow.NOT_NOW if self._running else None

    def _is_paused(self, trial_id: int) -> bool:
        return self.runs[trial_id].phase is Phase.PAUSED

    # -- what has happened -----------------------------------------------------------------------------------------

    def on_trial_add(self, trial: Trial) -> None:
        self._run(trial)

    def on_trial_resume(self, trial: Trial) -> None:
        run = self._run(trial)
        place = run.bracket.place_of(trial.trial_id)
        if place is None and run.bracket.may_close:
            self._follow(run.bracket, run.bracket.close())
            place = run.bracket.place_of(trial.trial_id)
        told = self._told(trial.config)
        if place is not None and (told is None or told >= place.level):
            self.brackets.take(place, trial.trial_id)
            run.target = place.level
        else:
            run.target = next((level for level in run.levels if told is not None and level >= told), run.top)
        run.config = trial.config
        self._enter(run, Phase.RUNNING)
        self._register_pending(run, trial.trial_id)

    def on_trial_result(self, trial: Trial, result: Metrics) -> Decision:
        run = self._run(trial)
        value = self._objective.value(result, trial.trial_id)
        resource = self._resource(result, trial.trial_id)
        if resource is None:
            return _UNREADABLE
        reached = self._take_in(run, trial, resource, value, result)
        decision = self._decision(run, trial, resource, value)
        if decision.action is not Action.CONTINUE:
            self._enter(run, Phase.PAUSING if decision.action is Action.PAUSE else Phase.ENDED)
            self._searcher.cleanup_pending(trial.trial_id)
        if reached:
            self._settle(run, trial.trial_id)
        return decision

    def on_late_result(self, trial: Trial, result: Metrics) -> None:
        run = self._run(trial)
        value = self._objective.value(result, trial.trial_id)
        resource = self._resource(result, trial.trial_id)
        if resource is None:
            return
        if self._take_in(run, trial, resource, value, result):
            self._settle(run, trial.trial_id)

    def on_repeated_result(self, trial: Trial, result: Metrics) -> None:
        self._run(trial)
        self._searcher.on_result(trial.trial_id, trial.config, result, update=False)

    def on_trial_complete(self, trial: Trial, result: Metrics) -> None:
        run = self._run(trial)
        if self._objective.metric in result and self._options.resource_attr in result:
            resource = self._resource(result, trial.trial_id)
            if resource is not None:
                run.come_to(resource, self._objective.key(self._objective.value(result, trial.trial_id)))
                self._teach(run, trial, resource, result, wanted=True)
        self._end(run, trial.trial_id)

    def on_trial_error(self, trial: Trial) -> None:
        self._end(self._run(trial), trial.trial_id)
        self._searcher.on_trial_error(trial.trial_id)

    def on_trial_remove(self, trial: Trial) -> None:
        run = self._run(trial)
        if run.phase is Phase.PAUSING:
            # only now: the job that is still stopping writes the checkpoint from which the next one goes on
            self._enter(run, Phase.PAUSED)
            if run.left:
                self._removable.append(trial.trial_id)
        elif run.phase is Phase.RUNNING:
            self._end(run, trial.trial_id)

    def named_removable(self) -> list[int]:
        """Paused trials that will never be resumed; each named once."""
        named, self._removable = self._removable, []
        return named

    # -- bookkeeping -----------------------------------------------------------------------------------------------

    def _run(self, trial: Trial) -> Run:
        """What is known of a trial; one that was never announced is taken as launched now."""
        run = self.runs.get(trial.trial_id)
        if run is None:
            place = self._place_of(trial)
            levels = place.bracket.levels if place.bracket.ascent is Ascent.RESUMED else (place.level,)
            run = self.runs[trial.trial_id] = Run(place.bracket, levels, place.level, trial.config)
            self._running += 1
            self.brackets.take(place, trial.trial_id)
            tell_of_new_trial(self._searcher, trial)
            self._register_pending(run, trial.trial_id)
        return run

    def _place_of(self, trial: Trial) -> Place:
        """The one that ``suggest`` had in mind: the first that wants such a trial, with the limit that it was told."""
        told, fallback = self._told(trial.config), None
        for place in self.brackets.places():
            if place.trial_id is None:
                fallback = fallback or place
                if (told is None or told == place.level) and (self._belongs is None or self._belongs(trial, place)):
                    return place
        assert fallback is not None, "the next bracket always has a place"
        return fallback

    def _told(self, config: Config) -> float | None:
        """The limit that this scheduler has set."""
        return None if self._options.max_resource_attr is None else self._limit.told(config)

    def _enter(self, run: Run, phase: Phase) -> None:
        self._running += (phase in _AT_WORK) - (run.phase in _AT_WORK)
        run.phase = phase

    def _end(self, run: Run, trial_id: int) -> None:
        self._enter(run, Phase.ENDED)
        self._searcher.cleanup_pending(trial_id)
        self._settle(run, trial_id)

    def _settle(self, run: Run, trial_id: int) -> None:
        self._follow(run.bracket, run.bracket.settle(trial_id))

    def _follow(self, bracket: Bracket, step: Step) -> None:
        for trial_id in step.back:
            self.runs[trial_id].left = False
            self._removable = [each for each in self._removable if each != trial_id]
        at_the_top = (filled.trial_id for filled in step.filled if filled.level == self.runs[filled.trial_id].top)
        for trial_id in (*step.left, *at_the_top):
            run = self.runs[trial_id]
            run.left = True
            if run.phase is Phase.PAUSED:
                self._removable.append(trial_id)
        if self._on_filled is not None:
            for filled in step.filled:
                self._on_filled(filled)
        if bracket.is_complete:
            self.brackets.drop(bracket)

    def _resource(self, result: Metrics, trial_id: int) -> float | None:
        """None if it is no finite number. Raises MetricError if the report does not carry it."""
        name = self._options.resource_attr
        if name not in result:
            raise missing(name, result, trial_id)
        resource = result[name]
        number = resource if type(resource) is int else as_number(resource)
        return number if math.isfinite(number) else None

    def _take_in(self, run: Run, trial: Trial, resource: float, value: float, result: Metrics) -> bool:
        """Whether it has come to a level."""
        reached = run.come_to(resource, self._objective.key(value))
        self._teach(run, trial, resource, result, wanted=reached)
        return reached

    def _teach(self, run: Run, trial: Trial, resource: float, result: Metrics, wanted: bool) -> None:
        """Tell the searcher. Work that is repeated after a resume from scratch is not new data."""
        update = (wanted or self._options.searcher_data == "all") and resource > run.updated
        if update:
            run.updated = resource
        self._searcher.on_result(trial.trial_id, trial.config, result, update)

    def _register_pending(self, run: Run, trial_id: int) -> None:
        first = run.target if self._options.searcher_data == "rungs" else run.come_so_far() + 1
        for level in range(first, run.target + 1):
            self._searcher.register_pending(trial_id, level)

    # -- decisions -------------------------------------------------------------------------------------------------

    def _decision(self, run: Run, trial: Trial, resource: float, value: float) -> Decision:
        if resource >= run.top:
            told = self._limit.told(trial.config)
            if told is not None and resource >= max(told, self._limit.max_t):
                return Decision(
                    Action.CONTINUE, Reason("ends by itself at the maximum", *self._standing(run, resource))
                )
            return Decision(Action.STOP, Reason("has come to its last rung", *self._standing(run, resource, value)))
        if resource >= run.target:
            return Decision(Action.PAUSE, Reason("pauses at its rung", *self._standing(run, resource, value)))
        decision = self._between.get(run.target)
        if decision is None:
            reason = Reason("on its way to a rung", {"rung": run.target})
            decision = self._between[run.target] = Decision(Action.CONTINUE, reason)
        return decision

    def _standing(self, run: Run, resource: float, value: float | None = None) -> tuple[dict[str, float], float]:
        """Where a trial stands, and the level it had to come to."""
        numbers = {} if value is None else {self._objective.metric: value}
        numbers[self._options.resource_attr] = resource
        numbers["bracket"] = run.bracket.number
        return numbers, run.top if resource >= run.top else run.target


_AT_WORK = (Phase.RUNNING, Phase.PAUSING)
_UNREADABLE = Decision(Action.CONTINUE, Reason("the resource is no finite number"))
