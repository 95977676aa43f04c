"""Short words for telling a scheduler what happens."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from cloudtune.schedulers import Action, Decision, HyperbandScheduler, Resume, Start
from cloudtune.trial import Trial

NOW = datetime.fromtimestamp(0, timezone.utc)


class Bench:
    """Tells a scheduler what happens, in short words."""

    def __init__(self, scheduler: HyperbandScheduler) -> None:
        self.scheduler = scheduler
        self.trials: list[Trial] = []

    def start(self) -> int:
        suggestion = self.scheduler.suggest(len(self.trials))
        assert isinstance(suggestion, Start)
        self.trials.append(Trial(len(self.trials), suggestion.config, NOW))
        self.scheduler.on_trial_add(self.trials[-1])
        return self.trials[-1].trial_id

    def resume(self) -> int | None:
        """The trial that is resumed, or None if a new one would be started (or nothing)."""
        suggestion = self.scheduler.suggest(len(self.trials))
        if not isinstance(suggestion, Resume):
            return None
        config = suggestion.config or self.trials[suggestion.trial_id].config
        self.trials[suggestion.trial_id] = Trial(suggestion.trial_id, config, NOW)
        self.scheduler.on_trial_resume(self.trials[suggestion.trial_id])
        return suggestion.trial_id

    def report(self, trial_id: int, epoch: Any, loss: Any, its_job_ends: bool = True) -> Decision:
        """A trial that is paused by it has ended at once, unless told otherwise."""
        decision = self.scheduler.on_trial_result(self.trials[trial_id], {"loss": loss, "epoch": epoch})
        if decision.action is Action.PAUSE and its_job_ends:
            self.scheduler.on_trial_remove(self.trials[trial_id])
        return decision

    def action(self, trial_id: int, epoch: Any, loss: Any) -> Action:
        return self.report(trial_id, epoch, loss).action

    def late(self, trial_id: int, epoch: int, loss: float) -> None:
        self.scheduler.on_late_result(self.trials[trial_id], {"loss": loss, "epoch": epoch})

    def run(self, epoch: int, *losses: float) -> list[Action]:
        """New trials at once, each reporting once."""
        started = [self.start() for _ in losses]
        return [self.action(trial_id, epoch, loss) for trial_id, loss in zip(started, losses, strict=True)]
