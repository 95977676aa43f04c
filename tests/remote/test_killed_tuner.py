"""SIGKILL for a remote tuner whose trials are training jobs: nothing is launched twice, lost or counted twice."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from cloudtune import StoppingCriterion, Tuner, uniform
from cloudtune.baselines import ASHA, RandomSearch
from cloudtune.errors import ExperimentFailedError
from cloudtune.journal import events as ev
from cloudtune.journal.s3 import S3Journal
from cloudtune.names import parse_job_name
from cloudtune.remote import RemoteExperiment, RemoteLauncher, TunerJobOptions, resume
from cloudtune.remote.job_log import JobLog
from cloudtune.sagemaker import FeedOptions, SageMakerBackend, TrainingJobTemplate
from cloudtune.sandbox import Sandbox
from cloudtune.schedulers import TrialScheduler
from tests.remote.support import kill_tuner, training_script, until

STOPPING, PROMOTION = "stopping", "promotion"


SPACE = {"width": uniform(0, 1), "epochs": 3}
ENOUGH = {
    STOPPING: StoppingCriterion(max_num_trials_started=3),
    PROMOTION: StoppingCriterion(max_num_trials_completed=0),
}


def asha(type: str) -> ASHA:
    """Trials run through, or are paused and resumed, so that some have several attempts."""
    return ASHA(SPACE, metric="loss", resource_attr="epoch", max_resource_attr="epochs", type=type, random_seed=3)


def tuner(script: Path, scheduler: TrialScheduler, enough: StoppingCriterion = ENOUGH[STOPPING]) -> Tuner:
    return Tuner(
        SageMakerBackend(
            TrainingJobTemplate.script(script),
            feed=FeedOptions(drain_quiet_seconds=1.0, drain_limit_seconds=20.0, silent_seconds=3.0),
        ),
        scheduler,
        enough,
        n_workers=2,
        sleep_time=0.2,
        tuner_name="killed",
        wait_trial_completion_when_stopping=True,
    )


def jobs(sandbox: Sandbox, experiment: RemoteExperiment) -> list[str]:
    """Names of all training jobs of its trials, as the service lists them."""
    pages = sandbox.client("sagemaker").get_paginator("list_training_jobs").paginate(NameContains=experiment.name)
    names = [summary["TrainingJobName"] for page in pages for summary in page["TrainingJobSummaries"]]
    return [name for name in names if parse_job_name(experiment.name, name)]


def printed_reports(sandbox: Sandbox, experiment: RemoteExperiment) -> Counter[tuple[int, int, int]]:
    """(trial, attempt, epoch) of each report that a script has printed."""
    prefix = "[tune-metric]:"
    pages = (
        sandbox.client("logs")
        .get_paginator("filter_log_events")
        .paginate(logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix=f"{experiment.name}-")
    )
    found: Counter[tuple[int, int, int]] = Counter()
    for page in pages:
        for event in page["events"]:
            attempt = parse_job_name(experiment.name, event["logStreamName"].partition("/")[0])
            if attempt and event["message"].startswith(prefix):
                found[(*attempt, json.loads(event["message"].removeprefix(prefix))["epoch"])] += 1
    return found


@pytest.mark.slow
@pytest.mark.parametrize("type", [STOPPING, PROMOTION])
def test_after_sigkill_and_resume_everything_happened_exactly_once(sandbox: Sandbox, tmp_path: Path, type: str) -> None:
    go_on = tmp_path / "go-on"
    away = tuner(training_script(tmp_path / "code", until(go_on)), asha(type), ENOUGH[type])
    experiment = RemoteLauncher(away).run(wait=False)
    while not ((status := experiment.status()).tuning and status.tuning.num_evaluations >= 2):
        assert status.is_running, "\n".join(JobLog(experiment.aws, experiment.job_name).new_lines())
        experiment.clock.sleep(0.2)
    kill_tuner(experiment.job_name)
    with pytest.raises(ExperimentFailedError):
        experiment.wait()
    if type == STOPPING:  # trials go on without their tuner, and report while nobody listens
        assert any(job["TrainingJobStatus"] == "InProgress" for job in described(sandbox, experiment))
    go_on.touch()
    resume(experiment.name).wait()

    events = list(S3Journal(f"{experiment.uri}/journal").read())
    launched = [event.name for event in events if isinstance(event, ev.Launched)]
    assert sorted(launched) == sorted(jobs(sandbox, experiment))
    assert len(launched) == len(set(launched))
    assert len({parse_job_name(experiment.name, name) for name in launched}) == len(launched)
    counted = Counter(
        (event.trial_id, event.attempt, event.metrics["epoch"])
        for event in events
        if isinstance(event, ev.ReportObserved)
    )
    assert counted == printed_reports(sandbox, experiment)
    assert sum(isinstance(event, ev.SessionStarted) for event in events) == 2
    trials = {event.trial_id for event in events if isinstance(event, ev.LaunchIntended)}
    assert (len(trials) == 4) if type == STOPPING else (len(launched) > len(trials))
    assert isinstance(events[-1], ev.ExperimentFinished)


def described(sandbox: Sandbox, experiment: RemoteExperiment) -> list[dict[str, str]]:
    client = sandbox.client("sagemaker")
    return [client.describe_training_job(TrainingJobName=name) for name in jobs(sandbox, experiment)]


def test_a_stop_reaches_the_trials_of_a_dead_tuner(sandbox: Sandbox, tmp_path: Path) -> None:
    never = tmp_path / "never"
    away = tuner(training_script(tmp_path / "code", until(never)), asha(STOPPING))
    experiment = RemoteLauncher(away).run(wait=False)
    while not any(job["TrainingJobStatus"] == "InProgress" for job in described(sandbox, experiment)):
        assert experiment.status().is_running
        experiment.clock.sleep(0.2)
    kill_tuner(experiment.job_name)
    with pytest.raises(ExperimentFailedError):
        experiment.wait()
    experiment.stop()
    while any(job["TrainingJobStatus"] in ("InProgress", "Stopping") for job in described(sandbox, experiment)):
        experiment.clock.sleep(0.2)
    assert {job["TrainingJobStatus"] for job in described(sandbox, experiment)} == {"Stopped"}


def waiting(sandbox: Sandbox, go_on: Path, spot: bool) -> RemoteExperiment:
    """A tuner job with trials that have reported and wait: nothing but what is done to it ends the experiment."""
    patient = RandomSearch(SPACE, metric="loss", mode="min", random_seed=3)
    away = tuner(training_script(go_on.parent / "code", until(go_on)), patient)
    experiment = RemoteLauncher(away, job=TunerJobOptions(use_spot_instances=spot)).run(wait=False)
    while not ((status := experiment.status()).tuning and status.tuning.num_evaluations >= 2):
        assert status.is_running
        experiment.clock.sleep(0.2)
    return experiment


@pytest.mark.slow
@pytest.mark.parametrize("spot", [False, True])
def test_a_job_that_is_stopped_in_the_console_stops_its_trials(sandbox: Sandbox, tmp_path: Path, spot: bool) -> None:
    experiment = waiting(sandbox, tmp_path / "never", spot)
    sandbox.client("sagemaker").stop_training_job(TrainingJobName=experiment.job_name)
    assert experiment.wait().job.status == "Stopped"
    assert {job["TrainingJobStatus"] for job in described(sandbox, experiment)} == {"Stopped"}
    ended = list(S3Journal(f"{experiment.uri}/journal").read())[-1]
    assert isinstance(ended, ev.ExperimentFinished)
    assert ended.why == "the tuner's job was told to end"


@pytest.mark.slow
def test_a_spot_job_that_is_interrupted_goes_on_by_itself(sandbox: Sandbox, tmp_path: Path) -> None:
    go_on = tmp_path / "go-on"
    experiment = waiting(sandbox, go_on, spot=True)
    sandbox.interrupt(experiment.job_name)
    while sum(isinstance(event, ev.SessionStarted) for event in events_of(experiment)) < 2:
        status = experiment.status()
        assert status.is_running, "\n".join(JobLog(experiment.aws, experiment.job_name).new_lines())
        experiment.clock.sleep(0.2)
    states = {job["TrainingJobStatus"] for job in described(sandbox, experiment)}
    assert states == {"InProgress"}  # its trials went on without it
    go_on.touch()
    assert experiment.wait().job.status == "Completed"
    assert experiment.job_name.startswith("tuner-1-")

    events = events_of(experiment)
    launched = [event.name for event in events if isinstance(event, ev.Launched)]
    assert len(launched) == len(set(launched)) == 4
    assert sorted(launched) == sorted(jobs(sandbox, experiment))
    counted = Counter((e.trial_id, e.attempt, e.metrics["epoch"]) for e in events if isinstance(e, ev.ReportObserved))
    assert counted == printed_reports(sandbox, experiment)
    assert isinstance(events[-1], ev.ExperimentFinished)


def events_of(experiment: RemoteExperiment) -> list[ev.Event]:
    return list(S3Journal(f"{experiment.uri}/journal", experiment.aws).read())
