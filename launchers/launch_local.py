"""Tune a neural network on this machine: trials are processes here.

python launchers/launch_local.py
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from cloudtune import StoppingCriterion, Tuner, choice, lograndint, loguniform, randint, uniform
from cloudtune.backends import LocalBackend
from cloudtune.baselines import ASHA
from cloudtune.results import load_experiment

SCRIPT = Path(__file__).resolve().parents[1] / "training_scripts" / "digits_mlp" / "digits_mlp.py"


def main(args: argparse.Namespace) -> None:
    config_space = {
        "learning_rate": loguniform(1e-4, 1.0),
        "momentum": uniform(0.0, 0.99),
        "batch_size": lograndint(8, 64),
        "hidden_units": randint(64, 256),
        "hidden_layers": randint(2, 3),
        "activation": choice(["relu", "tanh", "logistic"]),
        "epochs": args.epochs,
    }
    tuner = Tuner(
        trial_backend=LocalBackend(SCRIPT),
        scheduler=ASHA(
            config_space,
            metric="accuracy",
            mode="max",
            resource_attr="epoch",
            max_resource_attr="epochs",
        ),
        stop_criterion=StoppingCriterion(max_wallclock_time=args.max_wallclock_time),
        n_workers=args.n_workers,
        sleep_time=0.5,
        print_update_interval=5,
        tuner_name="digits-mlp-local",
    )
    tuner.run()

    result = load_experiment(tuner.name)
    print(f"best configuration: {result.best_config()}")
    print(f"results: {result.where}  (cloudtune results {result.name})")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n_workers", type=int, default=2, help="trials at the same time")
    parser.add_argument("--max_wallclock_time", type=float, default=30.0, help="seconds")
    parser.add_argument("--epochs", type=int, default=27, help="of trials that are not stopped")
    main(parser.parse_args())
