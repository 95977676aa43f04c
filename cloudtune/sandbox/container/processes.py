"""The processes of one job, from the sandbox's side; the other side is :mod:`inside.keeper`."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from cloudtune.sandbox.container.isolation import Isolation, keeper_command
from cloudtune.sandbox.container.lines import read_lines
from cloudtune.sandbox.container.spec import ContainerError


@dataclass(frozen=True)
class Plan:
    """What to run, and in what surroundings.

    ``binds``: path in the job's view → file or directory of the host. ``passes_on``: the command only waits for
    another, which is the one to tell when the job is to stop.
    """

    command: Sequence[str]
    environment: Mapping[str, str]
    directory: str
    binds: Mapping[str, str]
    isolation: Isolation
    passes_on: bool


class Processes:
    """Running processes of a job. None of them outlives this process, however it ends."""

    def __init__(self, plan: Plan, write_line: Callable[[str], None]) -> None:
        ours, theirs = socket.socketpair()
        output, its_output = os.pipe()
        try:
            self._keeper = subprocess.Popen(
                keeper_command(str(theirs.fileno())),
                stdin=subprocess.DEVNULL,
                stdout=its_output,
                stderr=its_output,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
                cwd="/",
            )
        except OSError:
            os.close(output)
            ours.close()
            raise
        finally:
            os.close(its_output)
            theirs.close()
        self._control = ours
        self._lock = threading.Lock()
        self._exit_code: int | None = None
        self._error: str | None = None
        self._ended = threading.Event()
        self._send({**asdict(plan), "isolation": plan.isolation.value})
        self._reader = threading.Thread(target=self._read, args=(output, write_line), daemon=True)
        self._reader.start()

    def wait(self, timeout_seconds: float | None = None) -> int | None:
        """The exit code, once all output has been written; None if that takes longer than ``timeout_seconds``.

        Raises ContainerError if nothing could be started.
        """
        if not self._ended.wait(timeout_seconds):
            return None
        self._reader.join()
        if self._error is not None:
            raise ContainerError(self._error)
        return self._exit_code

    def terminate(self, grace_seconds: float) -> None:
        """SIGTERM now, SIGKILL after the grace."""
        self._send({"stop": grace_seconds})

    def kill(self) -> None:
        self._send({"kill": True})

    def _send(self, message: Mapping[str, Any]) -> None:
        with self._lock:
            if self._ended.is_set():
                return
            try:
                self._control.sendall(json.dumps(message).encode() + b"\n")
            except OSError:
                return  # the job has ended meanwhile

    def _read(self, output: int, write_line: Callable[[str], None]) -> None:
        try:
            read_lines(output, write_line)
        finally:
            self._end()

    def _end(self) -> None:
        """The keeper has closed its output: take its last word."""
        with self._control.makefile("rb") as answers:
            line = answers.readline()
        self._keeper.wait()
        answer: dict[str, Any] = json.loads(line) if line else {"exit": -signal.SIGKILL}
        self._exit_code = answer.get("exit")
        self._error = answer.get("error")
        with self._lock:
            self._ended.set()
            self._control.close()
