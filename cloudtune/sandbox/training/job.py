"""One training job and its life: a state machine that is told what happens and when, and reads no clock itself.

Processes drive it as they run; a synthetic job can be driven by a function of time. Times are seconds since the epoch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

STARTING, DOWNLOADING, TRAINING, UPLOADING = "Starting", "Downloading", "Training", "Uploading"
INTERRUPTED = "Interrupted"
STOPPING, STOPPED, COMPLETED, FAILED = "Stopping", "Stopped", "Completed", "Failed"
MAX_RUNTIME_EXCEEDED, MAX_WAIT_EXCEEDED = "MaxRuntimeExceeded", "MaxWaitTimeExceeded"
IN_PROGRESS = "InProgress"
ENDS = frozenset({COMPLETED, FAILED, STOPPED, MAX_RUNTIME_EXCEEDED, MAX_WAIT_EXCEEDED})

MESSAGES = {
    STARTING: "Starting the training job",
    DOWNLOADING: "Downloading input data",
    TRAINING: "Training image download completed. Training in progress.",
    UPLOADING: "Uploading generated training model",
    INTERRUPTED: "Training job interrupted: its spot instances were taken away",
    STOPPING: "Stopping the training job",
    STOPPED: "Training job stopped",
    COMPLETED: "Training job completed",
    FAILED: "Training job failed",
    MAX_RUNTIME_EXCEEDED: "Training job runtime exceeded MaxRuntimeInSeconds provided",
    MAX_WAIT_EXCEEDED: "Training job wait time exceeded MaxWaitTimeInSeconds provided",
}


@dataclass
class Transition:
    """One secondary status and how long it lasted."""

    status: str
    start: float
    end: float | None
    message: str


@dataclass
class FinalMetric:
    """The last value a metric definition matched."""

    value: float
    time: float


@dataclass
class WarmPool:
    """The instances a job leaves behind: who has them and what they cost while idle."""

    status: str
    available_from: float | None = None
    ended: float | None = None
    reused_by: str | None = None
    counted: bool = False
    """Whether it has its place in the account's quota of pools."""
    chain_began: float = 0.0
    """When the first of the jobs that passed these instances on was created."""

    def retained_seconds(self, now: float) -> int:
        """How long the instances have been idle, in billable seconds of one instance."""
        if self.available_from is None:
            return 0
        return math.ceil(max(0.0, (now if self.ended is None else self.ended) - self.available_from))


@dataclass
class Job:
    """A training job: the request that made it, and everything that has happened to it since."""

    name: str
    arn: str
    request: Mapping[str, Any]
    created: float
    last_modified: float
    tags: dict[str, str] = field(default_factory=dict)
    status: str = IN_PROGRESS
    secondary: str = STARTING
    transitions: list[Transition] = field(default_factory=list)
    training_started: float | None = None
    training_ended: float | None = None
    runtime_exceeded: bool = False
    failure_reason: str | None = None
    model_uri: str | None = None
    metrics: dict[str, FinalMetric] = field(default_factory=dict)
    updates: dict[str, Any] = field(default_factory=dict)
    warm_pool: WarmPool | None = None
    revision: int = 0
    """Grows with every change that was saved."""

    @property
    def ended(self) -> bool:
        """Whether it is over for good."""
        return self.status in (COMPLETED, FAILED, STOPPED)

    @property
    def spot(self) -> bool:
        return bool(self.request.get("EnableManagedSpotTraining"))

    def seconds_on_instances(self) -> int | None:
        """Whole seconds that instances worked for it (each of them), None if it never got any."""
        if self.training_started is None or self.training_ended is None:
            return None
        return math.ceil(self.training_ended - self.training_started - self._seconds_between_instances())

    def _seconds_between_instances(self) -> float:
        """From each interruption to the next instances."""
        seconds, lost = 0.0, None
        for step in self.transitions:
            if step.status == INTERRUPTED:
                lost = step.start
            elif lost is not None and step.status != STARTING:
                seconds, lost = seconds + step.start - lost, None
        return seconds

    def enter(self, secondary: str, at: float, message: str | None = None) -> None:
        """Go on to ``secondary``, closing what was before. A job that has ended stays as it is."""
        if self.ended:
            raise ValueError(f"training job {self.name!r} has ended ({self.secondary}), it can't be {secondary}")
        if self.transitions:
            at = max(at, self.transitions[-1].start)
            self.transitions[-1].end = at
        text = MESSAGES[secondary] if message is None else message
        self.transitions.append(Transition(secondary, at, at if secondary in ENDS else None, text))
        self.secondary = secondary
        self.last_modified = at
        self._follow(secondary, at)

    def fail(self, reason: str, at: float) -> None:
        """End it as ``Failed``; the service keeps 1,024 characters of a reason."""
        self.failure_reason = reason[:1024]
        self.enter(FAILED, at)

    def _follow(self, secondary: str, at: float) -> None:
        if secondary == DOWNLOADING and self.training_started is None:
            self.training_started = at
        if secondary == STOPPING:
            self.status = STOPPING
        elif secondary in (MAX_RUNTIME_EXCEEDED, MAX_WAIT_EXCEEDED):
            self.status = STOPPED
        elif secondary in ENDS:
            self.status = secondary
        if self.ended and self.training_started is not None:
            self.training_ended = at


def failure_text(exit_code: int, failure: str | None) -> str:
    """The service's FailureReason: what the script left in its failure file, else where to look, and the exit code."""
    # a shell's view of a signal
    code = 128 - exit_code if exit_code < 0 else exit_code
    tail = f", exit code: {code}"
    cause = (failure or "").strip() or "See job logs for more information"
    return f"AlgorithmError: {cause}"[: 1024 - len(tail)] + tail
