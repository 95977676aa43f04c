"""Whose fault an end was: one row per text that the service is known for."""

from __future__ import annotations

from typing import Any

import pytest

from cloudtune.sagemaker.following import FollowedAttempt
from cloudtune.sagemaker.lines import ReporterReader
from cloudtune.sagemaker.states import STOPPED_FROM_OUTSIDE, JobState, job_end
from cloudtune.trial import AttemptId, AttemptStatus, Cause

SCRIPT, CAPACITY, SERVICE = Cause.SCRIPT, Cause.CAPACITY, Cause.SERVICE


@pytest.mark.parametrize(
    ("reason", "cause"),
    [
        ("AlgorithmError: See job logs for more information, exit code: 1", SCRIPT),
        ("AlgorithmError: ExecuteUserScriptError: ExitCode 137", SCRIPT),
        ("ExecuteUserScriptError: ExitCode 1 Command python train.py", SCRIPT),
        ("AlgorithmError: RuntimeError('CapacityError: insufficient capacity in my buffer'), exit code: 1", SCRIPT),
        ("AlgorithmError: the API said InternalServerError, exit code: 1", SCRIPT),
        ("ClientError: Cannot pull image from ECR", SCRIPT),
        ("ClientError: Data download failed: no objects under s3://bucket/data", SCRIPT),
        ("ClientError: Please use an instance type with more memory, or reduce the size of training data", SCRIPT),
        ("CapacityError: Unable to provision requested ML compute capacity. Please retry", CAPACITY),
        ("ClientError: Insufficient capacity for the requested instance type", CAPACITY),
        ("InsufficientInstanceCapacity: We currently do not have sufficient ml.p4d.24xlarge capacity", CAPACITY),
        ("Training job waited for capacity that was insufficient in this region", CAPACITY),
        ("InternalServerError: We encountered an internal error. Please try again.", SERVICE),
        ("InternalServerException", SERVICE),
        ("The service had an internal error", SERVICE),
        ("Something that nobody has ever seen", SCRIPT),
    ],
)
def test_a_failure_s_text_tells_whose_fault_it_was(reason: str, cause: Cause) -> None:
    end = job_end(described("Failed", "Failed", FailureReason=reason), None, False)
    assert (end.status, end.reason, end.cause) == (AttemptStatus.FAILED, reason, cause)


def test_a_failure_before_the_script_began_that_says_nothing_is_not_the_script_s() -> None:
    assert job_end({"TrainingJobStatus": "Failed"}, None, False).cause is Cause.SERVICE


@pytest.mark.parametrize(
    ("secondary", "more", "stop_asked", "cause"),
    [
        ("MaxRuntimeExceeded", {}, False, Cause.RUNTIME_LIMIT),
        ("MaxRuntimeExceeded", {}, True, Cause.RUNTIME_LIMIT),
        ("MaxWaitTimeExceeded", {}, False, CAPACITY),  # it never ran
        ("MaxWaitTimeExceeded", {"TrainingTimeInSeconds": 1000}, False, CAPACITY),  # and waited 6,200
        ("MaxWaitTimeExceeded", {"TrainingTimeInSeconds": 7000}, False, Cause.RUNTIME_LIMIT),  # and waited 200
        ("Stopped", {}, False, Cause.OUTSIDE),
        ("Stopped", {}, True, Cause.NONE),
        ("Stopped", {}, None, Cause.NONE),  # by an earlier process, perhaps
    ],
)
def test_a_stop_s_cause(secondary: str, more: dict[str, Any], stop_asked: bool | None, cause: Cause) -> None:
    limits = {"MaxRuntimeInSeconds": 3600, "MaxWaitTimeInSeconds": 7200}
    end = job_end(described("Stopped", secondary, StoppingCondition=limits, **more), None, stop_asked)
    assert (end.status, end.cause) == (AttemptStatus.STOPPED, cause)


def test_success_has_no_cause() -> None:
    assert job_end(described("Completed", "Completed"), None, False).cause is Cause.NONE


@pytest.mark.parametrize(
    ("secondary", "status", "reason"),
    [
        ("Completed", AttemptStatus.COMPLETED, ""),
        ("Failed", AttemptStatus.FAILED, "AlgorithmError: x"),
        ("Stopped", AttemptStatus.STOPPED, STOPPED_FROM_OUTSIDE),
    ],
)
def test_a_job_that_is_being_deleted_ended_as_it_did(secondary: str, status: AttemptStatus, reason: str) -> None:
    end = job_end(described("Deleting", secondary, FailureReason="AlgorithmError: x"), None, False)
    assert (end.status, end.reason) == (status, reason)


def test_the_last_word_carries_the_cause() -> None:
    attempt = FollowedAttempt(AttemptId(0, 0), "a-00000-0", None, ReporterReader(), now=0.0)
    list(attempt.take_state(JobState("a-00000-0", "Failed", "Failed"), 0.0))
    attempt.take_end(job_end(described("Failed", "Failed", FailureReason="CapacityError: none left"), None, False))
    assert attempt.last_word(1.0).cause is CAPACITY


def described(status: str, secondary: str, **more: Any) -> dict[str, Any]:
    return {"TrainingJobStatus": status, "SecondaryStatus": secondary, "TrainingStartTime": 1.0, **more}
