"""Tune a neural network with the tuner on this machine, and each trial a training job on AWS.

    python launchers/launch_sagemaker.py --instance_type ml.c5.xlarge

To run it on SageMaker on this machine instead:

    cloudtune sandbox start --detach
    eval "$(cloudtune sandbox env)"
    python launchers/launch_sagemaker.py
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from cloudtune import StoppingCriterion, Tuner, choice, lograndint, loguniform, randint, uniform
from cloudtune.baselines import ASHA
from cloudtune.results import load_experiment
from cloudtune.sagemaker import SageMakerBackend, TrainingJobTemplate

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
        trial_backend=SageMakerBackend(
            TrainingJobTemplate.script(SCRIPT, role=args.role, instance_type=args.instance_type)
        ),
        scheduler=ASHA(
            config_space,
            metric="accuracy",
            mode="max",
            resource_attr="epoch",
            max_resource_attr="epochs",
            grace_period=3,
        ),
        stop_criterion=StoppingCriterion(max_wallclock_time=args.max_wallclock_time, max_cost=args.max_cost),
        n_workers=args.n_workers,
        tuner_name="digits-mlp-sagemaker",
    )
    tuner.run()

    result = load_experiment(tuner.name)
    print(f"best configuration: {result.best_config()}")
    print(f"price of the time used, on demand: {result.dollars:.4f} $")
    print(f"results: {result.where}  (cloudtune results {result.name})")


if __name__ == "__main__":
    logging.basicConfig(format="%(message)s")
    logging.getLogger("cloudtune").setLevel(logging.INFO)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n_workers", type=int, default=4, help="trials at the same time")
    parser.add_argument("--max_wallclock_time", type=float, default=3600.0, help="seconds")
    parser.add_argument("--max_cost", type=float, default=5.0, help="dollars")
    parser.add_argument("--epochs", type=int, default=81, help="of trials that are not stopped")
    parser.add_argument("--instance_type", default="ml.m5.large")
    parser.add_argument("--role", help="default: AWS_ROLE, else the account's SageMaker role")
    main(parser.parse_args())
