"""What executes a training job: the seam between its state machine and the world."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from cloudtune.sandbox.training.job import Job


class Executor(Protocol):
    """Carries jobs through their lives. Real ones run processes, synthetic ones are functions of time."""

    def launch(self, job: Job, warm: bool) -> None:
        """Take on a job that was just created; ``warm``: on a pool's instances. Returns at once."""

    def stop(self, job: Job) -> None:
        """Somebody asked for the end of ``job``, which is ``Stopping`` already. Returns at once."""

    def catch_up(self) -> None:
        """Bring every job to the present; called before each answer."""

    def close(self) -> None:
        """End everything now and leave nothing running."""


class Artifacts(Protocol):
    """What a container left in S3."""

    @property
    def model_uri(self) -> str | None: ...
    @property
    def output_uri(self) -> str | None: ...


class Container(Protocol):
    """One job's container, see ``cloudtune.sandbox.container``."""

    def download(self) -> None: ...
    def start(self) -> None: ...
    def wait(self, timeout_seconds: float | None = None) -> int | None: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...
    def failure_reason(self) -> str | None: ...
    def upload(self) -> Artifacts: ...
    def cleanup(self) -> None: ...


ContainerFactory = Callable[[Job, Path, Callable[[str], None]], Container]
"""Makes the container of a job below a private directory; the callable gets each line it prints."""
