"""What several tests of local backends need."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

from cloudtune.backends import Experiment, TrialBackend
from cloudtune.backends.supervise import identity
from cloudtune.clock import SystemClock
from cloudtune.testing.backend_contract import Watch

PATIENCE = 120.0
INTERVAL = 0.02


def write_script(folder: Path, source: str, name: str = "train.py") -> Path:
    path = folder / name
    path.write_text(textwrap.dedent(source))
    return path


def opened(backend: TrialBackend, place: Path, n_workers: int = 4) -> Watch:
    clock = SystemClock()
    backend.open(Experiment("local", place / "experiment", n_workers=n_workers), clock)
    return Watch(backend, clock, PATIENCE, INTERVAL)


def wait_until(predicate: Callable[[], bool], what: str) -> None:
    clock = SystemClock()
    deadline = clock.now() + PATIENCE
    while not predicate():
        assert clock.now() < deadline, f"not within {PATIENCE} s: {what}"
        clock.sleep(INTERVAL)


def is_running(pid: int) -> bool:
    return identity(pid) is not None


def numbers_in(path: Path) -> Iterator[int]:
    """Process numbers that scripts wrote to a file, one per line."""
    yield from map(int, path.read_text().split())
