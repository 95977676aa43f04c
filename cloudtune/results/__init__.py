"""Loading, tables and plots of finished and running experiments."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cloudtune.results.experiment import ExperimentResult
    from cloudtune.results.loading import load_experiment

__all__ = ["ExperimentResult", "load_experiment"]

_HOMES = {"ExperimentResult": "cloudtune.results.experiment", "load_experiment": "cloudtune.results.loading"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'cloudtune.results' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
