"""Plans as plain data: what travels as JSON, and what a file holds."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

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

T = TypeVar("T")


def plan_to_plain(plan: FaultPlan) -> dict[str, Any]:
    """As ``json`` takes it."""
    plain = dataclasses.asdict(plan)
    if plan.throttling is not None:
        plain["throttling"]["rates"] = dict(plan.throttling.rates)
    return plain


def plan_from_plain(plain: Mapping[str, Any]) -> FaultPlan:
    """The other way; what is left out is as in ``FaultPlan()``. Raises ValueError."""
    return _made(
        FaultPlan,
        plain,
        {
            "calls": _each(lambda rule: _made(CallRule, rule, {"when": _when})),
            "launches": _each(lambda rule: _made(LaunchRule, rule, {"when": _when})),
            "runs": _each(lambda rule: _made(RunRule, rule, {"at": tuple})),
            "throttling": lambda rule: None if rule is None else _made(Throttling, rule, {"rates": dict}),
            "views": lambda views: _made(Views, views, dict.fromkeys(("describe", "list", "search"), _lag)),
            "logs": lambda rule: _made(LogRule, rule, {}),
            "pages": lambda rule: _made(Pages, rule, {}),
        },
    )


def plan_from_file(path: Path) -> FaultPlan:
    """The plan in a JSON file, called as the file unless it has a name. Raises ValueError, OSError."""
    try:
        plain = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is no JSON: {error}") from error
    return plan_from_plain({"name": path.stem, **plain} if isinstance(plain, dict) else plain)


def _when(plain: Any) -> When:
    return _made(When, plain, {"counts": tuple, "windows": lambda windows: tuple(map(tuple, windows))})


def _lag(plain: Any) -> Lag:
    return _made(Lag, plain, {})


def _each(make: Callable[[Any], T]) -> Callable[[Any], tuple[T, ...]]:
    return lambda entries: tuple(make(entry) for entry in entries)


def _made(kind: type[T], plain: Any, parts: Mapping[str, Callable[[Any], Any]]) -> T:
    """A ``kind`` of its fields; those in ``parts`` are made first."""
    what = kind.__name__
    if not isinstance(plain, Mapping):
        raise ValueError(f"a {what} is written as an object of its fields, got {plain!r}")
    names = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    for name in plain:
        check_name(f"field of {what}", name, names)
    try:
        return kind(**{name: parts[name](value) if name in parts else value for name, value in plain.items()})
    except TypeError as error:
        raise ValueError(f"{what}: {error}") from error
