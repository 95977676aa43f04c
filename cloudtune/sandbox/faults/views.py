"""What DescribeTrainingJob, ListTrainingJobs and Search do not know yet."""

from __future__ import annotations

from dataclasses import replace

from cloudtune.sandbox.faults.dice import throw
from cloudtune.sandbox.faults.faults import Faults
from cloudtune.sandbox.faults.plan import Lag
from cloudtune.sandbox.training.job import DOWNLOADING, IN_PROGRESS, STOPPING, Job, WarmPool


class StaleViews:
    """Jobs as a view shows them: "describe", "list" or "search"."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        views = faults.plan.views
        lags = {"describe": views.describe, "list": views.list, "search": views.search}
        self._lags = {name: lag for name, lag in lags.items() if lag.probability > 0 and (lag.created or lag.changed)}

    def seen(self, view: str, job: Job, now: float) -> Job | None:
        """``job`` as it is, as it was, or None where the view doesn't know it yet."""
        lag = self._lags.get(view)
        if lag is None or now >= job.transitions[-1].start + max(lag.created, lag.changed):
            return job
        if now < job.created + lag.created and self._is_late(lag, view, job, "created"):
            self._faults.injected.note(f"stale-{view}")
            return None
        shown = max(index for index in range(len(job.transitions)) if self._shows(lag, view, job, index, now))
        if shown == len(job.transitions) - 1:
            return job
        self._faults.injected.note(f"stale-{view}")
        return as_it_was(job, shown)

    def _shows(self, lag: Lag, view: str, job: Job, index: int, now: float) -> bool:
        if index == 0 or now >= job.transitions[index].start + lag.changed:
            return True
        return not self._is_late(lag, view, job, index)

    def _is_late(self, lag: Lag, view: str, job: Job, what: str | int) -> bool:
        return throw(self._faults.plan.seed, "stale", view, job.name, what) < lag.probability


def as_it_was(job: Job, last: int) -> Job:
    """A copy of ``job`` at the end of the transition with this index, which is not its last one."""
    steps = job.transitions[: last + 1]
    left = job.transitions[last + 1].start
    statuses = {step.status for step in steps}
    return replace(
        job,
        status=STOPPING if STOPPING in statuses else IN_PROGRESS,
        secondary=steps[-1].status,
        transitions=[*steps[:-1], replace(steps[-1], end=None)],
        last_modified=steps[-1].start,
        training_started=job.training_started if DOWNLOADING in statuses else None,
        training_ended=None,
        failure_reason=None,
        model_uri=None,
        metrics={name: metric for name, metric in job.metrics.items() if metric.time <= left},
        warm_pool=None if job.warm_pool is None else WarmPool("InUse"),
    )
