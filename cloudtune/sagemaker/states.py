"""States of training jobs in the words of attempts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cloudtune.sagemaker.instances import price_of_resources
from cloudtune.trial import AttemptStatus

_NOT_YET_RUNNING = frozenset(
    {
        "Starting",
        "Pending",
        "LaunchingMLInstances",
        "PreparingTrainingStack",
        "Downloading",
        "DownloadingTrainingImage",
        "Interrupted",
        "Restarting",
    }
)
_TIMED_OUT = {
    "MaxRuntimeExceeded": "ran longer than the template's MaxRuntimeInSeconds",
    "MaxWaitTimeExceeded": "waited and ran longer than the template's MaxWaitTimeInSeconds",
}
STOPPED_FROM_OUTSIDE = "StoppedFromOutside: the training job was stopped by somebody else"
GONE = "Gone: the training job no longer exists"


@dataclass(frozen=True)
class JobState:
    """A training job's status as ListTrainingJobs and DescribeTrainingJob give it; times in seconds, the server's."""

    name: str
    status: str
    secondary: str = ""
    created: float = 0.0
    modified: float = 0.0

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> JobState:
        """From a summary or a description."""
        return cls(
            name=answer["TrainingJobName"],
            status=answer["TrainingJobStatus"],
            secondary=answer.get("SecondaryStatus") or "",
            created=_seconds(answer.get("CreationTime")),
            modified=_seconds(answer.get("LastModifiedTime")),
        )

    @property
    def is_over(self) -> bool:
        return self.status in ("Completed", "Failed", "Stopped", "Deleting")

    @property
    def attempt_status(self) -> AttemptStatus:
        """Of a job that is over: draining, since its log may still lag behind."""
        if self.is_over:
            return AttemptStatus.DRAINING
        if self.status == "Stopping":
            return AttemptStatus.STOPPING
        # a secondary status that is new to us is a job at work
        return AttemptStatus.PENDING if self.secondary in _NOT_YET_RUNNING else AttemptStatus.RUNNING


@dataclass(frozen=True)
class JobEnd:
    """How a job ended. ``ran``: whether its script ever started. ``dollars``: None if its price is unknown."""

    status: AttemptStatus
    reason: str
    ran: bool
    dollars: float | None


def job_end(description: Mapping[str, Any], dollars_per_hour: float | None, stop_asked: bool | None) -> JobEnd:
    """From DescribeTrainingJob of a job that is over. ``stop_asked``: whether we stopped it; None if unknown."""
    status = description["TrainingJobStatus"]
    billable = description.get("BillableTimeInSeconds")
    resources = description.get("ResourceConfig") or {}
    if "SelectedInstanceType" in resources:
        dollars_per_hour = price_of_resources(resources)
    dollars = None if dollars_per_hour is None else dollars_per_hour * float(billable or 0) / 3600
    ran = description.get("TrainingStartTime") is not None
    if status == "Completed":
        return JobEnd(AttemptStatus.COMPLETED, "", ran, dollars)
    if status == "Failed":
        return JobEnd(AttemptStatus.FAILED, str(description.get("FailureReason") or "Failed"), ran, dollars)
    return JobEnd(AttemptStatus.STOPPED, _why_stopped(description, stop_asked), ran, dollars)


def _why_stopped(description: Mapping[str, Any], stop_asked: bool | None) -> str:
    secondary = str(description.get("SecondaryStatus") or "")
    if secondary in _TIMED_OUT:
        limits = description.get("StoppingCondition") or {}
        limit = limits.get("MaxWaitTimeInSeconds" if "Wait" in secondary else "MaxRuntimeInSeconds")
        return f"{secondary}: {_TIMED_OUT[secondary]}" + (f" = {limit}" if limit else "")
    return STOPPED_FROM_OUTSIDE if stop_asked is False else ""


def _seconds(moment: Any) -> float:
    if isinstance(moment, datetime):
        return moment.timestamp()
    return float(moment or 0.0)
