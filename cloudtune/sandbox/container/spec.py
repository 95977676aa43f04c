"""What a container is made from, and what it leaves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class ContainerError(Exception):
    """The job can't be set up or brought home; ``str(error)`` is the reason, fit for ``ClientError: {reason}``."""

    @property
    def reason(self) -> str:
        return str(self)


@dataclass(frozen=True)
class ContainerSpec:
    """One training job, ready to be run.

    ``request`` is the validated ``CreateTrainingJob`` request. ``directory`` is private to the job, everything the
    container makes on the host lies below it. ``cache_directory`` is shared by all jobs of a sandbox.
    ``environment`` holds what a job needs to be a client itself: credentials, region, endpoint. ``interpreter`` is the
    Python that stands for the job's image; ``image_command`` is what the image would run by itself, if anything.
    Times are in seconds.
    """

    job_name: str
    job_arn: str
    region: str
    account_id: str
    request: Mapping[str, Any]
    directory: Path
    cache_directory: Path
    endpoint_url: str
    environment: Mapping[str, str]
    interpreter: str
    stop_grace_seconds: float = 120.0
    checkpoint_sync_seconds: float = 5.0
    image_command: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.stop_grace_seconds < 0:
            raise ValueError(f"stop_grace_seconds is {self.stop_grace_seconds}: must be 0 or more")
        if self.checkpoint_sync_seconds <= 0:
            raise ValueError(f"checkpoint_sync_seconds is {self.checkpoint_sync_seconds}: must be more than 0")


@dataclass(frozen=True)
class Artifacts:
    """Where a job's results lie; ``None`` where it left none."""

    model_uri: str | None
    output_uri: str | None
