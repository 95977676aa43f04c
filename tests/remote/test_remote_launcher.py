"""A tuner as a training job, from launch to results, on the sandbox. Its trials are processes inside that job."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import cloudtune
from cloudtune import StoppingCriterion, Tuner, uniform
from cloudtune.aws import S3Uri
from cloudtune.backends import PythonBackend
from cloudtune.baselines import RandomSearch
from cloudtune.cli.main import cli
from cloudtune.clock import SystemClock
from cloudtune.errors import (
    AlreadyExistsError,
    ExperimentFailedError,
    ExperimentNotFoundError,
    IntegrityError,
    OptionError,
)
from cloudtune.journal.events import ReportObserved, SessionStarted
from cloudtune.journal.s3 import S3Journal
from cloudtune.remote import RemoteExperiment, RemoteLauncher, TunerJobOptions, resume
from cloudtune.remote.following import follow
from cloudtune.results import load_experiment
from cloudtune.sandbox import Sandbox
from tests.remote.support import FOREVER, kill_tuner, local_tuner, training_script, until

REPOSITORY = Path(cloudtune.__file__).parents[1]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def objects(sandbox: Sandbox, experiment: RemoteExperiment) -> list[str]:
    prefix = experiment.uri.key.rstrip("/") + "/"
    pages = sandbox.client("s3").get_paginator("list_objects_v2").paginate(Bucket=sandbox.bucket, Prefix=prefix)
    return [entry["Key"].removeprefix(prefix) for page in pages for entry in page.get("Contents", ())]


def described(sandbox: Sandbox, experiment: RemoteExperiment) -> dict[str, Any]:
    answer: dict[str, Any] = sandbox.client("sagemaker").describe_training_job(TrainingJobName=experiment.job_name)
    return answer


def wait_for_reports(experiment: RemoteExperiment, count: int = 1) -> None:
    clock = SystemClock()
    while True:
        status = experiment.status()
        if status.tuning is not None and status.tuning.num_evaluations >= count:
            return
        assert status.is_running, status
        clock.sleep(0.2)


def test_an_experiment_runs_to_its_end_in_the_cloud(
    sandbox: Sandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tuner = local_tuner(training_script(tmp_path))
    callbacks = list(tuner.callbacks)
    experiment = RemoteLauncher(tuner, store_logs_localbackend=True).run(wait=True)
    printed = capsys.readouterr().out

    # it was followed
    assert f"{experiment.job_name}: Completed" in printed
    assert "best_metric_value=" in printed
    # the handle
    assert experiment.job_name == f"tuner-1-{tuner.name}"
    status = experiment.status()
    assert not status.is_running
    assert status.tuning is not None
    assert status.tuning.num_trials_completed == 2
    assert experiment.wait().job == status.job
    # the results, from S3 alone
    assert not (Path(os.environ["CLOUDTUNE_FOLDER"]) / tuner.name / "journal").exists()
    assert len(experiment.results().results) == 6
    assert load_experiment(tuner.name).best_config()["loss"] == experiment.results().best_config()["loss"]
    # the layout
    kept = objects(sandbox, experiment)
    assert {"metadata.json", "results.csv.zip", "tuner.dill", "launch.json"} <= set(kept)
    assert {"trials/00000/std.out", "trials/00001/std.out"} <= set(kept)
    assert "journal/000000000000.jsonl" in kept
    assert sum(name.startswith("source/") for name in kept) == 1
    assert not any("checkpoints" in name for name in kept)
    # the best so far as metrics of the job
    final = {metric["MetricName"]: metric["Value"] for metric in described(sandbox, experiment)["FinalMetricDataList"]}
    assert final["best_metric_value"] == pytest.approx(experiment.results().best_config()["loss"], rel=1e-5)
    assert {"best_trial_id", "best_hp_width"} <= set(final)
    # the user's tuner is as it was
    assert tuner.callbacks == callbacks
    # a terminal shows a table instead of the lines for the service
    terminal = Terminal()
    follow(experiment, experiment.job(), terminal)
    assert "Completed" in terminal.getvalue()
    assert "\x1b[" in terminal.getvalue()
    assert "best_metric_value=" not in terminal.getvalue()
    # and a copy on this machine gives the same
    folder = experiment.download()
    assert folder == Path(os.environ["CLOUDTUNE_FOLDER"]) / tuner.name
    assert load_experiment(tuner.name).path == folder
    assert experiment.download() == folder
    assert len(load_experiment(tuner.name).results) == 6


def test_one_tuner_at_a_time_and_a_stop_keeps_what_there_is(sandbox: Sandbox, tmp_path: Path) -> None:
    tuner = local_tuner(training_script(tmp_path, FOREVER), trials=9)
    experiment = RemoteLauncher(tuner).run(wait=False)
    with pytest.raises(AlreadyExistsError, match="runs this experiment already"):
        RemoteLauncher(tuner).run(wait=False)
    with pytest.raises(AlreadyExistsError, match="runs this experiment already"):
        resume(tuner.name)
    wait_for_reports(experiment)
    experiment.stop()
    status = experiment.wait()
    assert status.job.status == "Stopped"
    assert status.tuning is not None
    assert status.tuning.num_trials_running == 0
    ledger = experiment.view().ledger
    assert ledger is not None
    assert ledger.finished is not None
    assert "stop" in ledger.finished.why
    assert len(experiment.results().results) >= 1


def test_a_tuner_that_was_killed_goes_on_where_it_was(sandbox: Sandbox, tmp_path: Path) -> None:
    go_on = tmp_path / "go-on"
    tuner = local_tuner(training_script(tmp_path / "code", until(go_on)), trials=3)
    experiment = RemoteLauncher(tuner).run(wait=False)
    wait_for_reports(experiment)
    kill_tuner(experiment.job_name)
    with pytest.raises(ExperimentFailedError, match=f"{experiment.job_name} failed"):
        experiment.wait()
    go_on.touch()
    again = resume(tuner.name)
    assert again.job_name == f"tuner-2-{tuner.name}"
    status = again.wait()
    assert status.job.status == "Completed"
    events = list(S3Journal(f"{experiment.uri}/journal").read())
    assert sum(isinstance(event, SessionStarted) for event in events) == 2
    reports = [(e.trial_id, e.attempt, e.key) for e in events if isinstance(e, ReportObserved)]
    assert len(reports) == len(set(reports))
    assert again.status().tuning is not None


def test_a_finished_experiment_can_be_given_more_time_within_its_other_limits(sandbox: Sandbox, tmp_path: Path) -> None:
    # two workers and 0.2 s between two looks: fewer than 7 trials in this time
    short = StoppingCriterion(max_wallclock_time=0.5, max_num_trials_started=6)
    tuner = local_tuner(training_script(tmp_path), stop_criterion=short)
    before = RemoteLauncher(tuner).run(wait=False).wait().tuning
    after = resume(tuner.name, max_wallclock_time=3600, n_workers=1).wait().tuning
    assert before is not None
    assert after is not None
    assert before.num_trials_started < 7
    assert after.num_trials_started == 7


def test_a_payload_that_was_changed_is_not_loaded(sandbox: Sandbox, tmp_path: Path) -> None:
    tuner = local_tuner(training_script(tmp_path))
    experiment = RemoteLauncher(tuner).run(wait=False)
    experiment.wait()
    s3 = sandbox.client("s3")
    key = f"{experiment.uri.key}/launch.json"
    request = json.loads(s3.get_object(Bucket=sandbox.bucket, Key=key)["Body"].read())
    honest = request["HyperParameters"]["tuner_sha256"]
    request["HyperParameters"]["tuner_sha256"] = json.dumps("0" * 64)
    s3.put_object(Bucket=sandbox.bucket, Key=key, Body=json.dumps(request).encode())
    with pytest.raises(IntegrityError, match="SHA-256"):
        resume(tuner.name)

    # whoever changes the request as well is found out by the job
    request["TrainingJobName"] = f"tuner-2-{tuner.name}"
    sandbox.client("sagemaker").create_training_job(**request)
    with pytest.raises(ExperimentFailedError, match=r"IntegrityError[\s\S]*SHA-256"):
        experiment.wait()
    assert honest != request["HyperParameters"]["tuner_sha256"]


def test_a_failed_experiment_says_why_and_how_to_go_on(
    sandbox: Sandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = training_script(tmp_path, "sys.exit('no data')")
    tuner = local_tuner(script, trials=4, max_failures=0)
    with pytest.raises(ExperimentFailedError, match=r"ExperimentFailedError[\s\S]*max_failures=0") as caught:
        RemoteLauncher(tuner).run(wait=True)
    assert f"cloudtune resume {tuner.name}" in caught.value.hint
    assert "look at their logs" in str(described(sandbox, RemoteExperiment(tuner.name))["FailureReason"])


def test_everything_is_below_the_given_path(sandbox: Sandbox, tmp_path: Path) -> None:
    root = f"s3://{sandbox.bucket}/elsewhere"
    experiment = RemoteLauncher(
        local_tuner(training_script(tmp_path)),
        s3_path=root,
        publish_tuning_metrics=False,
        image_uri="example.com/mine:1",
        job=TunerJobOptions(tags={"team": "x"}),
    ).run(wait=False)
    experiment.wait()
    assert experiment.uri == S3Uri.parse(root) / experiment.name
    assert "results.csv.zip" in objects(sandbox, experiment)
    request = described(sandbox, experiment)
    assert request["AlgorithmSpecification"]["TrainingImage"] == "example.com/mine:1"
    assert "MetricDefinitions" not in request["AlgorithmSpecification"]
    assert len(RemoteExperiment(experiment.name, root).results().results) == 6
    with pytest.raises(ExperimentNotFoundError):
        resume(experiment.name)


def tuned(width: float) -> None:
    from cloudtune import Reporter

    Reporter()(loss=width)


def test_a_python_function_can_be_tuned_there(sandbox: Sandbox) -> None:
    space = {"width": uniform(0, 1)}
    tuner = Tuner(
        PythonBackend(tuned, space),
        RandomSearch(space, metric="loss", mode="min"),
        StoppingCriterion(max_num_trials_started=1),
        n_workers=2,
        sleep_time=0.2,
        wait_trial_completion_when_stopping=True,
    )
    experiment = RemoteLauncher(tuner).run(wait=False)
    status = experiment.wait()
    assert status.tuning is not None
    assert status.tuning.num_trials_completed == 2


def test_bad_input_is_refused_before_anything_is_sent(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.reset_call_counts()
    tuner = local_tuner(training_script(tmp_path))
    tuner.stop_criterion = lambda status: False
    with pytest.raises(OptionError, match="lambda"):
        RemoteLauncher(tuner).run()
    counts = sandbox.call_counts()
    assert counts["s3.PutObject"] == counts["sagemaker.CreateTrainingJob"] == 0
    nobody: Any = "a tuner"
    with pytest.raises(OptionError, match="is no Tuner"):
        RemoteLauncher(nobody)
    with pytest.raises(OptionError, match="not an S3 URI"):
        RemoteLauncher(tuner, s3_path="bucket/folder")


def test_an_unknown_experiment_is_not_found(sandbox: Sandbox) -> None:
    with pytest.raises(ExperimentNotFoundError, match="no training job"):
        RemoteExperiment("never-heard-of").status()
    with pytest.raises(ExperimentNotFoundError, match="no remote tuner"):
        resume("never-heard-of")


LAUNCHER = """
import sys
from cloudtune.remote import RemoteLauncher
from tests.remote.support import FOREVER, local_tuner, training_script
from pathlib import Path
tuner = local_tuner(training_script(Path(sys.argv[1]), FOREVER))
print("name", tuner.name, flush=True)
experiment = RemoteLauncher(tuner).run(wait=True)
print("running", experiment.status().is_running, flush=True)
"""


def test_ctrl_c_ends_the_watching_and_not_the_tuning(sandbox: Sandbox, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen(
        [sys.executable, "-c", LAUNCHER, str(tmp_path)], env=environment, stdout=subprocess.PIPE, text=True
    ) as watcher:
        assert watcher.stdout is not None
        name = watcher.stdout.readline().split()[1]
        line = watcher.stdout.readline()
        while "best_metric_value" not in line:
            assert line, "the launcher ended before its tuner had a result"
            line = watcher.stdout.readline()
        watcher.send_signal(signal.SIGINT)
        rest = watcher.stdout.read()
    assert watcher.returncode == 0
    for way in ("watch", "results", "stop"):
        assert f"cloudtune {way} {name}" in rest
    assert rest.endswith("running True\n")
    experiment = RemoteExperiment(name)
    assert experiment.status().is_running
    assert CliRunner().invoke(cli, ["stop", name]).exit_code == 0
    assert experiment.wait().job.status == "Stopped"
