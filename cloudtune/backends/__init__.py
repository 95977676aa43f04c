"""The contract between the tuner and whatever runs trials, and the implementations on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloudtune.backends.base import Capabilities, Experiment, TrialBackend

if TYPE_CHECKING:
    from cloudtune.backends.local import LocalBackend
    from cloudtune.backends.python import PythonBackend
    from cloudtune.backends.simulator import SimulatorBackend, SimulatorConfig

__all__ = [
    "LocalBackend",
    "PythonBackend",
    "SimulatorBackend",
    "SimulatorConfig",
    "TrialBackend",
    "Capabilities",
    "Experiment",
]

_HOMES = {
    "LocalBackend": "cloudtune.backends.local",
    "PythonBackend": "cloudtune.backends.python",
    "SimulatorBackend": "cloudtune.backends.simulator",
    "SimulatorConfig": "cloudtune.backends.simulator",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'cloudtune.backends' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
