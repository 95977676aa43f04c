"""Any scheduler, told what happens in short words."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any, Generic, TypeVar

from cloudtune.schedulers import Action, Decision, Resume, Start, TrialScheduler
from cloudtune.trial import Trial

NOW = datetime.fromtimestamp(0, timezone.utc)

Scheduler = TypeVar("Scheduler", bound=TrialScheduler)


class Told(Generic[Scheduler]):
    def __init__(self, scheduler: Scheduler, metric: str = "loss", resource_attr: str = "epoch") -> None:
        self.scheduler = scheduler
        self.trials: list[Trial] = []
        self.starts: list[Start] = []
        self._metric, self._resource_attr = metric, resource_attr

    def start(self, count: int = 1) -> int:
        """So many new trials; the number of the last."""
        for _ in range(count):
            suggestion = self.scheduler.suggest(len(self.trials))
            assert isinstance(suggestion, Start)
            self.launch(suggestion)
        return self.trials[-1].trial_id

    def launch(self, suggestion: Start) -> None:
        self.starts.append(suggestion)
        self.trials.append(Trial(len(self.trials), suggestion.config, NOW, suggestion.carried))
        self.scheduler.on_trial_add(self.trials[-1])

    def resume(self) -> int | None:
        """The trial that is resumed; None if a new one would be started, or nothing."""
        suggestion = self.scheduler.suggest(len(self.trials))
        if not isinstance(suggestion, Resume):
            return None
        config = suggestion.config or self.trials[suggestion.trial_id].config
        self.trials[suggestion.trial_id] = Trial(suggestion.trial_id, config, NOW)
        self.scheduler.on_trial_resume(self.trials[suggestion.trial_id])
        return suggestion.trial_id

    def report(self, trial_id: int, resource: Any, value: Any, its_job_ends: bool = True) -> Decision:
        """If that stops or pauses the trial, its job has ended at once, unless told otherwise."""
        decision = self.scheduler.on_trial_result(self.trials[trial_id], self._result(resource, value))
        if decision.action is not Action.CONTINUE and its_job_ends:
            self.scheduler.on_trial_remove(self.trials[trial_id])
        return decision

    def reports(self, trial_id: int, *values: Any) -> list[Action]:
        """At 1, 2, 3, … units of work."""
        return [self.report(trial_id, resource, value).action for resource, value in enumerate(values, 1)]

    def late(self, trial_id: int, resource: Any, value: Any) -> None:
        self.scheduler.on_late_result(self.trials[trial_id], self._result(resource, value))

    def ends(self, trial_id: int, resource: Any, value: Any) -> None:
        self.scheduler.on_trial_complete(self.trials[trial_id], self._result(resource, value))

    def _result(self, resource: Any, value: Any) -> dict[str, Any]:
        return {self._metric: value, self._resource_attr: resource}
