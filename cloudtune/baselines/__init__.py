"""Methods under the names by which they are known: a scheduler with its searcher, and defaults that fit.

Each takes the main arguments of the scheduler it is; for all others use that scheduler itself. Options of the searcher
go into ``search_options``, which are checked.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cloudtune.baselines.asynchronous import ASHA, ASHABORE, ASHACQR, BOHB, PASHA
    from cloudtune.baselines.full_length import (
        BORE,
        CQR,
        KDE,
        REA,
        BayesianOptimization,
        ConstrainedBayesianOptimization,
        GridSearch,
        RandomSearch,
    )
    from cloudtune.baselines.synchronous import DEHB, SyncBOHB, SyncHyperband
    from cloudtune.schedulers.median_stopping import MedianStoppingRule
    from cloudtune.schedulers.pbt import PopulationBasedTraining

__all__ = [
    # every trial runs to its end
    "RandomSearch",
    "GridSearch",
    "BayesianOptimization",
    "ConstrainedBayesianOptimization",
    "KDE",
    "BORE",
    "CQR",
    "REA",
    # asynchronous successive halving and Hyperband
    "ASHA",
    "PASHA",
    "BOHB",
    "ASHABORE",
    "ASHACQR",
    # synchronous ones
    "SyncHyperband",
    "SyncBOHB",
    "DEHB",
    # others
    "PopulationBasedTraining",
    "MedianStoppingRule",
]

_HOMES = {
    "cloudtune.baselines.full_length": __all__[:8],
    "cloudtune.baselines.asynchronous": __all__[8:13],
    "cloudtune.baselines.synchronous": __all__[13:16],
    "cloudtune.schedulers.pbt": ["PopulationBasedTraining"],
    "cloudtune.schedulers.median_stopping": ["MedianStoppingRule"],
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(home), name)
    raise AttributeError(f"module 'cloudtune.baselines' has no attribute {name!r}")
