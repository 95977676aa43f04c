"""A job as the API shows it: what its request said, and what became of it."""

from __future__ import annotations

import functools
from typing import Any

from cloudtune.sandbox.model import output_shape, service_model
from cloudtune.sandbox.training import tags
from cloudtune.sandbox.training.job import Job
from cloudtune.sandbox.training.metrics import as_float32
from cloudtune.sandbox.training.rules import DEFAULT_MAX_RUNTIME
from cloudtune.sandbox.training.warm_pools import AVAILABLE


@functools.cache
def _echoed() -> frozenset[str]:
    """Members that a request and an answer have in common: passed through, known to us or not."""
    asked = service_model("sagemaker").operation_model("CreateTrainingJob").input_shape
    answered = output_shape("sagemaker", "DescribeTrainingJob")
    assert asked is not None and answered is not None
    return frozenset(asked.members) & frozenset(answered.members)


def description(job: Job, now: float) -> dict[str, Any]:
    """The answer of DescribeTrainingJob."""
    shown = {name: value for name, value in job.request.items() if name in _echoed()}
    shown.setdefault("StoppingCondition", {"MaxRuntimeInSeconds": DEFAULT_MAX_RUNTIME})
    shown.setdefault("EnableNetworkIsolation", False)
    shown.setdefault("EnableInterContainerTrafficEncryption", False)
    shown.setdefault("EnableManagedSpotTraining", False)
    shown.update(job.updates)
    shown.update(
        TrainingJobArn=job.arn,
        ModelArtifacts={"S3ModelArtifacts": job.model_uri or ""},
        TrainingJobStatus=job.status,
        SecondaryStatus=job.secondary,
        CreationTime=job.created,
        LastModifiedTime=job.last_modified,
        SecondaryStatusTransitions=_transitions(job),
        ProfilingStatus=_profiling(shown),
    )
    optional = {
        "TrainingStartTime": job.training_started,
        "TrainingEndTime": job.training_ended,
        "FailureReason": job.failure_reason,
        "TrainingTimeInSeconds": job.seconds_on_instances(),
        "BillableTimeInSeconds": job.seconds_on_instances(),
        "WarmPoolStatus": warm_pool_status(job, now),
    }
    shown.update({name: value for name, value in optional.items() if value is not None})
    if job.metrics:
        shown["FinalMetricDataList"] = [
            {"MetricName": name, "Value": as_float32(metric.value), "Timestamp": metric.time}
            for name, metric in job.metrics.items()
        ]
    return shown


def summary(job: Job, now: float) -> dict[str, Any]:
    """One entry of ListTrainingJobs."""
    shown: dict[str, Any] = {
        "TrainingJobName": job.name,
        "TrainingJobArn": job.arn,
        "CreationTime": job.created,
        "LastModifiedTime": job.last_modified,
        "TrainingJobStatus": job.status,
        "SecondaryStatus": job.secondary,
    }
    optional = {
        "TrainingEndTime": job.training_ended,
        "WarmPoolStatus": warm_pool_status(job, now),
        "TrainingPlanArn": job.request.get("ResourceConfig", {}).get("TrainingPlanArn"),
    }
    shown.update({name: value for name, value in optional.items() if value is not None})
    return shown


def record(job: Job, now: float) -> dict[str, Any]:
    """One entry of Search: the description, and the tags."""
    shown = {name: value for name, value in description(job, now).items() if name in _searchable()}
    shown["Tags"] = tags.all_of(job)
    return shown


@functools.cache
def _searchable() -> frozenset[str]:
    return frozenset(service_model("sagemaker").shape_for("TrainingJob").members)


class RecordCache:
    """Records of jobs that are over, made once: a search looks at every one of them."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Job, int, dict[str, Any]]] = {}

    def of(self, job: Job, now: float) -> dict[str, Any]:
        """The record of ``job``; not to be changed."""
        if not job.ended or (job.warm_pool is not None and job.warm_pool.status == AVAILABLE):
            # its metrics come, and the cost of a pool that waits grows, without a word
            return record(job, now)
        found = self._known.get(job.name)
        if found is not None and found[0] is job and found[1] == job.revision:
            return found[2]
        made = record(job, now)
        self._known[job.name] = (job, job.revision, made)
        return made


def warm_pool_status(job: Job, now: float) -> dict[str, Any] | None:
    pool = job.warm_pool
    if pool is None:
        return None
    shown: dict[str, Any] = {"Status": pool.status}
    if pool.available_from is not None:
        shown["ResourceRetainedBillableTimeInSeconds"] = pool.retained_seconds(now)
    if pool.reused_by is not None:
        shown["ReusedByJob"] = pool.reused_by
    return shown


def _transitions(job: Job) -> list[dict[str, Any]]:
    found = []
    for step in job.transitions:
        shown = {"Status": step.status, "StartTime": step.start, "StatusMessage": step.message}
        if step.end is not None:
            shown["EndTime"] = step.end
        found.append(shown)
    return found


def _profiling(shown: dict[str, Any]) -> str:
    config = shown.get("ProfilerConfig")
    return "Enabled" if config is not None and not config.get("DisableProfiler") else "Disabled"
