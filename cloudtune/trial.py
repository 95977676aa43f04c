"""The values that every room shares: trials, attempts, reports, statuses.

A *trial* is one configuration being evaluated. An *attempt* is one run of its training job: the first launch, a
resume after a pause, a relaunch after an interruption. A *report* is what a training script says once.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any, Literal, NamedTuple, TypeAlias

from cloudtune.records import record

LARGEST = sys.float_info.max
"""Numbers from -LARGEST to LARGEST are finite: not NaN, no infinity, no integer that is too large for a float."""

Config: TypeAlias = Mapping[str, Any]
"""One JSON value per name of the configuration space."""

Metrics: TypeAlias = Mapping[str, Any]
"""What one report carries: JSON values by metric name, NaN and infinities included."""

Mode: TypeAlias = Literal["min", "max"]


class Status(str, Enum):
    """Status of a trial, in the words of result tables."""

    completed = "Completed"
    in_progress = "InProgress"
    failed = "Failed"
    paused = "Paused"
    stopped = "Stopped"
    stopping = "Stopping"

    def __str__(self) -> str:
        return self.value


class AttemptStatus(str, Enum):
    """Status of an attempt, as a backend sees it. The last three are final."""

    PENDING = "Pending"
    """Asked for, not yet running: the machine starts, or waits for room."""
    RUNNING = "Running"
    STOPPING = "Stopping"
    """Asked to stop; still occupies its worker."""
    DRAINING = "Draining"
    """The worker is free; its last reports are still being read."""
    COMPLETED = "Completed"
    FAILED = "Failed"
    STOPPED = "Stopped"

    is_final: bool
    is_busy: bool
    """Whether the attempt occupies a worker."""

    def __init__(self, value: str) -> None:
        # asked for with every report: properties cost ten times as much
        self.is_final = value in ("Completed", "Failed", "Stopped")
        self.is_busy = value in ("Pending", "Running", "Stopping")


class Cause(str, Enum):
    """Why an attempt ended other than by its script's success or by our own stop: what follows depends on it."""

    NONE = ""
    SCRIPT = "Script"
    """Its own code failed."""
    RUNTIME_LIMIT = "RuntimeLimit"
    """It ran longer than it was allowed to."""
    CAPACITY = "Capacity"
    """The cloud had no instance for it, or took it away for good. Never the trial's fault."""
    SERVICE = "Service"
    """The service failed. Never the trial's fault."""
    OUTSIDE = "Outside"
    """Somebody else stopped or deleted it."""
    MISMATCH = "Mismatch"
    """It is not what was asked for, and was stopped for that: every further attempt would be the same."""


@record
class Trial:
    """One configuration being evaluated; ``trial_id`` counts from 0 in the order of launch."""

    trial_id: int
    config: Config
    creation_time: datetime
    carried: Mapping[str, Any] | None = None
    """What a searcher's model carries from this proposal to the next: JSON, journaled with the launch."""


class AttemptId(NamedTuple):
    """The ``number``-th run (from 0) of trial ``trial_id``."""

    trial_id: int
    number: int

    def __str__(self) -> str:
        return f"{self.trial_id}-{self.number}"


@dataclass(frozen=True)
class Attempt:
    """What a backend is asked to run. ``config`` is complete: constants included."""

    id: AttemptId
    config: Config


@dataclass(frozen=True)
class Launch:
    """What a backend answers: the name of what runs, and its price where it has one."""

    name: str
    dollars_per_hour: float | None = None


@record
class Report:
    """One report of one attempt.

    ``key`` is unique within the attempt and the same however often the report is read: reports are counted once
    by (attempt, key). ``emitted_at`` is the script's time, ``seen_at`` the tuner's (seconds since the epoch).
    """

    attempt: AttemptId
    key: str
    metrics: Metrics
    emitted_at: float
    seen_at: float


@record
class StatusChange:
    """An attempt's status is now ``status``. ``dollars`` is the attempt's bill where the backend knows it."""

    attempt: AttemptId
    status: AttemptStatus
    at: float
    reason: str = ""
    dollars: float | None = None
    cause: Cause = Cause.NONE


@dataclass(frozen=True)
class Interruption:
    """The cloud took an attempt's machine away and starts the same attempt again by itself, from its checkpoint.

    ``number`` counts an attempt's interruptions from 1: each is counted once, however often it is seen.
    """

    attempt: AttemptId
    number: int
    at: float
    reason: str = ""


Observation: TypeAlias = Report | StatusChange | Interruption
