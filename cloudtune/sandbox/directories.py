"""Where a sandbox keeps its files, and whose they are.

Its directory is locked for as long as its process lives. That tells a temporary one which a killed process has left
behind from one in use.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import IO

_PREFIX = "cloudtune-sandbox-"
_LOCK = "lock"
# a directory that was just made is not locked yet
_YOUNG_SECONDS = 60.0


def open_directory(given: Path | None, now: float, undo: ExitStack) -> Path:
    """The directory ``given``, or a temporary one, for sole use until ``undo``. Raises OSError if it is in use.

    ``now`` in seconds since the epoch. Temporary directories of processes that are no more are removed.
    """
    if given is None:
        remove_stale(now)
        directory = Path(tempfile.mkdtemp(prefix=_PREFIX))
        undo.callback(shutil.rmtree, directory, ignore_errors=True)
    else:
        directory = given.resolve()
        directory.mkdir(parents=True, exist_ok=True)
    lock = (directory / _LOCK).open("w")
    undo.enter_context(lock)
    if not _take(lock):
        raise OSError(f"another sandbox uses the directory {directory}: stop it first or choose another")
    return directory


def remove_stale(now: float) -> None:
    """Remove the user's temporary directories whose process has died."""
    for directory in Path(tempfile.gettempdir()).glob(_PREFIX + "*"):
        lock = directory / _LOCK
        try:
            about = lock.stat(follow_symlinks=False) if not directory.is_symlink() else None
            if about is None or about.st_uid != os.getuid() or now - about.st_mtime < _YOUNG_SECONDS:
                continue
            with lock.open("r+") as file:
                if _take(file):
                    remove_tree(directory)
        except OSError:
            continue  # somebody else is removing it, or it isn't what it looks like


def remove_tree(directory: Path) -> None:
    """Remove a directory and all in it, also what was made read-only."""
    for parent, names, _ in os.walk(directory):
        for name in names:
            path = Path(parent, name)
            if not path.is_symlink():
                path.chmod(0o700)
    shutil.rmtree(directory, ignore_errors=True)


def user_cache_directory() -> Path | None:
    """What outlives sandboxes that keep nothing else: installed requirements. None where there is no place for it.

    It is made when there is something to keep.
    """
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    directory = Path(base) / "cloudtune" / "sandbox"
    existing = next(path for path in (directory, *directory.parents) if path.exists())
    return directory if os.access(existing, os.W_OK) else None


def _take(file: IO[str]) -> bool:
    """Lock ``file``; the kernel lets go when the process dies."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
