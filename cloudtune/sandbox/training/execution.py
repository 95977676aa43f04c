"""What executes a training job: the seam between its state machine and the world."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from cloudtune.sandbox.training.job import Job


class Executor(Protocol):
    """Carries jobs through their lives. Real ones run processes, synthetic ones are functions of time."""

    def launch(self, job: Job, warm: bool) -> None:
        """Take on a job that was just created; ``warm``: on a pool's instances. Returns at once."""

    def stop(self, job: Job) -> None:
        """Somebody asked for the end of ``job``, which is ``Stopping`` already. Returns at once."""

    def interrupt(self, job: Job) -> None:
        """The instances of a spot job are taken away now, without a word to its script: the job is ``Interrupted``,
        and starts again from what its checkpoint holds in S3. Nothing happens to a job that has none at the moment.
        """

    def fail(self, job: Job, reason: str) -> None:
        """The service loses ``job`` now: its script is killed, nothing is uploaded, ``reason`` is its failure."""

    def catch_up(self) -> None:
        """Bring every job to the present; called before each answer."""

    def end_all(self) -> None:
        """End everything now; new jobs may be launched afterwards."""

    def close(self) -> None:
        """End everything now and leave nothing running."""


def _nobody_counts() -> None:
    pass


@dataclass(frozen=True)
class Mishap:
    """What befalls a run from outside, ``after`` seconds of training.

    ``reason``: the job's ``FailureReason``; None for a spot job: it is interrupted and starts again, ``pause`` seconds
    later (there are no instances meanwhile). ``grace``: seconds that a process has from SIGTERM to SIGKILL when it is
    interrupted, at most those of a stop. ``struck`` is called when it happens.
    """

    after: float
    reason: str | None = None
    pause: float = 0.0
    grace: float = 0.0
    struck: Callable[[], None] = field(default=_nobody_counts, compare=False)


Mishaps = Callable[[Job, int], "Mishap | None"]
"""Asked each time a job's script begins, with how often it was restarted before: what will befall this run, if
anything. Executors see to it that it does, at its moment."""


@dataclass(frozen=True)
class Shortage:
    """There are no instances, for ``seconds``; then the job fails with ``reason``, or with None, gets them at last."""

    seconds: float
    reason: str | None = None


Shortages = Callable[[Job, int, float], "Shortage | None"]
"""Asked each time a job looks for instances that it doesn't take over: with how often it was restarted before, and the
moment in seconds since the epoch."""


def no_mishaps(job: Job, restarts: int) -> Mishap | None:
    """The world as it should be."""
    return None


def no_shortages(job: Job, restarts: int, at: float) -> Shortage | None:
    """Instances for everybody."""
    return None


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
