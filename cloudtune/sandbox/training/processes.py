"""Training jobs as real processes: one thread per job walks its container through the job's life."""

from __future__ import annotations

import itertools
import logging
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

from cloudtune.sandbox.clock import Clock
from cloudtune.sandbox.container import ContainerError
from cloudtune.sandbox.logs.store import LogStore
from cloudtune.sandbox.settings import Delays
from cloudtune.sandbox.training.execution import Container, ContainerFactory
from cloudtune.sandbox.training.job import (
    COMPLETED,
    DOWNLOADING,
    MAX_RUNTIME_EXCEEDED,
    MAX_WAIT_EXCEEDED,
    STOPPED,
    STOPPING,
    TRAINING,
    UPLOADING,
    FinalMetric,
    Job,
)
from cloudtune.sandbox.training.ledger import Ledger
from cloudtune.sandbox.training.metrics import MetricMatcher

MetricSink = Callable[[Job, str, float, float], None]
"""Hears of each metric: job, name, value, time in seconds since the epoch."""

SHUTDOWN_REASON = "InternalServerError: the sandbox was stopped while the job was running"
DEFAULT_MAX_RUNTIME = 86_400

_log = logging.getLogger(__name__)


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
    ) -> None:
        self.ledger = ledger
        self.logs = logs
        self.containers = containers
        self.metric_sink = metric_sink
        self.delays = delays
        self.clock = clock
        self.directory = directory
        # what a killed server left
        shutil.rmtree(directory, ignore_errors=True)
        # by the job itself: one that is being cleaned up may have been deleted, and its name be another's by now
        self._runs: dict[int, _Run] = {}
        self._numbers = itertools.count()
        self._closed = False
        self._lock = threading.Lock()

    def launch(self, job: Job, warm: bool) -> None:
        with self._lock:
            if self._closed:
                raise RuntimeError("the sandbox has been stopped")
            private = self.directory / f"{job.name}.{next(self._numbers)}"
            run = self._runs[id(job)] = _Run(self, job, warm, private, self._forget)
            run.thread.start()

    def stop(self, job: Job) -> None:
        with self._lock:
            run = self._runs.get(id(job))
        if run is not None:
            run.stop()

    def catch_up(self) -> None:
        """Processes keep time by themselves."""

    def close(self) -> None:
        with self._lock:
            self._closed = True
            runs = list(self._runs.values())
        self._end(runs)

    def end_all(self) -> None:
        """Kill what runs; new jobs may be launched afterwards."""
        with self._lock:
            runs = list(self._runs.values())
        self._end(runs)

    def _end(self, runs: list[_Run]) -> None:
        for run in runs:
            run.abandon()
        for run in runs:
            run.thread.join()

    def _forget(self, run: _Run) -> None:
        with self._lock:
            del self._runs[id(run.job)]


class _Run:
    """The life of one job's container."""

    def __init__(
        self, home: ProcessExecutor, job: Job, warm: bool, directory: Path, on_end: Callable[[_Run], None]
    ) -> None:
        self.job = job
        # it starts the container and stays until its end: a container dies with the thread that made it
        self.thread = threading.Thread(target=self._run, name=f"job-{job.name}", daemon=True)
        self._home = home
        self._ledger = home.ledger
        self._warm = warm
        self._directory = directory
        self._on_end = on_end
        self._wake = threading.Event()  # stopped or abandoned
        self._gone = threading.Event()  # abandoned
        self._lock = threading.Lock()
        self._container: Container | None = None
        self._running = False
        definitions = job.request.get("AlgorithmSpecification", {}).get("MetricDefinitions", [])
        self._matcher = MetricMatcher(definitions)
        self._stream = ""

    def stop(self) -> None:
        """SIGTERM, and SIGKILL after the grace; or no start at all."""
        with self._lock:
            self._wake.set()
            if self._running and self._container is not None:
                self._container.terminate()

    def abandon(self) -> None:
        """The sandbox ends: kill, upload nothing."""
        with self._lock:
            self._gone.set()
            self._wake.set()
            if self._running and self._container is not None:
                self._container.kill()

    def _run(self) -> None:
        try:
            self._live()
        except ContainerError as error:
            self._fail(f"ClientError: {error}")
        except OSError as error:
            # a full disk is the machine's fault, not the job's
            _log.exception("training job %s", self.job.name)
            self._fail(f"InternalServerError: {error}")
        finally:
            if not self.job.ended:
                self._fail(SHUTDOWN_REASON if self._gone.is_set() else "InternalServerError: see the sandbox's log")
            if self._container is not None:
                self._container.cleanup()
            shutil.rmtree(self._directory, ignore_errors=True)
            self._on_end(self)

    def _live(self) -> None:
        if not self._start_instances():
            return
        if self._advance(DOWNLOADING) is None:
            self._end_early()
            return
        self._directory.mkdir(parents=True)
        self._container = container = self._home.containers(self.job, self._directory, self._line)
        container.download()
        if self._pause(self._home.delays.downloading):
            self._end_early()
            return
        exit_code = self._train(container)
        if exit_code is None or self._gone.is_set():
            self._end_early()
            return
        self._enter(UPLOADING)
        artifacts = container.upload()
        if self.job.status != STOPPING:
            self._pause(self._home.delays.uploading)
        self._conclude(exit_code, artifacts.model_uri, container.failure_reason())

    def _start_instances(self) -> bool:
        """Wait for instances; False where the job ended while waiting."""
        delays = self._home.delays
        seconds = delays.starting_warm if self._warm else delays.starting
        max_wait = self.job.request.get("StoppingCondition", {}).get("MaxWaitTimeInSeconds")
        if max_wait is not None and max_wait < seconds:
            if not self._pause(max_wait):
                self._enter(MAX_WAIT_EXCEEDED)
                return False
        elif not self._pause(seconds):
            return True
        self._end_early()
        return False

    def _train(self, container: Container) -> int | None:
        """The exit code, or None if a stop came before the start."""
        with self._lock:
            started = None if self._wake.is_set() else self._advance(TRAINING)
            if started is None:
                return None
            self._stream = f"{self.job.name}/algo-1-{int(started)}"
            self._home.logs.create_stream(self._stream)
            container.start()
            self._running = True
        condition = self.job.request.get("StoppingCondition", {})
        limit = condition.get("MaxRuntimeInSeconds", DEFAULT_MAX_RUNTIME)
        spent = started - (self.job.training_started or started)
        exit_code = container.wait(max(0.0, limit - spent))
        if exit_code is None:
            self._exceed_runtime(container)
            exit_code = container.wait(None)
        with self._lock:
            self._running = False
        return exit_code

    def _exceed_runtime(self, container: Container) -> None:
        with self._ledger.changing(self.job) as now:
            if self.job.status != STOPPING:
                self.job.runtime_exceeded = True
                self.job.enter(STOPPING, now)
                container.terminate()

    def _line(self, line: str) -> None:
        event = self._home.logs.write(self._stream, line)
        at = event.timestamp / 1000
        for name, value in self._matcher.matches(line):
            with self._ledger.reading():
                self.job.metrics[name] = FinalMetric(value, at)
            self._home.metric_sink(self.job, name, value, at)

    def _conclude(self, exit_code: int | None, model_uri: str | None, failure: str | None) -> None:
        if self.job.status == STOPPING:
            self._linger()
        with self._ledger.changing(self.job) as now:
            self.job.model_uri = model_uri
            if self.job.runtime_exceeded:
                self.job.enter(MAX_RUNTIME_EXCEEDED, now)
            elif self.job.status == STOPPING:
                self.job.enter(STOPPED, now)
            elif exit_code == 0:
                self.job.enter(COMPLETED, now)
            else:
                self.job.fail(failure_text(exit_code or 0, failure), now)

    def _end_early(self) -> None:
        """Stopped before its script ran."""
        if self._gone.is_set():
            self._fail(SHUTDOWN_REASON)
            return
        self._linger()
        self._enter(STOPPED)

    def _linger(self) -> None:
        """What stopping takes beyond the end of the processes."""
        self._home.clock.wait(self._gone, self._home.delays.stopping)

    def _pause(self, seconds: float) -> bool:
        """Let ``seconds`` pass; whether the job was stopped meanwhile."""
        return self._home.clock.wait(self._wake, seconds)

    def _enter(self, secondary: str) -> None:
        with self._ledger.changing(self.job) as now:
            self.job.enter(secondary, now)

    def _advance(self, secondary: str) -> float | None:
        """Enter ``secondary`` now, unless the job is being stopped (then None)."""
        with self._ledger.changing(self.job) as now:
            if self.job.status == STOPPING:
                return None
            self.job.enter(secondary, now)
            return now

    def _fail(self, reason: str) -> None:
        with self._ledger.changing(self.job) as now:
            if not self.job.ended:
                self.job.fail(reason, now)


def failure_text(exit_code: int, failure: str | None) -> str:
    """The service's FailureReason: what the script left in its failure file, else where to look, and the exit code."""
    # a shell's view of a signal
    code = 128 - exit_code if exit_code < 0 else exit_code
    tail = f", exit code: {code}"
    cause = (failure or "").strip() or "See job logs for more information"
    return f"AlgorithmError: {cause}"[: 1024 - len(tail)] + tail
