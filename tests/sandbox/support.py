"""What the sandbox's tests share: requests for small jobs, and patience."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cloudtune.sandbox import Address, Sandbox

GROUP = "/aws/sagemaker/TrainingJobs"
PATIENCE = 60.0


@functools.lru_cache(maxsize=64)
def _client(address: Address, service: str) -> Any:
    return address.client(service)


def client(sandbox: Sandbox, service: str) -> Any:
    """A boto3 client, made once: that takes longer than most calls."""
    return _client(sandbox.address, service)


class Hand:
    """A clock set by hand."""

    def __init__(self) -> None:
        self.time = 1e6

    def now(self) -> float:
        return self.time

    def wait(self, wake: threading.Event, seconds: float) -> bool:
        self.time += seconds
        return wake.is_set()


def job_request(sandbox: Sandbox, name: str, code: str = "pass", **changes: Any) -> dict[str, Any]:
    """A CreateTrainingJob request for a job that runs ``code`` (at most 512 characters)."""
    request: dict[str, Any] = {
        "TrainingJobName": name,
        "RoleArn": sandbox.role_arn,
        "AlgorithmSpecification": {
            "TrainingImage": "python:3",
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["python", "-u", "-c"],
            "ContainerArguments": ["import os; exec(os.environ['CODE'])"],
        },
        "Environment": {"CODE": code},
        "OutputDataConfig": {"S3OutputPath": f"s3://{sandbox.bucket}/output"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
    }
    for member, value in changes.items():
        merge = isinstance(value, Mapping) and isinstance(request.get(member), dict)
        request[member] = {**request[member], **value} if merge else value
    return request


def create(sandbox: Sandbox, name: str, code: str = "pass", **changes: Any) -> str:
    """Create such a job; its ARN."""
    answer = client(sandbox, "sagemaker").create_training_job(**job_request(sandbox, name, code, **changes))
    return str(answer["TrainingJobArn"])


def describe(sandbox: Sandbox, name: str) -> dict[str, Any]:
    description: dict[str, Any] = client(sandbox, "sagemaker").describe_training_job(TrainingJobName=name)
    return description


def wait_for(condition: Callable[[], Any], what: str = "condition") -> Any:
    """The first true value of ``condition``."""
    deadline = time.monotonic() + PATIENCE
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {PATIENCE} s for {what}")
        time.sleep(0.02)


def wait_for_end(sandbox: Sandbox, name: str) -> dict[str, Any]:
    """The description of a job that is over."""

    def ended() -> dict[str, Any] | None:
        description = describe(sandbox, name)
        return description if description["TrainingJobStatus"] in ("Completed", "Failed", "Stopped") else None

    found: dict[str, Any] = wait_for(ended, f"the end of {name}")
    return found


def wait_for_line(sandbox: Sandbox, name: str, text: str) -> None:
    """Until job ``name`` has printed ``text``."""
    wait_for(lambda: any(text in line for line in lines_of(sandbox, name)), f"{name} to print {text!r}")


def lines_of(sandbox: Sandbox, name: str) -> list[str]:
    """What job ``name`` has printed."""
    pages = client(sandbox, "logs").get_paginator("filter_log_events")
    found = pages.paginate(logGroupName=GROUP, logStreamNamePrefix=f"{name}/")
    return [event["message"] for page in found for event in page["events"]]


def path_of(description: Mapping[str, Any]) -> list[str]:
    """The secondary statuses a job went through."""
    return [step["Status"] for step in description["SecondaryStatusTransitions"]]


def processes_with(marker: str) -> list[int]:
    """Ids of the processes with ``marker`` in their environment; a job itself knows only its namespace's ids."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if marker.encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue  # it has just ended
    return found
