"""What is to be done in the world. Each is idempotent: doing it twice is doing it once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from cloudtune.trial import Attempt, AttemptId


@dataclass(frozen=True)
class LaunchAttempt:
    """Start ``attempt``, ``not_before`` some moment; first copy the checkpoint of another trial if one is named."""

    attempt: Attempt
    checkpoint_trial_id: int | None = None
    not_before: float = 0.0


@dataclass(frozen=True)
class StopAttempt:
    attempt: AttemptId


@dataclass(frozen=True)
class DeleteCheckpoint:
    trial_id: int


Intent: TypeAlias = LaunchAttempt | StopAttempt | DeleteCheckpoint
