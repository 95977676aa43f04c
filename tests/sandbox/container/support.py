"""Small jobs, the bucket they use, and patience."""

from __future__ import annotations

import io
import sys
import tarfile
import textwrap
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cloudtune.sandbox.container import Artifacts, ContainerSpec, TrainingContainer

PATIENCE = 60.0


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    """The first true value of ``condition``."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"{what}: not within {PATIENCE} seconds")


def pack(files: Mapping[str, str]) -> bytes:
    """A ``sourcedir.tar.gz``."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, text in files.items():
            data = textwrap.dedent(text).encode()
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


@dataclass
class Bucket:
    """A bucket of one test."""

    client: Any
    name: str
    endpoint_url: str

    @property
    def uri(self) -> str:
        return f"s3://{self.name}"

    def put(self, key: str, data: bytes | str = b"") -> None:
        self.client.put_object(Bucket=self.name, Key=key, Body=data)

    def get(self, key: str) -> bytes:
        data: bytes = self.client.get_object(Bucket=self.name, Key=key)["Body"].read()
        return data

    def keys(self, prefix: str = "") -> list[str]:
        listed = self.client.list_objects_v2(Bucket=self.name, Prefix=prefix)
        return [item["Key"] for item in listed.get("Contents", [])]

    def names_in(self, key: str) -> list[str]:
        """What is in an archive."""
        with tarfile.open(fileobj=io.BytesIO(self.get(key))) as archive:
            return sorted(member.name for member in archive.getmembers() if member.isfile())


@dataclass
class Job:
    """A container and what it printed."""

    container: TrainingContainer
    lines: list[str]

    def run(self) -> int | None:
        self.container.download()
        self.container.start()
        return self.container.wait(PATIENCE)

    def begin(self, last_line: str = "ready") -> None:
        """Start, and return when the job has printed ``last_line``."""
        self.container.download()
        self.container.start()
        wait_for(lambda: last_line in self.lines, f"{last_line!r} in the job's output")

    def said(self) -> str:
        return "\n".join(self.lines)


@dataclass
class Jobs:
    """Makes jobs in a directory, with a bucket."""

    directory: Path
    bucket: Bucket
    interpreter: str = sys.executable
    made: list[Job] = field(default_factory=list)

    def spec(self, request: Mapping[str, Any], name: str = "job", **settings: Any) -> ContainerSpec:
        complete = {
            "TrainingJobName": name,
            "AlgorithmSpecification": {"TrainingImage": "image", "TrainingInputMode": "File"},
            "OutputDataConfig": {"S3OutputPath": f"{self.bucket.uri}/out"},
            "ResourceConfig": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 1},
            **request,
        }
        given: dict[str, Any] = {
            "job_name": name,
            "job_arn": f"arn:aws:sagemaker:us-east-1:123456789012:training-job/{name}",
            "region": "us-east-1",
            "account_id": "123456789012",
            "request": complete,
            "directory": self.directory / "jobs" / name,
            "cache_directory": self.directory / "cache",
            "endpoint_url": self.bucket.endpoint_url,
            "environment": {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"},
            "interpreter": self.interpreter,
        }
        return ContainerSpec(**{**given, **settings})

    def make(self, request: Mapping[str, Any], name: str = "job", **settings: Any) -> Job:
        lines: list[str] = []
        job = Job(TrainingContainer(self.spec(request, name, **settings), lines.append), lines)
        self.made.append(job)
        return job

    def script(self, files: Mapping[str, str] | str, name: str = "job", **changes: Any) -> Job:
        """A job in script mode; ``files`` are its source, or the text of its ``train.py``."""
        source = {"train.py": files} if isinstance(files, str) else files
        self.bucket.put(f"{name}/sourcedir.tar.gz", pack(source))
        given = changes.pop("HyperParameters", {})
        settings = changes.pop("settings", {})
        hyperparameters = {
            "sagemaker_program": '"train.py"',
            "sagemaker_submit_directory": f'"{self.bucket.uri}/{name}/sourcedir.tar.gz"',
            **given,
        }
        return self.make({"HyperParameters": hyperparameters, **changes}, name, **settings)

    def command(self, *command: str, name: str = "job", **changes: Any) -> Job:
        """A job with an entry point of its own."""
        algorithm = {"TrainingImage": "image", "TrainingInputMode": "File", "ContainerEntrypoint": [*command]}
        settings = changes.pop("settings", {})
        return self.make({"AlgorithmSpecification": algorithm, **changes}, name, **settings)

    def close(self) -> None:
        for job in self.made:
            job.container.cleanup()


def channel(name: str, uri: str, **source: str) -> dict[str, Any]:
    return {"ChannelName": name, "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri, **source}}}


def artifacts(job: Job) -> Artifacts:
    return job.container.upload()
