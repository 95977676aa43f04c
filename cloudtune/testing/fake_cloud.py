"""A cloud in memory: jobs that are functions of time, and outlive the backends that talk to it."""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from cloudtune.clock import Clock, VirtualClock
from cloudtune.errors import CloudtuneError, OptionError, QuotaReachedError
from cloudtune.trial import (
    Attempt,
    AttemptId,
    AttemptStatus,
    Cause,
    Config,
    Interruption,
    Observation,
    Report,
    StatusChange,
)

Curve = Callable[[Config, int], "Mapping[str, Any] | None"]
"""What a trial reports after so many units of work, from 1; None: nothing. ``FakeFailureError`` makes it fail there."""


class FakeFailureError(Exception):
    """Ends an attempt as failed, with this as the reason. Raised by a ``Curve``."""


@dataclass(frozen=True)
class FakeTiming:
    """Seconds of everything that takes time."""

    seconds_per_unit: float | Callable[[Config], float] = 1.0
    start_delay: float = 0.0
    """From the request until the script runs."""
    stop_delay: float = 0.0
    """From the request to stop until the script ends; it works on meanwhile."""
    kill_after: float = 120.0
    """The same for a script that ignores the request."""
    log_lag: float | Callable[[AttemptId], float] = 0.0
    """From a report until it can be seen. The attempt drains so long after its end."""

    def per_unit(self, config: Config) -> float:
        seconds = self.seconds_per_unit
        return seconds(config) if callable(seconds) else seconds

    def lag(self, attempt: AttemptId) -> float:
        return self.log_lag(attempt) if callable(self.log_lag) else self.log_lag


@dataclass(frozen=True)
class FakeFaults:
    """What goes wrong with an attempt; numbers are those of the unit of work that is not done because of it."""

    fail_at: int | None = None
    """Its script fails."""
    lost_at: int | None = None
    """The cloud takes its machine away for good."""
    service_fails_at: int | None = None
    ended_outside_at: int | None = None
    """Somebody else stops it."""
    interrupted_at: tuple[int, ...] = ()
    """The cloud takes its machine away, once each, and goes on with the attempt on another."""
    crash_at_import: bool = False
    silent: bool = False
    """Ends in order, without any report."""
    ignores_stop: bool = False
    keeps_nothing: bool = False
    """Writes no checkpoints."""
    keeps_until: float = math.inf
    """Its checkpoints are copied up to this unit of work, and no longer."""
    keeps_every: int = 1
    """Writes one after so many units."""


@dataclass
class FakeJob:
    """One attempt in the cloud. ``units`` and ``done``: work, that of earlier attempts included."""

    attempt: Attempt
    faults: FakeFaults
    units: int
    done: int = 0
    reports: int = 0
    interruptions: int = 0
    began: float | None = None
    ended: float | None = None
    stop_requested: bool = False
    published: list[int] = field(default_factory=list)
    """Places in the cloud's feed."""


@dataclass
class _Planned:
    """An error that an operation will answer with. ``after``: the operation takes effect all the same."""

    error: CloudtuneError
    after: bool


class _Step(Enum):
    BEGIN = 0
    WORK = 1
    STOP = 2


class FakeCloud:
    """Runs ``curve`` for each attempt, from its trial's checkpoint on, without threads and without waiting.

    ``units``: work of a whole trial: a number, the name of the configuration's entry that holds it, or a function of
    the configuration. ``faults``: what goes wrong with an attempt. ``slots``: jobs at a time; one more is answered
    ``QuotaReachedError``. ``clock``: shared with the tuner; default: a new ``VirtualClock``.

    ``creations`` counts jobs made per attempt, ``calls`` what backends asked for; ``feed`` is all that can be seen so
    far. Equal calls at equal times give equal answers.
    """

    def __init__(
        self,
        curve: Curve,
        units: int | str | Callable[[Config], int] = 1,
        *,
        timing: FakeTiming | None = None,
        faults: Callable[[Attempt], FakeFaults] = lambda attempt: FakeFaults(),
        slots: int | None = None,
        resource_attr: str = "epoch",
        dollars_per_hour: float | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.clock: Clock = clock or VirtualClock()
        self.timing = timing or FakeTiming()
        self.dollars_per_hour = dollars_per_hour
        self.jobs: dict[AttemptId, FakeJob] = {}
        self.checkpoints: dict[int, int] = {}
        """Units of work in each trial's checkpoint."""
        self.committed_at: dict[int, float] = {}
        """When each trial's newest checkpoint came."""
        self.creations: Counter[AttemptId] = Counter()
        self.calls: Counter[str] = Counter()
        self.feed: list[Observation] = []
        self._curve = curve
        self._units = units
        self._faults = faults
        self.slots = slots
        self._resource_attr = resource_attr
        self._planned: dict[str, list[_Planned]] = {}
        self._numbered = 0
        self._steps: list[tuple[float, int, _Step, FakeJob]] = []
        self._unseen: list[tuple[float, int, Observation]] = []

    # -- failures of the cloud itself ------------------------------------------------------------------------------

    def fail_next(self, operation: str, error: CloudtuneError, times: int = 1, after: bool = False) -> None:
        """The next ``times`` calls of a backend's ``operation`` (``start``, ``stop``, ``poll`` …) raise ``error``.

        ``after``: what they ask for happens, and only the answer is lost.
        """
        self._planned.setdefault(operation, []).extend([_Planned(error, after)] * times)

    def heal(self) -> None:
        """Forget the failures that are still to come."""
        self._planned.clear()

    def answer(self, operation: str, work: Callable[[], Any]) -> Any:
        """Do the work of an operation, up to now in time, and raise what was planned for it."""
        self.calls[operation] += 1
        self.settle()
        planned = self._planned.get(operation)
        fault = planned.pop(0) if planned else None
        if fault is not None and not fault.after:
            raise fault.error
        result = work()
        if fault is not None:
            raise fault.error
        return result

    # -- what backends ask for ----------------------------------------------------------------------------------------

    def create(self, attempt: Attempt) -> None:
        """Start the job; nothing if it was ever started."""
        if attempt.id in self.jobs:
            return
        if self.slots is not None and self.busy() >= self.slots:
            raise QuotaReachedError(f"{self.slots} jobs are running, which is the limit", "wait until one has ended")
        job = FakeJob(attempt, self._faults(attempt), self._total(attempt.config))
        self.jobs[attempt.id] = job
        self.creations[attempt.id] += 1
        self._plan(self.clock.now() + self.timing.start_delay, _Step.BEGIN, job)
        self.settle()

    def stop(self, attempt: AttemptId) -> None:
        job = self.jobs.get(attempt)
        if job is None or job.ended is not None or job.stop_requested:
            return
        job.stop_requested = True
        now = self.clock.now()
        self._tell(StatusChange(attempt, AttemptStatus.STOPPING, now), now)
        delay = self.timing.kill_after if job.faults.ignores_stop else self.timing.stop_delay
        self._plan(now + delay, _Step.STOP, job)
        self.settle()

    def copy_checkpoint(self, source_trial_id: int, target_trial_id: int) -> None:
        started = any(attempt.trial_id == target_trial_id for attempt in self.jobs)
        if source_trial_id in self.checkpoints and not started:
            self.checkpoints[target_trial_id] = self.checkpoints[source_trial_id]

    def lose_everything(self) -> None:
        """End all jobs at once, as a tuner does that takes its trials with it."""
        for job in self.jobs.values():
            if job.ended is None:
                self._end(job, self.clock.now(), AttemptStatus.FAILED, "the tuner that ran it has ended")
        self.settle()

    def busy(self) -> int:
        """Jobs that have not ended."""
        return sum(job.ended is None for job in self.jobs.values())

    # -- time passes ---------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Let everything happen that is due by now."""
        now = self.clock.now()
        while self._steps and self._steps[0][0] <= now:
            at, _, step, job = heapq.heappop(self._steps)
            if job.ended is None:
                self._take(step, job, at)
        while self._unseen and self._unseen[0][0] <= now:
            _, _, observation = heapq.heappop(self._unseen)
            self.jobs[observation.attempt].published.append(len(self.feed))
            self.feed.append(observation)

    def _take(self, step: _Step, job: FakeJob, at: float) -> None:
        if step is _Step.BEGIN:
            self._begin(job, at)
        elif step is _Step.WORK:
            self._work(job, at)
        else:
            self._end(job, at, AttemptStatus.STOPPED)

    def _begin(self, job: FakeJob, at: float) -> None:
        job.began = at if job.began is None else job.began
        if not job.stop_requested:
            self._tell(StatusChange(job.attempt.id, AttemptStatus.RUNNING, at), at)
        job.done = self.checkpoints.get(job.attempt.id.trial_id, 0)
        if job.faults.crash_at_import:
            self._end(job, at, AttemptStatus.FAILED, "the script can't be imported", Cause.SCRIPT)
        else:
            self._go_on(job, at)

    def _work(self, job: FakeJob, at: float) -> None:
        unit = job.done + 1
        if unit in job.faults.interrupted_at[job.interruptions :]:
            self._interrupt(job, at)
            return
        if (end := _end_by_the_cloud(job.faults, unit)) is not None:
            self._end(job, at, *end)
            return
        try:
            if job.faults.fail_at == unit:
                raise FakeFailureError(f"fails in unit {unit}, as planned")
            metrics = self._curve(job.attempt.config, unit)
        except FakeFailureError as failure:
            self._end(job, at, AttemptStatus.FAILED, str(failure) or "it failed", Cause.SCRIPT)
            return
        job.done = unit
        faults = job.faults
        if not faults.keeps_nothing and unit % faults.keeps_every == 0 and unit <= faults.keeps_until:
            self.checkpoints[job.attempt.id.trial_id] = unit
            self.committed_at[job.attempt.id.trial_id] = at
        if metrics is not None and not job.faults.silent:
            self._report(job, at, metrics)
        self._go_on(job, at)

    def _interrupt(self, job: FakeJob, at: float) -> None:
        job.interruptions += 1
        self._tell(Interruption(job.attempt.id, job.interruptions, at, "its machine was taken away"), at)
        self._plan(at + self.timing.start_delay, _Step.BEGIN, job)

    def _report(self, job: FakeJob, at: float, metrics: Mapping[str, Any]) -> None:
        assert job.began is not None
        fields: dict[str, Any] = {
            self._resource_attr: job.done,
            **metrics,
            "st_worker_timestamp": at,
            "st_worker_time": at - job.began,
            "st_worker_iter": job.reports,
        }
        if self.dollars_per_hour is not None:
            fields["st_worker_cost"] = (at - job.began) / 3600 * self.dollars_per_hour
        visible = at + self.timing.lag(job.attempt.id)
        self._tell(Report(job.attempt.id, str(job.reports), fields, at, visible), visible)
        job.reports += 1

    def _go_on(self, job: FakeJob, at: float) -> None:
        if job.done < job.units:
            self._plan(at + self.timing.per_unit(job.attempt.config), _Step.WORK, job)
        else:
            self._end(job, at, AttemptStatus.COMPLETED)

    def _total(self, config: Config) -> int:
        if callable(self._units):
            return self._units(config)
        if isinstance(self._units, int):
            return self._units
        if self._units not in config:
            raise OptionError(f"units={self._units!r} is not in the configuration {dict(config)}", "name one of it")
        return int(config[self._units])

    def _end(self, job: FakeJob, at: float, status: AttemptStatus, reason: str = "", cause: Cause = Cause.NONE) -> None:
        job.ended = at
        dollars = None
        if self.dollars_per_hour is not None:
            dollars = 0.0 if job.began is None else (at - job.began) / 3600 * self.dollars_per_hour
        lag = self.timing.lag(job.attempt.id)
        if lag > 0:
            self._tell(StatusChange(job.attempt.id, AttemptStatus.DRAINING, at), at)
        self._tell(StatusChange(job.attempt.id, status, at, reason, dollars, cause), at + lag)

    def _plan(self, at: float, step: _Step, job: FakeJob) -> None:
        heapq.heappush(self._steps, (at, self._number(), step, job))

    def _tell(self, observation: Observation, visible: float) -> None:
        heapq.heappush(self._unseen, (visible, self._number(), observation))

    def _number(self) -> int:
        """Keeps what happens at the same time in order."""
        self._numbered += 1
        return self._numbered


def _end_by_the_cloud(faults: FakeFaults, unit: int) -> tuple[AttemptStatus, str, Cause] | None:
    """How an attempt ends instead of doing ``unit``, through no fault of its script."""
    if faults.lost_at == unit:
        return AttemptStatus.FAILED, "CapacityError: no machine left", Cause.CAPACITY
    if faults.service_fails_at == unit:
        return AttemptStatus.FAILED, "InternalServerError", Cause.SERVICE
    if faults.ended_outside_at == unit:
        return AttemptStatus.STOPPED, "stopped by somebody else", Cause.OUTSIDE
    return None
