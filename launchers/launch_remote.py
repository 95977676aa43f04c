"""Tune a neural network in the cloud: the tuner is a training job, and so is each of its trials.

    python launchers/launch_remote.py              on AWS
    python launchers/launch_remote.py --sandbox    on SageMaker on this machine: no account, no cost

Once the tuner's job runs, this script only watches: Ctrl-C ends the watching, not the tuning.
"""

from __future__ import annotations

import argparse
import logging
import os
from pathlib import Path

from cloudtune import StoppingCriterion, Tuner, choice, lograndint, loguniform, randint, uniform
from cloudtune.backends import LocalBackend, TrialBackend
from cloudtune.baselines import ASHA, RandomSearch
from cloudtune.remote import RemoteLauncher
from cloudtune.results import load_experiment
from cloudtune.results.experiment import ExperimentResult
from cloudtune.sagemaker import SageMakerBackend, TrainingJobTemplate
from cloudtune.schedulers import TrialScheduler

SCRIPT = Path(__file__).resolve().parents[1] / "training_scripts" / "digits_mlp" / "digits_mlp.py"

CONFIG_SPACE = {
    "learning_rate": loguniform(1e-4, 1.0),
    "momentum": uniform(0.0, 0.99),
    "batch_size": lograndint(8, 64),
    "hidden_units": randint(64, 256),
    "hidden_layers": randint(2, 3),
    "activation": choice(["relu", "tanh", "logistic"]),
}


def make_scheduler(method: str, epochs: int) -> TrialScheduler:
    config_space = {**CONFIG_SPACE, "epochs": epochs}
    if method == "random":
        return RandomSearch(config_space, metric="accuracy", mode="max")
    return ASHA(
        config_space,
        metric="accuracy",
        mode="max",
        resource_attr="epoch",
        max_resource_attr="epochs",
        grace_period=3,
    )


def make_backend(args: argparse.Namespace) -> TrialBackend:
    if args.backend == "local":
        return LocalBackend(SCRIPT)
    return SageMakerBackend(
        TrainingJobTemplate.script(SCRIPT, role=args.role, instance_type=args.instance_type),
        metrics_names=["accuracy", "loss"],
    )


def make_tuner(args: argparse.Namespace) -> Tuner:
    return Tuner(
        trial_backend=make_backend(args),
        scheduler=make_scheduler(args.method, args.epochs),
        stop_criterion=StoppingCriterion(
            max_wallclock_time=args.max_wallclock_time,
            max_num_trials_started=args.max_trials - 1,
        ),
        n_workers=args.n_workers,
        sleep_time=args.sleep_time,
        print_update_interval=args.print_update_interval,
        wait_trial_completion_when_stopping=True,
        tuner_name=args.tuner_name,
    )


def main(args: argparse.Namespace) -> None:
    tuner = make_tuner(args)
    tuner_dollars = None
    if args.local_tuner:
        tuner.run()
    else:
        launcher = RemoteLauncher(tuner, role=args.role, instance_type=args.tuner_instance_type)
        experiment = launcher.run(wait=True)
        if experiment.status().is_running:
            if args.sandbox:
                print("\n... but not in the sandbox of this script: it ends here, with all its jobs.")
            return
        tuner_dollars = experiment.tuner_dollars()
        if args.sandbox:
            experiment.download()  # the sandbox's S3 ends with this script
    show(load_experiment(tuner.name), tuner_dollars, args.output)


def show(result: ExperimentResult, tuner_dollars: float | None, output: Path) -> None:
    last_rows = result.results.groupby("trial_id").last()
    stopped = int((last_rows["st_status"] == "Stopped").sum())
    print(f"\n{len(last_rows)} trials, {stopped} of them stopped early; {len(result.results)} reports")
    print("best configuration:")
    for name, value in result.best_config().items():
        print(f"  {name} = {value}")
    print(f"price of the time used, at AWS's on-demand rates: trials {result.dollars:.4f} $", end="")
    print("" if tuner_dollars is None else f", the tuner's own job {tuner_dollars:.4f} $")
    result.plot_overview(figure_path=output)
    print(f"results: {result.where}  (cloudtune results {result.name})")
    print(f"picture: {output.resolve()}")


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sandbox", action="store_true", help="run on this machine instead of AWS")
    parser.add_argument("--backend", choices=["sagemaker", "local"], default="sagemaker", help="where trials run")
    parser.add_argument("--local-tuner", action="store_true", help="run the tuner in this process, not as a job")
    parser.add_argument("--method", choices=["asha", "random"], default="asha")
    parser.add_argument("--epochs", type=int, default=81, help="of trials that are not stopped")
    parser.add_argument("--n_workers", type=int, default=4, help="trials at the same time")
    parser.add_argument("--max_trials", type=int, default=16)
    parser.add_argument("--max_wallclock_time", type=float, default=3600.0, help="seconds")
    parser.add_argument("--instance_type", default="ml.m5.large", help="of the trials")
    parser.add_argument("--tuner_instance_type", default="ml.t3.medium")
    parser.add_argument("--role", help="default: AWS_ROLE, else the account's SageMaker role")
    parser.add_argument("--tuner_name", default="digits-mlp")
    parser.add_argument("--sleep_time", type=float, help="seconds between two looks at the trials")
    parser.add_argument(
        "--print_update_interval", type=float, default=5.0, help="seconds between two lines of progress"
    )
    parser.add_argument("--output", type=Path, default=Path("digits-mlp.png"), help="picture to write")
    args = parser.parse_args()
    if args.sleep_time is None:
        args.sleep_time = 1.0 if args.sandbox else 5.0
    return args


if __name__ == "__main__":
    logging.basicConfig(format="%(message)s")
    logging.getLogger("cloudtune").setLevel(logging.INFO)
    arguments = parse_args()
    if arguments.sandbox:
        from cloudtune.sandbox import Sandbox

        with Sandbox() as sandbox:
            os.environ.update(sandbox.environment())
            main(arguments)
    else:
        main(arguments)
