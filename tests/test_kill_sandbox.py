"""SIGKILL for the tuner at any moment, twenty times in one experiment: the journal tells what an undisturbed one tells.

Real processes, real HTTP, real training jobs, on the sandbox. A moment is a number of requests since the tuner's
start, drawn by seed.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from cloudtune.clock import SystemClock
from cloudtune.journal import events as ev
from cloudtune.journal.file import FileJournal
from cloudtune.journal.s3 import S3Journal
from cloudtune.journal.store import JournalStore
from cloudtune.sandbox import Sandbox
from cloudtune.trial import AttemptStatus
from tests.killing import Case, Starter

COUNTED = ("sagemaker.", "logs.", "s3.Put", "s3.Delete")
"""What a tuner does when it works, and little of what it does before."""
LATEST = 16
"""Such requests of a tuner that is killed."""
PATIENCE = 60.0

TIMED = ("st_worker_t", "st_worker_c", "st_tuner_t")
"""Beginnings of the names of times and dollars. The key of a report ends in its time, after an @."""
FINAL = [status.value for status in AttemptStatus if status.is_final]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("killed")


@pytest.fixture(autouse=True)
def environment(sandbox: Sandbox, folder: Path, own_environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**sandbox.environment(), "CLOUDTUNE_FOLDER": str(folder / "experiments")}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def starter(folder: Path, environment: None) -> Iterator[Starter]:
    with Starter(folder, dict(os.environ)) as running:
        yield running


class Moment:
    """So many requests from now on, or the end of the process."""

    def __init__(self, sandbox: Sandbox, requests: int) -> None:
        self._sandbox = sandbox
        self._until = self._made() + requests

    def await_with(self, pid: int) -> bool:
        """Whether the moment has come; False if the process has ended before."""
        clock = SystemClock()
        deadline = clock.now() + PATIENCE
        while self._made() < self._until:
            assert clock.now() < deadline, "the tuner does nothing"
            if not _lives(pid):
                return False
            clock.sleep(0.002)
        return True

    def _made(self) -> int:
        return sum(count for name, count in self._sandbox.call_counts().items() if name.startswith(COUNTED))


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def run_killed(case: Case, kills: int, sandbox: Sandbox, starter: Starter, seed: int) -> None:
    """Kill it so often; each time the script runs again, or somebody types `cloudtune resume`."""
    chance = random.Random(seed)
    for number in range(kills):
        moment = Moment(sandbox, chance.randint(1, LATEST))
        pid = starter.start(case.name if number > 3 and chance.random() < 0.5 else case)
        came = moment.await_with(pid)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        code = starter.ended()
        assert came and code == -signal.SIGKILL, f"kill {number}: ended with {code}\n{starter.log.read_text()[-3000:]}"
    starter.start(case)
    assert starter.ended() == 0, starter.log.read_text()[-3000:]


def journal_of(case: Case, sandbox: Sandbox, folder: Path) -> list[ev.Event]:
    in_file: JournalStore = FileJournal(folder / "experiments" / case.name / "journal")
    in_s3: JournalStore = S3Journal(f"s3://{sandbox.bucket}/cloudtune/{case.name}/journal")
    return list((in_s3 if case.where == "s3" else in_file).read())


def story(events: Sequence[ev.Event], name: str, per_trial: bool) -> dict[str, Any]:
    """All that a journal says, times aside: what several jobs do at the same time has an order per trial only."""
    reports: list[Any] = []
    for event in events:
        if isinstance(event, ev.ReportObserved):
            metrics = {key: value for key, value in event.metrics.items() if not key.startswith(TIMED)}
            reports.append(
                replace(event, at=0, emitted_at=0, tuner_time=0, key=event.key.partition("@")[0], metrics=metrics)
            )
        elif isinstance(event, ev.DecisionMade):
            reports.append(replace(event, at=0, key=event.key.partition("@")[0]))
    if per_trial:
        reports.sort(key=lambda event: (event.trial_id, event.attempt))
    return {
        "launches": [replace(event, at=0) for event in events if isinstance(event, ev.LaunchIntended)],
        "jobs": sorted(event.name.removeprefix(name) for event in events if isinstance(event, ev.Launched)),
        "reports and decisions": reports,
        "stops": [replace(event, at=0) for event in events if isinstance(event, ev.StopIntended)],
        "ends": sorted(
            (event.trial_id, event.attempt, event.status)
            for event in events
            if isinstance(event, ev.StatusObserved) and event.status in FINAL
        ),
        "the end": [event.why for event in events if isinstance(event, (ev.FinishIntended, ev.ExperimentFinished))],
    }


def table(case: Case, folder: Path) -> pd.DataFrame:
    """The results, times and dollars aside."""
    frame = pd.read_csv(folder / "experiments" / case.name / "results.csv.zip")
    timed = [column for column in frame if str(column).startswith(TIMED)]
    return frame.drop(columns=[*timed, "tuner_name"]).sort_values(["trial_id", "attempt", "epoch"], ignore_index=True)


def jobs(sandbox: Sandbox, case: Case) -> dict[str, str]:
    """Statuses of all its training jobs."""
    pages = sandbox.client("sagemaker").get_paginator("list_training_jobs").paginate(NameContains=f"{case.name}-0")
    listed = [job for page in pages for job in page["TrainingJobSummaries"]]
    assert len({job["TrainingJobName"] for job in listed}) == len(listed)
    return {job["TrainingJobName"]: job["TrainingJobStatus"] for job in listed}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "kills"),
    [
        (Case("stopping", "stopping", workers=1, trials=8), 20),
        (Case("promotion", "promotion", workers=1, trials=5, where="s3"), 20),
        (Case("random", "random", workers=3, trials=6, where="s3"), 5),
    ],
    ids=["stopping", "promotion", "random"],
)
def test_killed_again_and_again_it_tells_the_same_story(
    sandbox: Sandbox, folder: Path, starter: Starter, case: Case, kills: int
) -> None:
    whole = replace(case, name=f"{case.name}-whole")
    starter.start(whole)
    assert starter.ended() == 0, starter.log.read_text()[-3000:]
    run_killed(case, kills, sandbox, starter, seed=1)

    events, undisturbed = journal_of(case, sandbox, folder), journal_of(whole, sandbox, folder)
    sessions = sum(isinstance(event, ev.SessionStarted) for event in events)
    assert kills / 2 < sessions <= kills + 1, "many tuners came to their work before they died"
    expected = story(undisturbed, whole.name, case.workers > 1)
    told = story(events, case.name, case.workers > 1)
    for part, content in expected.items():
        assert told[part] == content, part
    assert isinstance(events[-1], ev.ExperimentFinished)
    pd.testing.assert_frame_equal(table(case, folder), table(whole, folder))

    # exactly one job was accepted for each attempt, and none runs on
    ended = jobs(sandbox, case)
    assert sorted(ended) == sorted(event.name for event in events if isinstance(event, ev.Launched))
    assert set(ended.values()) <= {"Completed", "Stopped"}
