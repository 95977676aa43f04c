"""Interpreters older than ours, for what travels into other people's images."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import lru_cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "cloudtune"
TRAVELS = ("__init__.py", "version.py", "report.py", "checkpointing.py", "constants.py")
OLD_VERSIONS = ("3.8", "3.9")


def copy_what_travels(folder: Path) -> Path:
    """Lay ``cloudtune`` below ``folder`` as a trial's container has it; returns ``folder``."""
    target = folder / "cloudtune"
    target.mkdir(parents=True)
    for name in TRAVELS:
        shutil.copy(PACKAGE / name, target / name)
    return folder


@lru_cache
def interpreter(version: str) -> str:
    """An interpreter of this version; skips the test where there is none."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    candidates = [shutil.which(f"python{version}"), *sorted(map(str, root.glob(f"versions/{version}.*/bin/python")))]
    for candidate in filter(None, candidates):
        # a shim may be there without what it stands for
        answer = subprocess.run([candidate, "--version"], capture_output=True, text=True, check=False)
        if answer.returncode == 0 and answer.stdout.startswith(f"Python {version}."):
            return candidate
    pytest.skip(f"no Python {version} on this machine")
