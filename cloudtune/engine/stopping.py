"""When an experiment has had enough."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, TypeAlias

from cloudtune.engine.status import TuningStatus
from cloudtune.errors import OptionError
from cloudtune.options import named_options

Thresholds: TypeAlias = Mapping[str, float]


class Criterion(ABC):
    """When to stop, and why: what any function of a ``TuningStatus`` can say, and the reason in words."""

    @abstractmethod
    def reason(self, status: TuningStatus) -> str | None:
        """Why the experiment has had enough; None if it hasn't."""

    def __call__(self, status: TuningStatus) -> bool:
        return self.reason(status) is not None


@dataclass(frozen=True, init=False)
class AnyOf(Criterion):
    """Stop as soon as one of several says so: ``AnyOf(StoppingCriterion(max_cost=20), PlateauStopper("loss"))``.

    Raises ``OptionError`` for what is no criterion.
    """

    criteria: tuple[Callable[[TuningStatus], bool], ...]

    def __init__(self, *criteria: Callable[[TuningStatus], bool]) -> None:
        for criterion in criteria:
            if isinstance(criterion, type) or not callable(criterion):
                raise OptionError(f"{criterion!r} can't say when to stop", "give StoppingCriterion(max_cost=20) say")
        if not criteria:
            raise OptionError("AnyOf() has no criteria", "give two or more, one after the other")
        object.__setattr__(self, "criteria", criteria)

    def reason(self, status: TuningStatus) -> str | None:
        # all of them are asked, always: each sees the same course of things, whatever the others say
        return next(filter(None, [reason_of(criterion)(status) for criterion in self.criteria]), None)


def reason_of(criterion: Callable[[TuningStatus], bool]) -> Callable[[TuningStatus], str | None]:
    """What says why to stop: the method of a ``Criterion``, or one for a function that doesn't say."""
    if isinstance(criterion, Criterion):
        return criterion.reason
    return lambda status: "the stop criterion is met" if criterion(status) else None


@named_options()
@dataclass(frozen=True)
class StoppingCriterion(Criterion):
    """Stop as soon as one of the given limits is passed; limits that are None don't count.

    A plain class rather than a lambda, so that it travels to a remote tuner.

    ``max_wallclock_time``: seconds the tuner has run, over all its sessions; reached or passed.
    ``max_num_evaluations``, ``max_num_trials_started``, ``max_num_trials_completed``, ``max_num_trials_finished``:
    more than so many reports, trials started, trials completed, trials completed or stopped or failed.
    ``max_cost``: more than so many dollars spent on trials, as far as prices are known.
    ``min_metric_value``, ``max_metric_value``: some report is below, or above, the threshold of its metric.

    Raises ``OptionError`` for limits that make no sense.
    """

    max_wallclock_time: float | None = None
    max_num_evaluations: int | None = None
    max_num_trials_started: int | None = None
    max_num_trials_completed: int | None = None
    max_cost: float | None = None
    max_num_trials_finished: int | None = None
    min_metric_value: Thresholds | None = None
    max_metric_value: Thresholds | None = None

    def __post_init__(self) -> None:
        for entry in fields(self):
            value = getattr(self, entry.name)
            if value is None:
                continue
            numbers = value.values() if isinstance(value, Mapping) else [value]
            if entry.name.endswith("metric_value") and not isinstance(value, Mapping):
                raise OptionError(
                    f"{entry.name}={value!r} does not say which metric",
                    f"give a dictionary, such as {entry.name}={{'accuracy': 0.99}}",
                )
            for number in numbers:
                if isinstance(number, bool) or not isinstance(number, (int, float)) or math.isnan(number):
                    raise OptionError(f"{entry.name}={value!r} is not a number", "give a number, or leave it out")
                if number < 0 and not entry.name.endswith("metric_value"):
                    raise OptionError(f"{entry.name}={value!r} is negative", "give a limit of 0 or more")

    def reason(self, status: TuningStatus) -> str | None:
        """Which limit is passed, in words; None if none is."""
        # asked several times per look at the backend
        limit: float | None
        if (limit := self.max_wallclock_time) is not None and status.wallclock_time >= limit:
            return f"max_wallclock_time={limit:g} s is reached"
        if (limit := self.max_num_evaluations) is not None and (count := status.num_evaluations) > limit:
            return f"{count} is more than max_num_evaluations={limit}"
        if (limit := self.max_num_trials_started) is not None and (count := status.num_trials_started) > limit:
            return f"{count} is more than max_num_trials_started={limit}"
        if (limit := self.max_num_trials_completed) is not None and (count := status.num_trials_completed) > limit:
            return f"{count} is more than max_num_trials_completed={limit}"
        if (limit := self.max_num_trials_finished) is not None and (count := status.num_trials_finished) > limit:
            return f"{count} is more than max_num_trials_finished={limit}"
        if (limit := self.max_cost) is not None and (cost := status.cost) > limit:
            return f"{cost:.2f} $ is more than max_cost={limit:g}"
        if self.min_metric_value or self.max_metric_value:
            return next(self._passed(status), None)
        return None

    def _passed(self, status: TuningStatus) -> Iterator[str]:
        """Thresholds of metrics."""
        statistics = status.overall_metric_statistics
        for metric, threshold in (self.min_metric_value or {}).items():
            if (low := statistics.min_metrics.get(metric, math.inf)) < threshold:
                yield f"{metric} {low:g} is below min_metric_value {threshold:g}"
        for metric, threshold in (self.max_metric_value or {}).items():
            if (high := statistics.max_metrics.get(metric, -math.inf)) > threshold:
                yield f"{metric} {high:g} is above max_metric_value {threshold:g}"


def limits_of(criterion: object) -> StoppingCriterion:
    """The limits that a criterion has, if need be among others; none for a criterion of another kind.

    Of several for the same, the one that is passed first; of thresholds of metrics, those that are first given.
    """
    found = [each for each in _flat(criterion) if isinstance(each, StoppingCriterion)]
    if len(found) == 1:
        return found[0]
    limits: dict[str, Any] = {}
    for entry in fields(StoppingCriterion):
        values = [value for each in found if (value := getattr(each, entry.name)) is not None]
        if values:
            limits[entry.name] = values[0] if entry.name.endswith("metric_value") else min(values)
    return StoppingCriterion(**limits)


def with_limits(criterion: Callable[[TuningStatus], bool], limits: Mapping[str, Any]) -> Callable[[TuningStatus], bool]:
    """The criterion with some of its limits changed, and all others as they are.

    One that has none and is not ours is replaced.
    """
    if not isinstance(criterion, Criterion):
        return StoppingCriterion(**limits)
    flat = _flat(criterion)
    places = [place for place, each in enumerate(flat) if isinstance(each, StoppingCriterion)]
    if not places:
        return AnyOf(StoppingCriterion(**limits), *flat)
    # the first one has them from now on, and the others have them no more
    changed = [
        replace(flat[place], **(dict.fromkeys(limits) if number else limits)) for number, place in enumerate(places)
    ]
    rest = [each for each in flat if not isinstance(each, StoppingCriterion)]
    return AnyOf(*changed, *rest) if len(flat) > 1 else changed[0]


def _flat(criterion: Any) -> list[Any]:
    if not isinstance(criterion, AnyOf):
        return [criterion]
    return [each for inside in criterion.criteria for each in _flat(inside)]
