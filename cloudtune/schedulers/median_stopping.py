"""The median stopping rule, around any scheduler."""

from __future__ import annotations

from bisect import insort
from collections import defaultdict
from dataclasses import dataclass

from cloudtune.options import check_count, check_flag, named_options
from cloudtune.schedulers.base import Reason, TrialScheduler
from cloudtune.schedulers.early_termination import EarlyTermination
from cloudtune.schedulers.objective import Objective
from cloudtune.schedulers.order_statistics import quantile
from cloudtune.schedulers.rungs import WORST
from cloudtune.schedulers.termination_policies import Course, Judge, check_amount, check_fraction


@named_options()
class MedianStoppingRule(EarlyTermination):
    """Stops trials that are worse than the median of all trials at the same resource, around any scheduler.

    Google Vizier's rule (Golovin et al. 2017, section 3.2.1), as Syne Tune's users know it: what a trial has come to at
    a resource level is compared with what all trials had come to there, its own result among them, and it is stopped if
    that is strictly worse than the cutoff. Vizier compares a trial's best result with averages; that is
    ``EarlyTermination(scheduler, MedianStoppingPolicy())``.

    :param scheduler: proposes trials, and decides about those that go on; its mode counts.
    :param resource_attr: what reports call the units of work done. Scripts should report at the same levels.
    :param running_average: compare averages over all of a trial's reports so far, rather than single results. A result
        that is no finite number ranks last at its resource, and is no part of later averages.
    :param metric: default: the scheduler's first.
    :param grace_time: results at this resource and below it are not judged.
    :param grace_population: so many trials must have come to a level, the judged one counted.
    :param rank_cutoff: the share of trials, the worst, that is stopped: with 0.5 what is worse than the median, with
        0.25 the worst quarter.

    Raises ``OptionError``.
    """

    def __init__(
        self,
        scheduler: TrialScheduler,
        resource_attr: str,
        running_average: bool = True,
        metric: str | None = None,
        grace_time: float = 1,
        grace_population: int = 5,
        rank_cutoff: float = 0.5,
    ) -> None:
        rule = MedianRule(running_average, grace_time, grace_population, rank_cutoff)
        super().__init__(scheduler, rule, resource_attr, metric)


@dataclass(frozen=True)
class MedianRule:
    """The rule of ``MedianStoppingRule``, where its options are documented: trials are compared at their resource."""

    running_average: bool = True
    grace_time: float = 1
    grace_population: int = 5
    rank_cutoff: float = 0.5

    def __post_init__(self) -> None:
        check_flag("running_average", self.running_average)
        check_amount("grace_time", self.grace_time, "1: the first unit of work is never judged")
        check_count("grace_population", self.grace_population, 1, "5: at least so many trials are compared")
        check_fraction("rank_cutoff", self.rank_cutoff, "0.5: what is worse than the median is stopped")

    def judge(self, objective: Objective) -> Judge:
        return _RankJudge(self, objective)


class _RankJudge:
    def __init__(self, rule: MedianRule, objective: Objective) -> None:
        self._rule, self._objective = rule, objective
        self._courses: defaultdict[int, Course] = defaultdict(Course)
        self._results: defaultdict[float, list[float]] = defaultdict(list)
        """What trials had come to at each resource, best first."""

    def report(self, trial_id: int, resource: float, value: float) -> Reason | None:
        course, rule = self._courses[trial_id], self._rule
        key = self._objective.key(value)
        course.add(key)
        if resource <= rule.grace_time:
            return None
        reached = course.mean if rule.running_average and key < WORST else key
        results = self._results[resource]
        insort(results, reached)
        if len(results) < rule.grace_population:
            return None
        cutoff = quantile(results, 1 - rule.rank_cutoff)
        if not reached > cutoff:
            return None
        shown, metric = self._objective.shown, self._objective.metric
        name = f"average {metric}" if rule.running_average else metric
        which = "the median" if rule.rank_cutoff == 0.5 else f"all but {rule.rank_cutoff:.4g} of the trials"
        numbers = {name: shown(reached), "trials": len(results)}
        return Reason(f"worse than {which} at its resource", numbers, shown(cutoff))

    def ended(self, trial_id: int) -> None:
        self._courses.pop(trial_id, None)
