"""States of training jobs in the words of attempts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cloudtune.sagemaker.causes import OUTCOME_OF_SECONDARY, failure_cause, time_limit_cause
from cloudtune.sagemaker.instances import price_of_resources
from cloudtune.trial import AttemptStatus, Cause

_LOST = frozenset({"Interrupted", "Restarting"})
_NOT_YET_RUNNING = _LOST | {
    "Starting",
    "Pending",
    "LaunchingMLInstances",
    "PreparingTrainingStack",
    "Downloading",
    "DownloadingTrainingImage",
}
_TIMED_OUT = {
    "MaxRuntimeExceeded": "ran longer than the template's MaxRuntimeInSeconds",
    "MaxWaitTimeExceeded": "waited and ran longer than the template's MaxWaitTimeInSeconds",
}
STOPPED_FROM_OUTSIDE = "StoppedFromOutside: the training job was stopped by somebody else"
GONE = "Gone: the training job no longer exists"


@dataclass(frozen=True)
class PoolState:
    """What became of a job's instances: ``InUse``, ``Available``, ``Reused`` by the job of that name, ``Terminated``.

    ``idle_seconds``: for which they have waited, as far as that was said.
    """

    status: str
    reused_by: str = ""
    idle_seconds: float | None = None


@dataclass(frozen=True)
class JobState:
    """A training job's status as ListTrainingJobs and DescribeTrainingJob give it; times in seconds, the server's.

    ``interruptions``: what was said of each, oldest first; None if nothing tells, as in a listing. ``ended``: when it
    gave its instances back, if it had any. ``pool``: of a job that asked to keep them.
    """

    name: str
    status: str
    secondary: str = ""
    created: float = 0.0
    modified: float = 0.0
    interruptions: tuple[str, ...] | None = None
    ended: float | None = None
    pool: PoolState | None = None

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> JobState:
        """From a summary or a description."""
        transitions, ended = answer.get("SecondaryStatusTransitions"), answer.get("TrainingEndTime")
        return cls(
            name=answer["TrainingJobName"],
            status=answer["TrainingJobStatus"],
            secondary=answer.get("SecondaryStatus") or "",
            created=_seconds(answer.get("CreationTime")),
            modified=_seconds(answer.get("LastModifiedTime")),
            interruptions=None if transitions is None else _interruptions(transitions),
            ended=None if ended is None else _seconds(ended),
            pool=_pool(answer.get("WarmPoolStatus")),
        )

    @property
    def is_over(self) -> bool:
        return self.status in ("Completed", "Failed", "Stopped", "Deleting")

    @property
    def has_lost_its_machine(self) -> bool:
        return not self.is_over and self.secondary in _LOST

    @property
    def attempt_status(self) -> AttemptStatus:
        """Of a job that is over: draining, since its log may still lag behind."""
        if self.is_over:
            return AttemptStatus.DRAINING
        if self.status == "Stopping":
            return AttemptStatus.STOPPING
        # a secondary status that is new to us is a job at work
        return AttemptStatus.PENDING if self.secondary in _NOT_YET_RUNNING else AttemptStatus.RUNNING


def _pool(answer: Mapping[str, Any] | None) -> PoolState | None:
    if answer is None:
        return None
    return PoolState(
        answer["Status"], answer.get("ReusedByJob") or "", answer.get("ResourceRetainedBillableTimeInSeconds")
    )


def _interruptions(transitions: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Each time it takes a machine away, the service may say ``Interrupted``, ``Restarting``, or both in a row."""
    found: list[str] = []
    lost = False
    for step in transitions:
        status = step.get("Status")
        if status == "Interrupted" or (status == "Restarting" and not lost):
            found.append(str(step.get("StatusMessage") or status))
        lost = status in _LOST or (lost and status in ("Starting", "Pending"))
    return tuple(found)


@dataclass(frozen=True)
class JobEnd:
    """How a job ended. ``ran``: whether its script ever started. ``dollars``: None if its price is unknown."""

    status: AttemptStatus
    reason: str
    ran: bool
    dollars: float | None
    cause: Cause = Cause.NONE


def job_end(description: Mapping[str, Any], dollars_per_hour: float | None, stop_asked: bool | None) -> JobEnd:
    """From DescribeTrainingJob of a job that is over. ``stop_asked``: whether we stopped it; None if unknown."""
    status = description["TrainingJobStatus"]
    if status == "Deleting":  # only what has ended can be deleted
        status = OUTCOME_OF_SECONDARY.get(description.get("SecondaryStatus") or "", "Stopped")
    billable = description.get("BillableTimeInSeconds")
    # the instances that it had may be others than those asked for first
    shown = price_of_resources(description.get("ResourceConfig") or {})
    dollars_per_hour = dollars_per_hour if shown is None else shown
    dollars = None if dollars_per_hour is None else dollars_per_hour * float(billable or 0) / 3600
    ran = description.get("TrainingStartTime") is not None
    if status == "Completed":
        return JobEnd(AttemptStatus.COMPLETED, "", ran, dollars)
    if status == "Failed":
        reason = str(description.get("FailureReason") or "Failed")
        return JobEnd(AttemptStatus.FAILED, reason, ran, dollars, failure_cause(reason, ran))
    reason, cause = _why_stopped(description, stop_asked)
    return JobEnd(AttemptStatus.STOPPED, reason, ran, dollars, cause)


def _why_stopped(description: Mapping[str, Any], stop_asked: bool | None) -> tuple[str, Cause]:
    secondary = str(description.get("SecondaryStatus") or "")
    if secondary in _TIMED_OUT:
        limits = description.get("StoppingCondition") or {}
        limit = limits.get("MaxWaitTimeInSeconds" if "Wait" in secondary else "MaxRuntimeInSeconds")
        reason = f"{secondary}: {_TIMED_OUT[secondary]}" + (f" = {limit}" if limit else "")
        return reason, time_limit_cause(description)
    return (STOPPED_FROM_OUTSIDE, Cause.OUTSIDE) if stop_asked is False else ("", Cause.NONE)


def _seconds(moment: Any) -> float:
    if isinstance(moment, datetime):
        return moment.timestamp()
    return float(moment or 0.0)
