"""``requirements.txt``: satisfied already, from the cache, or installed; never where the user lives."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from cloudtune.sandbox.container.inside.requirements import is_satisfied
from tests.sandbox.container.support import Job, Jobs

USE = "import wheel_of_test; print(wheel_of_test.VERSION, wheel_of_test.__file__)"
INSTALLING = "Installing requirements.txt"


@pytest.fixture
def offline(wheel: str) -> dict[str, str]:
    return {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": wheel}


def with_requirements(jobs: Jobs, text: str, offline: dict[str, str], name: str = "job", script: str = USE) -> Job:
    return jobs.script({"train.py": script, "requirements.txt": text}, name, Environment=offline)


def install_by_hand(site: Path, version: str) -> None:
    site.mkdir(parents=True, exist_ok=True)
    (site / "wheel_of_test.py").write_text(f"VERSION = {version!r}\n")
    metadata = site / f"wheel_of_test-{version}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: wheel-of-test\nVersion: {version}\n")
    (metadata / "RECORD").write_text("wheel_of_test.py,,\n")
    (metadata / "INSTALLER").write_text("pip\n")


def test_what_the_interpreter_has_costs_nothing(jobs: Jobs, offline: dict[str, str]) -> None:
    text = "# what we train with\nnumpy>=1.0,!=0.9  # arrays\n\nboto3\nPyYAML>=3\n"
    job = with_requirements(jobs, text, offline, script="print('done')")
    assert job.run() == 0
    assert job.lines == ["done"]
    assert not (jobs.directory / "cache" / "requirements").exists()


def test_what_is_missing_is_installed_once_for_all_jobs(jobs_both: Jobs, offline: dict[str, str]) -> None:
    first = with_requirements(jobs_both, "wheel-of-test\n", offline, "first")
    assert first.run() == 0, first.said()
    assert first.lines[0] == INSTALLING
    version, path = first.lines[-1].split()
    assert version == "1.2"
    assert Path(path).is_relative_to(jobs_both.directory / "cache" / "requirements")
    first.container.cleanup()
    second = with_requirements(jobs_both, "# the same\n\nwheel-of-test\n", offline, "second")
    assert second.run() == 0
    assert second.lines == [f"1.2 {path}"]


def test_commands_that_it_brings_can_be_called(jobs: Jobs, offline: dict[str, str]) -> None:
    script = """
        import subprocess, sys
        subprocess.run(["say-version"], check=True)
        subprocess.run([sys.executable, "-I", "-c", "import wheel_of_test, numpy; print('both')"], check=True)
    """
    job = with_requirements(jobs, "wheel-of-test==1.2", offline, script=script)
    assert job.run() == 0, job.said()
    assert job.lines[-2:] == ["version 1.2", "both"]


def test_jobs_that_start_at_once_build_it_once(jobs: Jobs, offline: dict[str, str]) -> None:
    both = [with_requirements(jobs, "wheel-of-test", offline, name) for name in ("a", "b", "c")]
    threads = [threading.Thread(target=job.run) for job in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [job.container.wait(0) for job in both] == [0, 0, 0]
    assert sum(INSTALLING in job.lines for job in both) == 1


def test_the_remains_of_a_killed_installation_are_not_used(jobs: Jobs, offline: dict[str, str]) -> None:
    assert with_requirements(jobs, "wheel-of-test", offline, "first").run() == 0
    (overlay,) = (path for path in (jobs.directory / "cache" / "requirements").iterdir() if path.is_dir())
    (overlay / "complete").unlink()
    (next(overlay.rglob("wheel_of_test.py"))).write_text("torn")
    second = with_requirements(jobs, "wheel-of-test", offline, "second")
    assert second.run() == 0
    assert INSTALLING in second.lines
    assert second.lines[-1].startswith("1.2 ")


def test_what_no_job_asked_for_in_a_long_time_is_removed(jobs: Jobs, offline: dict[str, str]) -> None:
    assert with_requirements(jobs, "wheel-of-test==1.2", offline, "first").run() == 0
    (complete,) = (jobs.directory / "cache" / "requirements").glob("*/complete")
    os.utime(complete, (0, 0))
    again = with_requirements(jobs, "wheel-of-test==1.2", offline, "again")
    assert again.run() == 0
    assert INSTALLING not in again.lines
    assert complete.stat().st_mtime > 0
    os.utime(complete, (0, 0))
    assert with_requirements(jobs, "wheel-of-test>=1.2", offline, "another").run() == 0
    assert not complete.exists()


def test_a_failed_installation_fails_the_job(jobs_both: Jobs, offline: dict[str, str]) -> None:
    job = with_requirements(jobs_both, "wheel-of-test==9", offline)
    assert job.run() == 1
    reason = job.container.failure_reason() or ""
    assert reason.startswith("InstallRequirementsError:\nExitCode 1")
    assert reason.endswith('-m pip install -r requirements.txt"')
    assert "No matching distribution found for wheel-of-test==9" in job.said()
    again = with_requirements(jobs_both, "wheel-of-test==9", offline, "again")
    assert again.run() == 1


def test_the_users_environment_stays_as_it_is(jobs: Jobs, offline: dict[str, str], tmp_path: Path) -> None:
    home = tmp_path / "users"
    subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
    site = next(home.glob("lib/python3.*/site-packages"))
    install_by_hand(site, "1.0")
    before = sorted(str(path) for path in home.rglob("*") if "__pycache__" not in str(path))
    jobs.interpreter = str(home / "bin" / "python")
    old = with_requirements(jobs, "wheel-of-test>=1.0", offline, "old")
    new = with_requirements(jobs, "wheel-of-test>=1.1", offline, "new")
    assert [old.run(), new.run()] == [0, 0]
    assert old.lines == [f"1.0 {site}/wheel_of_test.py"]
    assert new.lines[-1].startswith("1.2 ")
    piped = jobs.command("/bin/sh", "-c", "pip install 'wheel-of-test>1' && say-version", Environment=offline)
    assert piped.run() == 0, piped.said()
    assert piped.lines[-1] == "version 1.2"
    assert sorted(str(path) for path in home.rglob("*") if "__pycache__" not in str(path)) == before
    assert (site / "wheel_of_test.py").read_text() == "VERSION = '1.0'\n"


def test_an_interpreter_without_pip_gets_one_for_the_job(jobs: Jobs, offline: dict[str, str], tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")], check=True)
    jobs.interpreter = str(tmp_path / "bare" / "bin" / "python")
    job = with_requirements(jobs, "wheel-of-test", offline)
    assert job.run() == 0, job.said()
    assert not list((tmp_path / "bare").rglob("pip*"))


def test_what_refers_to_files_of_the_source_is_installed_for_the_job_alone(jobs: Jobs, offline: dict[str, str]) -> None:
    files = {"train.py": USE, "requirements.txt": "-r more.txt\n", "more.txt": "wheel-of-test\n"}
    job = jobs.script(files, Environment=offline)
    assert job.run() == 0, job.said()
    assert str(jobs.directory / "jobs" / "job" / "python") in job.lines[-1]
    assert not (jobs.directory / "cache" / "requirements").exists()


def test_requirements_of_shell_scripts_are_left_to_them(jobs: Jobs) -> None:
    files = {"run.sh": "echo ran\n", "requirements.txt": "no-such-distribution-of-test\n"}
    job = jobs.script(files, HyperParameters={"sagemaker_program": "run.sh"})
    assert job.run() == 0
    assert job.lines == ["ran"]


@pytest.mark.parametrize(
    ("installed", "line", "answer"),
    [
        ("1.2", "wheel-of-test", True),
        ("1.2", "Wheel_Of.Test", True),
        ("1.2", "wheel-of-test==1.2", True),
        ("1.2.0", "wheel-of-test == 1.2", True),
        ("1.2", "wheel-of-test==1.20", False),
        ("1.10", "wheel-of-test>=1.9", True),
        ("1.10", "wheel-of-test<1.9", False),
        ("1.2", "wheel-of-test>1.2", False),
        ("1.2", "wheel-of-test>=1,<2", True),
        ("2.0", "wheel-of-test>=1,<2", False),
        ("1.2.5", "wheel-of-test==1.2.*", True),
        ("1.3", "wheel-of-test==1.2.*", False),
        ("1.3", "wheel-of-test!=1.2.*", True),
        ("1.4.6", "wheel-of-test~=1.4.5", True),
        ("1.5", "wheel-of-test~=1.4.5", False),
        ("1.5", "wheel-of-test~=1.4", True),
        ("2.0", "wheel-of-test~=1.4", False),
        ("1.4.4", "wheel-of-test~=1.4.5", False),
        ("2.1.0+cu118", "wheel-of-test==2.1.0", True),
        # only pip can tell
        ("1.2rc1", "wheel-of-test>=1", False),
        ("1.2.post1", "wheel-of-test==1.2", False),
        ("1.2", "wheel-of-test[extra]", False),
        ("1.2", "wheel-of-test; python_version > '3'", False),
        ("1.2", "wheel-of-test===1.2", False),
        ("1.2", "wheel-of-test>=1.2rc1", False),
        ("1.2", "wheel-of-test @ https://example.com/x.whl", False),
        ("1.2", "-r more.txt", False),
        ("1.2", "wheel-of-test>=1,", False),
        ("1.2", "another-of-test", False),
    ],
)
def test_a_line_is_satisfied_only_where_that_is_certain(
    installed: str, line: str, answer: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_by_hand(tmp_path, installed)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert is_satisfied(line) is answer
