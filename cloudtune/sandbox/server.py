"""A sandbox's server: everything wired together, behind one port of 127.0.0.1 or for its own process only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

from cloudtune.sandbox.address import ROLE_NAME, address_of
from cloudtune.sandbox.aws_error import AwsError
from cloudtune.sandbox.calls import Call
from cloudtune.sandbox.clock import Clock, SystemClock
from cloudtune.sandbox.container import ContainerSpec, TrainingContainer
from cloudtune.sandbox.directories import open_directory, user_cache_directory
from cloudtune.sandbox.faults.faults import Faults
from cloudtune.sandbox.faults.launches import Launches
from cloudtune.sandbox.faults.logs import LogFaults
from cloudtune.sandbox.faults.runs import Runs
from cloudtune.sandbox.faults.training import TrainingFaults
from cloudtune.sandbox.front import HttpFront
from cloudtune.sandbox.gateway import Gateway, Responder
from cloudtune.sandbox.iam import IamResponder
from cloudtune.sandbox.logs.api import LogsApi
from cloudtune.sandbox.logs.store import LogStore
from cloudtune.sandbox.moto_world import MotoWorld
from cloudtune.sandbox.replies import Reply, json_reply
from cloudtune.sandbox.script import Script
from cloudtune.sandbox.service_quotas import ServiceQuotasResponder
from cloudtune.sandbox.settings import Settings
from cloudtune.sandbox.state import Archive, DirectoryArchive, NoArchive
from cloudtune.sandbox.training import warm_pools
from cloudtune.sandbox.training.api import TrainingApi
from cloudtune.sandbox.training.execution import Container, Executor
from cloudtune.sandbox.training.instances import Quotas
from cloudtune.sandbox.training.job import DOWNLOADING, TRAINING, Job
from cloudtune.sandbox.training.ledger import Ledger
from cloudtune.sandbox.training.processes import ProcessExecutor
from cloudtune.sandbox.training.synthetic import SyntheticExecutor

NOWHERE = "http://sandbox.invalid"
"""The address of one that only its own process can reach."""


class JsonApi(Protocol):
    """Some operations of a service that speaks JSON."""

    @property
    def operations(self) -> Collection[str]: ...

    def answer(self, operation: str, request: Any) -> dict[str, Any] | None: ...


class Server:
    """Serves from construction to ``close``. Raises OSError if the port is taken.

    ``clock``: whose time it keeps; with one of its own it has a port, with somebody else's none. ``jobs``: the script
    of every job, instead of processes.
    """

    def __init__(self, settings: Settings, clock: Clock | None = None, jobs: Script | None = None) -> None:
        self.settings = settings
        self.clock: Clock = clock or SystemClock()
        self._jobs = jobs
        with ExitStack() as undo:
            self.directory = open_directory(settings.directory, self.clock.now(), undo)
            own_cache = self.directory / "cache"
            self._cache = own_cache if settings.directory is not None else user_cache_directory() or own_cache
            self.world = MotoWorld(settings.account_id, settings.region)
            undo.callback(self.world.clear)
            kept = settings.directory is not None
            self.archive: Archive = DirectoryArchive(self.directory / "state", self.world) if kept else NoArchive()
            self.quotas = Quotas(settings.quotas)
            self.faults = Faults(settings.faults, self.clock.now, self.quotas.all())
            self._launches = Launches(self.faults, self.quotas)
            self.ledger = Ledger(self.clock, self.archive.save_job, self._release_instances)
            self._log_faults = LogFaults(self.faults)
            self.logs = LogStore(
                self.clock, settings.delays.log_ingestion, self.archive.save_event, self._log_faults.delivery
            )
            front = HttpFront(settings.port, undo) if clock is None else None
            endpoint_url = NOWHERE if front is None else front.endpoint_url
            self.address = address_of(endpoint_url, settings.region, settings.account_id, self.directory)
            self.executor = self._executor()
            self.gateway = self._gateway()
            self.world.prepare(self.address.bucket, ROLE_NAME)
            self.archive.load(self.ledger, self.logs)
            if front is not None:
                front.serve(self.application, undo)
            undo.callback(self.executor.close)
            self._undo = undo.pop_all()

    def close(self) -> None:
        """End all jobs, then the server."""
        self._undo.close()

    def application(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """The sandbox as a WSGI application: at the time it is asked, all that was due has happened."""
        self.executor.catch_up()
        return self.gateway(environ, start_response)

    def _executor(self) -> Executor:
        mishaps, shortages = Runs(self.faults).mishap, self._launches.shortage
        if self._jobs is not None:
            return SyntheticExecutor(
                script=self._jobs,
                ledger=self.ledger,
                logs=self.logs,
                checkpoints=self.world,
                delays=self.settings.delays,
                clock=self.clock,
                mishaps=mishaps,
                shortages=shortages,
            )
        return ProcessExecutor(
            ledger=self.ledger,
            logs=self.logs,
            containers=self._container,
            metric_sink=lambda job, name, value, at: self.world.put_metric(job.name, name, value, at),
            delays=self.settings.delays,
            clock=self.clock,
            directory=self.directory / "jobs",
            mishaps=mishaps,
            shortages=shortages,
        )

    def interrupt(self, job_name: str) -> None:
        """Take a spot job's instances away now. Raises ValueError if there is no such job, or if it has none."""
        self.executor.catch_up()
        job = self.ledger.get(job_name)
        if job is None or not job.spot:
            raise ValueError(f"there is no spot job {job_name!r}")
        if job.secondary not in (DOWNLOADING, TRAINING):
            raise ValueError(f"spot job {job_name!r} has no instances at the moment: it is {job.secondary}")
        self.executor.interrupt(job)
        self.faults.injected.note("interrupted")

    def reset(self) -> None:
        """End all jobs and forget everything."""
        self.executor.end_all()
        self.ledger.clear()
        self.logs.clear()
        self.archive.clear()
        self.world.clear()
        self.world.prepare(self.address.bucket, ROLE_NAME)
        self.gateway.record.clear()
        self.faults.restart()
        self._log_faults.restart()

    def jobs_by_status(self) -> Counter[str]:
        self.executor.catch_up()
        with self.ledger.reading() as jobs:
            return Counter(job.status for job in jobs.values())

    def _control(self, verb: str) -> dict[str, object]:
        if verb == "reset":
            self.reset()
        return {
            "jobs": dict(self.jobs_by_status()),
            "faults": None if self.settings.faults.empty else self.settings.faults.name,
            "injected": dict(self.faults.injected.counts()),
        }

    def _gateway(self) -> Gateway:
        settings = self.settings
        arn_prefix = f"arn:aws:sagemaker:{settings.region}:{settings.account_id}:training-job/"
        training = TrainingApi(
            self.ledger,
            self.executor,
            self.world,
            self.quotas,
            arn_prefix,
            settings.delays.search_index,
            TrainingFaults(self.faults, self._launches),
        )
        logs = LogsApi(self.logs, settings.region, settings.account_id, self._log_faults)
        quotas = ServiceQuotasResponder(self.quotas, settings.region, settings.account_id)
        return Gateway(
            responders={
                "sagemaker": _in_region(settings.region, training),
                "logs": _in_region(settings.region, logs),
                "service-quotas": quotas,
                "iam": IamResponder(self.world),
            },
            behind=self.world.application,
            on_change=self.archive.save_call,
            control=self._control,
            now=self.clock.now,
            faults=self.faults,
        )

    def _container(self, job: Job, directory: Path, write_line: Callable[[str], None]) -> Container:
        settings = self.settings
        image = job.request.get("AlgorithmSpecification", {}).get("TrainingImage", "")
        spec = ContainerSpec(
            job_name=job.name,
            job_arn=job.arn,
            region=settings.region,
            account_id=settings.account_id,
            request=job.request,
            directory=directory,
            cache_directory=self._cache,
            endpoint_url=self.address.endpoint_url,
            environment=self.address.environment(),
            interpreter=settings.interpreter_for(image),
            stop_grace_seconds=settings.delays.stop_grace,
            checkpoint_sync_seconds=settings.delays.checkpoint_sync,
        )
        return TrainingContainer(spec, write_line)

    def _release_instances(self, job: Job) -> None:
        with self.ledger.reading():
            warm_pools.release(job, self.quotas, self.ledger.holding())


def _in_region(region: str, api: JsonApi) -> Responder:
    """A responder for a region's operations of ``api``."""

    def respond(call: Call) -> Reply | None:
        if call.operation not in api.operations:
            return None
        if call.region is not None and call.region != region:
            raise AwsError(
                "InvalidSignatureException",
                f"Credential should be scoped to a valid region, not '{call.region}': this sandbox is in '{region}'.",
            )
        value = api.answer(call.operation, call.json())
        return None if value is None else json_reply(value)

    return respond
