"""Reports per second of a simulated experiment: 1000 tabulated configurations of 50 epochs, 800 trials, no sleep.

    python tests/performance/simulator.py [--runs 5] [--trials 800] [--sizes 4,64] [--methods random,...]
        [--unkept | --also-unkept | --file-journal] [--delays] [--cpu] [--peer NAME=/path/to/python ...]

A report goes through the whole of ``Tuner.run`` with the backend and the storage that users get: engine, journal,
callbacks, table of results. "--unkept" leaves the journal out, "--file-journal" writes it event by event. "MB" is the
largest resident size of a process that ran nothing else. Peers (simulator_peers.py) run in their own interpreters, on
the same curves.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[2]))

from cloudtune import StoppingCriterion, Tuner
from cloudtune.backends.simulator import SimulatorConfig
from cloudtune.baselines import ASHA, RandomSearch
from cloudtune.benchmarks import BlackboxTabular, UserBlackboxBackend
from cloudtune.callbacks.base import TunerCallback
from cloudtune.callbacks.progress import ProgressCallback
from cloudtune.schedulers.base import Decision, TrialScheduler
from cloudtune.space import choice, randint
from cloudtune.storage import ExperimentStorage, LocalStorage, MemoryStorage
from cloudtune.trial import Metrics, Status, Trial
from tests.performance.simulator_curves import EPOCHS, SEEDS, VALUES, curves

TARGET = 10
WHY = """
Every report passes through observation, event, ledger, decision, row and callbacks: objects of Python, some 45 µs,
none of which stands out. The journal's lines and the table of results are a sixth each; of both, a third is the
shortest text of floats, eight per report, and the table is compressed besides. The rest is the loop, in well over a
hundred calls. A trial of ASHA costs as much as three more reports: proposal, launch, stop, end, and their events.
Tried: events that are not frozen, counts instead of scans, several looks per iteration, a journal in memory, lines
without the json module and by forms per set of names, one text per moment, rows written a thousand at a time, fewer
calls in the fold. Garbage collection takes some 3%. More would take fewer values per report, texts that are kept for
both files (and memory for them), or a compiled fold."""
METHODS = ("random", "asha-stopping", "asha-promotion")
SPACE: dict[str, Any] = {name: choice(values) for name, values in VALUES.items()}


def backend_of(method: str, seed: int, delays: bool) -> UserBlackboxBackend:
    """The backend that users have, over the table."""
    grid = [dict(zip(VALUES, values, strict=True)) for values in itertools.product(*VALUES.values())]
    table = BlackboxTabular(
        pd.DataFrame(grid),
        SPACE,
        {"epoch": randint(1, EPOCHS)},
        curves(),
        objectives_names=["valid_error", "elapsed_time"],
    )
    return UserBlackboxBackend(
        table,
        "elapsed_time",
        max_resource_attr="epochs" if method == "asha-promotion" else None,
        seed=seed % SEEDS,
        simulator_config=SimulatorConfig() if delays else SimulatorConfig.without_delays(),
    )


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
    method: str, workers: int, trials: int, seed: int, storage: ExperimentStorage | None, delays: bool = False
) -> dict[str, float]:
    backend = backend_of(method, seed, delays)
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
        suffix_tuner_name=False,
        storage=storage,
    )
    gc.collect()
    began, cpu = time.perf_counter(), time.process_time()
    tuner.run()
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    started = tuner.tuning_status.num_trials_started
    return {"reports": count.reports, "trials": started, "wall": wall, "cpu": cpu}


# -- one cell of the table, in a process of its own --------------------------------------------------------------------


def storage_of(arguments: argparse.Namespace) -> ExperimentStorage | None:
    """None: what a tuner of a simulation takes by itself."""
    if arguments.file_journal:
        return LocalStorage(outlives_power=False)
    return MemoryStorage(keep=False) if arguments.unkept else None


def measured(arguments: argparse.Namespace) -> dict[str, Any]:
    runs = []
    for seed in range(arguments.runs):
        with tempfile.TemporaryDirectory() as folder:
            os.environ["CLOUDTUNE_FOLDER"] = folder
            storage = storage_of(arguments)
            runs.append(
                experiment(arguments.method, arguments.workers, arguments.trials, seed, storage, arguments.delays)
            )
    return {"runs": runs, "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000}


def in_process(interpreter: str, script: Path, arguments: argparse.Namespace, method: str, workers: int) -> Any:
    """What the script prints as its last line, or None if it can't do this."""
    options = ["--method", method, "--workers", workers, "--trials", arguments.trials, "--runs", arguments.runs]
    flags = ["--file-journal"] * arguments.file_journal + ["--unkept"] * arguments.unkept
    flags += ["--delays"] * arguments.delays
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
    times: list[float] = []
    memory: list[float] = []
    for method in arguments.methods.split(","):
        for workers in map(int, arguments.sizes.split(",")):
            cell = in_process(sys.executable, here, arguments, method, workers)
            cells, ours = row("cloudtune", method, workers, cell, None, clock)
            table.add_row(*cells)
            megabytes = cell["megabytes"]
            if arguments.also_unkept:
                unkept = argparse.Namespace(**{**vars(arguments), "unkept": True})
                cell = in_process(sys.executable, here, unkept, method, workers)
                table.add_row(*row("  unkept", method, workers, cell, ours, clock)[0])
            for name, interpreter in peers.items():
                theirs = in_process(interpreter, here.with_name("simulator_peers.py"), arguments, method, workers)
                if theirs is not None:
                    cells, speed = row(name, method, workers, theirs, ours, clock)
                    table.add_row(*cells)
                    times.append(ours / speed)
                    memory.append(megabytes / theirs["megabytes"])
    Console(width=130).print(table)
    if times:
        print(verdict(times, memory))


def verdict(times: Sequence[float], memory: Sequence[float]) -> str:
    """What the target says, and what stands against it."""
    met = min(times) >= TARGET
    speed = f"reports per second: {min(times):.1f} to {max(times):.1f} times the peers' (target {TARGET}): "
    speed += "met" if met else f"MISSED in {sum(each < TARGET for each in times)} of {len(times)} cells. {WHY}"
    return f"{speed}\nmemory: {min(memory):.0%} to {max(memory):.0%} of theirs (target: less): {_word(max(memory) < 1)}"


def _word(met: bool) -> str:
    return "met" if met else "MISSED"


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
    parser.add_argument("--unkept", action="store_true", help="leave the journal in memory")
    parser.add_argument("--also-unkept", action="store_true", help="a second row of ours, with --unkept")
    parser.add_argument("--delays", action="store_true", help="of ours: the default ones, rather than none")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=/path/to/python")
    parser.add_argument("--cell", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--method", default="random", help=argparse.SUPPRESS)
    parser.add_argument("--workers", type=int, default=4, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
