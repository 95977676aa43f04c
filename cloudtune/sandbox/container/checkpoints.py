"""``/opt/ml/checkpoints``: restored before the start, copied to S3 while the job runs and at its end."""

from __future__ import annotations

import os
import stat
import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cloudtune.sandbox.container.isolation import hidden_by
from cloudtune.sandbox.container.layout import Layout
from cloudtune.sandbox.container.s3 import Location, Store, local_path, relative_path
from cloudtune.sandbox.container.spec import ContainerError

DEFAULT_PATH = "/opt/ml/checkpoints"


def check_local_path(path: str, layout: Layout, needed: Iterable[str]) -> None:
    """Raises ContainerError if a job can't be given a directory at ``path`` without hiding what it needs."""
    problem = None
    hidden = hidden_by(path, needed)
    if not path.startswith("/"):
        problem = "isn't absolute"
    elif not layout.outside_opt_ml(path):
        return
    elif not layout.private:
        problem = "can't be had on this machine, which has no mount namespaces: use a path below /opt/ml"
    elif hidden is not None:
        problem = f"would hide {hidden}, which the job needs"
    elif not Path(path).exists() and Path(path).parent == Path("/"):
        problem = "can't be made: it is directly below /"
    if problem:
        raise ContainerError(f"CheckpointConfig.LocalPath {path!r} {problem}")


@dataclass(frozen=True)
class _Look:
    """A file at one moment; two that are equal say that nothing was written between."""

    inode: int
    size: int
    modified: int
    changed: int

    @property
    def is_renamed(self) -> bool:
        """Its name is younger than its content: it was written elsewhere and moved here whole."""
        return self.changed > self.modified


# what was copied of a file that changed while it was
_UNKNOWN = _Look(0, -1, 0, 0)
# looks at a file that keeps changing before it is copied as it is
_PATIENCE = 3


class CheckpointSync:
    """Keeps ``location`` like ``directory``: what changes here is copied there, and what is deleted here is deleted
    there, as by the service. What others put there meanwhile is left alone.
    """

    def __init__(self, store: Store, location: Location, directory: Path, interval_seconds: float) -> None:
        self._store = store
        self._location = location
        self._directory = directory
        self._interval = interval_seconds
        self._seen: dict[str, _Look] = {}
        self._copied: dict[str, _Look] = {}
        self._restless: Counter[str] = Counter()
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def restore(self) -> None:
        """Download what the prefix holds."""
        prefix = self._location.below("")
        pairs = []
        for item in self._store.objects(prefix):
            relative = relative_path(item.key, prefix.key)
            if relative and not relative.endswith("/"):
                pairs.append((item, local_path(self._directory, relative)))
        self._directory.mkdir(parents=True, exist_ok=True)
        self._store.download_all(pairs)
        self._seen = self._look()
        self._copied = dict(self._seen)

    def start(self) -> None:
        """Copy changes from now on, in the background."""
        self._thread = threading.Thread(target=self._run, name="checkpoints", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Copy nothing more in the background."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join()

    def finish(self) -> None:
        """Make S3 what the directory is; nothing is being written any more. Raises ContainerError."""
        self.stop()
        now = self._look()
        for name, look in self._in_order(now):
            if self._copied.get(name) != look:
                self._copy(name, look)
        self._delete_gone(now)

    def _run(self) -> None:
        while not self._ending.wait(self._interval):
            try:
                self.copy_settled()
            except ContainerError:
                continue  # S3 may be back at the next turn; the last turn reports

    def copy_settled(self) -> None:
        """Copy files that changed and are whole: moved here by a rename, or untouched since the last look.

        One that is never found at rest is copied as it is at every third look: the service doesn't wait either.
        """
        now = self._look()
        for name, look in self._in_order(now):
            if self._ending.is_set():
                return
            if look.is_renamed or self._seen.get(name) == look:
                self._restless[name] = 0
            else:
                self._restless[name] += 1
            if self._restless[name] % _PATIENCE == 0 and self._copied.get(name) != look:
                self._copy(name, look)
        self._delete_gone(now)
        self._seen = now

    def _delete_gone(self, now: dict[str, _Look]) -> None:
        """Delete from S3 what came from here and isn't here any more; after all that is new has been copied."""
        for name in [name for name in self._copied if name not in now]:
            self._store.delete(self._location.below(name))
            del self._copied[name]

    def _copy(self, name: str, look: _Look) -> None:
        path = self._directory / name
        try:
            self._store.upload(path, self._location.below(name))
        except FileNotFoundError:
            return  # deleted meanwhile
        # one that was written to meanwhile is in S3 too, but not as it is now
        self._copied[name] = look if _look_at(path) == look else _UNKNOWN

    def _in_order(self, looks: dict[str, _Look]) -> list[tuple[str, _Look]]:
        """By name. The service promises no order: what points to other files may well come before them."""
        return sorted(looks.items())

    def _look(self) -> dict[str, _Look]:
        found = {}
        for parent, _, names in os.walk(self._directory):
            for name in names:
                path = Path(parent) / name
                look = _look_at(path)
                if look is not None:
                    found[path.relative_to(self._directory).as_posix()] = look
        return found


def _look_at(path: Path) -> _Look | None:
    """None where there is no regular file (any more)."""
    try:
        found = path.stat()
    except OSError:
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    return _Look(found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
