"""The life of one job as processes: a thread that walks its containers from status to status."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from cloudtune.sandbox.container import ContainerError
from cloudtune.sandbox.training.execution import Container, Mishap
from cloudtune.sandbox.training.job import (
    COMPLETED,
    DOWNLOADING,
    INTERRUPTED,
    MAX_RUNTIME_EXCEEDED,
    MAX_WAIT_EXCEEDED,
    STARTING,
    STOPPED,
    STOPPING,
    TRAINING,
    UPLOADING,
    Job,
    failure_text,
)
from cloudtune.sandbox.training.limits import max_runtime, wait_ends
from cloudtune.sandbox.training.output import Output
from cloudtune.sandbox.training.progress import Progress

if TYPE_CHECKING:
    from cloudtune.sandbox.training.processes import ProcessExecutor

SHUTDOWN_REASON = "InternalServerError: the sandbox was stopped while the job was running"

_log = logging.getLogger(__name__)


class ProcessLife:
    """The life of one job: of one container, and of another one each time it was interrupted."""

    def __init__(
        self, home: ProcessExecutor, job: Job, warm: bool, directory: Path, on_end: Callable[[ProcessLife], None]
    ) -> None:
        self.job = job
        # it starts the containers and stays until their end: a container dies with the thread that made it
        self.thread = threading.Thread(target=self._run, name=f"job-{job.name}", daemon=True)
        self._home = home
        self._progress = Progress(home.ledger, job)
        self._warm = warm
        self._directory = directory
        self._on_end = on_end
        self._wake = threading.Event()  # stopped, lost or abandoned
        self._gone = threading.Event()  # abandoned
        self._lock = threading.Lock()
        self._container: Container | None = None
        self._running = False
        self._on_instances = False
        self._struck: Mishap | None = None  # what has befallen this run
        self._end_as = STOPPED
        self._restarts = 0
        self._began = 0.0  # on its instances
        self._spent = 0.0  # seconds on the instances it has lost
        self._output = Output(job, home.logs, home.ledger, home.metric_sink)

    # -- from outside --------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """SIGTERM, and SIGKILL after the grace; or no start at all."""
        with self._lock:
            self._wake.set()
            if self._running and self._container is not None:
                self._container.terminate()

    def interrupt(self) -> None:
        """SIGTERM, and SIGKILL after the grace; then another container. A script that has not begun never does."""
        with self._lock:
            if self.job.spot and self._on_instances:
                self._strike(Mishap(0.0, grace=self._home.delays.stop_grace))

    def fail(self, reason: str) -> None:
        """SIGKILL, and ``reason``."""
        with self._lock:
            self._struck = Mishap(0.0, reason)
            self._kill()

    def abandon(self) -> None:
        """The sandbox ends: kill, upload nothing."""
        with self._lock:
            self._gone.set()
            self._kill()

    def _kill(self) -> None:
        self._wake.set()
        if self._running and self._container is not None:
            self._container.kill()

    # -- its thread ----------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while self._live():
                self._restarts += 1
        except ContainerError as error:
            self._progress.fail(f"ClientError: {error}")
        except OSError as error:
            # a full disk is the machine's fault, not the job's
            _log.exception("training job %s", self.job.name)
            self._progress.fail(f"InternalServerError: {error}")
        finally:
            if not self.job.ended:
                self._progress.fail(
                    SHUTDOWN_REASON if self._gone.is_set() else "InternalServerError: see the sandbox's log"
                )
            if self._container is not None:
                self._container.cleanup()
            shutil.rmtree(self._directory, ignore_errors=True)
            self._on_end(self)

    def _live(self) -> bool:
        """One run, on instances of its own; whether another one follows."""
        if not self._get_instances():
            return False
        began = self._progress.advance(DOWNLOADING)
        if began is None:
            self._end_early()
            return False
        self._began = began
        directory = self._directory / str(self._restarts)
        directory.mkdir(parents=True)
        container = self._home.containers(self.job, directory, self._output.line)
        with self._lock:
            self._container, self._on_instances = container, True
        container.download()
        if self._pause(self._home.delays.downloading):
            self._end_early()
            return False
        exit_code = self._train(container)
        if exit_code is None or self._gone.is_set():
            self._end_early()
            return False
        if self._struck is not None and (self._struck.reason is not None or self.job.status != STOPPING):
            return self._lose_instances(self._struck, container)
        self._progress.enter(UPLOADING)
        artifacts = container.upload()
        if self.job.status != STOPPING:
            self._pause(self._home.delays.uploading)
        self._conclude(exit_code, artifacts.model_uri, container.failure_reason())
        return False

    def _get_instances(self) -> bool:
        """Wait for instances; False where the job ended while waiting."""
        delays = self._home.delays
        seconds, shortage = delays.starting, None
        if self._warm and self._restarts == 0:
            seconds = delays.starting_warm
        else:
            shortage = self._home.shortages(self.job, self._restarts, self._home.clock.now())
        if shortage is None:
            return self._await(seconds)
        if not self._await(shortage.seconds):
            return False
        if shortage.reason is not None:
            self._progress.fail(shortage.reason)
            return False
        return self._await(seconds)

    def _await(self, seconds: float) -> bool:
        """Let ``seconds`` pass, as far as MaxWaitTimeInSeconds goes; False where the job ended meanwhile."""
        left = wait_ends(self.job) - self._home.clock.now()
        if self._pause(max(0.0, min(seconds, left))):
            self._end_early()
            return False
        if left < seconds:
            self._progress.enter(MAX_WAIT_EXCEEDED)
        return left >= seconds

    # -- its script ----------------------------------------------------------------------------------------------------

    def _train(self, container: Container) -> int | None:
        """The exit code, or None if a stop came before the start."""
        with self._lock:
            started = None if self._wake.is_set() else self._progress.advance(TRAINING)
            if started is None:
                return None
            self._output.begin(started)
            container.start()
            self._running = True
            if self._struck is not None:
                container.kill()
        exit_code = self._follow(container, started, self._home.mishaps(self.job, self._restarts))
        with self._lock:
            self._running = False
        return exit_code

    def _follow(self, container: Container, started: float, mishap: Mishap | None) -> int | None:
        """Until its end, whatever that comes from."""
        runtime_ends = self._began + max_runtime(self.job) - self._spent
        limit = min(runtime_ends, wait_ends(self.job))
        if mishap is not None and started + mishap.after < limit:
            exit_code = container.wait(mishap.after)
            if exit_code is not None:
                return exit_code
            with self._lock:
                struck = self._strike(mishap)
            if struck:
                exit_code = container.wait(mishap.grace)
                if exit_code is None:
                    container.kill()
                    exit_code = container.wait(None)
                return exit_code
        exit_code = container.wait(max(0.0, limit - self._home.clock.now()))
        if exit_code is None:
            self._exceed(MAX_RUNTIME_EXCEEDED if limit == runtime_ends else MAX_WAIT_EXCEEDED, container)
            exit_code = container.wait(None)
        return exit_code

    def _strike(self, mishap: Mishap) -> bool:
        """Let ``mishap`` befall this run, unless it is ending already."""
        if self._wake.is_set() or self._struck is not None:
            return False
        self._struck = mishap
        mishap.struck()
        if self._running and self._container is not None:
            if mishap.reason is None and mishap.grace > 0:
                self._container.terminate()
            else:
                self._container.kill()
        return True

    def _lose_instances(self, mishap: Mishap, container: Container) -> bool:
        """What comes of a mishap; whether the job starts again."""
        if mishap.reason is not None:
            self._progress.fail(mishap.reason)
            return False
        lost = self._progress.advance(INTERRUPTED)
        if lost is None:
            self._end_early()
            return False
        self._spent += lost - self._began
        with self._lock:
            self._container, self._on_instances, self._struck = None, False, None
        container.cleanup()
        if not self._await(mishap.pause):
            return False
        if self._progress.advance(STARTING) is None:
            self._end_early()
            return False
        return True

    def _exceed(self, end_as: str, container: Container) -> None:
        with self._home.ledger.changing(self.job) as now:
            if self.job.status != STOPPING:
                self.job.runtime_exceeded = end_as == MAX_RUNTIME_EXCEEDED
                self._end_as = end_as
                self.job.enter(STOPPING, now)
                container.terminate()

    # -- its end -------------------------------------------------------------------------------------------------------

    def _conclude(self, exit_code: int, model_uri: str | None, failure: str | None) -> None:
        if self._struck is not None and self._struck.reason is not None:
            self._progress.fail(self._struck.reason)
            return
        if self.job.status == STOPPING:
            self._linger()
        with self._home.ledger.changing(self.job) as now:
            self.job.model_uri = model_uri
            if self.job.status == STOPPING:
                self.job.enter(self._end_as, now)
            elif exit_code == 0:
                self.job.enter(COMPLETED, now)
            else:
                self.job.fail(failure_text(exit_code, failure), now)

    def _end_early(self) -> None:
        """Stopped, or lost, before its script ran."""
        if self._gone.is_set():
            self._progress.fail(SHUTDOWN_REASON)
        elif self._struck is not None and self._struck.reason is not None:
            self._progress.fail(self._struck.reason)
        else:
            self._linger()
            self._progress.enter(STOPPED)

    def _linger(self) -> None:
        """What stopping takes beyond the end of the processes."""
        self._home.clock.wait(self._gone, self._home.delays.stopping)

    def _pause(self, seconds: float) -> bool:
        """Let ``seconds`` pass; whether the job was stopped meanwhile."""
        return self._home.clock.wait(self._wake, seconds)
