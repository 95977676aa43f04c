"""Attempts as processes of this machine: what ``LocalBackend`` and ``PythonBackend`` share."""

from __future__ import annotations

import os
import site
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path

import cloudtune
from cloudtune.backends import supervise
from cloudtune.backends.base import Experiment
from cloudtune.backends.configurations import config_of, plain, same
from cloudtune.backends.gpus import GpuPool
from cloudtune.backends.local_files import (
    AttemptFiles,
    TrialFiles,
    attempt_files,
    copy_folder,
    file_errors,
    remove_folder,
    trial_files,
)
from cloudtune.backends.local_run import LocalRun
from cloudtune.checkpointing import is_manifest
from cloudtune.clock import Clock
from cloudtune.errors import AlreadyExistsError, CloudtuneError, OptionError
from cloudtune.names import job_name
from cloudtune.trial import (
    Attempt,
    AttemptId,
    Launch,
    Observation,
    Report,
    Trial,
)

CommandLine = Callable[[Attempt, AttemptFiles], Sequence[str]]
"""What to run for an attempt."""

FIRST_OWN_TRIAL = 1_000_000
"""Trials that a user starts without a tuner are numbered from here on; a tuner's are far below."""


class LocalProcesses:
    """Starts, follows and ends attempts; all it must remember lies in files.

    An attempt that finds no free GPU, or whose trial's last attempt has not ended, waits as ``PENDING``; in the order
    of arrival. ``stop_grace``: seconds between SIGTERM and SIGKILL.
    """

    def __init__(self, gpus: GpuPool, stop_grace: float) -> None:
        if not stop_grace >= 0:
            raise OptionError(f"stop_grace={stop_grace!r} is negative", "give seconds between SIGTERM and SIGKILL")
        self._gpus = gpus
        self._stop_grace = stop_grace
        self._experiment: Experiment | None = None
        self._clock: Clock | None = None
        self._runs: dict[AttemptId, LocalRun] = {}
        self._waiting: deque[AttemptId] = deque()
        self._known: set[AttemptId] = set()
        self._is_new_here = False
        self._children: dict[int, AttemptId] = {}

    @property
    def experiment(self) -> Experiment:
        if self._experiment is None:
            raise OptionError("the backend is not open", "call open(experiment, clock), as a Tuner does when it runs")
        return self._experiment

    def open(self, experiment: Experiment, clock: Clock) -> None:
        self._reap()
        self._experiment = experiment
        self._clock = clock
        self._runs.clear()
        self._waiting.clear()
        self._known.clear()
        self._gpus.open(experiment.n_workers)
        with file_errors(f"the experiment's folder {experiment.path} can't be made"):
            self._is_new_here = not experiment.path.exists()
            experiment.path.mkdir(parents=True, exist_ok=True)

    def close(self) -> None:
        self._reap()

    def trial(self, trial_id: int) -> TrialFiles:
        return trial_files(self.experiment.path, trial_id)

    # -- starting --------------------------------------------------------------------------------------------------

    def launched(self, attempts: Sequence[Attempt]) -> dict[AttemptId, Launch]:
        ids = [attempt.id for attempt in attempts]
        return {id: self._launch(id) for id in ids if attempt_files(self.experiment.path, id).request() is not None}

    def _launch(self, attempt: AttemptId) -> Launch:
        return Launch(job_name(self.experiment.tuner_name, attempt.trial_id, attempt.number))

    def start(self, attempt: Attempt, command: CommandLine) -> Launch:
        if attempt.id not in self._known:
            with file_errors(f"attempt {attempt.id} can't be started"):
                self._request(attempt, command)
            self._follow(attempt)
            try:
                self._start_waiting()
            except CloudtuneError:
                self._forget(attempt.id)
                raise
        return self._launch(attempt.id)

    def adopt(self, attempts: Sequence[Attempt], command: CommandLine) -> None:
        """Where the experiment has never been on this machine, its attempts died with another: run them again."""
        for attempt in attempts:
            if self._is_new_here:
                self.start(attempt, command)
            elif attempt_files(self.experiment.path, attempt.id).request() is None:
                self._follow(attempt).supervisor_lost = "its files are gone, so it can't be found again"
            else:
                self._follow(attempt)
        self._start_waiting()

    def _request(self, attempt: Attempt, command: CommandLine) -> None:
        files = attempt_files(self.experiment.path, attempt.id)
        config = plain(attempt.config)
        request = files.request()
        if request is None:
            argv = [str(part) for part in command(attempt, files)]
            files.write_request({"argv": argv, "stop_grace": self._stop_grace, "config": config})
        elif not same(request["config"], config):
            raise AlreadyExistsError(
                f"{files.folder} holds an attempt with another configuration: {request['config']}",
                "the folder is another experiment's: remove it, or choose another tuner_name",
            )

    def _follow(self, attempt: Attempt) -> LocalRun:
        run = LocalRun(attempt, attempt_files(self.experiment.path, attempt.id))
        self._runs[attempt.id] = run
        self._known.add(attempt.id)
        if attempt.id not in self._waiting:
            self._waiting.append(attempt.id)
        return run

    def _forget(self, attempt: AttemptId) -> None:
        self._known.discard(attempt)
        self._runs.pop(attempt, None)
        if attempt in self._waiting:
            self._waiting.remove(attempt)

    def _start_waiting(self) -> None:
        """A supervisor for each attempt that waits for nothing and that none has claimed."""
        for attempt in list(self._waiting):
            run = self._runs[attempt]
            if not self._settled(run):
                if self._predecessor_runs(attempt):
                    continue
                gpus = self._gpus.take(attempt)
                if gpus is None:
                    return
                self._spawn(run, gpus)
            self._waiting.remove(attempt)

    def _predecessor_runs(self, attempt: AttemptId) -> bool:
        """Two attempts of a trial would write the same checkpoint."""
        return any(other.trial_id == attempt.trial_id and other.number < attempt.number for other in self._runs)

    def _settled(self, run: LocalRun) -> bool:
        """Whether it needs no supervisor any more."""
        if run.supervisor_lost is not None:
            return True
        process = run.process()
        if process is not None:
            self._gpus.note(run.id, process["gpus"])
        return process is not None

    def _spawn(self, run: LocalRun, gpus: str) -> None:
        trial = run.files.trial
        append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        try:
            with file_errors(f"attempt {run.id} can't be started"):
                pid = os.posix_spawn(
                    sys.executable,
                    [sys.executable, "-I", "-S", supervise.__file__, str(run.files.folder.absolute())],
                    _environment(gpus),
                    file_actions=[
                        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                        (os.POSIX_SPAWN_OPEN, 1, str(trial.stdout), append, 0o644),
                        (os.POSIX_SPAWN_OPEN, 2, str(trial.stderr), append, 0o644),
                    ],
                    setsigmask=supervise.HELD_BACK,
                )
        except CloudtuneError:
            self._gpus.release(run.id)
            raise
        self._children[pid] = run.id

    # -- following -------------------------------------------------------------------------------------------------

    def poll(self) -> list[Observation]:
        assert self._clock is not None
        self._reap()
        news: list[tuple[float, Observation]] = []
        for run in list(self._runs.values()):
            time = 0.0
            for observation in run.look(self._clock.now()):
                time = max(time, _time(observation))  # an attempt's own order stands, whatever its clock says
                news.append((time, observation))
            if run.ended:
                del self._runs[run.id]
                self._gpus.release(run.id)
                if run.id in self._waiting:
                    self._waiting.remove(run.id)
        self._start_waiting()
        return [observation for _, observation in sorted(news, key=lambda entry: entry[0])]

    def _reap(self) -> None:
        """Take leave of supervisors that have ended; one that claimed nothing left its attempt without any."""
        for pid, attempt in list(self._children.items()):
            try:
                ended, status = os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                ended, status = pid, 0  # somebody else waited for it, or this is another process after a fork
            if ended:
                del self._children[pid]
                run = self._runs.get(attempt)
                if run is not None and run.process() is None:
                    code = os.waitstatus_to_exitcode(status)
                    run.supervisor_lost = f"it could not be started (its supervisor ended with {code})"

    # -- ending ----------------------------------------------------------------------------------------------------

    def stop(self, attempt: AttemptId) -> None:
        run = self._runs.get(attempt)
        files = attempt_files(self.experiment.path, attempt)
        if run is None and (attempt in self._known or files.request() is None):
            return
        with file_errors(f"attempt {attempt} can't be stopped"):
            (run or LocalRun(Attempt(attempt, {}), files)).ask_to_stop()
        if attempt in self._waiting and run is not None and not self._settled(run):
            # no GPU is needed to end it in order
            self._waiting.remove(attempt)
            self._spawn(run, "")

    # -- checkpoints and logs ----------------------------------------------------------------------------------------

    def copy_checkpoint(self, source_trial_id: int, target_trial_id: int) -> None:
        source, target = self.trial(source_trial_id), self.trial(target_trial_id)
        with file_errors(f"the checkpoint of trial {source_trial_id} can't be copied"):
            if target.was_started() or not source.checkpoints.is_dir():
                return
            target.folder.mkdir(parents=True, exist_ok=True)
            copy_folder(source.checkpoints, target.checkpoints)

    def delete_checkpoint(self, trial_id: int) -> None:
        with file_errors(f"the checkpoint of trial {trial_id} can't be deleted"):
            remove_folder(self.trial(trial_id).checkpoints)

    def checkpoint_committed_at(self, trial_id: int) -> float | None:
        folder = self.trial(trial_id).checkpoints
        with file_errors(f"the checkpoint of trial {trial_id} can't be looked at"):
            names = [path for path in folder.iterdir() if is_manifest(path.name)] if folder.is_dir() else []
            return max((path.stat().st_mtime for path in names), default=None)

    def logs(self, trial_id: int) -> Iterator[str]:
        """Standard output first, then standard error: which line of one came before which of the other is not known."""
        files = self.trial(trial_id)
        yield from _lines(files.stdout)
        yield from _lines(files.stderr)

    def stdout(self, trial_id: int) -> list[str]:
        return list(_lines(self.trial(trial_id).stdout))

    def stderr(self, trial_id: int) -> list[str]:
        return list(_lines(self.trial(trial_id).stderr))

    # -- without a tuner -----------------------------------------------------------------------------------------------

    def start_trial(self, config: object, checkpoint_trial_id: int | None, command: CommandLine) -> Trial:
        trial_id = self._new_trial()
        trial = Trial(trial_id, config_of(config), datetime.now(timezone.utc))
        if checkpoint_trial_id is not None:
            self.copy_checkpoint(checkpoint_trial_id, trial_id)
        self.start(Attempt(AttemptId(trial_id, 0), trial.config), command)
        return trial

    def _new_trial(self) -> int:
        trial_id = FIRST_OWN_TRIAL
        while True:
            try:
                self.trial(trial_id).folder.mkdir(parents=True)
            except FileExistsError:
                trial_id += 1
            else:
                return trial_id


def _time(observation: Observation) -> float:
    return observation.emitted_at if isinstance(observation, Report) else observation.at


def _environment(gpus: str) -> dict[str, str]:
    """The tuner's own, with what the trial needs on top."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    if gpus:
        environment[supervise.GPU_VARIABLE] = gpus
    home = str(Path(cloudtune.__file__).parents[1])
    if home not in {*site.getsitepackages(), site.getusersitepackages()}:
        # imported from a source tree: the trial finds it there too, behind everything else
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [environment.get("PYTHONPATH"), home]))
    return environment


def _lines(path: Path) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                yield line.rstrip("\n")
    except FileNotFoundError:
        return
