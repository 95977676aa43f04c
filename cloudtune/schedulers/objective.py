"""Reading a report: the objective in a total order, the resource as a number."""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass
from typing import Any

from cloudtune.errors import MetricError, OptionError
from cloudtune.options import nearest_name
from cloudtune.schedulers.rungs import WORST
from cloudtune.trial import Metrics, Mode


@dataclass(frozen=True)
class Objective:
    """The metric that is minimized or maximized.

    Results are ordered by ``key``: smaller is better, in both modes. NaN, both infinities, None and what
    else is no number are a diverged training's result and all rank last.
    """

    metric: str
    mode: Mode

    def __post_init__(self) -> None:
        checked_name(self.metric, "metric")
        checked_mode(self.mode)

    def value(self, result: Metrics, trial_id: int) -> float:
        """NaN if the value is no number. Raises MetricError if the report does not carry the metric."""
        try:
            value = result[self.metric]
        except KeyError:
            raise missing(self.metric, result, trial_id) from None
        return value if type(value) is float else as_number(value)

    def key(self, value: float) -> float:
        if not math.isfinite(value):
            return WORST
        return value if self.mode == "min" else -value

    def shown(self, key: float) -> float:
        """The value that has this key."""
        return key if self.mode == "min" else -key


def resource_of(result: Metrics, name: str, trial_id: int) -> float | None:
    """None if it is no finite number. Raises MetricError if the report does not carry it."""
    if name not in result:
        raise missing(name, result, trial_id)
    number = as_number(result[name])
    return number if math.isfinite(number) else None


def as_number(value: Any) -> float:
    """NaN if it is none."""
    if not isinstance(value, numbers.Real):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf


def missing(name: str, result: Metrics, trial_id: int) -> MetricError:
    seen = ", ".join(map(repr, result)) or "nothing"
    return MetricError(f"a report of trial {trial_id} carries no {name!r}; seen: {seen}", nearest_name(name, result))


def checked_name(name: object, what: str) -> str:
    if not isinstance(name, str) or not name:
        raise OptionError(f"{what} is {name!r}", "give the name under which the training script reports it")
    return name


def check_distinct(**names: str | None) -> None:
    """Raises ``OptionError`` if two of them (by the argument's name; None: not given) are the same."""
    seen: dict[str, str] = {}
    for what, name in names.items():
        if name is not None and name in seen:
            raise OptionError(f"{seen[name]} and {what} are both {name!r}", "scripts report them by different names")
        if name is not None:
            seen[name] = what


def checked_mode(mode: object) -> Mode:
    if mode == "min":
        return "min"
    if mode == "max":
        return "max"
    raise OptionError(f"mode is {mode!r}", 'give "min" or "max"')
