"""A tuner without backend, journal and clock: for testing schedulers, and for replaying what they were told."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any

from cloudtune.schedulers.base import Action, Decision, NotNow, Resume, Start, Suggestion, TrialScheduler
from cloudtune.trial import Config, Metrics, Trial

Curve = Callable[[int, Config, int], float]
"""Objective of a trial (its number and configuration) after so many units of work."""


@dataclass(frozen=True)
class Call:
    """One method of a scheduler that changes its state, with its arguments."""

    method: str
    trial: Trial
    result: Metrics | None = None

    def on(self, scheduler: TrialScheduler) -> Decision | None:
        method = getattr(scheduler, self.method)
        answer = method(self.trial) if self.result is None else method(self.trial, self.result)
        return answer if isinstance(answer, Decision) else None


@dataclass
class Record:
    """What was asked and told, in order, and what the scheduler answered."""

    calls: list[Call] = field(default_factory=list)
    suggestions: list[Suggestion | NotNow | None] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)


@dataclass(frozen=True)
class Events:
    """Trials to which something happens; each once, at its report number ``at`` (counted over its attempts, from 1)."""

    fails: Mapping[int, int] = field(default_factory=dict)
    removed: Mapping[int, int] = field(default_factory=dict)
    ends_early: Mapping[int, int] = field(default_factory=dict)
    late: Mapping[int, int] = field(default_factory=dict)
    """Trial → units of work it still does and reports after being stopped or paused."""


class MiniTuner:
    """``n_workers`` workers take turns; each turn is one unit of work and its report.

    Scripts end at ``max_resource`` units or where ``config[max_resource_attr]`` tells them.
    """

    def __init__(
        self,
        scheduler: TrialScheduler,
        curve: Curve,
        *,
        max_resource: int = 9,
        n_workers: int = 3,
        events: Events | None = None,
    ) -> None:
        self.scheduler = scheduler
        self.record = Record()
        self.trials: list[Trial] = []
        self.work: list[int] = []
        """Units of work done, by trial."""
        self.best: dict[int, list[float]] = {}
        """Objectives reported, by trial."""
        self.exhausted = False
        self.units = 0
        self._curve = curve
        self._max_resource = max_resource
        self._n_workers = n_workers
        self._events = events or Events()
        self._running: deque[int] = deque()

    def run(self, max_trials: int, max_units: int = 1_000_000) -> Record:
        """Until ``max_trials`` were launched and all have ended, or until ``max_units`` of work are done."""
        self._fill(max_trials)
        while self._running and self.units < max_units:
            self._advance(self._running.popleft())
            self._fill(max_trials)
        return self.record

    def _fill(self, max_trials: int) -> None:
        while not self.exhausted and len(self._running) < self._n_workers and len(self.trials) < max_trials:
            suggestion = self.scheduler.suggest(len(self.trials))
            self.record.suggestions.append(suggestion)
            if suggestion is None:
                self.exhausted = True
            elif isinstance(suggestion, NotNow):
                return
            else:
                self._launch(suggestion)

    def _launch(self, suggestion: Suggestion) -> None:
        if isinstance(suggestion, Start):
            trial = Trial(len(self.trials), suggestion.config, _EPOCH, suggestion.carried)
            self.trials.append(trial)
            self.work.append(0)
            self.best[trial.trial_id] = []
            self._tell(Call("on_trial_add", trial))
        else:
            trial = self._reconfigured(suggestion)
            assert trial.trial_id not in self._running, "a running trial can't be resumed"
            self._tell(Call("on_trial_resume", trial))
        self._running.append(trial.trial_id)

    def _reconfigured(self, suggestion: Resume) -> Trial:
        trial = self.trials[suggestion.trial_id]
        if suggestion.config is not None:
            trial = self.trials[suggestion.trial_id] = replace(trial, config=suggestion.config)
        return trial

    def _advance(self, trial_id: int) -> None:
        trial = self.trials[trial_id]
        result = self._work_once(trial)
        if self._events.fails.get(trial_id) == self.work[trial_id]:
            self._tell(Call("on_trial_error", trial))
            return
        decision = self._tell(Call("on_trial_result", trial, result))
        assert decision is not None
        self.record.decisions.append(decision)
        self.record.actions.append(decision.action)
        if decision.action is not Action.CONTINUE:
            for _ in range(self._events.late.get(trial_id, 0)):
                if self.work[trial_id] < self._max_resource:
                    self._tell(Call("on_late_result", trial, self._work_once(trial)))
            self._tell(Call("on_trial_remove", trial))
        elif self._events.removed.get(trial_id) == self.work[trial_id]:
            self._tell(Call("on_trial_remove", trial))
        elif self.work[trial_id] >= self._end_of(trial):
            self._tell(Call("on_trial_complete", trial, result))
        else:
            self._running.append(trial_id)

    def _end_of(self, trial: Trial) -> int:
        name = self.scheduler.max_resource_attr
        told = self._max_resource if name is None else int(trial.config[name])
        return min(told, self._max_resource, self._events.ends_early.get(trial.trial_id, told))

    def _work_once(self, trial: Trial) -> Metrics:
        self.units += 1
        self.work[trial.trial_id] += 1
        value = self._curve(trial.trial_id, trial.config, self.work[trial.trial_id])
        self.best[trial.trial_id].append(value)
        result: dict[str, Any] = dict.fromkeys(self.scheduler.metric_names(), value)
        if self.scheduler.resource_attr is not None:
            result[self.scheduler.resource_attr] = self.work[trial.trial_id]
        return result

    def _tell(self, call: Call) -> Decision | None:
        self.record.calls.append(call)
        return call.on(self.scheduler)


def replay(calls: Sequence[Call], scheduler: TrialScheduler) -> list[Decision]:
    """Tell a fresh scheduler what another was told; what it decided."""
    decisions = [call.on(scheduler) for call in calls]
    return [decision for decision in decisions if decision is not None]


_EPOCH = datetime.fromtimestamp(0, timezone.utc)
