"""What a job finds in its environment, and what it doesn't."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cloudtune.sandbox.container import s3
from tests.sandbox.container.support import Job, Jobs

TELL = "import json, os, sys; print(json.dumps([dict(os.environ), sys.path, sys.flags.no_user_site]))"


def told(job: Job) -> tuple[dict[str, str], list[str]]:
    assert job.run() == 0, job.said()
    environment, path, _ = json.loads(job.lines[-1])
    return environment, path


def test_nothing_of_the_session_gets_in(jobs_both: Jobs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    session = {
        "PYTHONPATH": str(tmp_path / "mine"),
        "PYTHONHOME": "/nowhere",
        "PYTHONSTARTUP": "/nowhere",
        "VIRTUAL_ENV": str(tmp_path / "venv"),
        "AWS_PROFILE": "production",
        "AWS_SESSION_TOKEN": "secret",
        "AWS_SHARED_CREDENTIALS_FILE": "/nowhere",
        "SM_MODEL_DIR": "/nowhere",
        "TRAINING_JOB_NAME": "another",
        "MY_SECRET": "secret",
    }
    for name, value in session.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", f"{tmp_path}/venv/bin{os.pathsep}{os.environ['PATH']}")
    s3._client.cache_clear()  # the service's client is made in this session too, whatever ran before
    environment, path = told(jobs_both.command("python", "-c", TELL))
    assert not set(session) - {"TRAINING_JOB_NAME"} & set(environment)
    assert environment["TRAINING_JOB_NAME"] == "job"
    assert str(tmp_path / "mine") not in path
    assert f"{tmp_path}/venv/bin" not in environment["PATH"].split(os.pathsep)


def test_home_and_temporary_files_are_the_jobs_own(jobs_both: Jobs) -> None:
    environment, _ = told(jobs_both.command("python", "-c", TELL))
    where = jobs_both.directory / "jobs" / "job"
    assert (environment["HOME"], environment["TMPDIR"]) == (str(where / "home"), str(where / "tmp"))


def test_a_job_can_be_a_client_itself(jobs_both: Jobs) -> None:
    code = (
        "import boto3; s3 = boto3.client('s3'); print(s3.meta.endpoint_url, s3.meta.region_name);"
        "print([each['Name'] for each in s3.list_buckets()['Buckets']])"
    )
    job = jobs_both.command("python", "-c", code)
    assert job.run() == 0, job.said()
    assert job.lines[0] == f"{jobs_both.bucket.endpoint_url} us-east-1"
    assert jobs_both.bucket.name in job.lines[1]


def test_the_environment_of_the_request_counts(jobs: Jobs) -> None:
    given = {"MINE": "with 'quotes' and\nlines", "PYTHONPATH": "/x", "HOME": "/y", "OMP_NUM_THREADS": "3"}
    environment, path = told(jobs.command("python", "-c", TELL, Environment=given))
    assert {name: environment[name] for name in given} == given
    assert "/x" in path


def test_numbers_of_threads_are_left_as_they_are(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("MKL_NUM_THREADS", "2")
    environment, _ = told(jobs.command("python", "-c", TELL))
    assert "OMP_NUM_THREADS" not in environment
    assert environment["MKL_NUM_THREADS"] == "2"


def test_packages_of_the_interpreter_are_there(jobs_both: Jobs) -> None:
    import numpy

    job = jobs_both.script("import numpy; print(numpy.__file__)")
    assert job.run() == 0
    assert job.lines == [numpy.__file__]


def test_the_jobs_python_takes_no_more_from_the_interpreter_than_it_has(jobs: Jobs, tmp_path: Path) -> None:
    """An environment without packages stays one, whatever the interpreter below it has."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")], check=True)
    jobs.interpreter = str(tmp_path / "bare" / "bin" / "python")
    job = jobs.script("import importlib.util as u; print(u.find_spec('numpy'), u.find_spec('json') is not None)")
    assert job.run() == 0
    assert job.lines == ["None True"]


OTHERS = [Path(f"/usr/bin/python3.{minor}") for minor in range(8, 15)]
OTHERS += sorted(Path.home().glob(".pyenv/versions/3.*/bin/python"))


@pytest.mark.parametrize("minor", range(8, 15))
def test_the_runner_runs_in_any_python_from_3_8_on(jobs: Jobs, minor: int) -> None:
    for python in OTHERS:
        if (
            python.exists()
            and subprocess.run(
                [python, "-c", f"import sys; sys.exit(sys.version_info[:2] != (3, {minor}))"], check=False
            ).returncode
            == 0
        ):
            break
    else:
        pytest.skip(f"no Python 3.{minor} on this machine")
    jobs.interpreter = str(python)
    files = {"train.py": "import sys; print(sys.version_info[:2], sys.argv[1:])", "requirements.txt": "# none\n"}
    job = jobs.script(files, HyperParameters={"lr": "0.1"})
    assert job.run() == 0, job.said()
    assert job.lines == [f"(3, {minor}) ['--lr', '0.1']"]
