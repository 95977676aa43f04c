"""The faults of the matrix: what goes wrong, and what it may change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cloudtune.sandbox.faults.named import NAMES, named_plan
from cloudtune.sandbox.faults.plan import CallRule, FaultPlan, LaunchRule, LogRule, Pages, RunRule, Throttling, When
from cloudtune.sandbox.script import Script
from cloudtune.trial import Status
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

    ``harmless``: the fault can't change what is reported, so random search must find what it finds without the fault,
    to the last digit. ``bad``: what becomes of the trials whose scripts misbehave, where no scheduler ends them before.
    ``injected``: kinds of fault that must have happened, or the case proves nothing. ``in_s3``: the experiment is kept
    in S3, and there only the best trial keeps its checkpoint.
    """

    name: str
    plan: FaultPlan = field(default_factory=FaultPlan)
    jobs: Script = field(default_factory=Training)
    request: Mapping[str, Any] = field(default_factory=dict)
    harmless: bool = True
    bad: Status | None = None
    injected: tuple[str, ...] = ()
    in_s3: bool = False


def _calls(kind: str, operations: str, when: When) -> FaultPlan:
    return FaultPlan(kind, _SEED, calls=(CallRule(kind, operations, when),))


def _launches(kind: str, when: When) -> FaultPlan:
    return FaultPlan(kind, _SEED, launches=(LaunchRule(kind, when=when),))


def _runs(kind: str, per_hour: float) -> FaultPlan:
    return FaultPlan(kind, _SEED, runs=(RunRule(kind, per_hour=per_hour, pause=60.0),))


def _logs(rule: LogRule) -> FaultPlan:
    return FaultPlan("logs", _SEED, logs=rule)


_OFTEN = When(0.1)
_OF_NAMED = {
    "throttled": (),  # who keeps to the documented rates is never throttled
    "flaky-network": ("reset",),
    "service-errors": ("unavailable",),
    "outage": ("unavailable",),
    "stale-views": ("stale-list", "stale-search"),
    "slow-logs": ("late-line", "duplicated-line", "empty-page"),
    "spot-storm": ("interrupted",),
    "no-capacity": ("no-capacity",),
    "small-pages": ("small-page",),
    "bad-tuesday": ("unavailable", "stale-list", "late-line", "reset", "small-page"),
}
_SEEDS = {"spot-storm": 7}
"""With which something happens."""
NAMED = [
    Case(
        f"plan {name}",
        named_plan(name, _SEEDS.get(name, _SEED)),
        request=_SPOT if name in ("spot-storm", "bad-tuesday") else {},
        injected=_OF_NAMED[name],
        jobs=Training(seconds=150.0) if name == "outage" else Training(),  # so that it is in everybody's middle
    )
    for name in NAMES
]
_SLOW = {"sagemaker.CreateTrainingJob": 0.02, "sagemaker.ListTrainingJobs": 0.05, "logs.FilterLogEvents": 0.05}
SINGLE = [
    Case(
        "rates far below the documented ones",
        FaultPlan("t", _SEED, throttling=Throttling(rates=_SLOW)),
        injected=("throttled",),
    ),
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
_S3 = FaultPlan(
    "s3",
    _SEED,
    calls=(CallRule("unavailable", "s3.*", When(0.15)), CallRule("throttled", "s3.*", When(0.1))),
    pages=Pages(objects=1),
)
IN_S3 = [
    Case(
        "S3 answers 503 and pages of one object", _S3, injected=("unavailable", "throttled", "small-page"), in_s3=True
    ),
    Case("answers of S3 lost", _calls("timeout-after", "s3.*", When(0.2)), injected=("timeout-after",), in_s3=True),
]
SCRIPTS = [
    Case("no metric", jobs=scripts.Sometimes(Training(), scripts.silent), bad=Status.failed),
    Case("crash at import", jobs=scripts.Sometimes(Training(), scripts.crashes_at_import), bad=Status.failed),
    Case("hangs", jobs=scripts.Sometimes(Training(), scripts.hangs), request=_SHORT, bad=Status.stopped),
    Case("NaN", jobs=scripts.NAN, harmless=False),
    Case("infinite", jobs=scripts.INFINITE, harmless=False),
    Case("minus infinite", jobs=scripts.MINUS_INFINITE, harmless=False),
]
CASES = [*NAMED, *SINGLE, *IN_S3, *SCRIPTS]
