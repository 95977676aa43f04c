"""Stopping trials that have come to a plateau."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass

from cloudtune.options import check_count, named_options
from cloudtune.schedulers.base import Reason
from cloudtune.schedulers.objective import Objective
from cloudtune.schedulers.order_statistics import standard_deviation
from cloudtune.schedulers.termination_policies import Judge, check_amount


@named_options()
@dataclass(frozen=True, kw_only=True)
class TrialPlateauPolicy:
    """Stops a trial that does not move any more, for better or worse: it has got what it can get.

    :param std: the standard deviation of its last results up to which it stands still, in units of the metric.
    :param num_results: how many results are looked at.
    :param grace_period: reports that a trial makes in any case.

    Results that are no finite number are no plateau. Raises ``OptionError``.
    """

    std: float = 0.01
    num_results: int = 4
    grace_period: int = 4

    def __post_init__(self) -> None:
        check_amount("std", self.std, "give it in units of the metric")
        check_count("num_results", self.num_results, 2, "of fewer than 2 results nobody knows how they differ")
        check_count("grace_period", self.grace_period, 0, "0: as soon as there are num_results")

    def judge(self, objective: Objective) -> Judge:
        return _PlateauJudge(self)


class _PlateauJudge:
    def __init__(self, policy: TrialPlateauPolicy) -> None:
        self._policy = policy
        self._values: dict[int, deque[float]] = {}
        self._reports: defaultdict[int, int] = defaultdict(int)

    def report(self, trial_id: int, resource: float, value: float) -> Reason | None:
        values = self._values.setdefault(trial_id, deque(maxlen=self._policy.num_results))
        values.append(value)
        self._reports[trial_id] += 1
        if len(values) < self._policy.num_results or self._reports[trial_id] < self._policy.grace_period:
            return None
        spread = standard_deviation(values)
        if not spread <= self._policy.std:
            return None
        return Reason("has come to a plateau", {"std": spread, "results": len(values)}, self._policy.std)

    def ended(self, trial_id: int) -> None:
        self._values.pop(trial_id, None)
        self._reports.pop(trial_id, None)
