"""A sandbox in a process of its own: started, found, and ended by its process id.

What is known about it stands in ``server.json`` of its directory, or of the user's state directory where none is given.
"""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from urllib.error import URLError
from urllib.request import ProxyHandler, Request, build_opener

from cloudtune.sandbox.address import CONTROL_HEADERS, CONTROL_PATH, Address
from cloudtune.sandbox.settings import Settings

START_TIMEOUT = 60.0
STOP_TIMEOUT = 30.0


# servers that are children of this process: waited for once they have ended
_started: list[subprocess.Popen[bytes]] = []


class SandboxProcessError(Exception):
    """A sandbox's process can't be started, found or ended; the message says what to do."""


@dataclass(frozen=True)
class SandboxStatus:
    """What goes on in a sandbox."""

    jobs: dict[str, int]
    """How many, by status."""
    faults: str | None
    """The name of the plan of what goes wrong, None if nothing is to."""
    injected: dict[str, int]
    """How often something went wrong, by kind."""


@dataclass(frozen=True)
class RunningSandbox:
    """A sandbox in another process."""

    address: Address
    pid: int
    home: Path

    def status(self) -> SandboxStatus:
        """What goes on in it."""
        return SandboxStatus(**json.loads(self._control("status")))

    def reset(self) -> None:
        """End all its jobs and empty it."""
        self._control("reset")

    def stop(self) -> None:
        """End it and every job in it; back when it is gone."""
        self._signal(signal.SIGTERM)
        if not _wait_until(lambda: _lock_is_free(self.home), STOP_TIMEOUT):
            # its jobs die with it
            self._signal(signal.SIGKILL)
            _wait_until(lambda: _lock_is_free(self.home), STOP_TIMEOUT)
        (self.home / "server.json").unlink(missing_ok=True)
        for process in _started:
            if process.pid == self.pid:
                # it lets go of its lock an instant before its end
                process.wait(STOP_TIMEOUT)
        _started[:] = [process for process in _started if process.poll() is None]

    def _signal(self, number: int) -> None:
        # while the lock is held the id belongs to the server and to nobody else
        if not _lock_is_free(self.home):
            os.kill(self.pid, number)

    def _control(self, verb: str) -> bytes:
        request = Request(
            f"{self.address.endpoint_url}{CONTROL_PATH}{verb}", method="POST", data=b"", headers=CONTROL_HEADERS
        )
        try:
            with build_opener(ProxyHandler({})).open(request, timeout=STOP_TIMEOUT) as answer:
                return bytes(answer.read())
        except URLError as error:
            raise SandboxProcessError(f"the sandbox at {self.address.endpoint_url} doesn't answer: {error}") from error


def user_state_directory() -> Path:
    """Where a sandbox without a directory of its own is registered."""
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "cloudtune" / "sandbox"


def command(verb: str, directory: Path | None) -> str:
    """What to type for ``cloudtune sandbox {verb}`` about the sandbox of ``directory``."""
    where = "" if directory is None else f" --directory {shlex.quote(str(directory))}"
    return f"cloudtune sandbox {verb}{where}"


def find_running(directory: str | Path | None = None) -> RunningSandbox | None:
    """The detached sandbox of ``directory`` (None: the user's), if it runs."""
    home = _home(directory)
    try:
        known = json.loads((home / "server.json").read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    if _lock_is_free(home):
        return None
    return RunningSandbox(Address(**known["address"]), known["pid"], home)


def start_detached(settings: Settings) -> RunningSandbox:
    """Start a server that goes on after this process; back when it answers.

    Raises SandboxProcessError if one runs there already or the server doesn't come up.
    """
    home = _home(settings.directory)
    # the server has another working directory
    settings = replace(settings, directory=settings.directory and home)
    running = find_running(settings.directory)
    if running is not None:
        raise SandboxProcessError(
            f"a sandbox runs already at {running.address.endpoint_url} (pid {running.pid}): "
            f"stop it with `{command('stop', settings.directory)}`, or give another --directory"
        )
    home.mkdir(parents=True, exist_ok=True)
    (home / "server.json").unlink(missing_ok=True)
    log = home / "server.log"
    said_before = log.stat().st_size if log.exists() else 0
    process = _spawn(settings, log)
    _wait_until(lambda: process.poll() is not None or find_running(settings.directory) is not None, START_TIMEOUT)
    found = find_running(settings.directory)
    if found is None:
        if process.poll() is None:
            process.kill()
            process.wait()
        said = log.read_bytes()[said_before:].decode(errors="replace")
        tail = "\n".join(said.splitlines()[-5:])
        raise SandboxProcessError(f"the sandbox did not start; the end of {log}:\n{tail}")
    _started.append(process)
    return found


def _spawn(settings: Settings, log: Path) -> subprocess.Popen[bytes]:
    """A server's process, told its settings."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "cloudtune.sandbox.detached"],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd="/",
            env=_server_environment(),
        )
    assert process.stdin is not None
    process.stdin.write(settings.to_json().encode())
    process.stdin.close()
    return process


def serve(settings: Settings, ready: Callable[[Address], None]) -> None:
    """Be the server of ``settings``: until SIGTERM or SIGINT, registered for ``find_running``."""
    from cloudtune.sandbox.server import Server

    home = _home(settings.directory)
    home.mkdir(parents=True, exist_ok=True)
    with _HeldLock(home):
        asked_to_end = threading.Event()
        # handlers and not a blocked signal: jobs would inherit that and never hear SIGTERM
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: asked_to_end.set())
        server = Server(replace(settings, directory=settings.directory and settings.directory.resolve()))
        try:
            known = {"pid": os.getpid(), "address": asdict(server.address)}
            temporary = home / "server.json.tmp"
            temporary.write_text(json.dumps(known))
            temporary.replace(home / "server.json")
            ready(server.address)
            asked_to_end.wait()
        finally:
            (home / "server.json").unlink(missing_ok=True)
            server.close()


def _home(directory: str | Path | None) -> Path:
    return user_state_directory() if directory is None else Path(directory).resolve()


class _HeldLock:
    """Says, for as long as the process lives, that the server of ``home`` runs."""

    def __init__(self, home: Path) -> None:
        self._file = (home / "server.lock").open("w")
        # somebody who looks whether it is free holds it for an instant
        if not _wait_until(self._take, 2.0):
            self._file.close()
            raise SandboxProcessError(
                f"another sandbox runs already, registered in {home}: "
                f"stop it with `{command('stop', None if home == user_state_directory() else home)}`, "
                "or give another --directory"
            )

    def _take(self) -> bool:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError:
            return False

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc: object) -> None:
        self._file.close()


def _lock_is_free(home: Path) -> bool:
    try:
        with (home / "server.lock").open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    except FileNotFoundError:
        return True
    except OSError:
        return False


def _wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _server_environment() -> dict[str, str]:
    """Ours, with this very package importable and without what a user has set for real AWS."""
    here = str(Path(__file__).resolve().parents[2])
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    kept["PYTHONPATH"] = os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")]))
    return kept


if __name__ == "__main__":
    try:
        serve(Settings.from_json(sys.stdin.read()), lambda address: None)
    except (SandboxProcessError, OSError, ValueError) as error:
        sys.exit(str(error))
