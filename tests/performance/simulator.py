"""Reports per second of a simulated experiment: 1000 tabulated configurations of 50 epochs, 800 trials, no sleep.

    python tests/performance/simulator.py [--runs 5] [--trials 800] [--sizes 4,64] [--methods random,...]
        [--keep | --file-journal] [--looks-at-ends] [--cpu] [--peer NAME=/path/to/python ...]

A report goes through the whole of ``Tuner.run``: engine, journal, callbacks, table of results. Its journal is in
memory; "--keep" writes it at the end, "--file-journal" event by event, as real tuners do. "MB" is the largest
resident size of a process that ran nothing else. Peers (simulator_peers.py) run in their own interpreters, on the same
curves.
"""

from __future__ import annotations

import argparse
import gc
import heapq
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[2]))

from cloudtune import StoppingCriterion, Tuner
from cloudtune.backends.base import Capabilities, Experiment
from cloudtune.baselines import ASHA, RandomSearch
from cloudtune.callbacks.base import TunerCallback
from cloudtune.callbacks.progress import ProgressCallback
from cloudtune.clock import Clock
from cloudtune.schedulers.base import Decision, TrialScheduler
from cloudtune.space import choice
from cloudtune.storage import ExperimentStorage, LocalStorage, MemoryStorage
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
    """Sleeping ends when something happens, but not before the time is over.

    ``looks_at_ends``: when a trial ends. Where no scheduler compares trials before, reports until then may be seen
    together: they decide nothing, and no worker is free.
    """

    def __init__(self) -> None:
        self._now = 1_700_000_000.0
        self.looks_at_ends = False
        self.events: list[tuple[float, int, int]] = []
        self.ends: list[float] = []

    def now(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        self._now += seconds
        while self.ends and self.ends[0] <= self._now:
            heapq.heappop(self.ends)
        if self.looks_at_ends and self.ends:
            self._now = self.ends[0]
        elif self.events:
            self._now = max(self._now, self.events[0][0])


class _Backend:
    """Trials are rows of the table; a resumed one goes on where it was."""

    capabilities = Capabilities(survives_tuner=False)
    entry_point = None
    delete_checkpoints = False

    def __init__(self, clock: _Clock, seed: int) -> None:
        table = curves()[:, seed % SEEDS]
        keys = [
            (lr, momentum, width) for lr in VALUES["lr"] for momentum in VALUES["momentum"] for width in VALUES["width"]
        ]
        self._rows = {key: row.tolist() for key, row in zip(keys, table, strict=True)}
        self._clock = clock
        self._news: list[Observation] = []
        self._attempts: dict[int, tuple[AttemptId, list[list[float]], float, int]] = {}
        self._done: dict[int, int] = {}

    def open(self, experiment: Experiment, clock: Clock) -> None:
        if experiment.resource_attr is not None:
            self._clock.looks_at_ends = False

    def adopt(self, attempts: Sequence[Attempt]) -> None:
        pass

    def launched(self, attempts: Sequence[Attempt]) -> Mapping[AttemptId, Launch]:
        return {}

    def start(self, attempt: Attempt) -> Launch:
        config, trial_id, now = attempt.config, attempt.id.trial_id, self._clock.now()
        row = self._rows[config["lr"], config["momentum"], config["width"]]
        done = self._done.setdefault(trial_id, 0)
        began = now - (row[done - 1][1] if done else 0.0)
        last = config.get("epochs", EPOCHS)
        self._attempts[trial_id] = (attempt.id, row, began, last)
        heapq.heappush(self._clock.ends, began + row[last - 1][1])
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


def simulated(seed: int, looks_at_ends: bool) -> tuple[_Backend, _Clock]:
    """The backend and its clock."""
    clock = _Clock()
    clock.looks_at_ends = looks_at_ends
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


class _Quiet(ProgressCallback):
    """Prints no table at the end; the peers' is turned off, too."""

    def on_tuning_closed(self) -> None:
        pass


def experiment(
    method: str, workers: int, trials: int, seed: int, storage: ExperimentStorage, looks_at_ends: bool = False
) -> dict[str, float]:
    backend, clock = simulated(seed, looks_at_ends)
    count = _Count()
    tuner = Tuner(
        backend,
        scheduler_of(method, seed),
        StoppingCriterion(max_num_trials_started=trials),
        workers,
        sleep_time=0.0,
        results_update_interval=1e9,
        callbacks=[count, _Quiet(1e9)],
        save_tuner=False,
        tuner_name=f"{method}-{workers}-{seed}",
        suffix_tuner_name=False,  # by a virtual clock all would have the same moment
        clock=clock,
        storage=storage,
    )
    gc.collect()
    began, cpu = time.perf_counter(), time.process_time()
    tuner.run()
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    started = tuner.tuning_status.num_trials_started
    return {"reports": count.reports, "trials": started, "wall": wall, "cpu": cpu}


# -- one cell of the table, in a process of its own --------------------------------------------------------------------


def measured(arguments: argparse.Namespace) -> dict[str, Any]:
    runs = []
    for seed in range(arguments.runs):
        with tempfile.TemporaryDirectory() as folder:
            os.environ["CLOUDTUNE_FOLDER"] = folder
            storage = LocalStorage() if arguments.file_journal else MemoryStorage(keep=arguments.keep)
            runs.append(
                experiment(
                    arguments.method, arguments.workers, arguments.trials, seed, storage, arguments.looks_at_ends
                )
            )
    return {"runs": runs, "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000}


def in_process(interpreter: str, script: Path, arguments: argparse.Namespace, method: str, workers: int) -> Any:
    """What the script prints as its last line, or None if it can't do this."""
    options = ["--method", method, "--workers", workers, "--trials", arguments.trials, "--runs", arguments.runs]
    flags = ["--file-journal"] * arguments.file_journal + ["--keep"] * arguments.keep
    flags += ["--looks-at-ends"] * arguments.looks_at_ends
    command = [interpreter, str(script), "--cell", *map(str, options)]
    if script == Path(__file__).resolve():
        command += flags
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "SYNETUNE_FOLDER": folder}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        print(f"{script.name} {method} {workers}: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return None
    return json.loads(done.stdout.strip().splitlines()[-1])


# -- the table ---------------------------------------------------------------------------------------------------------


def row(name: str, method: str, workers: int, cell: Any, ours: float | None, clock: str) -> tuple[list[str], float]:
    runs = cell["runs"]
    speeds = [run["reports"] / run[clock] for run in runs]
    speed = statistics.median(speeds)
    trials = statistics.median(run["trials"] / run[clock] for run in runs)
    return [
        name,
        method,
        str(workers),
        f"{statistics.median(run['reports'] for run in runs):.0f}",
        f"{speed:,.0f} ({min(speeds):,.0f}-{max(speeds):,.0f})",
        f"{1e6 / max(speeds):.1f}",
        f"{trials:,.0f}",
        f"{cell['megabytes']:.0f}",
        "" if ours is None else f"{ours / speed:.1f}",
    ], speed


def main() -> None:
    arguments = parsed()
    if arguments.cell:
        print(json.dumps(measured(arguments)))
        return
    clock = "cpu" if arguments.cpu else "wall"
    peers = dict(peer.split("=", 1) for peer in arguments.peer)
    table = Table(title=f"{arguments.trials} trials, median of {arguments.runs} runs (least-most)")
    for column in ("", "method", "workers", "reports", "reports/s", "µs at best", "trials/s", "MB", "we are x times"):
        table.add_column(column, justify="left" if column in ("", "method") else "right")
    here = Path(__file__).resolve()
    for method in arguments.methods.split(","):
        for workers in map(int, arguments.sizes.split(",")):
            cell = in_process(sys.executable, here, arguments, method, workers)
            cells, ours = row("cloudtune", method, workers, cell, None, clock)
            table.add_row(*cells)
            for name, interpreter in peers.items():
                theirs = in_process(interpreter, here.with_name("simulator_peers.py"), arguments, method, workers)
                if theirs is not None:
                    table.add_row(*row(name, method, workers, theirs, ours, clock)[0])
    Console(width=130).print(table)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--trials", type=int, default=800)
    parser.add_argument("--sizes", default="4,64", help="numbers of workers")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--file-journal", action="store_true", help="journal every event in a file, as real tuners do")
    parser.add_argument(
        "--cpu", action="store_true", help="the processor's time: for machines that do other things, too"
    )
    parser.add_argument("--looks-at-ends", action="store_true", help="of random search: look when a trial ends")
    parser.add_argument("--keep", action="store_true", help="write the journal at the end")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=/path/to/python")
    parser.add_argument("--cell", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--method", default="random", help=argparse.SUPPRESS)
    parser.add_argument("--workers", type=int, default=4, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
