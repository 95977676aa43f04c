"""Whatever is killed, at whatever moment: no attempt runs twice, none is lost, and none runs on unseen."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloudtune.backends import LocalBackend, supervise
from cloudtune.backends.local_files import AttemptFiles, attempt_files
from cloudtune.backends.local_processes import LocalProcesses
from cloudtune.backends.local_run import LocalRun
from cloudtune.testing.backend_contract import FOREVER, PROBE, Watch
from cloudtune.trial import Attempt, AttemptId, AttemptStatus
from tests.backends.helpers import is_running, opened, wait_until


@pytest.fixture
def watches() -> Iterator[list[Watch]]:
    watches: list[Watch] = []
    yield watches
    for watch in reversed(watches):
        watch.end_all()


class CrashError(BaseException):
    """Nobody catches it, as nobody catches SIGKILL."""


def tuner(place: Path, watches: list[Watch]) -> Watch:
    watches.append(opened(LocalBackend(PROBE, stop_grace=0.5), place))
    return watches[-1]


def files_of(place: Path, attempt: Attempt) -> AttemptFiles:
    return attempt_files(place / "experiment", attempt.id)


def an_attempt(**config: object) -> Attempt:
    return Attempt(AttemptId(0, 0), {"units": 3, "seconds": 0.0, "keep": 1, **config})


# -- the tuner is killed -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("moment", "then"),
    [
        # a launch is recorded, and then adopted, only after the request was written
        ("write_request", "start"),
        ("spawn", "start"),
        ("spawn", "adopt"),
        ("after spawn", "start"),
        ("after spawn", "adopt"),
    ],
)
def test_a_tuner_that_dies_while_it_starts_an_attempt(
    tmp_path: Path, watches: list[Watch], monkeypatch: pytest.MonkeyPatch, moment: str, then: str
) -> None:
    attempt = an_attempt()
    backend = LocalBackend(PROBE)
    opened(backend, tmp_path)
    with monkeypatch.context() as patch:
        if moment == "after spawn":
            original = LocalProcesses._spawn

            def spawn_and_die(self: LocalProcesses, run: LocalRun, gpus: str) -> None:
                original(self, run, gpus)
                raise CrashError

            patch.setattr(LocalProcesses, "_spawn", spawn_and_die)
        else:
            patch.setattr(*_DYING[moment])
        with pytest.raises(CrashError):
            backend.start(attempt)
    watch = tuner(tmp_path, watches)
    if then == "start":
        watch.start_again(attempt)
    else:
        watch.adopt(attempt)
    watch.finish(attempt)
    assert watch.epochs(attempt) == [1, 2, 3]
    assert watch.times_begun(0) == 1
    backend.close()


def _die(*_: object) -> None:
    raise CrashError


_DYING = {
    "write_request": (AttemptFiles, "write_request", _die),
    "spawn": (LocalProcesses, "_spawn", _die),
}


def test_a_tuner_killed_in_the_middle_is_followed_by_another(tmp_path: Path, watches: list[Watch]) -> None:
    script = """
import os, signal, sys
from pathlib import Path
from cloudtune.testing.backend_contract import PROBE
from cloudtune.backends import LocalBackend
from tests.backends.helpers import opened
watch = opened(LocalBackend(PROBE, stop_grace=0.5), Path(sys.argv[1]))
quick = watch.start(0, units=3)
slow = watch.start(1, units=100_000, seconds=0.02)
watch.await_reports(slow, 2)
os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False, env=_importable(), timeout=240)
    assert killed.returncode == -signal.SIGKILL
    watch = tuner(tmp_path, watches)
    quick = Attempt(AttemptId(0, 0), {"seconds": 0.0, "keep": 1, "units": 3})
    slow = Attempt(AttemptId(1, 0), {"seconds": 0.02, "keep": 1, "units": 100_000})
    watch.adopt(quick, slow)
    watch.finish(quick)
    watch.await_reports(slow, 4)
    watch.backend.stop(slow.id)
    watch.finish(slow)
    assert watch.epochs(quick) == [1, 2, 3]
    assert watch.ended_as(quick) is AttemptStatus.COMPLETED
    assert watch.epochs(slow) == list(range(1, len(watch.epochs(slow)) + 1))
    assert watch.ended_as(slow) is AttemptStatus.STOPPED


def _importable() -> dict[str, str]:
    root = str(Path(__file__).parents[2])
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))}


def test_a_stop_survives_the_tuner_that_asked_for_it(
    tmp_path: Path, watches: list[Watch], monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt = an_attempt(units=FOREVER)
    backend = LocalBackend(PROBE)
    opened(backend, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(LocalProcesses, "_spawn", lambda *_: None)
        backend.start(attempt)
        backend.stop(attempt.id)
    watch = tuner(tmp_path, watches)
    watch.adopt(attempt)
    watch.finish(attempt)
    assert watch.ended_as(attempt) is AttemptStatus.STOPPED
    assert watch.epochs(attempt) == []


# -- supervisors -------------------------------------------------------------------------------------------------------


def test_of_many_supervisors_one_runs_the_attempt(
    tmp_path: Path, watches: list[Watch], monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt = an_attempt()
    watch = tuner(tmp_path, watches)
    with monkeypatch.context() as patch:
        patch.setattr(LocalProcesses, "_spawn", lambda *_: None)
        watch.start_again(attempt)
    files = files_of(tmp_path, attempt)
    with files.trial.stdout.open("ab") as out, files.trial.stderr.open("ab") as err:
        command = [sys.executable, "-I", "-S", supervise.__file__, str(files.folder)]
        supervisors = [subprocess.Popen(command, stdout=out, stderr=err, env=_importable()) for _ in range(8)]
    assert [supervisor.wait(timeout=120) for supervisor in supervisors] == [0] * 8
    watch.finish(attempt)
    assert watch.epochs(attempt) == [1, 2, 3]
    assert watch.ended_as(attempt) is AttemptStatus.COMPLETED


@pytest.mark.parametrize("adopted", [False, True])
def test_a_killed_supervisor_fails_the_attempt_and_nothing_runs_on(
    tmp_path: Path, watches: list[Watch], adopted: bool
) -> None:
    attempt = an_attempt(units=FOREVER, seconds=0.02)
    watch = tuner(tmp_path, watches)
    watch.start_again(attempt)
    watch.await_reports(attempt, 2)
    files = files_of(tmp_path, attempt)
    process, script = files.process(), files.script()
    assert process is not None
    assert script is not None
    os.kill(process["pid"], signal.SIGKILL)
    if adopted:
        watch = tuner(tmp_path, watches)
        watch.adopt(attempt)
    watch.finish(attempt)
    ending = watch.ending(attempt)
    assert ending is not None
    assert ending.status is AttemptStatus.FAILED
    assert "was killed" in ending.reason
    assert len(watch.epochs(attempt)) >= 2
    wait_until(lambda: not is_running(script["pid"]), "the script ends")


def test_a_supervisor_that_can_not_begin_fails_the_attempt(
    tmp_path: Path, watches: list[Watch], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervise, "__file__", str(tmp_path / "gone.py"))
    watch = tuner(tmp_path, watches)
    attempt = an_attempt()
    watch.start_again(attempt)
    watch.finish(attempt)
    ending = watch.ending(attempt)
    assert ending is not None
    assert ending.status is AttemptStatus.FAILED
    assert "could not be started" in ending.reason
    assert "gone.py" in ending.reason


# -- what is left of an experiment on another day ----------------------------------------------------------------------


def test_a_process_with_the_same_number_is_never_taken_for_the_attempts(tmp_path: Path, watches: list[Watch]) -> None:
    attempt = an_attempt()
    watch = tuner(tmp_path, watches)
    bystander = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        files = files_of(tmp_path, attempt)
        files.write_request({"argv": ["false"], "stop_grace": 1.0, "config": dict(attempt.config)})
        stranger = {
            "pid": bystander.pid,
            "identity": "another boot 17",
            "at": 1.0,
            "stdout": 0,
            "stderr": 0,
            "gpus": None,
        }
        for name in (supervise.PROCESS, supervise.SCRIPT):
            (files.folder / name).write_text(json.dumps(stranger))
        watch.adopt(attempt)
        watch.backend.stop(attempt.id)
        watch.finish(attempt)
        assert watch.ended_as(attempt) is AttemptStatus.FAILED
        assert bystander.poll() is None
    finally:
        bystander.communicate(b"\n")


def test_on_a_machine_that_never_saw_the_experiment_its_attempts_run_again(
    tmp_path: Path, watches: list[Watch]
) -> None:
    watch = tuner(tmp_path, watches)
    attempt = an_attempt()
    watch.adopt(attempt)
    watch.finish(attempt)
    assert watch.ended_as(attempt) is AttemptStatus.COMPLETED


def test_an_attempt_whose_files_are_gone_has_failed(tmp_path: Path, watches: list[Watch]) -> None:
    tuner(tmp_path, watches)
    watch = tuner(tmp_path, watches)
    attempt = an_attempt()
    watch.adopt(attempt)
    watch.finish(attempt)
    ending = watch.ending(attempt)
    assert ending is not None
    assert ending.status is AttemptStatus.FAILED
    assert "files are gone" in ending.reason


def test_closing_ends_no_attempt(tmp_path: Path, watches: list[Watch]) -> None:
    first = tuner(tmp_path, watches)
    attempt = an_attempt(units=FOREVER, seconds=0.02)
    first.start_again(attempt)
    first.await_reports(attempt, 1)
    first.backend.close()
    second = tuner(tmp_path, watches)
    second.adopt(attempt)
    second.await_reports(attempt, len(first.epochs(attempt)) + 1)
