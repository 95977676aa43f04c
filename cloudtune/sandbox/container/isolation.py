"""What this machine allows: how private a job's view of it can be."""

from __future__ import annotations

import functools
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from enum import Enum
from pathlib import Path

from cloudtune.sandbox.container.inside import BOOT
from cloudtune.sandbox.container.layout import OPT_ML

HERE = str(Path(__file__).parent)


class Isolation(Enum):
    """``FULL``: mounts and processes of its own; ``MOUNTS``: a private ``/opt/ml`` only; ``NONE``: a base directory."""

    FULL = "full"
    MOUNTS = "mounts"
    NONE = "none"


def keeper_command(*arguments: str) -> list[str]:
    """Starts the keeper, in a plain interpreter that takes nothing from the environment."""
    return [sys.executable, "-I", "-S", "-c", BOOT, HERE, "keeper", *arguments]


@functools.cache
def available() -> Isolation:
    """What jobs can have here; tried once."""
    if not sys.platform.startswith("linux"):
        return Isolation.NONE
    with tempfile.TemporaryDirectory() as directory:
        tried = subprocess.run(keeper_command("probe", directory), capture_output=True, check=False)
    return {0: Isolation.FULL, 3: Isolation.MOUNTS}.get(tried.returncode, Isolation.NONE)


def for_paths(paths: Iterable[str]) -> Isolation:
    """What a job can have that needs the host's ``paths``: a private ``/opt/ml`` must not hide any of them."""
    return available() if hidden_by(OPT_ML, paths) is None else Isolation.NONE


def hidden_by(directory: str, paths: Iterable[str]) -> str | None:
    """The first of ``paths`` that lies in ``directory``."""
    return next((path for path in paths if Path(path).is_relative_to(directory)), None)
