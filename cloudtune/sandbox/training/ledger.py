"""All training jobs of an account, and the one lock around them."""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from cloudtune.sandbox.clock import Clock
from cloudtune.sandbox.training.job import Job
from cloudtune.sandbox.training.warm_pools import AVAILABLE


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
        self._holding: dict[str, Job] = {}
        self._changes = _Changes()
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
                self._index(job)
                self._on_change(job.name, job)

    def holding(self) -> Collection[Job]:
        """Jobs that have instances or wait for some, and those whose warm pool waits. For a ``reading`` block."""
        return self._holding.values()

    def changed_after(self, moment: float) -> list[Job]:
        """Jobs last modified later than that, in this order. For a ``reading`` block."""
        return [self._jobs[name] for name in self._changes.after(moment)]

    def get(self, name: str) -> Job | None:
        with self._lock:
            return self._jobs.get(name)

    def add(self, job: Job) -> None:
        with self._lock:
            self._jobs[job.name] = job
            self._index(job)
            self._on_change(job.name, job)

    def restore(self, job: Job) -> None:
        """Take back a job of an earlier life."""
        with self._lock:
            self._jobs[job.name] = job
            self._index(job)

    def remove(self, name: str) -> None:
        with self._lock:
            del self._jobs[name]
            self._holding.pop(name, None)
            self._changes.forget(name)
            self._on_change(name, None)

    def clear(self) -> None:
        with self._lock:
            for name in list(self._jobs):
                self.remove(name)

    def _index(self, job: Job) -> None:
        """So that a question about a few jobs costs no look at all of them."""
        self._changes.note(job.name, job.last_modified)
        if not job.ended or (job.warm_pool is not None and job.warm_pool.status == AVAILABLE):
            self._holding[job.name] = job
        else:
            self._holding.pop(job.name, None)


class _Changes:
    """Names by the moment of their last change."""

    def __init__(self) -> None:
        self._moments: dict[str, float] = {}
        self._sorted: list[tuple[float, str]] = []

    def note(self, name: str, moment: float) -> None:
        if self._moments.get(name) != moment:
            self.forget(name)
            self._moments[name] = moment
            insort(self._sorted, (moment, name))

    def forget(self, name: str) -> None:
        moment = self._moments.pop(name, None)
        if moment is not None:
            del self._sorted[bisect_left(self._sorted, (moment, name))]

    def after(self, moment: float) -> list[str]:
        begin = bisect_right(self._sorted, moment, key=lambda change: change[0])
        return [name for _, name in self._sorted[begin:]]
