"""The Python that stands for a job's image."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from cloudtune.sandbox.container.inside import BOOT
from cloudtune.sandbox.container.isolation import HERE
from cloudtune.sandbox.container.spec import ContainerError


def facts(interpreter: str) -> dict[str, Any]:
    """What :func:`inside.venv.derive` has to know about ``interpreter``; asked once per interpreter.

    Raises ContainerError if there is none, or it can't run.
    """
    path = shutil.which(interpreter)
    if path is None:
        raise ContainerError(f"the interpreter {interpreter!r} of this job's image is no executable file here")
    return _facts(path, Path(path).stat().st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _facts(path: str, _changed: int) -> dict[str, Any]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    try:
        asked = subprocess.run([path, "-c", BOOT, HERE, "venv"], capture_output=True, text=True, check=True, env=clean)
        found: dict[str, Any] = json.loads(asked.stdout)
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        raise ContainerError(f"the interpreter {path!r} of this job's image doesn't run: {error}") from error
    if tuple(found["version"]) < (3, 8):
        version = ".".join(str(part) for part in found["version"])
        raise ContainerError(
            f"the interpreter {path!r} of this job's image is Python {version}: 3.8 or later is needed"
        )
    return found
