"""Keeps the processes of one job together: starts them, passes on the wish to stop, and leaves none behind.

Two processes of our own for each job. The *keeper*, started by the sandbox, listens to it on a socket; if the sandbox
is gone, however it went, all of the job is killed. Its child, the *first*, is the first process in the job's own
process namespace: when it ends, the kernel ends every process of the job. Where there are no process namespaces, both
adopt orphans and kill what is below them.

The sandbox sends lines of JSON: the plan, then ``{"stop": grace in seconds}`` or ``{"kill": true}``. It gets one line:
``{"exit": code}``, negative for a signal, or ``{"error": text}``.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
import time
from typing import Any, NoReturn

from . import mounts, tree

_FULL = mounts.NEW_MOUNTS | mounts.NEW_PROCESSES
_PARENT_CHECK_SECONDS = 1.0
_STOP = {signal.SIGTERM}


def main(arguments: list[str]) -> int:
    """``arguments``: the descriptor of the socket to the sandbox, or ``probe`` and a directory."""
    if arguments[0] == "probe":
        return _probe(arguments[1])
    return _Keeper(socket.socket(fileno=int(arguments[0]))).run()


def _probe(directory: str) -> int:
    """0 if jobs can have mounts and processes of their own here, 3 if only mounts, 1 if neither (and why, in words)."""
    try:
        mounts.enter_namespaces(_FULL)
        mounts.bind_all({"/opt/ml": directory})
        mounts.mount_shared_memory()
    except OSError as error:
        print(error)
        return 1
    child = os.fork()
    if child == 0:
        try:
            mounts.mount_processes()
        except OSError as error:
            print(error, flush=True)
            os._exit(3)
        os._exit(0)
    return _exit_code(os.waitpid(child, 0)[1])


class _Keeper:
    def __init__(self, sandbox: socket.socket) -> None:
        self._sandbox = sandbox
        self._parent = os.getppid()
        self._unread = b""
        self._deadline: float | None = None
        self._first = 0
        self._own_processes = False

    def run(self) -> int:
        line = self._read_line()
        if line is None:
            return 1
        mounts.adopt_orphans()
        plan = json.loads(line)
        status_read, status_write = os.pipe()
        # until each process can act on it, the wish to stop waits; it would be lost on the first in a namespace, and
        # on a process that still has its parent's handler
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOP)
        try:
            self._isolate(plan)
            self._first = os.fork()
        except OSError as error:
            self._answer({"error": str(error)})
            return 1
        if self._first == 0:
            self._sandbox.close()
            os.close(status_read)
            _First(plan, status_write).run()
        os.close(status_write)
        status = self._wait(status_read)
        self._end()
        self._answer({"exit": status})
        return 0

    def _isolate(self, plan: dict[str, Any]) -> None:
        self._own_processes = plan["isolation"] == "full"
        if plan["isolation"] == "none":
            return
        mounts.enter_namespaces(_FULL if self._own_processes else mounts.NEW_MOUNTS)
        mounts.bind_all(plan["binds"])
        mounts.mount_shared_memory()

    def _wait(self, status_read: int) -> int:
        """Listen until the job's main process has ended; its exit code."""
        while True:
            # a message may have come in one piece with the one before it
            has_message = b"\n" in self._unread
            awaited: list[Any] = [self._sandbox, status_read]
            ready = select.select(awaited, [], [], 0 if has_message else self._timeout())[0]
            if status_read in ready:
                text = os.read(status_read, 64)
                return int(text) if text else -signal.SIGKILL
            if has_message or self._sandbox in ready:
                line = self._read_line()
                if line is None:
                    self._kill()
                else:
                    self._obey(json.loads(line))
            if os.getppid() != self._parent or (self._deadline is not None and time.monotonic() >= self._deadline):
                self._kill()

    def _timeout(self) -> float:
        if self._deadline is None:
            return _PARENT_CHECK_SECONDS
        return min(_PARENT_CHECK_SECONDS, max(0.0, self._deadline - time.monotonic()))

    def _obey(self, message: dict[str, Any]) -> None:
        if "kill" in message:
            self._kill()
        elif self._deadline is None:
            self._deadline = time.monotonic() + message["stop"]
            tree.send(self._first, signal.SIGTERM)

    def _kill(self) -> None:
        """End all at once. What was the main process's status doesn't matter any more."""
        if self._own_processes:
            tree.send(self._first, signal.SIGKILL)
        else:
            tree.kill_below(self._first)
            tree.send(self._first, signal.SIGKILL)

    def _end(self) -> None:
        """Wait for the first process, and thereby for all of its namespace; kill what is left without one."""
        _wait_for(self._first)
        tree.kill_below(os.getpid())
        while True:
            try:
                os.waitpid(-1, 0)
            except ChildProcessError:
                return

    def _read_line(self) -> str | None:
        """The sandbox's next line; None when it is gone."""
        while b"\n" not in self._unread:
            try:
                data = self._sandbox.recv(65536)
            except ConnectionError:
                data = b""
            if not data:
                return None
            self._unread += data
        line, _, self._unread = self._unread.partition(b"\n")
        return line.decode()

    def _answer(self, message: dict[str, Any]) -> None:
        try:
            self._sandbox.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            return  # nobody is left to hear it


class _First:
    """The ancestor of all processes of the job: starts the main one, reaps, and passes SIGTERM on."""

    def __init__(self, plan: dict[str, Any], status: int) -> None:
        self._plan = plan
        self._status = status
        self._main = 0

    def run(self) -> NoReturn:
        try:
            code = self._run()
        except OSError as error:
            print(f"cloudtune sandbox: {error}", file=sys.stderr, flush=True)
            code = 126
        os.write(self._status, str(code).encode())
        os._exit(0)

    def _run(self) -> int:
        own_processes = self._plan["isolation"] == "full"
        if own_processes:
            mounts.die_with_parent(signal.SIGKILL)
            mounts.mount_processes()
        else:
            mounts.adopt_orphans()
            signal.signal(signal.SIGHUP, self._abandon)
            mounts.die_with_parent(signal.SIGHUP)
        self._main = os.fork()
        if self._main == 0:
            _become(self._plan)
        signal.signal(signal.SIGTERM, self._pass_on)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP)
        code = _exit_code(_wait_for(self._main))
        tree.kill_below(os.getpid())
        return code

    def _pass_on(self, *_: object) -> None:
        tree.terminate(self._main, passes_on=self._plan["passes_on"])

    def _abandon(self, *_: object) -> None:
        tree.kill_below(os.getpid())
        os._exit(1)


def _become(plan: dict[str, Any]) -> NoReturn:
    """Turn this process into the job's main one."""
    try:
        os.setsid()
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP)
        os.chdir(plan["directory"])
        os.execvpe(plan["command"][0], plan["command"], plan["environment"])
    except OSError as error:
        print(f"{plan['command'][0]}: {error.strerror}", file=sys.stderr, flush=True)
        os._exit(127 if isinstance(error, FileNotFoundError) else 126)


def _wait_for(process: int) -> int:
    """The wait status of ``process``, reaping whatever ends meanwhile."""
    while True:
        ended, status = os.waitpid(-1, 0)
        if ended == process:
            return status


def _exit_code(status: int) -> int:
    """As ``subprocess`` gives it: negative for a signal."""
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
