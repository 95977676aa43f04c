"""A sandbox in virtual time, driven by hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from cloudtune.clock import VirtualClock
from cloudtune.sandbox import Sandbox
from tests.sandbox.support import GROUP, job_request


class Here:
    """A sandbox and its clock; its begin is second 0. ``always``: what the request of every job has."""

    def __init__(self, sandbox: Sandbox, clock: VirtualClock, always: Mapping[str, Any]) -> None:
        self.sandbox = sandbox
        self.clock = clock
        self.begin = clock.now()
        self.sagemaker = sandbox.client("sagemaker")
        self.logs = sandbox.client("logs")
        self.s3 = sandbox.client("s3")
        self._always = always

    def create(self, name: str = "job", **changes: Any) -> None:
        self.sagemaker.create_training_job(**job_request(self.sandbox, name, **{**self._always, **changes}))

    def keeping(self, name: str = "keep") -> dict[str, Any]:
        """What the request of a job needs whose checkpoints lie below ``name``."""
        return {"CheckpointConfig": {"S3Uri": f"s3://{self.sandbox.bucket}/{name}"}}

    def until(self, second: float) -> None:
        self.clock.sleep(self.begin + second - self.clock.now())

    def described(self, name: str = "job") -> dict[str, Any]:
        found: dict[str, Any] = self.sagemaker.describe_training_job(TrainingJobName=name)
        return found

    def at(self, second: float, name: str = "job") -> dict[str, Any]:
        """The job's description then."""
        self.until(second)
        return self.described(name)

    def history(self, second: float, name: str = "job") -> list[tuple[str, float]]:
        """Each status by then, and when it began."""
        steps = self.at(second, name)["SecondaryStatusTransitions"]
        return [(step["Status"], step["StartTime"].timestamp() - self.begin) for step in steps]

    def events(self, **options: Any) -> list[dict[str, Any]]:
        """What can be read of the logs now."""
        pages = self.logs.get_paginator("filter_log_events").paginate(logGroupName=GROUP, **options)
        return [event for page in pages for event in page["events"]]

    def printed(self, name: str = "job") -> list[tuple[str, float]]:
        """What can be read of a job's log now, and when it was printed."""
        events = self.events(logStreamNamePrefix=f"{name}/")
        return [(event["message"], event["timestamp"] / 1000 - self.begin) for event in events]


@contextmanager
def here_with(always: Mapping[str, Any] | None = None, **options: Any) -> Iterator[Here]:
    """``options``: the sandbox's."""
    clock = VirtualClock()
    with Sandbox(clock=clock, **options) as sandbox:
        yield Here(sandbox, clock, always or {})
