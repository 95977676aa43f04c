"""Reports per second of simulated experiments, and the memory they take: each row in a process of its own.

    python tests/performance/simulator.py [--trials 800] [--runs 5] [--workers 4,64]

A table of 1,000 configurations, 50 epochs and 3 seeds; an epoch takes 2 to 22 seconds. The whole tuner runs, journal,
results and callbacks included, into a temporary folder; ``sleep_time`` is 5 simulated seconds, or 0 where it says so.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

import numpy as np
import pandas as pd

from cloudtune.baselines import ASHA, RandomSearch
from cloudtune.benchmarks import BlackboxTabular, UserBlackboxBackend
from cloudtune.callbacks.progress import ProgressCallback
from cloudtune.engine.stopping import StoppingCriterion
from cloudtune.schedulers.base import TrialScheduler
from cloudtune.space import choice, randint
from cloudtune.tuner import Tuner

EPOCHS = 50
SIDE = 10
METHODS = ("stopping", "promotion", "random")


class Silent(ProgressCallback):
    """Prints nothing."""

    def on_tuning_closed(self) -> None:
        pass


def table() -> BlackboxTabular:
    random = np.random.default_rng(0)
    points = np.stack(np.meshgrid(*[np.arange(SIDE)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    shares = points / (SIDE - 1)
    frame = pd.DataFrame(
        {
            "lr": np.logspace(-5, 0, SIDE)[points[:, 0]],
            "momentum": np.linspace(0, 0.99, SIDE).round(3)[points[:, 1]],
            "width": (2 ** np.arange(3, 3 + SIDE))[points[:, 2]],
        }
    )
    limit = 0.05 + 0.8 * ((shares - np.array([0.6, 0.7, 0.5])) ** 2).sum(axis=1)
    rate = 0.3 + 0.7 * shares[:, 1]
    epochs = np.arange(1, EPOCHS + 1)
    error = limit[:, None, None] + 0.5 * epochs ** -rate[:, None, None]
    error = np.clip(error + 0.01 * random.standard_normal((len(points), 3, EPOCHS)), 0, 1)
    seconds = (2 + 20 * shares[:, 2])[:, None, None] * (1 + 0.05 * random.random((len(points), 3, EPOCHS)))
    values = np.stack([error, seconds.cumsum(axis=2)], axis=-1)
    space = {str(name): choice(sorted(frame[name].unique().tolist())) for name in frame}
    return BlackboxTabular(
        frame, space, {"epoch": randint(1, EPOCHS)}, values, objectives_names=["error", "elapsed_time"]
    )


def scheduler(method: str, space: dict[str, Any], seed: int) -> TrialScheduler:
    if method == "random":
        return RandomSearch(space, "error", random_seed=seed)
    return ASHA(
        {**space, "epochs": EPOCHS}, "error", "epoch", max_resource_attr="epochs", type=method, random_seed=seed
    )


def measure(method: str, workers: int, sleep_time: float, trials: int, runs: int) -> str:
    """A row: of the run in the middle."""
    blackbox = table()
    speeds, reports, simulated = [], [], []
    for seed in range(runs):
        backend = UserBlackboxBackend(blackbox, "elapsed_time", "epochs")
        tuner = Tuner(
            backend,
            scheduler(method, blackbox.configuration_space, seed),
            StoppingCriterion(max_num_trials_started=trials),
            workers,
            sleep_time=sleep_time,
            results_update_interval=1e9,
            callbacks=[Silent(1e9)],
            save_tuner=False,
            tuner_name=f"{method}-{workers}-{seed}",
            suffix_tuner_name=False,
        )
        began = time.perf_counter()
        tuner.run()
        speeds.append(len(tuner.ledger.rows) / (time.perf_counter() - began))
        reports.append(len(tuner.ledger.rows))
        simulated.append(tuner.tuning_status.wallclock_time)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    columns = [
        method,
        f"{workers}",
        f"{sleep_time:g}",
        f"{statistics.median(reports):,.0f}",
        f"{statistics.median(speeds):,.0f} ({min(speeds):,.0f}-{max(speeds):,.0f})",
        f"{statistics.median(simulated):,.0f}",
        f"{memory:.0f}",
    ]
    return " | ".join(columns)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=800)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--workers", default="4,64")
    parser.add_argument("--one", nargs=3, help="a single row: method, workers, sleep_time")
    arguments = parser.parse_args()
    if arguments.one:
        method, workers, sleep_time = arguments.one
        print(measure(method, int(workers), float(sleep_time), arguments.trials, arguments.runs))
        return
    print("method | workers | sleep_time | reports | reports/s (range) | simulated s | peak MB", flush=True)
    for method in METHODS:
        for workers in arguments.workers.split(","):
            for sleep_time in ("5", "0"):
                with tempfile.TemporaryDirectory() as folder:
                    row = ["--one", method, workers, sleep_time]
                    sizes = ["--trials", str(arguments.trials), "--runs", str(arguments.runs)]
                    environment = {**os.environ, "CLOUDTUNE_FOLDER": folder}
                    subprocess.run([sys.executable, __file__, *row, *sizes], env=environment, check=True)


if __name__ == "__main__":
    main()
