"""A sandbox's state on disk, written through as it changes: it survives even a server that is killed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Protocol

from cloudtune.sandbox.calls import Call
from cloudtune.sandbox.logs.store import LogEvent, LogStore
from cloudtune.sandbox.moto_world import MotoWorld
from cloudtune.sandbox.state.call_journal import CallJournal
from cloudtune.sandbox.state.event_files import EventFiles
from cloudtune.sandbox.state.job_files import JobFiles
from cloudtune.sandbox.state.object_files import ObjectFiles
from cloudtune.sandbox.training.job import Job
from cloudtune.sandbox.training.ledger import Ledger
from cloudtune.sandbox.training.metrics import MetricMatcher

SERVER_DIED = "InternalServerError: the sandbox's server died while the job was running"


class Archive(Protocol):
    """Where a sandbox keeps its state."""

    def save_job(self, name: str, job: Job | None) -> None:
        """``job`` was changed or, if None, removed."""

    def save_event(self, event: LogEvent) -> None:
        """A line was printed."""

    def save_call(self, call: Call) -> None:
        """``call`` has changed what moto holds."""

    def load(self, ledger: Ledger, logs: LogStore) -> None:
        """Bring back what was saved."""

    def clear(self) -> None:
        """Forget everything."""


class NoArchive:
    """Nothing outlives the server."""

    def save_job(self, name: str, job: Job | None) -> None:
        pass

    def save_event(self, event: LogEvent) -> None:
        pass

    def save_call(self, call: Call) -> None:
        pass

    def load(self, ledger: Ledger, logs: LogStore) -> None:
        pass

    def clear(self) -> None:
        pass


class DirectoryArchive:
    """State below a directory. What is kept of S3 is each object's current version; uploads under way are not."""

    def __init__(self, directory: Path, world: MotoWorld) -> None:
        self._directory = directory
        self._world = world
        self._jobs = JobFiles(directory / "jobs")
        self._events = EventFiles(directory / "logs")
        self._objects = ObjectFiles(directory / "s3", world)
        self._calls = CallJournal(directory / "calls.jsonl", world)
        directory.mkdir(parents=True, exist_ok=True)

    def save_job(self, name: str, job: Job | None) -> None:
        self._jobs.save(name, job)

    def save_event(self, event: LogEvent) -> None:
        self._events.append(event)

    def save_call(self, call: Call) -> None:
        if not self._objects.save(call):
            self._calls.append(call)

    def load(self, ledger: Ledger, logs: LogStore) -> None:
        # buckets come back with the calls that made them, objects into the buckets
        self._calls.replay()
        self._objects.load()
        for job in self._jobs.load():
            ledger.restore(job)
        with ledger.reading() as jobs:
            unfinished = [job for job in jobs.values() if not job.ended]
        for job in unfinished:
            with ledger.changing(job) as now:
                job.fail(SERVER_DIED, now)
        events = self._events.load()
        logs.restore(events)
        self._restore_metrics(ledger, events)

    def _restore_metrics(self, ledger: Ledger, events: list[LogEvent]) -> None:
        with ledger.reading() as jobs:
            matchers = {
                job.name: MetricMatcher(job.request.get("AlgorithmSpecification", {}).get("MetricDefinitions", []))
                for job in jobs.values()
            }
        for event in events:
            job_name = event.stream.partition("/")[0]
            if job_name in matchers:
                for name, value in matchers[job_name].matches(event.message):
                    self._world.put_metric(job_name, name, value, event.timestamp / 1000)

    def clear(self) -> None:
        shutil.rmtree(self._directory, ignore_errors=True)
        self._directory.mkdir(parents=True, exist_ok=True)
