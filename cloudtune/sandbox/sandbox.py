"""``with Sandbox() as sandbox:`` — SageMaker on this machine for as long as a block lasts."""

from __future__ import annotations

import atexit
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from cloudtune.sandbox.faults.named import named_plan
from cloudtune.sandbox.faults.plan import FaultPlan
from cloudtune.sandbox.settings import ACCOUNT_ID, REGION, Delays, Settings

if TYPE_CHECKING:
    import boto3

    from cloudtune.sandbox.address import Address
    from cloudtune.sandbox.clock import TimeSource
    from cloudtune.sandbox.script import Script
    from cloudtune.sandbox.server import Server

_accounts_in_use: set[str] = set()
_accounts_lock = threading.Lock()


class Sandbox:
    """A sandbox in this process: a server on 127.0.0.1 that ends, with all its jobs, when the block does.

    ``directory``: where its state lives on (None: nothing is kept). ``port``: 0 for any free one. ``profile``:
    "instant" (default) or "realistic"; or ``delays``, one by one. ``quotas``: limits by instance type, or by a
    quota's full name. ``interpreters``: python executable by training image. Several can run side by side: each
    that is not given an ``account_id`` gets one of its own.

    ``jobs``: a script (``cloudtune.sandbox.script``) that every job follows, instead of a process. ``clock``: its time,
    shared with whoever uses the sandbox (``now()`` and ``sleep(seconds)``); it may jump, and nothing waits. Then there
    is no port: ``session()`` and ``client()`` reach it from this process only.

    ``faults``: what goes wrong, as a ``FaultPlan`` or by the name of one, such as "bad-tuesday".

    Raises ValueError on settings that make no sense, ImportError without the extra ``sandbox``, OSError if the
    port is taken or another sandbox uses the directory.
    """

    def __init__(
        self,
        *,
        directory: str | Path | None = None,
        port: int = 0,
        profile: str | None = None,
        delays: Delays | None = None,
        quotas: Mapping[str, int] | None = None,
        interpreters: Mapping[str, str] | None = None,
        region: str = REGION,
        account_id: str | None = None,
        clock: TimeSource | None = None,
        jobs: Script | None = None,
        faults: str | FaultPlan | None = None,
    ) -> None:
        if clock is not None and jobs is None:
            raise ValueError("processes run in real time: with a clock, give their script as jobs")
        _check_kinds(clock, jobs, delays, faults)
        if clock is not None and port:
            raise ValueError(f"port={port!r}: with a clock there is no port; leave out one of them")
        if profile is not None and delays is not None:
            raise ValueError(
                "give a profile or delays, not both; dataclasses.replace(Delays.realistic(), …) changes single ones"
            )
        self._settings = Settings(
            delays=delays or Delays.of_profile(profile or "instant"),
            directory=None if directory is None else Path(directory),
            port=port,
            region=region,
            account_id=account_id or ACCOUNT_ID,
            quotas=dict(quotas or {}),
            interpreters=dict(interpreters or {}),
            faults=named_plan(faults) if isinstance(faults, str) else faults or FaultPlan(),
        )
        self._own_account = account_id is None
        self._clock = clock
        self._jobs = jobs
        self._server: Server | None = None
        self._session: boto3.Session | None = None

    @property
    def settings(self) -> Settings:
        return self._settings

    def start(self) -> Sandbox:
        """Start it; ``with`` does so too."""
        if self._server is not None:
            raise RuntimeError("this sandbox is running already")
        import dataclasses

        from cloudtune.sandbox.clock import SharedClock
        from cloudtune.sandbox.server import Server

        account_id = _claim_account(self._settings.account_id, free_choice=self._own_account)
        self._settings = dataclasses.replace(self._settings, account_id=account_id)
        try:
            clock = None if self._clock is None else SharedClock(self._clock)
            self._server = Server(self._settings, clock, self._jobs)
        except BaseException:
            _accounts_in_use.discard(account_id)
            raise
        # whoever never stops it leaves no directory behind either
        atexit.register(self.stop)
        return self

    def stop(self) -> None:
        """End it and every job in it."""
        if self._server is not None:
            server, self._server, self._session = self._server, None, None
            atexit.unregister(self.stop)
            try:
                server.close()
            finally:
                _accounts_in_use.discard(self._settings.account_id)

    def __enter__(self) -> Sandbox:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def address(self) -> Address:
        """Where it is."""
        return self._running().address

    @property
    def endpoint_url(self) -> str:
        """What ``AWS_ENDPOINT_URL`` must be."""
        return self.address.endpoint_url

    @property
    def region(self) -> str:
        return self.address.region

    @property
    def bucket(self) -> str:
        """An S3 bucket that exists, named like SageMaker's default one."""
        return self.address.bucket

    @property
    def role_arn(self) -> str:
        """An IAM role that exists and that SageMaker may assume."""
        return self.address.role_arn

    def environment(self) -> dict[str, str]:
        """The variables that a child process needs to find this sandbox, and nothing else than it.

        Raises RuntimeError for one with a clock of somebody else's: no other process can reach it.
        """
        if self._clock is not None:
            raise RuntimeError("a sandbox with a clock has no port: reach it by session() or client(), in this process")
        return self.address.environment()

    def client(self, service: str) -> Any:
        """A boto3 client of ``service`` that talks to this sandbox."""
        return self.session().client(service) if self._clock is not None else self.address.client(service)

    def session(self) -> boto3.Session:
        """A boto3 session whose clients are answered in this process, without a socket."""
        from cloudtune.sandbox.in_process import in_process_session

        if self._session is None:
            self._session = in_process_session(self._answer, self.region)
        return self._session

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        return self._running().application(environ, start_response)

    def call_counts(self) -> Counter[str]:
        """Calls answered so far by "service.Operation", whoever made them."""
        return self._running().gateway.record.counts()

    def peak_rate(self, operation: str, seconds: float = 1.0) -> float:
        """The most calls of "service.Operation" in any stretch of so many seconds of the sandbox's time, per second."""
        return self._running().gateway.record.peak_rate(operation, seconds)

    def reset_call_counts(self) -> None:
        """Count from zero again."""
        self._running().gateway.record.clear()

    def faults_injected(self) -> Counter[str]:
        """What has gone wrong so far, by kind."""
        return self._running().faults.injected.counts()

    def fail_next(self, operation: str, kind: str, times: int = 1) -> None:
        """Let the next calls of "service.Operation" go wrong: "throttled", "internal-error", "internal-failure",
        "unavailable", "timeout", "timeout-after", "reset", "reset-after"; of CreateTrainingJob also "limit-exceeded",
        "capacity-refused", "no-capacity". Raises ValueError for other names.
        """
        self._running().faults.fail_next(operation, kind, times)

    def interrupt(self, job_name: str) -> None:
        """Take a spot job's instances away now. Raises ValueError if there is no such job, or if it has none."""
        self._running().interrupt(job_name)

    def reset(self) -> None:
        """End all jobs and forget everything."""
        self._running().reset()

    def _running(self) -> Server:
        if self._server is None:
            raise RuntimeError("this sandbox is not running: use it in a with block, or call start() first")
        return self._server


def _claim_account(wanted: str, free_choice: bool) -> str:
    """An account no other sandbox of this process has: moto's state is per process and account."""
    with _accounts_lock:
        while wanted in _accounts_in_use:
            if not free_choice:
                raise ValueError(f"another sandbox of this process has account {wanted}; choose another account_id")
            wanted = f"{int(wanted) + 1:012d}"
        _accounts_in_use.add(wanted)
        return wanted


def _check_kinds(clock: object, jobs: object, delays: object, faults: object) -> None:
    if clock is not None and (isinstance(clock, type) or not all(hasattr(clock, name) for name in ("now", "sleep"))):
        raise ValueError(f"clock={clock!r} is no clock: it has now() and sleep(seconds), as VirtualClock() does")
    if jobs is not None and not callable(jobs):
        raise ValueError(f"jobs={jobs!r} is no script: give a function of a Run that yields steps")
    if delays is not None and not isinstance(delays, Delays):
        raise ValueError(f"delays={delays!r} are no Delays: write Delays(stopping=3), for example")
    if faults is not None and not isinstance(faults, (str, FaultPlan)):
        raise ValueError(f"faults={faults!r} is no plan: give a name, such as 'bad-tuesday', or FaultPlan(…)")
