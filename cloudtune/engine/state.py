"""What is known of trials and attempts: the part of the engine's state that is plain bookkeeping."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any

from cloudtune.records import record
from cloudtune.schedulers.base import Action
from cloudtune.trial import Attempt, AttemptId, AttemptStatus, Cause, Config, Metrics, Status, Trial

SECONDS_PER_HOUR = 3600.0


@dataclass(slots=True)
class AttemptState:
    """One attempt. Times are seconds since the epoch, ``None`` until known."""

    attempt: Attempt
    status: AttemptStatus = AttemptStatus.PENDING
    reason: str = ""
    cause: Cause = Cause.NONE
    name: str | None = None
    dollars_per_hour: float | None = None
    dollars: float | None = None
    held: str = ""
    warning: str = ""
    """Why somebody should look at it."""
    running_since: float | None = None
    ended_at: float | None = None
    stop_wanted: bool = False
    from_scratch: bool = False
    """The checkpoint it could have gone on from was deleted."""
    interruptions: int = 0
    started_again_at: float | None = None
    """When it began to go on from a checkpoint, as long as no report says where."""
    report_keys: set[str] = field(default_factory=set)

    @property
    def id(self) -> AttemptId:
        return self.attempt.id

    @property
    def launched(self) -> bool:
        return self.name is not None

    def cost(self, now: float, reported: float | None) -> float:
        """Dollars so far: the bill where there is one, else what the script says, else price times time."""
        if self.dollars is not None:
            return self.dollars
        if reported is not None:
            return reported
        if self.dollars_per_hour is None or self.running_since is None:
            return 0.0
        return self.dollars_per_hour * ((self.ended_at or now) - self.running_since) / SECONDS_PER_HOUR

    def seconds(self, now: float) -> float:
        return 0.0 if self.running_since is None else (self.ended_at or now) - self.running_since


@dataclass(slots=True)
class TrialState:
    """One trial with its attempts, oldest first."""

    trial: Trial
    attempts: list[AttemptState] = field(default_factory=list)
    status: Status = Status.in_progress
    reason: str = ""
    decided: Action = Action.CONTINUE
    last_result: Metrics | None = None
    """The last report that the scheduler decided on."""
    late_result: Metrics | None = None
    """The last report that came after the present attempt's fate was decided."""
    first_resource: float = math.inf
    """The lowest resource reported."""
    furthest: float = -math.inf
    """The highest resource that the scheduler has heard of."""
    counters: dict[str, tuple[int, int]] | None = None
    """Metrics that have grown from report to report, first and last value: where no resource tells how far it is."""
    most_reports: int = 0
    """Of one attempt."""
    capacity_losses: int = 0
    service_failures: int = 0
    """Attempts lost since the last report that was not a repetition."""
    retries: int = 0
    """Attempts that were made because the script had failed."""
    checkpoint_deleted: bool = False
    began_from: int | None = None
    """The trial from whose checkpoint it started."""
    reported_dollars: float | None = None

    @property
    def current(self) -> AttemptState:
        return self.attempts[-1]

    def cost(self, now: float) -> float:
        """Dollars over all attempts so far."""
        earlier = sum(attempt.cost(now, None) for attempt in self.attempts[:-1])
        return earlier + self.current.cost(now, self.reported_dollars)

    def reconfigured(self, config: Config) -> None:
        self.trial = replace(self.trial, config=config)


@record
class ResultRow:
    """One report with what became of it: a row of the results table."""

    trial_id: int
    attempt: int
    metrics: Metrics
    decision: Action
    late: bool
    """It came after the trial's fate was decided."""
    repeated: bool
    """An attempt that went on from a checkpoint did this work once more: it counts for nothing."""
    emitted_at: float
    seen_at: float
    tuner_time: float

    def decided(self, action: Action) -> ResultRow:
        """The same row, with this decision."""
        # ``replace`` takes five times as long
        return ResultRow(
            self.trial_id,
            self.attempt,
            self.metrics,
            action,
            self.late,
            self.repeated,
            self.emitted_at,
            self.seen_at,
            self.tuner_time,
        )


def new_trial(trial_id: int, config: Config, at: float, carried: Mapping[str, Any] | None = None) -> TrialState:
    return TrialState(Trial(trial_id, config, datetime.fromtimestamp(at, timezone.utc), carried))
