"""Reports per second of a simulated experiment: 1000 tabulated configurations of 50 epochs, 800 trials, no sleep.

    python tests/performance/simulator.py [--runs 5] [--trials 800] [--workers 4,64] [--methods random,...]
        [--file-journal] [--peer NAME=/path/to/python ...]

A report is processed by the whole of ``Tuner.run``: engine, journal, callbacks, table of results. "MB" is the largest
resident size of a process that ran nothing else. Peers run in their own interpreters, on the same curves.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import heapq
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from cloudtune import StoppingCriterion, Tuner
from cloudtune.backends.base import Capabilities, Experiment
from cloudtune.baselines import ASHA, RandomSearch
from cloudtune.callbacks.base import TunerCallback
from cloudtune.clock import Clock
from cloudtune.schedulers.base import Decision, TrialScheduler
from cloudtune.space import choice
from cloudtune.storage import LocalStorage
from cloudtune.trial import (
    Attempt,
    AttemptId,
    AttemptStatus,
    Launch,
    Metrics,
    Observation,
    Report,
    Status,
    StatusChange,
    Trial,
)
from tests.performance.simulator_curves import EPOCHS, SEEDS, VALUES, curves

METHODS = ("random", "asha-stopping", "asha-promotion")
SPACE: dict[str, Any] = {name: choice(values) for name, values in VALUES.items()}


class _Clock:
    """Sleeping ends when something happens, but not before the time is over."""

    def __init__(self) -> None:
        self._now = 1_700_000_000.0
        self.events: list[tuple[float, int, int]] = []

    def now(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        self._now += seconds
        if self.events:
            self._now = max(self._now, self.events[0][0])


class _Backend:
    """Trials are rows of the table; a resumed one goes on where it was."""

    capabilities = Capabilities(survives_tuner=False)
    entry_point = None
    delete_checkpoints = False

    def __init__(self, clock: _Clock, seed: int) -> None:
        table = curves()[:, seed % SEEDS]
        keys = [(lr, momentum, width) for lr in VALUES["lr"] for momentum in VALUES["momentum"] for width in VALUES["width"]]
        self._rows = {key: row.tolist() for key, row in zip(keys, table, strict=True)}
        self._clock = clock
        self._news: list[Observation] = []
        self._attempts: dict[int, tuple[AttemptId, list[list[float]], float, int]] = {}
        self._done: dict[int, int] = {}

    def open(self, experiment: Experiment, clock: Clock) -> None:
        pass

    def adopt(self, attempts: Sequence[Attempt]) -> None:
        pass

    def launched(self, attempts: Sequence[Attempt]) -> Mapping[AttemptId, Launch]:
        return {}

    def start(self, attempt: Attempt) -> Launch:
        config, trial_id, now = attempt.config, attempt.id.trial_id, self._clock.now()
        row = self._rows[config["lr"], config["momentum"], config["width"]]
        done = self._done.setdefault(trial_id, 0)
        began = now - (row[done - 1][1] if done else 0.0)
        self._attempts[trial_id] = (attempt.id, row, began, config.get("epochs", EPOCHS))
        heapq.heappush(self._clock.events, (began + row[done][1], trial_id, done))
        self._news.append(StatusChange(attempt.id, AttemptStatus.RUNNING, now))
        return Launch(str(attempt.id))

    def stop(self, attempt: AttemptId) -> None:
        running = self._attempts.get(attempt.trial_id)
        if running is not None and running[0] == attempt:
            del self._attempts[attempt.trial_id]
            self._news.append(StatusChange(attempt, AttemptStatus.STOPPED, self._clock.now()))

    def poll(self) -> Sequence[Observation]:
        events, now = self._clock.events, self._clock.now()
        news, self._news = self._news, []
        while events and events[0][0] <= now:
            at, trial_id, done = heapq.heappop(events)
            running = self._attempts.get(trial_id)
            if running is None or done != self._done[trial_id]:
                continue
            id, row, began, last = running
            error, elapsed = row[done]
            done = self._done[trial_id] = done + 1
            metrics = {"epoch": done, "valid_error": error, "elapsed_time": elapsed}
            news.append(Report(id, str(done), metrics, at, at))
            if done < last:
                heapq.heappush(events, (began + row[done][1], trial_id, done))
            else:
                del self._attempts[trial_id]
                news.append(StatusChange(id, AttemptStatus.COMPLETED, at))
        return news

    def copy_checkpoint(self, source_trial_id: int, target_trial_id: int) -> None:
        self._done[target_trial_id] = self._done.get(source_trial_id, 0)

    def delete_checkpoint(self, trial_id: int) -> None:
        pass

    def logs(self, trial_id: int) -> Iterator[str]:
        return iter(())

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


def simulated(seed: int) -> tuple[_Backend, _Clock]:
    """The backend and its clock."""
    clock = _Clock()
    return _Backend(clock, seed), clock


def scheduler_of(method: str, seed: int) -> TrialScheduler:
    if method == "random":
        return RandomSearch(SPACE, "valid_error", random_seed=seed)
    type = method.removeprefix("asha-")
    if type == "promotion":
        space = {**SPACE, "epochs": EPOCHS}
        return ASHA(space, "valid_error", "epoch", max_resource_attr="epochs", type=type, random_seed=seed)
    return ASHA(SPACE, "valid_error", "epoch", max_t=EPOCHS, type=type, random_seed=seed)


class _Count(TunerCallback):
    """The peers count their reports by a callback, and so do we."""

    def __init__(self) -> None:
        self.reports = 0

    def on_trial_result(self, trial: Trial, status: Status, result: Metrics, decision: Decision) -> None:
        self.reports += 1


def experiment(method: str, workers: int, trials: int, seed: int, storage: Any) -> dict[str, float]:
    backend, clock = simulated(seed)
    count = _Count()
    tuner = Tuner(
        backend,
        scheduler_of(method, seed),
        StoppingCriterion(max_num_trials_started=trials),
        workers,
        sleep_time=0.0,
        results_update_interval=1e9,
        print_update_interval=1e9,
        callbacks=[count],
        save_tuner=False,
        tuner_name=f"{method}-{workers}-{seed}",
        suffix_tuner_name=False,  # by a virtual clock all would have the same moment
        clock=clock,
        storage=storage,
    )
    gc.collect()
    began = time.perf_counter()
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        tuner.run()
    wall = time.perf_counter() - began
    started = tuner.tuning_status.num_trials_started
    return {"reports": count.reports, "trials": started, "wall": wall}
