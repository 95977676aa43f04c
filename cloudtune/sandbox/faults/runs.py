"""What befalls jobs while they run."""

from __future__ import annotations

import math
from collections.abc import Callable
from fnmatch import fnmatchcase

from cloudtune.sandbox.faults.dice import throw
from cloudtune.sandbox.faults.faults import Faults
from cloudtune.sandbox.faults.plan import RunRule
from cloudtune.sandbox.training.execution import Mishap
from cloudtune.sandbox.training.job import Job

INTERRUPTED = "interrupted"
REASONS = {
    "capacity-lost": "CapacityError: The requested ML compute capacity became unavailable while the job was running.",
    "service-lost": "InternalServerError: We encountered an internal error. Please try again.",
}


class Runs:
    """What ``faults`` do to running jobs. What happens to a run follows from its job's name, and from how often it was
    started again."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def mishap(self, job: Job, restarts: int) -> Mishap | None:
        """The first thing that will befall this run, if anything."""
        found = []
        for rule in self._faults.plan.runs:
            if fnmatchcase(job.name, rule.jobs) and (job.spot or rule.kind != INTERRUPTED):
                after = self._moment(rule, job.name, restarts)
                if after is not None:
                    found.append((after, rule))
        if not found:
            return None
        after, rule = min(found, key=lambda entry: entry[0])
        return Mishap(after, REASONS.get(rule.kind), rule.pause, rule.grace, self._counting(rule.kind))

    def _moment(self, rule: RunRule, name: str, restarts: int) -> float | None:
        """In seconds of training."""
        if rule.at:
            return rule.at[restarts] if restarts < len(rule.at) else None
        chance = throw(self._faults.plan.seed, rule.kind, rule.jobs, name, restarts)
        return -math.log(1 - chance) * 3600 / rule.per_hour

    def _counting(self, kind: str) -> Callable[[], None]:
        return lambda: self._faults.injected.note(kind)
