"""Each test has a bucket of its own and makes its jobs in a directory of its own."""

from __future__ import annotations

import logging
import uuid
import zipfile
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from cloudtune.sandbox.container import isolation
from cloudtune.sandbox.container.isolation import Isolation
from tests.sandbox.container.support import Bucket, Jobs

FULL, MOUNTS, NONE = Isolation.FULL, Isolation.MOUNTS, Isolation.NONE
RANK = [NONE, MOUNTS, FULL]


@pytest.fixture(scope="package")
def endpoint_url() -> Iterator[str]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="package")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A directory with a distribution that pip can install without an index: ``wheel-of-test`` 1.2."""
    directory = tmp_path_factory.mktemp("wheels")
    name = "wheel_of_test-1.2"
    files = {
        "wheel_of_test.py": "VERSION = '1.2'\n",
        f"{name}.dist-info/METADATA": "Metadata-Version: 2.1\nName: wheel-of-test\nVersion: 1.2\n",
        f"{name}.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{name}.dist-info/entry_points.txt": "[console_scripts]\nsay-version = wheel_of_test:say\n",
    }
    files["wheel_of_test.py"] += "def say():\n    print('version', VERSION)\n"
    files[f"{name}.dist-info/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{name}.dist-info/RECORD"])
    with zipfile.ZipFile(directory / f"{name}-py3-none-any.whl", "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return str(directory)


@pytest.fixture
def bucket(endpoint_url: str) -> Bucket:
    session = boto3.Session(aws_access_key_id="testing", aws_secret_access_key="testing", region_name="us-east-1")
    client = session.client("s3", endpoint_url=endpoint_url)
    name = f"bucket-{uuid.uuid4().hex[:12]}"
    client.create_bucket(Bucket=name)
    return Bucket(client, name, endpoint_url)


def use(monkeypatch: pytest.MonkeyPatch, wanted: Isolation) -> None:
    """Have jobs isolated like this; skip where the machine can't."""
    if RANK.index(isolation.available()) < RANK.index(wanted):
        pytest.skip(f"this machine allows no isolation beyond {isolation.available().value!r}")
    monkeypatch.setattr(isolation, "available", lambda: wanted)


@pytest.fixture
def jobs(bucket: Bucket, tmp_path: Path) -> Iterator[Jobs]:
    """Jobs as this machine allows."""
    made = Jobs(tmp_path, bucket)
    yield made
    made.close()


@pytest.fixture(params=[FULL, NONE], ids=["private", "base-directory"])
def jobs_both(jobs: Jobs, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Jobs:
    """Jobs with a private ``/opt/ml``, and jobs told of a base directory."""
    use(monkeypatch, request.param)
    return jobs


@pytest.fixture(params=[FULL, MOUNTS, NONE], ids=["own-processes", "own-mounts", "nothing-own"])
def jobs_any(jobs: Jobs, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Jobs:
    """Jobs with every degree of isolation."""
    use(monkeypatch, request.param)
    return jobs


@pytest.fixture
def jobs_private(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> Jobs:
    use(monkeypatch, FULL)
    return jobs
