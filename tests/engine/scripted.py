"""A scheduler that does what its test says, and remembers what it was told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cloudtune.schedulers.base import (
    NOT_NOW,
    Action,
    Decision,
    NotNow,
    Reason,
    Resume,
    Start,
    Suggestion,
    TrialScheduler,
)
from cloudtune.trial import AttemptId, AttemptStatus, Metrics, Report, StatusChange, Trial


class Scripted(TrialScheduler):
    """Starts ``{"x": trial_id}`` up to ``size`` trials; decides by the metric ``say`` of a report, if it has one."""

    def __init__(
        self, size: int = 10**9, resource_attr: str | None = None, max_resource_attr: str | None = None
    ) -> None:
        super().__init__({})
        self.size = size
        self.told: list[tuple[str, int]] = []
        self.resumable: list[tuple[int, Mapping[str, Any] | None]] = []
        self.wait = False
        self._resource_attr = resource_attr
        self._max_resource_attr = max_resource_attr

    def suggest(self, trial_id: int) -> Suggestion | NotNow | None:
        if self.wait:
            return NOT_NOW
        if self.resumable:
            trial_id, config = self.resumable[0]
            return Resume(trial_id, config, Reason("is told to", {"trial": trial_id}, 1.0))
        return Start({"x": trial_id}) if trial_id < self.size else None

    def on_trial_result(self, trial: Trial, result: Metrics) -> Decision:
        self.told.append(("result", trial.trial_id))
        return Decision(Action(result.get("say", "CONTINUE")), Reason("said so", {"loss": result["loss"]}, 1.0))

    def on_late_result(self, trial: Trial, result: Metrics) -> None:
        self.told.append(("late", trial.trial_id))

    def on_trial_add(self, trial: Trial) -> None:
        self.told.append(("add", trial.trial_id))

    def on_trial_resume(self, trial: Trial) -> None:
        self.told.append(("resume", trial.trial_id))
        self.resumable.pop(0)

    def on_trial_complete(self, trial: Trial, result: Metrics) -> None:
        self.told.append(("complete", trial.trial_id))

    def on_trial_error(self, trial: Trial) -> None:
        self.told.append(("error", trial.trial_id))

    def on_trial_remove(self, trial: Trial) -> None:
        self.told.append(("remove", trial.trial_id))

    def metric_names(self) -> Sequence[str]:
        return ["loss"]

    @property
    def resource_attr(self) -> str | None:
        return self._resource_attr

    @property
    def max_resource_attr(self) -> str | None:
        return self._max_resource_attr


def report(trial_id: int, key: str, number: int = 0, at: float = 5.0, **metrics: Any) -> Report:
    return Report(AttemptId(trial_id, number), key, {"loss": 1.0, **metrics}, at - 1, at)


def change(trial_id: int, status: AttemptStatus, number: int = 0, at: float = 5.0, **rest: Any) -> StatusChange:
    return StatusChange(AttemptId(trial_id, number), status, at, **rest)
