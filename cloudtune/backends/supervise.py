"""Runs one attempt: claims it, starts its script, passes on a request to stop, records how it ended.

A process of its own, ``python -I -S supervise.py {the attempt's folder}``, so that an attempt outlives the tuner and
the next tuner still learns its exit code. Of any number of supervisors for one attempt, one claims it and the others
leave: starting one more is always safe. Standard library only.

In the attempt's folder: ``request.json`` (what to run, by the backend), ``process.json`` (the claim), ``script.json``
(the script's process), ``exit.json`` (how it ended). The trial's ``stop`` names the newest attempt asked to stop.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

REQUEST, LOCK, PROCESS, SCRIPT, EXIT = "request.json", "lock", "process.json", "script.json", "exit.json"
STOP = "stop"
GPU_VARIABLE = "CUDA_VISIBLE_DEVICES"

HELD_BACK = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""Signals that must not reach a supervisor before its handlers are in place."""

_RESET = (*HELD_BACK, signal.SIGCHLD, signal.SIGALRM, signal.SIGPIPE, signal.SIGXFSZ)


def identity(pid: int) -> str | None:
    """What tells this process from a later one with the same number; None if there is no such process, or a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None if Path("/proc/self/stat").exists() else _identity_from_ps(pid)
    state, *fields = stat.rpartition(")")[2].split()
    if state in "ZX":
        return None
    return f"{_boot_id()} {fields[18]}"


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "boot"


def _identity_from_ps(pid: int) -> str | None:
    found = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    state, _, started = found.stdout.strip().partition(" ")
    return None if not started or state.startswith("Z") else started.strip()


def write_json(path: Path, content: Any, durable: bool = False) -> None:
    """Whole or not at all; with ``durable``, also after a power cut."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    with draft.open("w") as file:
        json.dump(content, file)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    draft.replace(path)


def main(folder: Path) -> None:
    signals = _Signals()
    if os.getsid(0) != os.getpid():
        os.setsid()
    lock = _claim(folder)
    if lock is None:
        return
    if stop_wanted(folder):
        _record_end(folder, None, stopped=True)
        return
    request = json.loads((folder / REQUEST).read_text())
    script = _launch(folder, request["argv"])
    code, stopped = _follow(script, request["stop_grace"], signals)
    _signal_group(script, signal.SIGKILL)  # what the script left behind
    _record_end(folder, code, stopped)


class _Signals:
    """What we were asked to do. Handlers only take notes; ``wait`` returns when there is a new one."""

    def __init__(self) -> None:
        self.stop_asked = False
        self.grace_is_over = False
        self._read, write = os.pipe()
        os.set_blocking(write, False)
        signal.set_wakeup_fd(write)
        signal.signal(signal.SIGTERM, self._on_stop)
        signal.signal(signal.SIGALRM, self._on_alarm)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for ignored in (signal.SIGINT, signal.SIGHUP):
            signal.signal(ignored, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_BACK)

    def _on_stop(self, *_: object) -> None:
        self.stop_asked = True

    def _on_alarm(self, *_: object) -> None:
        self.grace_is_over = True

    def wait(self) -> None:
        select.select([self._read], [], [])
        os.read(self._read, 512)


def _claim(folder: Path) -> int | None:
    """The lock's descriptor if the attempt is ours to run: the claim is written under the lock, once for ever."""
    lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    while not (folder / PROCESS).exists():
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            select.select([], [], [], 0.01)
            continue
        if (folder / PROCESS).exists():
            return None
        claim = {
            "pid": os.getpid(),
            "identity": identity(os.getpid()),
            "at": time.time(),
            "gpus": os.environ.get(GPU_VARIABLE),
            **_printed(),
        }
        write_json(folder / PROCESS, claim, durable=True)
        return lock
    return None


def _printed() -> dict[str, int]:
    """Bytes in the trial's log files, which all its attempts append to."""
    return {"stdout": os.fstat(1).st_size, "stderr": os.fstat(2).st_size}


def stop_wanted(folder: Path) -> bool:
    """Whether the attempt of this folder, or a later one of the trial, was asked to stop."""
    try:
        newest = int((folder.parent.parent / STOP).read_text())
    except FileNotFoundError:
        return False
    return int(folder.name) <= newest


def _launch(folder: Path, argv: list[str]) -> int:
    """The script's process, leading a process group. Signals wait until it can take them."""
    signal.pthread_sigmask(signal.SIG_BLOCK, HELD_BACK)
    pid = os.fork()
    if pid == 0:
        _become(folder, argv)
    with suppress(PermissionError, ProcessLookupError):  # it did so itself and went on
        os.setpgid(pid, pid)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_BACK)
    return pid


def _become(folder: Path, argv: list[str]) -> None:
    try:
        os.setpgid(0, 0)
        write_json(folder / SCRIPT, {"pid": os.getpid(), "identity": identity(os.getpid())})
        signal.set_wakeup_fd(-1)
        for name in _RESET:
            signal.signal(name, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_BACK)
        os.execvp(argv[0], argv)
    except (OSError, ValueError) as error:
        too_long = isinstance(error, OSError) and error.errno == errno.E2BIG
        hint = "; pass_args_as_json=True has no such limit" if too_long else ""
        os.write(2, f"{argv[0]} can't be started: {error}{hint}\n".encode())
    finally:
        os._exit(127)


def _follow(script: int, grace: float, signals: _Signals) -> tuple[int, bool]:
    """(exit code, whether it was asked to stop), once it has ended."""
    stopped = False
    while True:
        pid, status = os.waitpid(script, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status), stopped
        if signals.stop_asked and not stopped:
            stopped = True
            _signal_group(script, signal.SIGTERM)
            _signal_group(script, signal.SIGCONT)
            signal.setitimer(signal.ITIMER_REAL, max(grace, 1e-3))
        if signals.grace_is_over:
            _signal_group(script, signal.SIGKILL)
        signals.wait()


def _signal_group(leader: int, name: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):  # none is left that we may signal
        os.killpg(leader, name)


def _record_end(folder: Path, code: int | None, stopped: bool) -> None:
    write_json(folder / EXIT, {"code": code, "stopped": stopped, "at": time.time(), **_printed()}, durable=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
