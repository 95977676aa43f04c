"""How long a job may take, by its StoppingCondition."""

from __future__ import annotations

import math

from cloudtune.sandbox.training.job import Job
from cloudtune.sandbox.training.rules import DEFAULT_MAX_RUNTIME


def max_runtime(job: Job) -> float:
    """Seconds on instances, of all its runs together."""
    return float(job.request.get("StoppingCondition", {}).get("MaxRuntimeInSeconds", DEFAULT_MAX_RUNTIME))


def wait_ends(job: Job) -> float:
    """The last moment of a spot job, waiting or running, in seconds since the epoch; of others there is none."""
    seconds = job.request.get("StoppingCondition", {}).get("MaxWaitTimeInSeconds")
    return math.inf if seconds is None else job.created + float(seconds)
