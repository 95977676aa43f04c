"""When a trial is not worth going on with: rules that look at reports and at nothing else.

A policy is a frozen set of options; what it remembers of one experiment is in the ``Judge`` it makes. The scheduler
``EarlyTermination``, which is put around another, asks it about every report that is new in its trial. The rules here
are those of Azure's HyperDrive, which compares trials at intervals: the n-th report of one with the n-th reports of the
others. They are stated for both modes at once, on keys (``Objective.key``): smaller is better, and results that are no
finite number are behind all others.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import defaultdict
from dataclasses import dataclass
from typing import Protocol, TypeGuard, runtime_checkable

from cloudtune.errors import OptionError
from cloudtune.options import check_count, check_flag, named_options
from cloudtune.schedulers.base import Reason
from cloudtune.schedulers.objective import Objective
from cloudtune.schedulers.order_statistics import quantile
from cloudtune.schedulers.rungs import WORST


class Judge(Protocol):
    """What a policy makes of one experiment. Like a scheduler's: no I/O, no clock, no hidden random number."""

    def report(self, trial_id: int, resource: float, value: float) -> Reason | None:
        """A trial has come to ``resource`` with this objective; why it should be stopped, or None.

        Called once per resource of a trial, in increasing order. ``value`` is as reported, and NaN if it is no number.
        """

    def ended(self, trial_id: int) -> None:
        """The trial is over: completed, failed or stopped. A paused one is not."""


@runtime_checkable
class StoppingPolicy(Protocol):
    """A rule with its options."""

    def judge(self, objective: Objective) -> Judge:
        """A new judge, for one experiment."""


def check_fraction(name: str, value: object, hint: str) -> None:
    """Raises ``OptionError`` for what is no number between 0 and 1, both excluded."""
    if not is_number(value) or not 0 < value < 1:
        raise OptionError(f"{name}={value!r} is no fraction between 0 and 1", hint)


def check_amount(name: str, value: object, hint: str) -> None:
    """Raises ``OptionError`` for what is no finite number of at least 0."""
    if not is_number(value) or not 0 <= value < math.inf:
        raise OptionError(f"{name}={value!r} is no number of at least 0", hint)


def is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


# -- when a policy is applied ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Intervals:
    """A report is one interval. A rule applies at every multiple of ``every`` that is not below ``first``."""

    every: int
    first: int

    def __post_init__(self) -> None:
        check_count("evaluation_interval", self.every, 1, "1: at every report")
        check_count("delay_evaluation", self.first, 0, "0: from the first report on")

    def include(self, number: int) -> bool:
        return number % self.every == 0 and number >= self.first


class Course:
    """What a trial has reported so far: how many times, the best key, and the mean of those that were finite numbers;
    ``WORST`` as long as none was."""

    def __init__(self) -> None:
        self.reports = 0
        self.best = WORST
        self.mean = WORST
        self._finite = 0

    def add(self, key: float) -> None:
        self.reports += 1
        self.best = min(self.best, key)
        if key < WORST:
            self._finite += 1
            before = key if self._finite == 1 else self.mean
            # no sum that grows beyond what a float holds, and of equal results their mean
            self.mean = max(self.best, before + (key / self._finite - before / self._finite))


# -- bandit ------------------------------------------------------------------------------------------------------------


@named_options()
@dataclass(frozen=True, kw_only=True)
class BanditPolicy:
    """Stops a trial whose best result is too far from the best that any trial had after as many reports.

    :param slack_factor: how far, as a ratio: with 0.2, below best / 1.2 if the metric is maximized, above best · 1.2 if
        it is minimized. Of negative values the slack is on the same side: worse than the best, never better.
    :param slack_amount: how far, as a difference. One of the two must be given.
    :param evaluation_interval: apply it at every so many reports of a trial.
    :param delay_evaluation: and not before this many. The first report is number 1.

    Raises ``OptionError``.
    """

    slack_factor: float | None = None
    slack_amount: float | None = None
    evaluation_interval: int = 1
    delay_evaluation: int = 0

    def __post_init__(self) -> None:
        _Intervals(self.evaluation_interval, self.delay_evaluation)
        if (self.slack_factor is None) == (self.slack_amount is None):
            raise OptionError(
                f"slack_factor={self.slack_factor!r} and slack_amount={self.slack_amount!r}",
                "give one of the two: slack_factor=0.1 as a ratio, slack_amount=0.05 in units of the metric",
            )
        if self.slack_factor is not None:
            check_amount("slack_factor", self.slack_factor, "0.1: within a tenth of the best")
        else:
            check_amount("slack_amount", self.slack_amount, "give it in units of the metric")

    def judge(self, objective: Objective) -> Judge:
        return _BanditJudge(self, objective)

    def allowed(self, best: float) -> float:
        """The worst key that is near enough to the key ``best``."""
        if self.slack_amount is not None:
            return best + self.slack_amount
        assert self.slack_factor is not None
        return best * (1 + self.slack_factor) if best >= 0 else best / (1 + self.slack_factor)


class _BanditJudge:
    def __init__(self, policy: BanditPolicy, objective: Objective) -> None:
        self._policy, self._objective = policy, objective
        self._intervals = _Intervals(policy.evaluation_interval, policy.delay_evaluation)
        self._courses: defaultdict[int, Course] = defaultdict(Course)
        self._best: dict[int, float] = {}
        """The best key of all trials after so many reports."""

    def report(self, trial_id: int, resource: float, value: float) -> Reason | None:
        course = self._courses[trial_id]
        course.add(self._objective.key(value))
        best = self._best[course.reports] = min(self._best.get(course.reports, WORST), course.best)
        allowed = self._policy.allowed(best)
        if not self._intervals.include(course.reports) or not course.best > allowed:
            return None
        shown, metric = self._objective.shown, self._objective.metric
        numbers = {f"best {metric}": shown(course.best), "best of all": shown(best), "reports": course.reports}
        return Reason("too far from the best", numbers, shown(allowed))

    def ended(self, trial_id: int) -> None:
        self._courses.pop(trial_id, None)


# -- median ------------------------------------------------------------------------------------------------------------


@named_options()
@dataclass(frozen=True, kw_only=True)
class MedianStoppingPolicy:
    """Stops a trial whose best result is worse than the median of the running averages of all trials.

    The average of a trial is over its first n reports, n being how many the judged one has made; all trials that have
    made as many count, it and those that have ended among them. The rule of Google Vizier (Golovin et al. 2017, section
    3.2.1), which averages completed trials only.

    :param evaluation_interval: apply it at every so many reports of a trial.
    :param delay_evaluation: and not before this many. 5 with an interval of 1 is known as conservative.

    Raises ``OptionError``.
    """

    evaluation_interval: int = 1
    delay_evaluation: int = 0

    def __post_init__(self) -> None:
        _Intervals(self.evaluation_interval, self.delay_evaluation)

    def judge(self, objective: Objective) -> Judge:
        return _MedianJudge(self, objective)


class _MedianJudge:
    def __init__(self, policy: MedianStoppingPolicy, objective: Objective) -> None:
        self._objective = objective
        self._intervals = _Intervals(policy.evaluation_interval, policy.delay_evaluation)
        self._courses: defaultdict[int, Course] = defaultdict(Course)
        self._means: defaultdict[int, list[float]] = defaultdict(list)
        """Running averages after so many reports, best first."""

    def report(self, trial_id: int, resource: float, value: float) -> Reason | None:
        course = self._courses[trial_id]
        course.add(self._objective.key(value))
        if not self._intervals.include(course.reports):
            return None
        means = self._means[course.reports]
        insort(means, course.mean)
        median = quantile(means, 0.5)
        if not course.best > median:
            return None
        shown, metric = self._objective.shown, self._objective.metric
        numbers = {f"best {metric}": shown(course.best), "trials": len(means), "reports": course.reports}
        return Reason("worse than the median of averages", numbers, shown(median))

    def ended(self, trial_id: int) -> None:
        self._courses.pop(trial_id, None)


# -- truncation --------------------------------------------------------------------------------------------------------


@named_options()
@dataclass(frozen=True, kw_only=True)
class TruncationSelectionPolicy:
    """Stops a trial that is among the worst of those that have made as many reports.

    :param truncation_percentage: so many percent of them, from 1 to 99, rounded down to whole trials. Of equal ones at
        the border all go on.
    :param evaluation_interval: apply it at every so many reports of a trial.
    :param delay_evaluation: and not before this many.
    :param exclude_finished_jobs: compare with trials only that are still at work, or paused.

    Trials are judged one by one, when they come: the first are compared with few others. Raises ``OptionError``.
    """

    truncation_percentage: int
    evaluation_interval: int = 1
    delay_evaluation: int = 0
    exclude_finished_jobs: bool = False

    def __post_init__(self) -> None:
        _Intervals(self.evaluation_interval, self.delay_evaluation)
        check_flag("exclude_finished_jobs", self.exclude_finished_jobs)
        percentage = self.truncation_percentage
        if isinstance(percentage, bool) or not isinstance(percentage, int) or not 1 <= percentage <= 99:
            raise OptionError(
                f"truncation_percentage={percentage!r} is no whole number from 1 to 99", "20: the worst fifth"
            )

    def judge(self, objective: Objective) -> Judge:
        return _TruncationJudge(self, objective)


class _TruncationJudge:
    def __init__(self, policy: TruncationSelectionPolicy, objective: Objective) -> None:
        self._policy, self._objective = policy, objective
        self._intervals = _Intervals(policy.evaluation_interval, policy.delay_evaluation)
        self._reports: defaultdict[int, int] = defaultdict(int)
        self._results: defaultdict[int, list[float]] = defaultdict(list)
        """Keys after so many reports, best first."""
        self._places: defaultdict[int, list[tuple[int, float]]] = defaultdict(list)
        """Of each trial, what it has among the results."""

    def report(self, trial_id: int, resource: float, value: float) -> Reason | None:
        self._reports[trial_id] += 1
        number = self._reports[trial_id]
        if not self._intervals.include(number):
            return None
        key = self._objective.key(value)
        results = self._results[number]
        insort(results, key)
        if self._policy.exclude_finished_jobs:
            self._places[trial_id].append((number, key))
        count = len(results) * self._policy.truncation_percentage // 100
        worst_that_stays = results[len(results) - count - 1]
        if not key > worst_that_stays:
            return None
        shown, metric = self._objective.shown, self._objective.metric
        numbers = {metric: shown(key), "stopped of them": count, "trials": len(results), "reports": number}
        return Reason("among the worst", numbers, shown(worst_that_stays))

    def ended(self, trial_id: int) -> None:
        self._reports.pop(trial_id, None)
        for number, key in self._places.pop(trial_id, ()):
            results = self._results[number]
            results.pop(bisect_left(results, key))
