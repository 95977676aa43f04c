"""What may watch the tuner."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloudtune.callbacks.base import TunerCallback
from cloudtune.callbacks.checkpoint_watchdog import CheckpointWatchdogCallback
from cloudtune.callbacks.remove_checkpoints import RemoveCheckpointsCallback
from cloudtune.callbacks.retain_checkpoints import RetainCheckpointsCallback
from cloudtune.callbacks.store_results import ExtraResultsComposer, StoreResultsCallback

if TYPE_CHECKING:
    from cloudtune.callbacks.hyperband_remove_checkpoints import (
        HyperbandRemoveCheckpointsBaselineCallback,
        HyperbandRemoveCheckpointsCallback,
    )
    from cloudtune.callbacks.simulator import SimulatorCallback

__all__ = [
    "TunerCallback",
    "StoreResultsCallback",
    "ExtraResultsComposer",
    "SimulatorCallback",
    # checkpoints
    "RemoveCheckpointsCallback",
    "HyperbandRemoveCheckpointsCallback",
    "HyperbandRemoveCheckpointsBaselineCallback",
    "RetainCheckpointsCallback",
    "CheckpointWatchdogCallback",
]


def __getattr__(name: str) -> Any:
    if name.startswith("HyperbandRemoveCheckpoints"):
        from cloudtune.callbacks import hyperband_remove_checkpoints

        return getattr(hyperband_remove_checkpoints, name)
    if name == "SimulatorCallback":
        from cloudtune.callbacks.simulator import SimulatorCallback

        return SimulatorCallback
    raise AttributeError(f"module 'cloudtune.callbacks' has no attribute {name!r}")
