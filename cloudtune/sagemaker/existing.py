"""Which training jobs of an experiment exist."""

from __future__ import annotations

from collections.abc import Sequence

from cloudtune.aws import Aws
from cloudtune.errors import NotFoundError
from cloudtune.names import job_name
from cloudtune.sagemaker.cursors import StatusCursor
from cloudtune.trial import AttemptId

_ASKED_BY_NAME = 20


def existing_attempts(aws: Aws, tuner_name: str, attempts: Sequence[AttemptId]) -> set[AttemptId]:
    """Those of ``attempts`` that have a training job."""
    wanted = set(attempts)
    found: set[AttemptId] = set()
    cursor = StatusCursor(tuner_name)
    for page in aws.pages("sagemaker", "ListTrainingJobs", **cursor.request(None)):
        found.update(attempt for attempt, _ in cursor.take(page) if attempt in wanted)
        if found == wanted:
            return found
    # a listing may lack a job made a moment ago: the last few are asked for by name
    for attempt in sorted(wanted - found)[-_ASKED_BY_NAME:]:
        if job_exists(aws, job_name(tuner_name, attempt.trial_id, attempt.number)):
            found.add(attempt)
    return found


def job_exists(aws: Aws, name: str) -> bool:
    """Whether there is a training job of this name."""
    try:
        aws.call("sagemaker", "DescribeTrainingJob", TrainingJobName=name)
    except NotFoundError:
        return False
    return True
