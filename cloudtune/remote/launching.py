"""Launching the tuner's job: the first time, and again from what lies in S3."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from cloudtune.aws import Aws, S3Uri
from cloudtune.aws import objects as s3
from cloudtune.aws.request_check import check_request
from cloudtune.errors import (
    AlreadyExistsError,
    ExperimentNotFoundError,
    IntegrityError,
    NotFoundError,
    OptionError,
)
from cloudtune.remote import layout
from cloudtune.remote.experiment import RemoteExperiment
from cloudtune.remote.tuner_job import TunerJob, tuner_job_name, tuner_jobs

DIGEST = "tuner_sha256"


def launch(aws: Aws, tuner_name: str, experiment: S3Uri, request: Mapping[str, Any]) -> TunerJob:
    """Start the next job for this tuner. ``request`` lacks only the name; it is kept for later launches.

    Raises ``AlreadyExistsError`` if one is running.
    """
    jobs = tuner_jobs(aws, tuner_name)
    refuse_second(jobs)
    number = jobs[-1].number + 1 if jobs else 1
    named = {**request, "TrainingJobName": tuner_job_name(tuner_name, number)}
    check_request("sagemaker", "CreateTrainingJob", named)
    s3.put(aws, experiment / layout.LAUNCH_FILE, json.dumps(request, indent=1).encode())
    s3.delete(aws, [experiment / layout.STOP_MARKER])
    aws.call("sagemaker", "CreateTrainingJob", **named)
    return TunerJob(named["TrainingJobName"], number, "InProgress")


def refuse_second(jobs: list[TunerJob]) -> None:
    """Raises ``AlreadyExistsError`` if one of these jobs runs."""
    for job in jobs:
        if job.is_active:
            raise AlreadyExistsError(
                f"{job.name} runs this experiment already ({job.status})",
                "follow it with `cloudtune watch`, or end it with `cloudtune stop` first",
            )


def resume(
    tuner_name: str,
    s3_path: str | None = None,
    max_wallclock_time: float | None = None,
    n_workers: int | None = None,
    aws: Aws | None = None,
    max_num_trials_started: int | None = None,
    max_cost: float | None = None,
) -> RemoteExperiment:
    """Launch the experiment's tuner again: it goes on from its journal.

    ``max_wallclock_time`` (seconds of tuning), ``max_num_trials_started``, ``max_cost`` (dollars): limits of all
    launches together, instead of those of its ``StoppingCriterion``. ``n_workers``: so many trials at a time from now
    on. They also hold for later launches. Returns once the job is created.

    Raises ``ExperimentNotFoundError`` if there is none, ``AlreadyExistsError`` if its tuner runs, ``IntegrityError``
    if what lies in S3 is not what was launched.
    """
    aws = aws or Aws()
    experiment = RemoteExperiment(tuner_name, s3_path, aws)
    try:
        request = json.loads(s3.get(aws, experiment.uri / layout.LAUNCH_FILE))
    except NotFoundError as error:
        raise ExperimentNotFoundError(
            f"no remote tuner {tuner_name!r} below {experiment.uri}",
            "names carry a suffix (such as -2026-01-31-12-00-00-000): is it complete? s3_path says where else to look",
        ) from error
    _check_digest(aws, tuner_name, request)
    if n_workers is not None and n_workers < 1:
        raise OptionError(f"n_workers={n_workers} is not a positive number", "give the number of parallel trials")
    changes = {
        "max_wallclock_time": max_wallclock_time,
        "max_num_trials_started": max_num_trials_started,
        "max_cost": max_cost,
        "n_workers": n_workers,
    }
    request["HyperParameters"].update((name, json.dumps(value)) for name, value in changes.items() if value is not None)
    launch(aws, tuner_name, experiment.uri, request)
    return experiment


def _check_digest(aws: Aws, tuner_name: str, request: Mapping[str, Any]) -> None:
    """The service keeps the request of the last launch, where nobody can change it: the digest must be that one."""
    jobs = tuner_jobs(aws, tuner_name)
    refuse_second(jobs)
    if not jobs:
        return
    described = aws.call("sagemaker", "DescribeTrainingJob", TrainingJobName=jobs[-1].name)
    launched, kept = described["HyperParameters"].get(DIGEST), request["HyperParameters"].get(DIGEST)
    if launched != kept:
        raise IntegrityError(
            f"{layout.LAUNCH_FILE} names a payload with SHA-256 {kept}, {jobs[-1].name} was launched with {launched}",
            "somebody changed the experiment's files; launch it again from its script",
        )
