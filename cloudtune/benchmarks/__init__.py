"""Tabulated, fitted and computed blackboxes, and their place in the simulator.

Nothing is loaded before it is used: pandas, scikit-learn and pyarrow are not needed by all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cloudtune.backends.simulator import SimulatorBackend, SimulatorConfig
    from cloudtune.benchmarks.backends import BlackboxRepositoryBackend, UserBlackboxBackend
    from cloudtune.benchmarks.blackbox import Blackbox, from_function
    from cloudtune.benchmarks.experiment import ELAPSED, ExperimentBlackbox, blackbox_from_experiment
    from cloudtune.benchmarks.files import deserialize, serialize
    from cloudtune.benchmarks.repository import (
        blackbox_list,
        blackbox_local_path,
        load_blackbox,
        save_blackbox,
        upload_blackbox,
    )
    from cloudtune.benchmarks.simulated import metrics_for_configuration
    from cloudtune.benchmarks.surrogate import BlackboxSurrogate, add_surrogate, make_surrogate
    from cloudtune.benchmarks.tabular import BlackboxTabular, tabulated
    from cloudtune.benchmarks.wrappers import joined, restricted, with_noise

__all__ = [
    # in simulated time
    "BlackboxRepositoryBackend",
    "UserBlackboxBackend",
    "SimulatorBackend",
    "SimulatorConfig",
    # blackboxes
    "Blackbox",
    "BlackboxTabular",
    "BlackboxSurrogate",
    "ExperimentBlackbox",
    "blackbox_from_experiment",
    "ELAPSED",
    "from_function",
    "tabulated",
    "add_surrogate",
    "make_surrogate",
    "with_noise",
    "restricted",
    "joined",
    "metrics_for_configuration",
    # by name, and on disk
    "load_blackbox",
    "blackbox_list",
    "blackbox_local_path",
    "save_blackbox",
    "upload_blackbox",
    "serialize",
    "deserialize",
]

_HOMES = {
    "SimulatorBackend": "cloudtune.backends.simulator",
    "SimulatorConfig": "cloudtune.backends.simulator",
    "BlackboxRepositoryBackend": "cloudtune.benchmarks.backends",
    "UserBlackboxBackend": "cloudtune.benchmarks.backends",
    "Blackbox": "cloudtune.benchmarks.blackbox",
    "from_function": "cloudtune.benchmarks.blackbox",
    "BlackboxTabular": "cloudtune.benchmarks.tabular",
    "tabulated": "cloudtune.benchmarks.tabular",
    "BlackboxSurrogate": "cloudtune.benchmarks.surrogate",
    "add_surrogate": "cloudtune.benchmarks.surrogate",
    "make_surrogate": "cloudtune.benchmarks.surrogate",
    "ExperimentBlackbox": "cloudtune.benchmarks.experiment",
    "blackbox_from_experiment": "cloudtune.benchmarks.experiment",
    "ELAPSED": "cloudtune.benchmarks.experiment",
    "with_noise": "cloudtune.benchmarks.wrappers",
    "restricted": "cloudtune.benchmarks.wrappers",
    "joined": "cloudtune.benchmarks.wrappers",
    "metrics_for_configuration": "cloudtune.benchmarks.simulated",
    "load_blackbox": "cloudtune.benchmarks.repository",
    "blackbox_list": "cloudtune.benchmarks.repository",
    "blackbox_local_path": "cloudtune.benchmarks.repository",
    "save_blackbox": "cloudtune.benchmarks.repository",
    "upload_blackbox": "cloudtune.benchmarks.repository",
    "serialize": "cloudtune.benchmarks.files",
    "deserialize": "cloudtune.benchmarks.files",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'cloudtune.benchmarks' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
