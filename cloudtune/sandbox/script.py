"""Scripts of synthetic jobs: functions of a ``Run`` that yield timed steps.

::

    def script(run: Run) -> Iterator[Step]:
        for epoch in range(1, 10):
            yield Line(f"loss={1 / epoch}", after=60.0)
            yield Save({"model.bin": b"…"})

It may return a list as well. Its end is exit code 0, an exception a crash with code 1. Whoever stops the job throws
``Terminated`` at the step that is under way; a script that doesn't catch it ends there, as by an unhandled SIGTERM.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias


@dataclass(frozen=True)
class Run:
    """One run of a job's script: what it is given. ``began`` in seconds since the epoch."""

    job_name: str
    hyperparameters: Mapping[str, str]
    environment: Mapping[str, str]
    request: Mapping[str, Any]
    began: float
    restarts: int = 0
    """How often the job was interrupted before."""
    checkpoint: Mapping[str, bytes] = field(default_factory=dict)
    """What lies below ``CheckpointConfig.S3Uri`` now, by relative name."""


@dataclass(frozen=True)
class Line:
    """``after`` seconds of work, then a printed line; a function makes it of the moment of printing (seconds since the
    epoch)."""

    text: str | Callable[[float], str]
    after: float = 0.0


@dataclass(frozen=True)
class Save:
    """``after`` seconds of work, then files in ``/opt/ml/checkpoints``; None deletes one. They reach S3 at the next
    turn of ``Delays.checkpoint_sync``, and at the script's end."""

    files: Mapping[str, bytes | None]
    after: float = 0.0


@dataclass(frozen=True)
class Exit:
    """``after`` seconds of work, then the end. ``failure``: what the script leaves in its failure file."""

    code: int = 0
    after: float = 0.0
    failure: str | None = None


Step: TypeAlias = Line | Save | Exit
Script: TypeAlias = Callable[[Run], Iterable[Step]]


class Terminated(Exception):  # noqa: N818 - it is no error, as a signal is none
    """The script is asked to end, and has ``Delays.stop_grace`` seconds to. ``remaining``: seconds of work that the
    step it interrupts still needed; the step itself is not done."""

    def __init__(self, step: Step, remaining: float) -> None:
        super().__init__("SIGTERM")
        self.step = step
        self.remaining = remaining
