"""Pure decisions about trials: when they start, stop, pause and resume."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from cloudtune.schedulers.base import (
    NOT_NOW,
    Action,
    Decision,
    Reason,
    Resume,
    SchedulerDecision,
    Start,
    TrialScheduler,
    TrialSuggestion,
)

if TYPE_CHECKING:
    from cloudtune.schedulers.dehb import (
        DifferentialEvolutionHyperbandScheduler,
        GeometricDifferentialEvolutionHyperbandScheduler,
    )
    from cloudtune.schedulers.early_termination import EarlyTermination
    from cloudtune.schedulers.fifo import FIFOScheduler
    from cloudtune.schedulers.hyperband import HyperbandScheduler
    from cloudtune.schedulers.median_stopping import MedianStoppingRule
    from cloudtune.schedulers.pbt import PopulationBasedTraining
    from cloudtune.schedulers.sync_hyperband import (
        SynchronousGeometricHyperbandScheduler,
        SynchronousHyperbandScheduler,
    )
    from cloudtune.schedulers.termination_policies import (
        BanditPolicy,
        MedianStoppingPolicy,
        StoppingPolicy,
        TruncationSelectionPolicy,
    )
    from cloudtune.schedulers.trial_plateau import TrialPlateauPolicy

__all__ = [
    "FIFOScheduler",
    "HyperbandScheduler",
    "SynchronousHyperbandScheduler",
    "SynchronousGeometricHyperbandScheduler",
    "DifferentialEvolutionHyperbandScheduler",
    "GeometricDifferentialEvolutionHyperbandScheduler",
    "PopulationBasedTraining",
    # around any of them
    "MedianStoppingRule",
    "EarlyTermination",
    "StoppingPolicy",
    "BanditPolicy",
    "MedianStoppingPolicy",
    "TruncationSelectionPolicy",
    "TrialPlateauPolicy",
    # for one's own
    "TrialScheduler",
    "TrialSuggestion",
    "SchedulerDecision",
    "Start",
    "Resume",
    "NOT_NOW",
    "Action",
    "Decision",
    "Reason",
]

_HOMES = {
    "FIFOScheduler": "fifo",
    "HyperbandScheduler": "hyperband",
    "SynchronousHyperbandScheduler": "sync_hyperband",
    "SynchronousGeometricHyperbandScheduler": "sync_hyperband",
    "DifferentialEvolutionHyperbandScheduler": "dehb",
    "GeometricDifferentialEvolutionHyperbandScheduler": "dehb",
    "PopulationBasedTraining": "pbt",
    "MedianStoppingRule": "median_stopping",
    "EarlyTermination": "early_termination",
    "StoppingPolicy": "termination_policies",
    "BanditPolicy": "termination_policies",
    "MedianStoppingPolicy": "termination_policies",
    "TruncationSelectionPolicy": "termination_policies",
    "TrialPlateauPolicy": "trial_plateau",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'cloudtune.schedulers' has no attribute {name!r}")
    return getattr(import_module(f"cloudtune.schedulers.{_HOMES[name]}"), name)
