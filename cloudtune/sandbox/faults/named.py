"""Plans with a name."""

from __future__ import annotations

from dataclasses import replace

from cloudtune.sandbox.faults.checks import check_name
from cloudtune.sandbox.faults.plan import (
    CallRule,
    FaultPlan,
    Lag,
    LaunchRule,
    LogRule,
    Pages,
    RunRule,
    Throttling,
    Views,
    When,
)

_MINUTE, _HOUR = 60.0, 3600.0

_FLAKY = (
    # what the service has done without a word comes first: it is the one that costs money
    CallRule("reset-after", "sagemaker.*", When(0.03)),
    CallRule("timeout-after", "sagemaker.*", When(0.01)),
    CallRule("reset", "*", When(0.02)),
    CallRule("timeout", "logs.*", When(0.02)),
)
_ERRORS = (
    CallRule("internal-error", "sagemaker.*", When(0.02)),
    CallRule("internal-failure", "logs.*", When(0.02)),
    CallRule("throttled", "s3.*", When(0.03)),
    CallRule("unavailable", "*", When(0.02)),
)
_LATE = LogRule(
    late=3 * _MINUTE, late_lines=0.1, late_streams=0.2, duplicated=0.05, again_after=20.0, repeated=0.2, empty_pages=0.2
)
_STALE = Views(describe=Lag(5.0, 10.0), list=Lag(10.0, 20.0), search=Lag(30.0, 45.0))
_STORM = (RunRule("interrupted", per_hour=2.0, pause=3 * _MINUTE),)
_PLANS = (
    FaultPlan("throttled", throttling=Throttling()),
    FaultPlan("flaky-network", calls=_FLAKY),
    FaultPlan("service-errors", calls=_ERRORS),
    FaultPlan("outage", calls=(CallRule("unavailable", "*", When(windows=((10 * _MINUTE, 25 * _MINUTE),))),)),
    FaultPlan("stale-views", views=_STALE),
    FaultPlan("slow-logs", logs=_LATE),
    FaultPlan("spot-storm", runs=_STORM),
    FaultPlan(
        "no-capacity",
        launches=(
            LaunchRule("no-capacity", when=When(windows=((0.0, 20 * _MINUTE),)), wait=2 * _MINUTE),
            LaunchRule("no-capacity", when=When(0.5, windows=((20 * _MINUTE, 2 * _HOUR),)), wait=2 * _MINUTE),
        ),
        runs=(RunRule("capacity-lost", per_hour=0.5),),
    ),
    FaultPlan("small-pages", pages=Pages(jobs=3, objects=3, events=5)),
    FaultPlan(
        "bad-tuesday",
        calls=(
            CallRule("unavailable", "*", When(0.7, windows=((30 * _MINUTE, 40 * _MINUTE),))),
            *_FLAKY,
            *_ERRORS,
        ),
        launches=(
            LaunchRule("limit-exceeded", when=When(0.05)),
            LaunchRule("capacity-refused", when=When(0.03)),
            LaunchRule("no-capacity", when=When(0.5, windows=((15 * _MINUTE, 25 * _MINUTE),)), wait=2 * _MINUTE),
        ),
        runs=(*_STORM, RunRule("capacity-lost", per_hour=0.05), RunRule("service-lost", per_hour=0.02)),
        throttling=Throttling(),
        views=_STALE,
        logs=_LATE,
        pages=Pages(jobs=20, objects=50, events=200),
    ),
)
NAMES = tuple(plan.name for plan in _PLANS)


def named_plan(name: str, seed: int = 0) -> FaultPlan:
    """The plan ``name``, as ``seed`` has it. Raises ValueError for an unknown one, with the nearest name."""
    check_name("plan of faults", name, NAMES)
    return replace(next(plan for plan in _PLANS if plan.name == name), seed=seed)
