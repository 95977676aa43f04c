"""Short words for telling a synchronous scheduler what happens."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from cloudtune.schedulers.base import Action, Decision, Resume, Start, TrialScheduler
from cloudtune.trial import Trial

NOW = datetime.fromtimestamp(0, timezone.utc)


class SyncBench:
    """``told``: the limits that the latest attempts were told, by trial."""

    def __init__(self, scheduler: TrialScheduler) -> None:
        self.scheduler = scheduler
        self.trials: list[Trial] = []
        self.told: dict[int, Any] = {}

    def go(self) -> str:
        """What a free worker does: "new 3", "resume 1", or what it is told instead."""
        suggestion = self.scheduler.suggest(len(self.trials))
        if isinstance(suggestion, Start):
            trial = Trial(len(self.trials), suggestion.config, NOW, suggestion.carried)
            self.trials.append(trial)
            self.scheduler.on_trial_add(trial)
        elif isinstance(suggestion, Resume):
            trial = self.trials[suggestion.trial_id]
            trial = self.trials[trial.trial_id] = replace(trial, config=suggestion.config or trial.config)
            self.scheduler.on_trial_resume(trial)
        else:
            return str(suggestion)
        self.told[trial.trial_id] = trial.config.get("epochs")
        return f"{'new' if isinstance(suggestion, Start) else 'resume'} {trial.trial_id}"

    def start(self, count: int) -> None:
        for _ in range(count):
            assert self.go() == f"new {len(self.trials) - 1}"

    def report(self, trial_id: int, epoch: Any, loss: Any, its_job_ends: bool = True) -> Decision:
        """A trial that is stopped or paused by it has ended at once, unless told otherwise."""
        decision = self.scheduler.on_trial_result(self.trials[trial_id], {"loss": loss, "epoch": epoch})
        if decision.action is not Action.CONTINUE and its_job_ends:
            self.ends(trial_id)
        return decision

    def run(self, epoch: int, *losses: Any) -> None:
        """New trials at once, each reporting once; they all pause."""
        first = len(self.trials)
        self.start(len(losses))
        for trial_id, loss in enumerate(losses, first):
            assert self.report(trial_id, epoch, loss) == Action.PAUSE

    def late(self, trial_id: int, epoch: int, loss: float) -> None:
        self.scheduler.on_late_result(self.trials[trial_id], {"loss": loss, "epoch": epoch})

    def ends(self, trial_id: int) -> None:
        self.scheduler.on_trial_remove(self.trials[trial_id])

    def fails(self, trial_id: int) -> None:
        self.scheduler.on_trial_error(self.trials[trial_id])

    def completes(self, trial_id: int, epoch: int, loss: float) -> None:
        self.scheduler.on_trial_complete(self.trials[trial_id], {"loss": loss, "epoch": epoch})

    def removable(self) -> list[int]:
        return list(self.scheduler.trials_checkpoints_can_be_removed())
