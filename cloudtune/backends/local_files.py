"""Where the trials of an experiment keep their files on this machine, and what is written there.

{experiment}/{trial}/config.json       the configuration of the newest attempt
{experiment}/{trial}/std.out, std.err  what the attempts printed, one after the other
{experiment}/{trial}/checkpoints/      the script's own
{experiment}/{trial}/stop              the newest attempt that was asked to stop, by its number
{experiment}/{trial}/attempts/{n}/     the supervisor's records of one attempt
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloudtune.backends import supervise
from cloudtune.errors import AccessDeniedError, CapacityError, RefusedError
from cloudtune.trial import AttemptId

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM})


@dataclass(frozen=True)
class TrialFiles:
    """The files of one trial."""

    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "config.json"

    @property
    def stdout(self) -> Path:
        return self.folder / "std.out"

    @property
    def stderr(self) -> Path:
        return self.folder / "std.err"

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def stop(self) -> Path:
        return self.folder / supervise.STOP

    @property
    def attempts(self) -> Path:
        return self.folder / "attempts"

    def attempt(self, number: int) -> AttemptFiles:
        return AttemptFiles(self, self.attempts / str(number))

    def was_started(self) -> bool:
        return self.attempts.is_dir() and any(self.attempts.iterdir())


@dataclass(frozen=True)
class AttemptFiles:
    """The records of one attempt; each is None until it is written, and never changes after that."""

    trial: TrialFiles
    folder: Path

    @property
    def config(self) -> Path:
        """The configuration of this attempt, for scripts that read it as JSON."""
        return self.folder / "config.json"

    def request(self) -> dict[str, Any] | None:
        return read_json(self.folder / supervise.REQUEST)

    def process(self) -> dict[str, Any] | None:
        return read_json(self.folder / supervise.PROCESS)

    def script(self) -> dict[str, Any] | None:
        return read_json(self.folder / supervise.SCRIPT)

    def exit(self) -> dict[str, Any] | None:
        return read_json(self.folder / supervise.EXIT)

    def want_stop(self) -> None:
        """Ask for the end of this attempt; stays true for it and those before it."""
        if not self.stop_is_wanted():
            draft = self.trial.stop.with_name(f"{supervise.STOP}.{os.getpid()}")
            draft.write_text(self.folder.name)
            draft.replace(self.trial.stop)

    def stop_is_wanted(self) -> bool:
        return supervise.stop_wanted(self.folder)

    def write_request(self, request: Mapping[str, Any]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        supervise.write_json(self.trial.config, request["config"])
        supervise.write_json(self.config, request["config"])
        supervise.write_json(self.folder / supervise.REQUEST, dict(request), durable=True)


def trial_files(experiment: Path, trial_id: int) -> TrialFiles:
    return TrialFiles(experiment / str(trial_id))


def attempt_files(experiment: Path, attempt: AttemptId) -> AttemptFiles:
    return trial_files(experiment, attempt.trial_id).attempt(attempt.number)


def read_json(path: Path) -> dict[str, Any] | None:
    """The record, or None if it has not been written."""
    try:
        content: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    return content


@contextmanager
def file_errors(what: str) -> Iterator[None]:
    """The system's errors as ours: no room holds the trial, the rest is refused."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise CapacityError(
                f"{what}: {error}", "free disk space, memory or processes; it is tried again"
            ) from error
        if isinstance(error, PermissionError):
            raise AccessDeniedError(f"{what}: {error}", "check who owns the experiment's folder") from error
        raise RefusedError(f"{what}: {error}", "check the experiment's folder") from error


def copy_folder(source: Path, target: Path) -> None:
    """Make ``target`` a copy of ``source``, all at once."""
    draft = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        shutil.copytree(source, draft)
    except shutil.Error as error:
        # what vanished while it was copied had been replaced, or was never whole
        if any(Path(failed).exists() for failed, *_ in error.args[0]):
            shutil.rmtree(draft, ignore_errors=True)
            raise
    remove_folder(target)
    draft.rename(target)


def remove_folder(folder: Path) -> None:
    """Remove it with all that is in it, if it is there; nobody sees half of it."""
    doomed = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
    try:
        folder.rename(doomed)
    except FileNotFoundError:
        return
    shutil.rmtree(doomed, ignore_errors=True)


def tail(path: Path, start: int, end: int | None, lines: int = 20, size: int = 2_000) -> str:
    """The last lines of the bytes from ``start`` to ``end`` (None: all that is there), bounded in number and size."""
    try:
        with path.open("rb") as file:
            end = os.fstat(file.fileno()).st_size if end is None else end
            begin = max(start, end - size)
            file.seek(begin)
            text = file.read(max(0, end - begin)).decode(errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.rstrip().splitlines()[-lines:])
