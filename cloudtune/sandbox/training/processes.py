"""Training jobs as real processes: one thread per job walks its container through the job's life."""

from __future__ import annotations

import itertools
import shutil
import threading
from pathlib import Path

from cloudtune.sandbox.clock import Clock
from cloudtune.sandbox.logs.store import LogStore
from cloudtune.sandbox.settings import Delays
from cloudtune.sandbox.training.execution import ContainerFactory, Mishaps, Shortages, no_mishaps, no_shortages
from cloudtune.sandbox.training.job import Job
from cloudtune.sandbox.training.ledger import Ledger
from cloudtune.sandbox.training.output import MetricSink
from cloudtune.sandbox.training.process_life import ProcessLife


class ProcessExecutor:
    """Executes jobs in containers below ``directory``."""

    def __init__(
        self,
        ledger: Ledger,
        logs: LogStore,
        containers: ContainerFactory,
        metric_sink: MetricSink,
        delays: Delays,
        clock: Clock,
        directory: Path,
        mishaps: Mishaps = no_mishaps,
        shortages: Shortages = no_shortages,
    ) -> None:
        self.ledger = ledger
        self.logs = logs
        self.containers = containers
        self.metric_sink = metric_sink
        self.delays = delays
        self.clock = clock
        self.directory = directory
        self.mishaps = mishaps
        self.shortages = shortages
        # what a killed server left
        shutil.rmtree(directory, ignore_errors=True)
        # by the job itself: one that is being cleaned up may have been deleted, and its name be another's by now
        self._lives: dict[int, ProcessLife] = {}
        self._numbers = itertools.count()
        self._closed = False
        self._lock = threading.Lock()

    def launch(self, job: Job, warm: bool) -> None:
        with self._lock:
            if self._closed:
                raise RuntimeError("the sandbox has been stopped")
            private = self.directory / f"{job.name}.{next(self._numbers)}"
            life = self._lives[id(job)] = ProcessLife(self, job, warm, private, self._forget)
            life.thread.start()

    def stop(self, job: Job) -> None:
        life = self._life_of(job)
        if life is not None:
            life.stop()

    def interrupt(self, job: Job) -> None:
        life = self._life_of(job)
        if life is not None:
            life.interrupt()

    def fail(self, job: Job, reason: str) -> None:
        life = self._life_of(job)
        if life is not None:
            life.fail(reason)

    def _life_of(self, job: Job) -> ProcessLife | None:
        with self._lock:
            return self._lives.get(id(job))

    def catch_up(self) -> None:
        """Processes keep time by themselves."""

    def close(self) -> None:
        with self._lock:
            self._closed = True
            lives = list(self._lives.values())
        self._end(lives)

    def end_all(self) -> None:
        """Kill what runs; new jobs may be launched afterwards."""
        with self._lock:
            lives = list(self._lives.values())
        self._end(lives)

    def _end(self, lives: list[ProcessLife]) -> None:
        for life in lives:
            life.abandon()
        for life in lives:
            life.thread.join()

    def _forget(self, life: ProcessLife) -> None:
        with self._lock:
            del self._lives[id(life.job)]
