"""Names that others script against: launchers written for Syne Tune run with other imports and nothing else changed."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import cloudtune
from cloudtune import Reporter, StoppingCriterion, Tuner, constants
from cloudtune.backends import LocalBackend, PythonBackend
from cloudtune.callbacks import (
    HyperbandRemoveCheckpointsBaselineCallback,
    HyperbandRemoveCheckpointsCallback,
    RemoveCheckpointsCallback,
    StoreResultsCallback,
    TunerCallback,
)
from cloudtune.remote import RemoteLauncher, RemoteTuningMetricsCallback
from cloudtune.results import load_experiment
from cloudtune.sagemaker import SageMakerBackend, select_instance_type
from cloudtune.sandbox import Sandbox
from cloudtune.schedulers import SchedulerDecision, TrialScheduler
from cloudtune.schedulers.resumption import BetaBinomialEstimator, compute_probabilities_of_getting_resumed

TRAIN_HEIGHT = """
import time
from argparse import ArgumentParser

from {package} import Reporter

if __name__ == "__main__":
    parser = ArgumentParser()
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--width", type=float)
    parser.add_argument("--height", type=float)
    args, _ = parser.parse_known_args()
    report = Reporter()
    for step in range(args.epochs):
        mean_loss = 1.0 / (0.1 + args.width * step / 100) + 0.1 * args.height
        report(step=step, mean_loss=mean_loss, epoch=step + 1)
"""

HEADER = """
from pathlib import Path

from {package} import Tuner, StoppingCriterion
from {space} import randint, uniform
from {baselines} import ASHA, RandomSearch

entry_point = str(Path(__file__).parent / "train_height.py")
config_space = {{"width": uniform(1, 20), "height": uniform(1, 20), "epochs": 9}}
"""

QUICK_START = """
from {backend} import LocalBackend

scheduler = ASHA(
    config_space,
    metric="mean_loss",
    resource_attr="epoch",
    max_resource_attr="epochs",
    search_options={{"debug_log": False}},
)
tuner = Tuner(
    trial_backend=LocalBackend(entry_point=entry_point),
    scheduler=scheduler,
    stop_criterion=StoppingCriterion(max_wallclock_time=30, max_num_trials_finished=3),
    n_workers=4,
    sleep_time=0.1,
)
tuner.run()
trial_id, config = tuner.best_config()
print(tuner.tuning_status.get_dataframe()["status"].iloc[0])
tuner.trial_backend.start_trial(config=tuner.best_config())
print("name", tuner.name)
"""

CALLBACKS = """
from {backend} import LocalBackend
from {callback} import TunerCallback
from {results} import ExtraResultsComposer, StoreResultsCallback
from {scheduler} import SchedulerDecision


class Running(ExtraResultsComposer):
    def __call__(self, tuner):
        return {{"num_started": tuner.tuning_status.num_trials_started}}

    def keys(self):
        return ["num_started"]


class Watch(TunerCallback):
    def __init__(self):
        self.seen = dict.fromkeys(["start", "loop", "fetch", "result", "complete", "sleep", "end"], 0)
        self.decisions = set()

    def on_tuning_start(self, tuner):
        self.seen["start"] += 1

    def on_loop_start(self):
        self.seen["loop"] += 1

    def on_fetch_status_results(self, trial_status_dict, new_results):
        for trial_id, (trial, status) in trial_status_dict.items():
            assert trial.trial_id == trial_id and status in ("InProgress", "Completed", "Stopped", "Stopping")
        self.seen["fetch"] += len(new_results)

    def on_trial_result(self, trial, status, result, decision):
        assert decision in ("CONTINUE", "STOP") and (decision == SchedulerDecision.STOP) == (decision == "STOP")
        self.seen["result"] += 1

    def on_trial_complete(self, trial, result):
        assert result["mean_loss"] > 0 and trial.config["width"] > 0
        self.seen["complete"] += 1

    def on_tuning_sleep(self, sleep_time):
        self.seen["sleep"] += sleep_time

    def on_tuning_end(self):
        self.seen["end"] += 1


watch = Watch()
tuner = Tuner(
    trial_backend=LocalBackend(entry_point=entry_point),
    scheduler=RandomSearch(config_space, metric="mean_loss", mode="max", random_seed=7),
    stop_criterion=StoppingCriterion(max_num_trials_completed=1),
    n_workers=1,
    sleep_time=0.05,
    results_update_interval=5,
    print_update_interval=60,
    callbacks=[StoreResultsCallback(extra_results_composer=Running()), watch],
    tuner_name="watched-run",
    metadata={{"tag": "moved"}},
    max_failures=3,
    start_jobs_without_delay=False,
)
tuner.run()
assert watch.seen["fetch"] == watch.seen["result"] > 0 and all(watch.seen.values()), watch.seen
print("name", tuner.name)
"""

LOAD = """
from {backend} import LocalBackend
from {experiments} import load_experiment

tuner = Tuner(
    trial_backend=LocalBackend(entry_point=entry_point),
    scheduler=RandomSearch(config_space, metric="mean_loss"),
    stop_criterion=StoppingCriterion(max_num_trials_started=1, max_wallclock_time=30),
    n_workers=2,
    sleep_time=0.1,
    tuner_name="known-name",
    suffix_tuner_name=False,
    wait_trial_completion_when_stopping=True,
)
tuner.run()
experiment = load_experiment(tuner.name, load_tuner=True)
best = experiment.best_config()
assert {{"trial_id", "mean_loss", "width", "height"}} <= set(best), best
assert experiment.tuner.name == tuner.name and experiment.metadata["metric_names"] == ["mean_loss"]
experiment.plot(figure_path="plot.png")
print(experiment, tuner.trial_backend.checkpoint_trial_path(best["trial_id"]))
print("name", tuner.name)
"""

PYTHON_BACKEND = """
from {backend} import PythonBackend


def train_height(epochs, width, height):
    from {package} import Reporter

    report = Reporter()
    for step in range(epochs):
        report(step=step, mean_loss=1.0 / (0.1 + width * step / 100) + 0.1 * height, epoch=step + 1)


tuner = Tuner(
    trial_backend=PythonBackend(tune_function=train_height, config_space=config_space),
    scheduler=ASHA(config_space, metric="mean_loss", mode="min", resource_attr="epoch", max_t=9),
    stop_criterion=StoppingCriterion(max_num_trials_started=2, max_wallclock_time=60),
    n_workers=2,
    sleep_time=0.1,
)
tuner.run()
print("name", tuner.name)
"""

OWN_SCHEDULER = """
from {backend} import LocalBackend
from {domain} import Domain
from {scheduler} import SchedulerDecision, TrialScheduler, TrialSuggestion


class SimpleScheduler(TrialScheduler):
    def __init__(self, config_space, metric):
        super().__init__(config_space=config_space)
        self.metric = metric
        self.sorted_results = []

    def _suggest(self, trial_id):
        config = {{k: v.sample() if isinstance(v, Domain) else v for k, v in self.config_space.items()}}
        return TrialSuggestion.start_suggestion(config)

    def on_trial_result(self, trial, result):
        self.sorted_results = sorted([*self.sorted_results, result[self.metric]])
        if self.sorted_results.index(result[self.metric]) > len(self.sorted_results) / 2:
            return SchedulerDecision.STOP
        return SchedulerDecision.CONTINUE

    def metric_names(self):
        return [self.metric]


tuner = Tuner(
    trial_backend=LocalBackend(entry_point=entry_point),
    scheduler=SimpleScheduler(config_space, metric="mean_loss"),
    stop_criterion=StoppingCriterion(max_num_evaluations=10, max_wallclock_time=60),
    n_workers=2,
    sleep_time=0.1,
)
tuner.run()
print("name", tuner.name)
"""

TEMPLATE = """
from cloudtune.sagemaker import TrainingJobTemplate  # instead of the SDK's estimator

sm_estimator = TrainingJobTemplate.script(entry_point, instance_type="ml.m5.large")
"""

REQUEST = """
import tarfile

import boto3

with tarfile.open("sourcedir.tar.gz", "w:gz") as archive:
    archive.add(entry_point, "train_height.py")
s3 = boto3.client("s3")
s3.create_bucket(Bucket="code-of-mine")
s3.upload_file("sourcedir.tar.gz", "code-of-mine", "sourcedir.tar.gz")
sm_estimator = {{
    "AlgorithmSpecification": {{"TrainingImage": "my-image", "TrainingInputMode": "File"}},
    "ResourceConfig": {{"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10}},
    "StoppingCondition": {{"MaxRuntimeInSeconds": 3600}},
    "HyperParameters": {{
        "sagemaker_program": "train_height.py",
        "sagemaker_submit_directory": "s3://code-of-mine/sourcedir.tar.gz",
    }},
}}
"""

SAGEMAKER = """
from {sagemaker} import SageMakerBackend

tuner = Tuner(
    trial_backend=SageMakerBackend(sm_estimator=sm_estimator, metrics_names=["mean_loss"]),
    scheduler=ASHA(config_space, metric="mean_loss", resource_attr="epoch", max_resource_attr="epochs"),
    stop_criterion=StoppingCriterion(max_wallclock_time=120, max_num_trials_started=1),
    n_workers=2,
    sleep_time=1.0,
    max_failures=3,
    tuner_name="height-tuning",
    start_jobs_without_delay=False,
)
"""

RUN_HERE = """
tuner.run()
print("name", tuner.name)
"""

RUN_REMOTELY = """
from {launcher} import RemoteLauncher

remote_launcher = RemoteLauncher(tuner=tuner, instance_type="ml.m5.large", s3_path=None, no_tuner_logging=False)
remote_launcher.run(wait=True)
print("name", tuner.name)
"""

IMPORTS = {
    "package": "cloudtune",
    "space": "cloudtune.space",
    "domain": "cloudtune.space",
    "baselines": "cloudtune.baselines",
    "backend": "cloudtune.backends",
    "callback": "cloudtune.callbacks",
    "results": "cloudtune.callbacks",
    "scheduler": "cloudtune.schedulers",
    "experiments": "cloudtune.results",
    "sagemaker": "cloudtune.sagemaker",
    "launcher": "cloudtune.remote",
}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Runs a launcher script as its user does; returns the name of its experiment."""
    (tmp_path / "train_height.py").write_text(TRAIN_HEIGHT.format(**IMPORTS))
    # what is installed in a user's environment
    monkeypatch.setenv("PYTHONPATH", str(Path(cloudtune.__file__).parents[1]))
    monkeypatch.setenv("MPLBACKEND", "agg")

    def launched(body: str) -> str:
        script = tmp_path / "launch_height.py"
        script.write_text((HEADER + body).format(**IMPORTS))
        done = subprocess.run(
            [sys.executable, "-W", "error", str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip().splitlines()[-1].removeprefix("name ")

    return launched


# -- launchers, with other imports -------------------------------------------------------------------------------------


def test_quick_start(run: Callable[[str], str]) -> None:
    name = run(QUICK_START)
    assert name.startswith("train-height-20")
    assert not load_experiment(name).results.empty


def test_callbacks_and_extra_columns(run: Callable[[str], str]) -> None:
    result = load_experiment(run(CALLBACKS))
    assert set(result.results["num_started"]) <= {1, 2}
    assert result.metadata["tag"] == "moved"
    assert result.metric_mode() == "max"


def test_loading_an_experiment_by_its_name(run: Callable[[str], str]) -> None:
    assert run(LOAD) == "known-name"


def test_a_python_function(run: Callable[[str], str]) -> None:
    assert load_experiment(run(PYTHON_BACKEND)).results["epoch"].max() == 9


def test_a_scheduler_of_one_s_own(run: Callable[[str], str]) -> None:
    assert {"STOP", "CONTINUE"} <= set(load_experiment(run(OWN_SCHEDULER)).results["st_decision"])


@pytest.mark.parametrize(
    ("template", "where", "jobs"), [(REQUEST, RUN_HERE, 2), (TEMPLATE, RUN_REMOTELY, 3)], ids=["here", "remotely"]
)
def test_trials_as_training_jobs(
    run: Callable[[str], str], template: str, where: str, jobs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Sandbox() as sandbox:
        for name, value in sandbox.environment().items():
            monkeypatch.setenv(name, value)
        result = load_experiment(run(template + SAGEMAKER + where))
        assert result.num_trials == 2
        assert result.results["st_worker_cost"].notna().all()
        assert sandbox.call_counts()["sagemaker.CreateTrainingJob"] == jobs


# -- what lies in files ------------------------------------------------------------------------------------------------


def test_columns_of_results_and_entries_of_metadata(run: Callable[[str], str]) -> None:
    name = run(QUICK_START)
    folder = load_experiment(name).path
    assert folder is not None
    columns = set(pd.read_csv(folder / constants.ST_RESULTS_DATAFRAME_FILENAME).columns)
    assert columns >= {
        *("trial_id", "step", "mean_loss", "epoch", "config_width", "config_height", "config_epochs", "tuner_name"),
        *("st_decision", "st_status", "st_tuner_time", "st_worker_time", "st_worker_timestamp", "st_worker_iter"),
    }
    metadata = json.loads((folder / constants.ST_METADATA_FILENAME).read_text())
    assert metadata["metric_names"] == ["mean_loss"]
    assert metadata["metric_mode"] == "min"
    assert metadata["entrypoint"] == "train_height"
    assert metadata["backend"] == "LocalBackend"
    assert metadata["scheduler_name"] == "ASHA"
    assert metadata[constants.SMT_TUNER_CREATION_TIMESTAMP] > 1.7e9
    assert (folder / constants.ST_TUNER_DILL_FILENAME).exists()


def test_constants_that_cross_processes() -> None:
    documented = {
        "SYNE_TUNE_ENV_FOLDER": "SYNETUNE_FOLDER",
        "SYNE_TUNE_DEFAULT_FOLDER": "syne-tune",
        "ST_WORKER_ITER": "st_worker_iter",
        "ST_WORKER_TIMESTAMP": "st_worker_timestamp",
        "ST_WORKER_TIME": "st_worker_time",
        "ST_WORKER_COST": "st_worker_cost",
        "ST_INSTANCE_TYPE": "st_instance_type",
        "ST_INSTANCE_COUNT": "st_instance_count",
        "ST_CHECKPOINT_DIR": "st_checkpoint_dir",
        "ST_CONFIG_JSON_FNAME_ARG": "st_config_json_filename",
        "ST_REMOTE_UPLOAD_DIR_NAME": "tuner",
        "ST_RESULTS_DATAFRAME_FILENAME": "results.csv.zip",
        "ST_METADATA_FILENAME": "metadata.json",
        "ST_TUNER_DILL_FILENAME": "tuner.dill",
        "ST_DATETIME_FORMAT": "%Y-%m-%d-%H-%M-%S",
        "MAX_METRICS_SUPPORTED_BY_SAGEMAKER": 40,
        "TUNER_DEFAULT_SLEEP_TIME": 5.0,
    }
    assert {name: getattr(constants, name) for name in documented} == documented


# -- signatures --------------------------------------------------------------------------------------------------------

NEEDED = inspect.Parameter.empty
SIGNATURES: list[tuple[Callable[..., Any], dict[str, Any]]] = [
    (
        Tuner,
        {
            **dict.fromkeys(["trial_backend", "scheduler", "stop_criterion", "n_workers"], NEEDED),
            "sleep_time": 5.0,
            "results_update_interval": 10.0,
            "print_update_interval": 30.0,
            "max_failures": 1,
            "tuner_name": None,
            "asynchronous_scheduling": True,
            "wait_trial_completion_when_stopping": False,
            "callbacks": None,
            "metadata": None,
            "suffix_tuner_name": True,
            "save_tuner": True,
            "start_jobs_without_delay": True,
            "trial_backend_path": None,
        },
    ),
    (
        StoppingCriterion,
        dict.fromkeys(
            [
                *("max_wallclock_time", "max_num_evaluations", "max_num_trials_started", "max_num_trials_completed"),
                *("max_cost", "max_num_trials_finished", "min_metric_value", "max_metric_value"),
            ]
        ),
    ),
    (Reporter, {"add_time": True, "add_cost": True}),
    (StoreResultsCallback, {"add_wallclock_time": True, "extra_results_composer": None}),
    (RemoveCheckpointsCallback, {}),
    (
        HyperbandRemoveCheckpointsCallback,
        {
            **dict.fromkeys(["max_num_checkpoints", "max_wallclock_time", "metric", "resource_attr", "mode"], NEEDED),
            "approx_steps": 25,
            "prior_beta_mean": 0.33,
            "prior_beta_size": 2,
            "min_data_at_rung": 5,
        },
    ),
    (
        HyperbandRemoveCheckpointsBaselineCallback,
        {
            **dict.fromkeys(["max_num_checkpoints", "max_wallclock_time", "metric", "resource_attr", "mode"], NEEDED),
            "baseline": None,
        },
    ),
    (BetaBinomialEstimator, dict.fromkeys(["beta_mean", "beta_size"], NEEDED)),
    (
        compute_probabilities_of_getting_resumed,
        dict.fromkeys(["ranks", "rung_lens", "prom_quants", "p_vals", "time_ratio", "approx_steps"], NEEDED),
    ),
    (TrialScheduler.callback_for_checkpoint_removal, dict.fromkeys(["self", "stop_criterion"], NEEDED)),
    (TrialScheduler.trials_checkpoints_can_be_removed, {"self": NEEDED}),
    (
        LocalBackend,
        {
            "entry_point": NEEDED,
            "delete_checkpoints": False,
            "pass_args_as_json": False,
            "rotate_gpus": True,
            "num_gpus_per_trial": 1,
            "gpus_to_use": None,
        },
    ),
    (
        PythonBackend,
        {"tune_function": NEEDED, "config_space": NEEDED, "rotate_gpus": True, "delete_checkpoints": False},
    ),
    (
        SageMakerBackend,
        {
            "sm_estimator": NEEDED,
            "metrics_names": None,
            "s3_path": None,
            "delete_checkpoints": False,
            "pass_args_as_json": False,
        },
    ),
    (
        RemoteLauncher,
        {
            "tuner": NEEDED,
            "role": None,
            "instance_type": "ml.c5.4xlarge",
            "dependencies": None,
            "store_logs_localbackend": False,
            "log_level": None,
            "s3_path": None,
            "no_tuner_logging": False,
            "publish_tuning_metrics": True,
        },
    ),
    (RemoteLauncher.run, {"self": NEEDED, "wait": True}),
    (RemoteTuningMetricsCallback, {"metric": NEEDED, "mode": NEEDED, "config_space": None, "resource_attr": None}),
    (Tuner.best_config, {"self": NEEDED, "metric": 0}),
    (load_experiment, {"tuner_name": NEEDED, "download_if_not_found": True, "load_tuner": False, "local_path": None}),
    (
        select_instance_type,
        {"min_gpu": 0, "max_gpu": 16, "min_cost_per_hour": None, "max_cost_per_hour": None},
    ),
]


@pytest.mark.parametrize(("function", "documented"), SIGNATURES, ids=lambda value: getattr(value, "__qualname__", ""))
def test_arguments_in_their_order_with_their_defaults(function: Callable[..., Any], documented: dict[str, Any]) -> None:
    parameters = inspect.signature(function).parameters
    first = list(parameters)[: len(documented)]
    assert first == list(documented)
    assert {name: parameters[name].default for name in first} == documented


@pytest.mark.parametrize(
    ("hook", "arguments"),
    [
        ("on_tuning_start", ["tuner"]),
        ("on_loop_start", []),
        ("on_fetch_status_results", ["trial_status_dict", "new_results"]),
        ("on_trial_result", ["trial", "status", "result", "decision"]),
        ("on_trial_complete", ["trial", "result"]),
        ("on_start_trial", ["trial"]),
        ("on_resume_trial", ["trial"]),
        ("on_tuning_sleep", ["sleep_time"]),
        ("on_loop_end", []),
        ("on_tuning_end", []),
    ],
)
def test_hooks_of_callbacks(hook: str, arguments: list[str]) -> None:
    assert list(inspect.signature(getattr(TunerCallback, hook)).parameters) == ["self", *arguments]


def test_decisions_compare_with_their_names() -> None:
    assert SchedulerDecision.STOP == "STOP"
    assert {SchedulerDecision.STOP, "STOP"} == {"STOP"}
    assert SchedulerDecision.CONTINUE != SchedulerDecision.PAUSE
