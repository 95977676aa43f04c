"""The experiment of simulator.py by Syne Tune 0.13 or 0.16: for an interpreter that has it, not for ours.

    python tests/performance/simulator_peers.py --method asha-stopping --workers 4 --trials 800 --runs 5

Prints one line of JSON. ``SimulatorCallback`` is one of its ``StoreResultsCallback``: it, too, writes a table.
"""

# mypy: ignore-errors

from __future__ import annotations

import argparse
import gc
import json
import logging
import resource
import sys
import time
import warnings
from importlib import metadata
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parent))

from simulator_curves import EPOCHS, VALUES, curves


def blackbox(space):
    from syne_tune.blackbox_repository.blackbox_tabular import BlackboxTabular
    from syne_tune.config_space import randint

    grid = np.stack(np.meshgrid(*VALUES.values(), indexing="ij"), axis=-1).reshape(-1, len(VALUES))
    frame = pd.DataFrame(grid, columns=list(VALUES)).astype({"width": int})
    return BlackboxTabular(
        frame,
        configuration_space=space,
        fidelity_space={"epoch": randint(1, EPOCHS)},
        objectives_evaluations=curves(),
        objectives_names=["valid_error", "elapsed_time"],
    )


def scheduler_of(method, space, seed, is_old):
    from syne_tune.optimizer import baselines

    if method == "random":
        if is_old:
            quiet = {"debug_log": False}
            return baselines.RandomSearch(
                space, metric="valid_error", mode="min", random_seed=seed, search_options=quiet
            )
        return baselines.RandomSearch(space, metrics=["valid_error"], do_minimize=True, random_seed=seed)
    kind = method.partition("-")[2]
    if not is_old:
        if kind != "stopping":
            raise SystemExit("its ASHA only stops")
        return baselines.ASHA(
            space, metric="valid_error", time_attr="epoch", max_t=EPOCHS, do_minimize=True, random_seed=seed
        )
    limit = {"max_resource_attr": "epochs"} if kind == "promotion" else {"max_t": EPOCHS}
    return baselines.ASHA(
        {**space, "epochs": EPOCHS} if kind == "promotion" else space,
        metric="valid_error",
        mode="min",
        resource_attr="epoch",
        type=kind,
        grace_period=1,
        reduction_factor=3,
        random_seed=seed,
        search_options={"debug_log": False},
        **limit,
    )


def experiment(method, workers, trials, seed, is_old, table, space):
    from syne_tune import StoppingCriterion, Tuner
    from syne_tune.backend.simulator_backend.simulator_callback import SimulatorCallback
    from syne_tune.blackbox_repository.simulated_tabular_backend import UserBlackboxBackend
    from syne_tune.tuner_callback import TunerCallback

    class Count(TunerCallback):
        reports = 0

        def on_trial_result(self, trial, status, result, decision):
            self.reports += 1

    limit = {"max_resource_attr": "epochs"} if method == "asha-promotion" else {}
    count = Count()
    np.random.seed(seed)
    tuner = Tuner(
        trial_backend=UserBlackboxBackend(blackbox=table, elapsed_time_attr="elapsed_time", **limit),
        scheduler=scheduler_of(method, space, seed, is_old),
        stop_criterion=StoppingCriterion(max_num_trials_started=trials),
        n_workers=workers,
        sleep_time=0,
        results_update_interval=1e9,
        print_update_interval=1e9,
        callbacks=[SimulatorCallback(), count],
        save_tuner=False,
        tuner_name=f"{method}-{workers}-{seed}",
    )
    gc.collect()
    began, cpu = time.perf_counter(), time.process_time()
    tuner.run()
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    started = tuner.tuning_status.num_trials_started
    return {"reports": count.reports, "trials": started, "wall": wall, "cpu": cpu}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--method", default="random")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--trials", type=int, default=800)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--cell", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    from syne_tune.config_space import choice

    space = {name: choice(values) for name, values in VALUES.items()}
    table, is_old = blackbox(space), metadata.version("syne-tune").startswith("0.13")
    sizes = arguments.workers, arguments.trials
    runs = [experiment(arguments.method, *sizes, seed, is_old, table, space) for seed in range(arguments.runs)]
    print(json.dumps({"runs": runs, "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000}))


if __name__ == "__main__":
    main()
