"""Pure decisions about trials: when they start, stop, pause and resume."""

from __future__ import annotations

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
    from cloudtune.schedulers.fifo import FIFOScheduler
    from cloudtune.schedulers.hyperband import HyperbandScheduler

__all__ = [
    "FIFOScheduler",
    "HyperbandScheduler",
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


def __getattr__(name: str) -> Any:
    if name == "FIFOScheduler":
        from cloudtune.schedulers.fifo import FIFOScheduler

        return FIFOScheduler
    if name == "HyperbandScheduler":
        from cloudtune.schedulers.hyperband import HyperbandScheduler

        return HyperbandScheduler
    raise AttributeError(f"module 'cloudtune.schedulers' has no attribute {name!r}")
