"""All training jobs of an account, and the one lock around them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from cloudtune.sandbox.clock import Clock
from cloudtune.sandbox.training.job import Job


class Ledger:
    """The training jobs by name, oldest first. ``on_change`` hears of each job that was changed or, with None,
    removed; ``on_end`` of each that has just ended, before that.
    """

    def __init__(
        self, clock: Clock, on_change: Callable[[str, Job | None], None], on_end: Callable[[Job], None]
    ) -> None:
        self.clock = clock
        self._on_change = on_change
        self._on_end = on_end
        self._jobs: dict[str, Job] = {}
        self._lock = threading.RLock()

    @contextmanager
    def reading(self) -> Iterator[dict[str, Job]]:
        """The jobs, unchanging for as long as the block lasts."""
        with self._lock:
            yield self._jobs

    @contextmanager
    def changing(self, job: Job) -> Iterator[float]:
        """Sole access to ``job``, at the time yielded; afterwards it is saved."""
        with self._lock:
            had_ended = job.ended
            yield self.clock.now()
            if job.ended and not had_ended:
                self._on_end(job)
            self.save(job)

    def save(self, job: Job) -> None:
        """Keep what was changed in ``job``, if it is (still) one of ours."""
        with self._lock:
            job.revision += 1
            if self._jobs.get(job.name) is job:
                self._on_change(job.name, job)

    def get(self, name: str) -> Job | None:
        with self._lock:
            return self._jobs.get(name)

    def add(self, job: Job) -> None:
        with self._lock:
            self._jobs[job.name] = job
            self._on_change(job.name, job)

    def restore(self, job: Job) -> None:
        """Take back a job of an earlier life."""
        with self._lock:
            self._jobs[job.name] = job

    def remove(self, name: str) -> None:
        with self._lock:
            del self._jobs[name]
            self._on_change(name, None)

    def clear(self) -> None:
        with self._lock:
            for name in list(self._jobs):
                self.remove(name)
