"""Jobs that can't be had: no room in the account, or no instances in the cloud."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from cloudtune.sandbox.aws_error import AwsError
from cloudtune.sandbox.faults.dice import throw
from cloudtune.sandbox.faults.faults import CREATE, Faults
from cloudtune.sandbox.faults.plan import LaunchRule
from cloudtune.sandbox.training.execution import Shortage
from cloudtune.sandbox.training.instances import ON_DEMAND, SPOT, Quotas, instances_of, limit_exceeded, quota_name
from cloudtune.sandbox.training.job import Job

LIMIT_EXCEEDED, REFUSED, NO_CAPACITY = "limit-exceeded", "capacity-refused", "no-capacity"
NO_INSTANCES = (
    "CapacityError: Unable to provision requested ML compute capacity. Please retry using a different ML instance type."
)


class Launches:
    """What ``faults`` do to jobs that want instances."""

    def __init__(self, faults: Faults, quotas: Quotas) -> None:
        self._faults = faults
        self._quotas = quotas

    def check(self, request: Mapping[str, Any]) -> None:
        """Raise the refusal of a CreateTrainingJob that everything else would let pass."""
        for instance_type in instances_of(request):
            kind = self._refusal(instance_type)
            if kind is not None:
                self._faults.injected.note(kind)
                raise self._error(kind, instance_type, request)

    def _refusal(self, instance_type: str) -> str | None:
        ordered = self._faults.ordered(CREATE, (LIMIT_EXCEEDED, REFUSED))
        if ordered is not None:
            return ordered
        elapsed, seed = self._faults.elapsed(), self._faults.plan.seed
        for rule in self._rules(instance_type, LIMIT_EXCEEDED, REFUSED):
            count = self._faults.count(f"{rule.kind} {rule.instance_types}")
            chance = throw(seed, rule.kind, rule.instance_types, count)
            if rule.when.holds(count, elapsed) and chance < rule.when.probability:
                return rule.kind
        return None

    def _error(self, kind: str, instance_type: str, request: Mapping[str, Any]) -> AwsError:
        if kind == REFUSED:
            code, _, message = NO_INSTANCES.partition(": ")
            return AwsError(code, message)
        usage = SPOT if request.get("EnableManagedSpotTraining") else ON_DEMAND
        limit = self._quotas.limit(instance_type, usage)
        wanted = instances_of(request)[instance_type]
        return limit_exceeded(quota_name(instance_type, usage), limit, limit, wanted)

    def shortage(self, job: Job, restarts: int, at: float) -> Shortage | None:
        """Whether there are no instances for ``job`` at a moment (seconds since the epoch)."""
        if restarts == 0 and self._faults.ordered(CREATE, (NO_CAPACITY,)) is not None:
            return self._none(job, LaunchRule(NO_CAPACITY), at)
        elapsed, seed = at - self._faults.begin, self._faults.plan.seed
        for instance_type in instances_of(job.request):
            for rule in self._rules(instance_type, NO_CAPACITY):
                count = self._faults.count(f"{rule.kind} {rule.instance_types}")
                chance = throw(seed, rule.kind, job.name, restarts)
                if rule.when.holds(count, elapsed) and chance < rule.when.probability:
                    return self._none(job, rule, at)
        return None

    def _none(self, job: Job, rule: LaunchRule, at: float) -> Shortage:
        self._faults.injected.note(rule.kind)
        if not job.spot:
            return Shortage(rule.wait, NO_INSTANCES)
        elapsed = at - self._faults.begin
        ends = [end - elapsed for begin, end in rule.when.windows if begin <= elapsed < end]
        return Shortage(max(ends, default=rule.wait))

    def _rules(self, instance_type: str, *kinds: str) -> list[LaunchRule]:
        rules = self._faults.plan.launches
        return [rule for rule in rules if rule.kind in kinds and fnmatchcase(instance_type, rule.instance_types)]
