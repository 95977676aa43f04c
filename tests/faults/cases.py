"""The faults of the matrix: what goes wrong, and what it may change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cloudtune.sandbox.faults.named import NAMES, named_plan
from cloudtune.sandbox.faults.plan import CallRule, FaultPlan, LaunchRule, LogRule, Pages, RunRule, Throttling, When
from cloudtune.sandbox.script import Script
from tests.faults import scripts
from tests.virtual import Training

_SPOT = {
    "EnableManagedSpotTraining": True,
    "StoppingCondition": {"MaxRuntimeInSeconds": 20_000, "MaxWaitTimeInSeconds": 80_000},
}
_SHORT = {"StoppingCondition": {"MaxRuntimeInSeconds": 1800}}
_SEED = 3


@dataclass(frozen=True)
class Case:
    """One column of the matrix.

    ``harmless``: the fault can't change what is learned, so random search must find what it finds without the fault.
    ``injected``: kinds of fault that must have happened, or the case proves nothing.
    """

    name: str
    plan: FaultPlan = field(default_factory=FaultPlan)
    jobs: Script = field(default_factory=Training)
    request: Mapping[str, Any] = field(default_factory=dict)
    harmless: bool = True
    injected: tuple[str, ...] = ()


def _calls(kind: str, operations: str, when: When) -> FaultPlan:
    return FaultPlan(kind, _SEED, calls=(CallRule(kind, operations, when),))


def _launches(kind: str, when: When) -> FaultPlan:
    return FaultPlan(kind, _SEED, launches=(LaunchRule(kind, when=when),))


def _runs(kind: str, per_hour: float) -> FaultPlan:
    return FaultPlan(kind, _SEED, runs=(RunRule(kind, per_hour=per_hour, pause=60.0),))


def _logs(rule: LogRule) -> FaultPlan:
    return FaultPlan("logs", _SEED, logs=rule)


_OFTEN = When(0.1)
NAMED = [
    Case(f"plan {name}", named_plan(name, _SEED), request=_SPOT if name in ("spot-storm", "bad-tuesday") else {})
    for name in NAMES
]
SINGLE = [
    Case("throttling", FaultPlan("t", _SEED, throttling=Throttling()), injected=()),
    *(
        Case(f"{kind} of every call", _calls(kind, "*", _OFTEN), injected=(kind,))
        for kind in ("throttled", "internal-error", "unavailable", "reset", "timeout")
    ),
    Case(
        "answers of launches lost",
        _calls("reset-after", "sagemaker.CreateTrainingJob", When(0.5)),
        injected=("reset-after",),
    ),
    Case("answers of everything lost", _calls("timeout-after", "*", _OFTEN), injected=("timeout-after",)),
    Case("quota used up by others", _launches("limit-exceeded", When(0.4)), injected=("limit-exceeded",)),
    Case("no capacity at creation", _launches("capacity-refused", When(0.4)), injected=("capacity-refused",)),
    Case("no capacity after creation", _launches("no-capacity", When(0.4)), injected=("no-capacity",)),
    Case("capacity lost while running", _runs("capacity-lost", 15.0), injected=("capacity-lost",)),
    Case("service fails while running", _runs("service-lost", 15.0), injected=("service-lost",)),
    Case("spot interruptions", _runs("interrupted", 10.0), request=_SPOT, injected=("interrupted",)),
    Case("lines minutes late", _logs(LogRule(late=180.0, late_lines=0.3)), injected=("late-line",)),
    Case("streams minutes late", _logs(LogRule(late=180.0, late_streams=0.5)), injected=("late-line",)),
    Case("lines twice", _logs(LogRule(duplicated=0.3, again_after=30.0)), injected=("duplicated-line",)),
    Case(
        "pages repeated and empty",
        FaultPlan("l", _SEED, logs=LogRule(repeated=0.4, empty_pages=0.4), pages=Pages(events=4)),
        injected=("repeated-page", "empty-page"),
    ),
    Case("listings in small pages", FaultPlan("p", _SEED, pages=Pages(jobs=2, objects=2, events=3))),
]
SCRIPTS = [
    Case("no metric", jobs=scripts.Sometimes(Training(), scripts.silent), harmless=False),
    Case("crash at import", jobs=scripts.Sometimes(Training(), scripts.crashes_at_import), harmless=False),
    Case("hangs", jobs=scripts.Sometimes(Training(), scripts.hangs), request=_SHORT, harmless=False),
    Case("NaN", jobs=scripts.NAN, harmless=False),
    Case("infinite", jobs=scripts.INFINITE, harmless=False),
    Case("minus infinite", jobs=scripts.MINUS_INFINITE, harmless=False),
]
CASES = [*NAMED, *SINGLE, *SCRIPTS]
