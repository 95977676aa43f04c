"""What survives a restart, a kill, and what a kill must not leave behind."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cloudtune.sandbox import Delays, Sandbox, Settings
from cloudtune.sandbox.detached import RunningSandbox, SandboxProcessError, find_running, start_detached
from cloudtune.sandbox.state.files import append_line, read_lines
from tests.sandbox.support import (
    GROUP,
    client,
    create,
    describe,
    lines_of,
    processes_with,
    wait_for,
    wait_for_end,
    wait_for_line,
)

SLEEP = "import time; print('up', flush=True); time.sleep(600)"
METRICS = {"MetricDefinitions": [{"Name": "loss", "Regex": "loss=([0-9.]+)"}]}


def test_jobs_logs_tags_and_objects_survive_a_restart(tmp_path: Path) -> None:
    with Sandbox(directory=tmp_path) as sandbox:
        create(sandbox, "kept", "print('loss=0.5')", AlgorithmSpecification=METRICS, Tags=[{"Key": "a", "Value": "b"}])
        before = wait_for_end(sandbox, "kept")
        s3 = client(sandbox, "s3")
        s3.put_object(Bucket=sandbox.bucket, Key="x/ü", Body=b"\x00\n", Metadata={"m": "1"}, ContentType="text/x")
        s3.put_object(Bucket=sandbox.bucket, Key="gone", Body=b"")
        s3.put_object(Bucket=sandbox.bucket, Key="gone-too", Body=b"")
        s3.delete_object(Bucket=sandbox.bucket, Key="gone")
        s3.delete_objects(Bucket=sandbox.bucket, Delete={"Objects": [{"Key": "gone-too"}]})
        s3.create_bucket(Bucket="another-bucket")
        s3.copy_object(Bucket="another-bucket", Key="copy", CopySource=f"{sandbox.bucket}/x/ü")
        head = s3.head_object(Bucket=sandbox.bucket, Key="x/ü")
        client(sandbox, "iam").create_role(RoleName="mine", AssumeRolePolicyDocument="{}")
        events = client(sandbox, "logs").filter_log_events(logGroupName=GROUP)["events"]
    with Sandbox(directory=tmp_path) as sandbox:
        assert without_metadata(describe(sandbox, "kept")) == without_metadata(before)
        assert client(sandbox, "logs").filter_log_events(logGroupName=GROUP)["events"] == events
        tags = client(sandbox, "sagemaker").list_tags(ResourceArn=before["TrainingJobArn"])["Tags"]
        assert tags == [{"Key": "a", "Value": "b"}]
        s3 = client(sandbox, "s3")
        listed = s3.list_objects_v2(Bucket=sandbox.bucket)
        assert [entry["Key"] for entry in listed["Contents"]] == ["x/ü"]
        found = s3.get_object(Bucket=sandbox.bucket, Key="x/ü")
        assert found["Body"].read() == b"\x00\n"
        for member in ("Metadata", "ContentType", "LastModified", "ETag"):
            assert found[member] == head[member]
        assert s3.get_object(Bucket="another-bucket", Key="copy")["Body"].read() == b"\x00\n"
        assert client(sandbox, "iam").get_role(RoleName="mine")["Role"]["RoleName"] == "mine"
        metrics = client(sandbox, "cloudwatch").list_metrics(Namespace="/aws/sagemaker/TrainingJobs")["Metrics"]
        assert [metric["MetricName"] for metric in metrics] == ["loss"]
        create(sandbox, "next", "print('more')")
        wait_for_end(sandbox, "next")
        assert lines_of(sandbox, "next") == ["more"]


def without_metadata(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name != "ResponseMetadata"}


def test_a_job_that_ran_when_the_sandbox_stopped_has_failed_and_says_why(tmp_path: Path) -> None:
    with Sandbox(directory=tmp_path) as sandbox:
        create(sandbox, "cut-off", SLEEP)
        wait_for_line(sandbox, "cut-off", "up")
    with Sandbox(directory=tmp_path) as sandbox:
        job = describe(sandbox, "cut-off")
        assert job["TrainingJobStatus"] == "Failed"
        assert job["FailureReason"] == "InternalServerError: the sandbox was stopped while the job was running"


def test_reset_ends_jobs_and_empties_everything(tmp_path: Path) -> None:
    marker = str(uuid.uuid4())
    with Sandbox(directory=tmp_path) as sandbox:
        create(sandbox, "running", SLEEP, Environment={"MARKER": marker})
        wait_for_line(sandbox, "running", "up")
        client(sandbox, "s3").put_object(Bucket=sandbox.bucket, Key="k", Body=b"")
        sandbox.reset()
        assert not processes_with(marker)
        assert client(sandbox, "sagemaker").list_training_jobs()["TrainingJobSummaries"] == []
        assert client(sandbox, "s3").list_objects_v2(Bucket=sandbox.bucket)["KeyCount"] == 0
        assert client(sandbox, "logs").filter_log_events(logGroupName=GROUP)["events"] == []
        create(sandbox, "running")
        wait_for_end(sandbox, "running")
    with Sandbox(directory=tmp_path) as sandbox:
        listed = client(sandbox, "sagemaker").list_training_jobs()["TrainingJobSummaries"]
        assert [job["TrainingJobName"] for job in listed] == ["running"]


def test_a_directory_has_one_sandbox_at_a_time(tmp_path: Path) -> None:
    with Sandbox(directory=tmp_path), pytest.raises(OSError, match="another sandbox uses the directory"):
        Sandbox(directory=tmp_path).start()


def test_a_torn_last_line_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    append_line(path, b"one")
    with path.open("ab") as file:
        file.write(b"tw")
    assert read_lines(path) == [b"one"]
    append_line(path, b"three")
    assert read_lines(path) == [b"one", b"three"]


@pytest.fixture
def detached(tmp_path: Path) -> Iterator[RunningSandbox]:
    running = start_detached(Settings(directory=tmp_path / "sandbox", delays=Delays(checkpoint_sync=1)))
    yield running
    again = find_running(tmp_path / "sandbox")
    if again is not None:
        again.stop()


class Far:
    """A detached sandbox with the names the helpers use."""

    def __init__(self, running: RunningSandbox) -> None:
        self.address = running.address
        self.bucket = running.address.bucket
        self.role_arn = running.address.role_arn


def test_a_killed_server_leaves_no_job_running_and_its_jobs_failed(detached: RunningSandbox) -> None:
    far: Any = Far(detached)
    marker = str(uuid.uuid4())
    create(far, "orphan", SLEEP, Environment={"MARKER": marker})
    create(far, "finished", "print('done')")
    wait_for_end(far, "finished")
    wait_for_line(far, "orphan", "up")
    client(far, "s3").put_object(Bucket=far.bucket, Key="k", Body=b"v")
    assert processes_with(marker)
    subprocess.run(["kill", "-KILL", str(detached.pid)], check=True)
    wait_for(lambda: not processes_with(marker), "the job to die with its server")
    assert find_running(detached.home) is None
    again: Any = Far(start_detached(Settings(directory=detached.home)))
    job = describe(again, "orphan")
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"] == "InternalServerError: the sandbox's server died while the job was running"
    assert describe(again, "finished")["TrainingJobStatus"] == "Completed"
    assert lines_of(again, "finished") == ["done"]
    assert client(again, "s3").get_object(Bucket=far.bucket, Key="k")["Body"].read() == b"v"


def test_a_relative_directory_is_the_callers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    running = start_detached(Settings(directory=Path("here")))
    try:
        assert running.home == tmp_path / "here"
        assert (tmp_path / "here" / "state").is_dir()
    finally:
        running.stop()


def test_what_is_set_for_real_aws_does_not_reach_the_sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "no-such-profile")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    running = start_detached(Settings(directory=tmp_path))
    try:
        far: Any = Far(running)
        create(far, "undisturbed", "print('hello')")
        assert wait_for_end(far, "undisturbed")["TrainingJobStatus"] == "Completed"
    finally:
        running.stop()


def test_stop_ends_server_and_jobs(detached: RunningSandbox) -> None:
    far: Any = Far(detached)
    marker = str(uuid.uuid4())
    create(far, "running", SLEEP, Environment={"MARKER": marker})
    wait_for_line(far, "running", "up")
    assert detached.status().jobs == {"InProgress": 1}
    with pytest.raises(SandboxProcessError, match="runs already at http:"):
        start_detached(Settings(directory=detached.home))
    detached.stop()
    assert not Path(f"/proc/{detached.pid}").exists()
    assert not processes_with(marker)
    assert find_running(detached.home) is None


def test_a_server_that_does_not_come_up_tells_why(tmp_path: Path) -> None:
    with Sandbox(directory=tmp_path) as sandbox:
        with pytest.raises(SandboxProcessError, match="another sandbox uses the directory"):
            start_detached(Settings(directory=tmp_path))
        port = int(sandbox.endpoint_url.rpartition(":")[2])
    with Sandbox(port=port), pytest.raises(SandboxProcessError, match=f"port {port} of 127.0.0.1") as caught:
        start_detached(Settings(directory=tmp_path, port=port))
    assert "another sandbox" not in str(caught.value)


def test_jobs_and_files_go_with_the_process_that_holds_a_sandbox(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = str(uuid.uuid4())
    code = f"""
import sys, time
from cloudtune.sandbox import Sandbox
from tests.sandbox.support import create, wait_for_line
with Sandbox() as sandbox:
    create(sandbox, "held", {SLEEP!r}, Environment={{"MARKER": {marker!r}}})
    wait_for_line(sandbox, "held", "up")
    print("ready", flush=True)
    time.sleep(600)
"""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "ready\n"
        assert processes_with(marker)
        holder.kill()
    wait_for(lambda: not processes_with(marker), "the job to die with its holder")
    (left,) = tmp_path.iterdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with Sandbox():
        assert left.exists(), "too young to be surely nobody's"
        os.utime(left / "lock", (0, 0))
    with Sandbox():
        assert not left.exists()


def test_a_temporary_directory_in_use_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with Sandbox() as sandbox:
        (used,) = tmp_path.iterdir()
        os.utime(used / "lock", (0, 0))
        with Sandbox():
            assert used.exists()
        create(sandbox, "goes-on")
        assert wait_for_end(sandbox, "goes-on")["TrainingJobStatus"] == "Completed"


@pytest.mark.parametrize("is_kept", [True, False])
def test_requirements_are_installed_for_more_than_one_temporary_sandbox(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_kept: bool
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    directory = tmp_path / "sandbox" if is_kept else None
    with Sandbox(directory=directory) as sandbox:
        create(sandbox, "asks", "print('cache', os.environ['PIP_CACHE_DIR'])")
        wait_for_end(sandbox, "asks")
        (line,) = lines_of(sandbox, "asks")
    expected = tmp_path / "sandbox" / "cache" if is_kept else tmp_path / "user" / "cloudtune" / "sandbox"
    assert line == f"cache {expected / 'pip'}"
