"""Two tuners for one experiment, as real processes: the second says who runs it, and changes nothing.

And a tuner that another machine goes on with, ends, or looks at, by nothing but the experiment's name.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from cloudtune.clock import SystemClock
from cloudtune.errors import JournalConflictError
from cloudtune.journal import events as ev
from cloudtune.journal.file import FileJournal
from cloudtune.journal.s3 import S3Journal
from cloudtune.remote import claim
from cloudtune.remote.claim import Claim, Holder
from cloudtune.remote.storage import S3Storage
from cloudtune.sandbox import Sandbox
from tests.killing import Case, Starter

ROOT = Path(__file__).parents[1]
PATIENCE = 60.0

FILE = Case("held-file", "stopping", workers=1, trials=3)
S3 = replace(FILE, name="held-s3", where="s3")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@dataclass
class Place:
    """A user's machine: a home and a working directory of its own."""

    folder: Path
    sandbox: Sandbox

    def __post_init__(self) -> None:
        (self.folder / "home").mkdir(parents=True)

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name != "CLOUDTUNE_FOLDER"}
        home = {"HOME": str(self.folder / "home"), "PYTHONPATH": str(ROOT)}
        return {**kept, **self.sandbox.environment(), **home}

    def cloudtune(self, *arguments: str, status: int = 0) -> str:
        command = [sys.executable, "-m", "cloudtune.cli.main", *arguments]
        done = subprocess.run(
            command,
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    def events(self, case: Case) -> list[ev.Event]:
        folder = self.folder / "home" / "cloudtune" / case.name / "journal"
        uri = f"s3://{self.sandbox.bucket}/cloudtune/{case.name}/journal"
        return list((S3Journal(uri) if case.where == "s3" else FileJournal(folder)).read())

    def files(self) -> dict[str, bytes]:
        """All that is kept, here and in S3."""
        here = {str(path): path.read_bytes() for path in (self.folder / "home").rglob("*") if path.is_file()}
        s3 = self.sandbox.client("s3")
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=self.sandbox.bucket)
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", ())]
        there = {key: s3.get_object(Bucket=self.sandbox.bucket, Key=key)["ETag"].encode() for key in keys}
        return {**here, **there}

    def jobs(self, case: Case) -> dict[str, str]:
        listed = self.sandbox.client("sagemaker").list_training_jobs(NameContains=f"{case.name}-0")
        return {job["TrainingJobName"]: job["TrainingJobStatus"] for job in listed["TrainingJobSummaries"]}


@pytest.fixture
def laptop(tmp_path: Path, sandbox: Sandbox, own_environment: None, monkeypatch: pytest.MonkeyPatch) -> Place:
    for name, value in sandbox.environment().items():
        monkeypatch.setenv(name, value)
    return Place(tmp_path / "laptop", sandbox)


@pytest.fixture
def elsewhere(tmp_path: Path, sandbox: Sandbox) -> Place:
    return Place(tmp_path / "elsewhere", sandbox)


@pytest.fixture
def starter(laptop: Place, tmp_path: Path) -> Iterator[Starter]:
    with Starter(tmp_path, laptop.environment) as running:
        yield running


def held(case: Case, laptop: Place, starter: Starter) -> int:
    """The pid of a tuner whose first trial waits at its first report: nothing happens until it is let go."""
    pid = starter.start(replace(case, held=True))
    clock = SystemClock()
    deadline = clock.now() + PATIENCE
    while not any(isinstance(event, ev.DecisionMade) for event in laptop.events(case)):
        assert clock.now() < deadline and lives(pid), starter.log.read_text()
        clock.sleep(0.05)
    return pid


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def let_go(case: Case, starter: Starter) -> None:
    steps = starter.log.parent / f"steps-{case.name}"
    steps.mkdir(exist_ok=True)
    (steps / "all").touch()


@pytest.mark.parametrize("case", [FILE, S3], ids=["file", "S3"])
def test_a_second_tuner_names_the_first_and_changes_nothing(laptop: Place, starter: Starter, case: Case) -> None:
    pid = held(case, laptop, starter)
    with Starter(starter.log.parent / "second", laptop.environment, starter.log.parent) as second:
        before, jobs = laptop.files(), laptop.jobs(case)
        second.start(case)
        assert second.ended() == 1
        assert laptop.files() == before
        assert laptop.jobs(case) == jobs
        said = second.log.read_text()
        assert "JournalConflictError: another tuner is running this experiment" in said
        assert f"process {pid} on" in said
        assert "cloudtune stop held" not in said.replace("`cloudtune stop` it", "")
    assert f"process {pid} on" in laptop.cloudtune("resume", case.name, status=1)
    assert laptop.files() == before
    let_go(case, starter)
    assert starter.ended() == 0, starter.log.read_text()
    assert isinstance(laptop.events(case)[-1], ev.ExperimentFinished)


def test_the_name_is_enough_on_another_machine(laptop: Place, elsewhere: Place, starter: Starter) -> None:
    case = replace(S3, name="moved")
    pid = held(case, laptop, starter)
    assert "InProgress" in elsewhere.cloudtune("status", case.name)
    os.kill(pid, signal.SIGKILL)
    starter.ended()
    (starter.log.parent / f"{case.name}.py").unlink()  # the script is where it was sent, and nowhere else
    let_go(case, starter)
    assert "No tuner runs it: it has died" in elsewhere.cloudtune("status", case.name)
    said = elsewhere.cloudtune("resume", case.name, "--n-workers", "2", "--max-num-trials-started", "4")
    assert "Ended: 5 is more than max_num_trials_started=4." in said
    events = elsewhere.events(case)
    launched = [event.name for event in events if isinstance(event, ev.Launched)]
    assert len(launched) == len(set(launched)) == 5
    assert sorted(laptop.jobs(case)) == sorted(launched)
    assert set(laptop.jobs(case).values()) <= {"Completed", "Stopped"}
    assert sum(isinstance(event, ev.SessionStarted) for event in events) == 2
    assert (elsewhere.folder / "home" / "cloudtune" / case.name / "results.csv.zip").exists()
    assert "has ended already" in laptop.cloudtune("stop", case.name)


def test_a_tuner_is_stopped_from_another_machine(laptop: Place, elsewhere: Place, starter: Starter) -> None:
    case = replace(S3, name="stopped")
    pid = held(case, laptop, starter)
    said = elsewhere.cloudtune("stop", case.name)
    assert f"Process {pid} on" in said
    assert "was asked to end the experiment" in said
    assert f"{case.name} has ended." in said
    assert starter.ended() == 0
    events = laptop.events(case)
    assert isinstance(events[-1], ev.ExperimentFinished)
    assert events[-1].why == "a stop was requested"
    assert sum(isinstance(event, ev.SessionStarted) for event in events) == 1
    assert set(laptop.jobs(case).values()) == {"Stopped"}


def test_a_dead_tuner_s_trials_are_stopped_from_another_machine(
    laptop: Place, elsewhere: Place, starter: Starter
) -> None:
    case = replace(S3, name="orphaned")
    os.kill(held(case, laptop, starter), signal.SIGKILL)
    starter.ended()
    assert "orphaned has ended." in elsewhere.cloudtune("stop", case.name)
    assert set(laptop.jobs(case).values()) == {"Stopped"}
    let_go(case, starter)
    assert "Ended: 3 is more than" in elsewhere.cloudtune("resume", case.name)


# -- who is taken to run it ------------------------------------------------------------------------------------------


@pytest.fixture
def ours(laptop: Place, request: pytest.FixtureRequest) -> Claim:
    storage = S3Storage()
    return Claim(storage._aws, storage.uri(f"claim-{abs(hash(request.node.name))}"))


def as_(holder: Holder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Holder, "ourselves", classmethod(lambda cls: holder))


FAR = Holder("far", "boot", 7, "")
FARTHER = Holder("farther", "boot", 7, "")


def test_who_says_nothing_for_a_minute_is_dead(ours: Claim, monkeypatch: pytest.MonkeyPatch) -> None:
    as_(FAR, monkeypatch)
    ours.take()
    as_(FARTHER, monkeypatch)
    assert ours.holder() == FAR
    with pytest.raises(JournalConflictError, match=r"process 7 on far[\s\S]*if it has just died, wait \d+ s"):
        ours.take()
    monkeypatch.setattr(claim, "STALE", -1.0)
    assert ours.holder() is None
    ours.take()


def test_a_process_of_this_machine_that_is_gone_is_dead_at_once(ours: Claim, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    here = Holder.ourselves()
    as_(replace(here, pid=gone.pid), monkeypatch)
    ours.renew()
    as_(here, monkeypatch)
    assert ours.holder() is None
    ours.take()


def test_the_next_job_of_a_tuner_follows_the_last_one_at_once(ours: Claim, monkeypatch: pytest.MonkeyPatch) -> None:
    as_(replace(FAR, job="tuner-1-x"), monkeypatch)
    ours.take()
    as_(replace(FARTHER, job="tuner-2-x"), monkeypatch)
    ours.take()
    as_(FARTHER, monkeypatch)
    with pytest.raises(JournalConflictError, match="training job tuner-2-x"):
        ours.take()


def test_a_tuner_that_is_busy_for_minutes_is_not_taken_to_be_dead(
    laptop: Place, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claim, "RENEW_INTERVAL", 0.02)
    storage, clock = S3Storage(), SystemClock()
    sandbox.reset_call_counts()
    storage.claim(tmp_path / "busy")
    deadline = clock.now() + PATIENCE
    while sandbox.call_counts()["s3.PutObject"] < 4:  # and nobody calls it
        assert clock.now() < deadline
        clock.sleep(0.02)
    assert S3Storage().holder("busy") == Holder.ourselves()
    storage.let_go(tmp_path / "busy")
    sandbox.reset_call_counts()
    clock.sleep(0.1)
    assert sandbox.call_counts() == {}
    assert S3Storage().holder("busy") is None


def test_whoever_lets_go_is_followed_at_once(ours: Claim, monkeypatch: pytest.MonkeyPatch) -> None:
    as_(FAR, monkeypatch)
    ours.take()
    ours.let_go()
    as_(FARTHER, monkeypatch)
    ours.take()
