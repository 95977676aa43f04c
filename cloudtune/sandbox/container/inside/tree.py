"""Finding and ending the processes of a job."""

from __future__ import annotations

import os
import signal

_SHELLS = ("sh", "bash", "dash", "zsh", "ksh", "ash", "busybox")
_DRIVERS = "/input/data/sm_drivers/"


def _parents() -> dict[int, int]:
    """Process → its parent, of all processes visible; empty where there is no ``/proc``."""
    found = {}
    for name in os.listdir("/proc") if os.path.isdir("/proc") else []:
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    # the command's name is in parentheses and may itself hold some
                    found[int(name)] = int(file.read().rpartition(b")")[2].split()[1])
            except (OSError, IndexError):
                continue  # it ended meanwhile
    return found


def children(process: int) -> list[int]:
    return sorted(child for child, parent in _parents().items() if parent == process)


def descendants(process: int) -> list[int]:
    """All processes below ``process``."""
    parents = _parents()
    found, level = [], [process]
    while level:
        level = [child for child, parent in parents.items() if parent in level]
        found += level
    return found


def _only_waits(process: int) -> bool:
    """Whether ``process`` is there for its command alone, and would end without telling it of a SIGTERM.

    A shell that doesn't trap SIGTERM, or a driver that the SDK (version 3) puts around a script.
    """
    try:
        # not the name of the process, which is that of the script that a shell runs
        program = os.path.basename(os.readlink(f"/proc/{process}/exe"))
        with open(f"/proc/{process}/status", encoding="utf-8", errors="replace") as file:
            caught = next((int(line.split()[1], 16) for line in file if line.startswith("SigCgt:")), 0)
        with open(f"/proc/{process}/cmdline", encoding="utf-8", errors="replace") as file:
            arguments = file.read()
    except OSError:
        return False
    is_trapped = bool(caught & (1 << (signal.SIGTERM - 1)))
    return not is_trapped and (program in _SHELLS or _DRIVERS in arguments)


def terminate(process: int, passes_on: bool) -> None:
    """SIGTERM to ``process``, or to its command where it only waits for one (by ``passes_on``, or as seen)."""
    below = children(process) if passes_on or _only_waits(process) else []
    if not below:
        send(process, signal.SIGTERM)
    for child in below:
        terminate(child, passes_on=False)


def kill_below(process: int) -> None:
    """SIGKILL to all descendants of ``process``, also to those that they start meanwhile."""
    while True:
        alive = [each for each in descendants(process) if not _is_dead(each)]
        if not alive:
            return
        for each in alive:
            send(each, signal.SIGKILL)


def _is_dead(process: int) -> bool:
    try:
        with open(f"/proc/{process}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] in (b"Z", b"X")
    except (OSError, IndexError):
        return True


def send(process: int, number: int) -> None:
    """Send a signal; nothing where the process has ended."""
    try:
        os.kill(process, number)
    except ProcessLookupError:
        return
