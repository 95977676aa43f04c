"""Trials that take no time: learning curves out of tables and models, played in simulated time."""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from heapq import heappop, heappush, heapreplace
from pathlib import Path
from typing import Any

from cloudtune.backends.base import Capabilities, Experiment
from cloudtune.backends.simulator.clock import SimulatorClock
from cloudtune.backends.simulator.config import SimulatorConfig
from cloudtune.backends.simulator.curves import Curve, CurveSource
from cloudtune.backends.simulator.recorded import RecordedRun, RemembersAttempts
from cloudtune.backends.simulator.runs import ReportNames, Run
from cloudtune.clock import Clock
from cloudtune.errors import OptionError
from cloudtune.names import job_name
from cloudtune.options import check_count, check_flag, check_kind, named_options
from cloudtune.report import REPORT_PREFIX
from cloudtune.searchers.seeding import Uniforms, checked_seed
from cloudtune.trial import Attempt, AttemptId, AttemptStatus, Launch, Observation, Report, StatusChange


@named_options({"tuner_sleep_time": "it is sleep_time of the Tuner, in simulated seconds"})
class SimulatorBackend:
    """Plays the curves of ``source`` in simulated time: hours of tuning in seconds, for any number of workers.

    A ``Tuner`` takes its ``clock``, and everything about it is in simulated seconds: ``sleep_time`` (0: it reacts to
    each event at its moment), ``max_wallclock_time``, the times in the results. The same seeds give the same run.

    ``resource_attr``, ``elapsed_time_attr``, ``time_this_resource_attr``: names under which reports carry the units of
    work done, the seconds since the attempt began (after a pause: since it was resumed), and the seconds since the
    report before; None: they don't. ``max_resource_attr``: name of the configuration's entry that tells a script where
    to end. ``seed``: which of the source's repetitions all trials are; None: one is drawn for each trial, from
    ``random_seed`` and its number, and kept when it is resumed. ``support_checkpointing``: whether a resumed trial goes
    on where it was, rather than from its beginning. ``simulator_config``: delays. ``charge_tuner_time``: what the tuner
    itself computes takes as long in simulated time. ``name``: for names of experiments.

    A tuner that goes on after a crash starts what ran anew: nothing outlives the process. Raises ``OptionError``.
    """

    def __init__(
        self,
        source: CurveSource,
        resource_attr: str | None = None,
        elapsed_time_attr: str | None = None,
        max_resource_attr: str | None = None,
        seed: int | None = None,
        support_checkpointing: bool = True,
        simulator_config: SimulatorConfig | None = None,
        time_this_resource_attr: str | None = None,
        charge_tuner_time: bool = False,
        random_seed: int = 0,
        delete_checkpoints: bool = False,
        name: str | None = None,
    ) -> None:
        check_flag("support_checkpointing", support_checkpointing)
        check_flag("delete_checkpoints", delete_checkpoints)
        if simulator_config is not None:
            check_kind("simulator_config", simulator_config, SimulatorConfig, "SimulatorConfig(delay_start=60.0)")
        if seed is not None:
            check_count("seed", seed)
            if seed >= source.num_seeds:
                raise OptionError(
                    f"seed={seed} is not among the {source.num_seeds} that are known",
                    f"give 0 to {source.num_seeds - 1}, or None for one drawn per trial",
                )
        self.clock = SimulatorClock(charge_tuner_time)
        self.delete_checkpoints = delete_checkpoints
        self.simulator_config = simulator_config or SimulatorConfig()
        self._source = source
        self._records = source if isinstance(source, RemembersAttempts) else None
        self._names = ReportNames(resource_attr, elapsed_time_attr, time_this_resource_attr)
        self._max_resource_attr = max_resource_attr
        self._seed = seed
        self._seeds = Uniforms(checked_seed(random_seed), "seed of the simulated trial")
        self._keeps = support_checkpointing
        self._name = name
        self._tuner_name: str | None = None
        self._forget()

    def _forget(self) -> None:
        """Begin at the beginning."""
        self._heap: list[tuple[float, int, Run | RecordedRun]] = []
        """When an attempt has something to show next, in the order of time, then of entry."""
        self._entries = 0
        self._beginnings: deque[Run] = deque()
        """Attempts that have not begun to run, in the order in which they will."""
        self._runs: dict[AttemptId, Run | RecordedRun] = {}
        """Attempts that have not ended."""
        self._started: set[AttemptId] = set()
        self._levels: dict[int, float] = {}
        """The resource in each trial's checkpoint; of trials that run, in that of the attempt before."""
        self._past: dict[int, list[tuple[Attempt, int, int]]] = {}
        """Per trial, its attempts that have ended, with the first and the last report they made."""
        self._attempts: dict[AttemptId, Attempt] = {}

    # -- the contract --------------------------------------------------------------------------------------------------

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(has_checkpoints=self._keeps, survives_tuner=False)

    @property
    def entry_point(self) -> Path | None:
        """No file that exists: for the names of experiments."""
        return None if self._name is None else Path(f"{self._name}.py")

    def open(self, experiment: Experiment, clock: Clock) -> None:
        if clock is not self.clock:
            raise OptionError(
                f"clock={clock!r} is not the simulator's", "leave the tuner's clock out: it takes the backend's"
            )
        told = experiment.resource_attr
        if told is not None and self._names.resource is not None and told != self._names.resource:
            raise OptionError(
                f"resource_attr={told!r} is not what simulated trials report", f"give {self._names.resource!r}"
            )
        self._source.check(experiment)
        if experiment.tuner_name != self._tuner_name:
            self._tuner_name = experiment.tuner_name
            self._forget()
            self.clock.restart()
        self.clock.next_event = self._next_event

    def adopt(self, attempts: Sequence[Attempt]) -> None:
        for attempt in attempts:
            if attempt.id not in self._started:
                self.start(attempt)

    def launched(self, attempts: Sequence[Attempt]) -> Mapping[AttemptId, Launch]:
        return {attempt.id: self._launch(attempt.id) for attempt in attempts if attempt.id in self._started}

    def start(self, attempt: Attempt) -> Launch:
        id = attempt.id
        if id not in self._started:
            run = self._run(attempt, self.clock.now())
            self._started.add(id)
            self._attempts[id] = attempt
            self._runs[id] = run
            if isinstance(run, Run):
                self._beginnings.append(run)
            self._enter(run)
            self.clock.forgive()
        return self._launch(id)

    def stop(self, attempt: AttemptId) -> None:
        run = self._runs.get(attempt)
        if run is not None:
            run.stop(self.clock.now())
            self._enter(run)

    def poll(self) -> Sequence[Observation]:
        now = self.clock.now()
        news: list[Observation] = []
        beginnings, heap = self._beginnings, self._heap
        while beginnings and beginnings[0].began <= now:
            begun = beginnings.popleft()
            if not begun.stopped_before_it_began:
                news.append(StatusChange(begun.id, AttemptStatus.RUNNING, begun.began))
        while heap and heap[0][0] <= now:
            _, entry, run = heap[0]
            if entry != run.entry:
                heappop(heap)  # it was stopped since
                continue
            news.append(run.take(now))
            if run.over:
                heappop(heap)
                self._ended(run, now)
            else:
                self._entries = run.entry = self._entries + 1
                heapreplace(heap, (run.visible, run.entry, run))
        self.clock.forgive()
        return news

    def copy_checkpoint(self, source_trial_id: int, target_trial_id: int) -> None:
        if target_trial_id in self._past or any(id.trial_id == target_trial_id for id in self._runs):
            return
        level = self._level(source_trial_id)
        if level:
            self._levels[target_trial_id] = level

    def delete_checkpoint(self, trial_id: int) -> None:
        self._levels.pop(trial_id, None)

    def logs(self, trial_id: int) -> Iterator[str]:
        running = [run for id, run in self._runs.items() if id.trial_id == trial_id]
        made = [(self._attempts[run.id], run.first, run.delivered) for run in running]
        for attempt, first, last in [*self._past.get(trial_id, ()), *made]:
            for metrics in self._reports(attempt)[first:last]:
                yield REPORT_PREFIX + json.dumps(metrics)

    def workers_available(self) -> int | None:
        return None

    def start_no_more(self) -> None:
        pass

    def summary_lines(self) -> Sequence[str]:
        return ()

    def release(self) -> None:
        pass

    def close(self) -> None:
        pass

    # -- the simulation ----------------------------------------------------------------------------------------------

    def _launch(self, id: AttemptId) -> Launch:
        return Launch(job_name(self._tuner_name or "simulated", id.trial_id, id.number))

    def _curve(self, attempt: Attempt) -> Curve:
        seed = self._seed
        if seed is None:
            seed = int(self._seeds.of(attempt.id.trial_id) * self._source.num_seeds)
        return self._source.curve(attempt, seed)

    def _reports(self, attempt: Attempt) -> list[Mapping[str, Any]]:
        """What it would report if it were never stopped, its trial's earlier attempts included."""
        record = None if self._records is None else self._records.recorded(attempt)
        if record is not None:
            return [each.observation.metrics for each in record.moments if isinstance(each.observation, Report)]
        curve, name = self._curve(attempt), self._names.resource
        reports = [curve.metrics(number) for number in range(len(curve.resources))]
        if name is None:
            return [*reports]
        return [{**each, name: resource} for each, resource in zip(reports, curve.resources, strict=True)]

    def _limit(self, attempt: Attempt) -> float:
        if self._max_resource_attr is None or self._max_resource_attr not in attempt.config:
            return math.inf
        limit: Any = attempt.config[self._max_resource_attr]
        if isinstance(limit, bool) or not isinstance(limit, (int, float)):
            raise OptionError(f"{self._max_resource_attr}={limit!r} is no number", "it tells the script where to end")
        return limit

    def _run(self, attempt: Attempt, now: float) -> Run | RecordedRun:
        id = attempt.id
        record = None if self._records is None else self._records.recorded(attempt)
        if record is not None:
            return RecordedRun(id, record, now, self._resource)
        level = self._levels.get(id.trial_id, 0.0) if self._keeps else 0.0
        at = now + self.simulator_config.delay_start
        return Run(id, self._curve(attempt), at, level, self._limit(attempt), self.simulator_config, self._names)

    def _resource(self, report: Report) -> float:
        """Of a recorded report; 0 if it has none."""
        value = report.metrics.get(self._names.resource or "")
        return value if isinstance(value, (int, float)) else 0.0

    def _enter(self, run: Run | RecordedRun) -> None:
        """Its next event may have changed."""
        self._entries = run.entry = self._entries + 1
        heappush(self._heap, (run.visible, run.entry, run))

    def _ended(self, run: Run | RecordedRun, now: float) -> None:
        trial_id = run.id.trial_id
        del self._runs[run.id]
        past = (self._attempts.pop(run.id), run.first, run.delivered)
        self._past.setdefault(trial_id, []).append(past)
        if level := run.level(now):
            self._levels[trial_id] = level

    def _level(self, trial_id: int) -> float:
        now = self.clock.now()
        running = [run.level(now) for id, run in self._runs.items() if id.trial_id == trial_id]
        return running[-1] if running else self._levels.get(trial_id, 0.0)

    def _next_event(self) -> float:
        heap = self._heap
        while heap and heap[0][1] != heap[0][2].entry:
            heappop(heap)
        return heap[0][0] if heap else math.inf

    def __getstate__(self) -> dict[str, object]:
        # what runs does not outlive the process
        state = dict(self.__dict__)
        blank = SimulatorBackend.__new__(SimulatorBackend)
        blank._forget()
        return {**state, **blank.__dict__, "_tuner_name": None}
