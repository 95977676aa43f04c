"""The life of a training job, with real processes."""

from __future__ import annotations

import uuid

import pytest
from botocore.exceptions import ClientError

from cloudtune.sandbox import Delays, Sandbox
from tests.sandbox.support import (
    client,
    create,
    describe,
    lines_of,
    path_of,
    processes_with,
    wait_for,
    wait_for_end,
    wait_for_line,
)

SLEEP = "import time; print('up', flush=True); time.sleep(600)"
POLITE = """
import signal, sys, time
def leave(*_):
    print('asked to leave', flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
print('up', flush=True)
time.sleep(600)
"""
STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print('up', flush=True)
time.sleep(600)
"""


def stop(sandbox: Sandbox, name: str) -> None:
    client(sandbox, "sagemaker").stop_training_job(TrainingJobName=name)


def test_a_job_that_exits_with_zero_goes_through_all_phases_to_completed(shared: Sandbox) -> None:
    create(shared, "life-completed", "print('hello')")
    job = wait_for_end(shared, "life-completed")
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Completed", "Completed")
    assert path_of(job) == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    assert "FailureReason" not in job
    assert lines_of(shared, "life-completed") == ["hello"]


def test_transitions_follow_each_other_without_a_gap_and_carry_messages(shared: Sandbox) -> None:
    create(shared, "life-transitions")
    job = wait_for_end(shared, "life-transitions")
    steps = job["SecondaryStatusTransitions"]
    assert [step["EndTime"] for step in steps[:-1]] == [step["StartTime"] for step in steps[1:]]
    assert steps[0]["StartTime"] == job["CreationTime"]
    assert steps[1]["StartTime"] == job["TrainingStartTime"]
    assert steps[-1]["StartTime"] == job["TrainingEndTime"] == job["LastModifiedTime"]
    assert all(step["StatusMessage"] for step in steps)


def test_billable_seconds_are_those_on_instances_rounded_up(shared: Sandbox) -> None:
    create(shared, "life-billed")
    job = wait_for_end(shared, "life-billed")
    seconds = (job["TrainingEndTime"] - job["TrainingStartTime"]).total_seconds()
    assert seconds <= job["BillableTimeInSeconds"] < seconds + 1.001
    assert job["TrainingTimeInSeconds"] == job["BillableTimeInSeconds"]


def test_the_exit_code_is_the_reason_of_a_failure_without_a_failure_file(shared: Sandbox) -> None:
    create(shared, "life-exit-3", "raise SystemExit(3)")
    job = wait_for_end(shared, "life-exit-3")
    assert job["TrainingJobStatus"] == "Failed"
    assert path_of(job)[-1] == "Failed"
    assert job["FailureReason"].startswith("AlgorithmError: ")
    assert job["FailureReason"].endswith(", exit code: 3")


def test_a_failure_file_is_the_reason_cut_to_what_the_service_keeps(shared: Sandbox) -> None:
    code = """
import os
base = os.environ.get('SAGEMAKER_BASE_DIR', '/opt/ml')
open(base + '/output/failure', 'w').write('it broke ' * 500)
raise SystemExit(1)
"""
    create(shared, "life-failure-file", code)
    job = wait_for_end(shared, "life-failure-file")
    assert job["FailureReason"].startswith("AlgorithmError: it broke it broke")
    assert job["FailureReason"].endswith(", exit code: 1")
    assert len(job["FailureReason"]) == 1024


def test_a_signal_shows_as_the_exit_code_a_shell_would_give(shared: Sandbox) -> None:
    create(shared, "life-killed", "import os; os.kill(os.getpid(), 9)")
    assert wait_for_end(shared, "life-killed")["FailureReason"].endswith(", exit code: 137")


def test_stop_sends_sigterm_and_the_script_may_use_the_grace(shared: Sandbox) -> None:
    create(shared, "life-stopped", POLITE)
    wait_for_line(shared, "life-stopped", "up")
    stop(shared, "life-stopped")
    job = wait_for_end(shared, "life-stopped")
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "Stopped")
    assert path_of(job) == ["Starting", "Downloading", "Training", "Stopping", "Uploading", "Stopped"]
    assert lines_of(shared, "life-stopped") == ["up", "asked to leave"]
    assert "FailureReason" not in job


def test_a_script_that_ignores_sigterm_is_killed_after_the_grace() -> None:
    with Sandbox(delays=Delays(stop_grace=0.2)) as sandbox:
        create(sandbox, "stubborn", STUBBORN)
        wait_for_line(sandbox, "stubborn", "up")
        stop(sandbox, "stubborn")
        assert wait_for_end(sandbox, "stubborn")["TrainingJobStatus"] == "Stopped"


@pytest.mark.parametrize(
    ("phase", "delays"),
    [
        ("Starting", Delays(starting=600)),
        ("Downloading", Delays(downloading=600)),
    ],
)
def test_a_job_stopped_before_training_never_runs(phase: str, delays: Delays) -> None:
    with Sandbox(delays=delays) as sandbox:
        create(sandbox, "early", "print('ran')")
        wait_for(lambda: describe(sandbox, "early")["SecondaryStatus"] == phase, phase)
        stop(sandbox, "early")
        job = wait_for_end(sandbox, "early")
        assert job["TrainingJobStatus"] == "Stopped"
        assert path_of(job)[-3:] == [phase, "Stopping", "Stopped"]
        assert lines_of(sandbox, "early") == []
        # who never had an instance pays for none
        assert ("BillableTimeInSeconds" in job) == (phase == "Downloading")


def test_a_job_stopped_while_uploading_ends_stopped() -> None:
    with Sandbox(delays=Delays(uploading=600)) as sandbox:
        create(sandbox, "late")
        wait_for(lambda: describe(sandbox, "late")["SecondaryStatus"] == "Uploading", "Uploading")
        stop(sandbox, "late")
        assert wait_for_end(sandbox, "late")["TrainingJobStatus"] == "Stopped"


def test_stopping_takes_its_delay() -> None:
    with Sandbox(delays=Delays(stopping=600)) as sandbox:
        create(sandbox, "slow-stop", POLITE)
        wait_for_line(sandbox, "slow-stop", "up")
        stop(sandbox, "slow-stop")
        wait_for_line(sandbox, "slow-stop", "asked to leave")
        assert describe(sandbox, "slow-stop")["TrainingJobStatus"] == "Stopping"
        # a second stop while stopping is no error
        stop(sandbox, "slow-stop")


def test_what_has_ended_can_not_be_stopped(shared: Sandbox) -> None:
    create(shared, "life-over")
    wait_for_end(shared, "life-over")
    with pytest.raises(ClientError, match="rejected because the training job is in status Completed") as caught:
        stop(shared, "life-over")
    assert caught.value.response["Error"]["Code"] == "ValidationException"


def test_max_runtime_ends_a_job_as_a_stop_does(shared: Sandbox) -> None:
    create(shared, "life-too-long", POLITE, StoppingCondition={"MaxRuntimeInSeconds": 1})
    job = wait_for_end(shared, "life-too-long")
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")
    assert path_of(job)[-3:] == ["Stopping", "Uploading", "MaxRuntimeExceeded"]
    assert "asked to leave" in lines_of(shared, "life-too-long")


def test_a_spot_job_that_waits_too_long_for_instances_ends() -> None:
    with Sandbox(delays=Delays(starting=600)) as sandbox:
        condition = {"MaxRuntimeInSeconds": 1, "MaxWaitTimeInSeconds": 1}
        create(sandbox, "no-spot", EnableManagedSpotTraining=True, StoppingCondition=condition)
        job = wait_for_end(sandbox, "no-spot")
        assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxWaitTimeExceeded")
        assert job["EnableManagedSpotTraining"] is True


def test_metrics_are_what_the_definitions_matched_last(shared: Sandbox) -> None:
    definitions = [
        {"Name": "loss", "Regex": r"loss=(\S+)"},
        {"Name": "accuracy", "Regex": r"acc=([0-9.]+)"},
        {"Name": "never", "Regex": r"never=([0-9.]+)"},
    ]
    code = "print('loss=0.5 acc=0.1'); print('loss=1e-05'); print('loss=nan'); print('loss=n/a')"
    create(shared, "life-metrics", code, AlgorithmSpecification={"MetricDefinitions": definitions})
    job = wait_for_end(shared, "life-metrics")
    found = {entry["MetricName"]: entry["Value"] for entry in job["FinalMetricDataList"]}
    # single precision, as the service answers
    assert found == {"loss": 9.999999747378752e-06, "accuracy": 0.10000000149011612}
    assert all(job["TrainingStartTime"] <= entry["Timestamp"] for entry in job["FinalMetricDataList"])


def test_metrics_appear_in_cloudwatch(shared: Sandbox) -> None:
    definitions = [{"Name": "validation:loss", "Regex": "loss=([0-9.]+)"}]
    create(
        shared,
        "life-cloudwatch",
        "print('loss=3'); print('loss=5')",
        AlgorithmSpecification={"MetricDefinitions": definitions},
    )
    job = wait_for_end(shared, "life-cloudwatch")
    cloudwatch = client(shared, "cloudwatch")
    dimensions = [{"Name": "TrainingJobName", "Value": "life-cloudwatch"}]
    namespace = "/aws/sagemaker/TrainingJobs"
    listed = cloudwatch.list_metrics(Namespace=namespace, Dimensions=dimensions)["Metrics"]
    assert [metric["MetricName"] for metric in listed] == ["validation:loss"]
    statistics = cloudwatch.get_metric_statistics(
        Namespace=namespace,
        MetricName="validation:loss",
        Dimensions=dimensions,
        StartTime=job["CreationTime"].replace(second=0, microsecond=0),
        EndTime=job["TrainingEndTime"].replace(year=job["TrainingEndTime"].year + 1),
        Period=31_536_000,
        Statistics=["Maximum", "SampleCount"],
    )["Datapoints"]
    assert max(point["Maximum"] for point in statistics) == 5.0
    assert sum(point["SampleCount"] for point in statistics) == 2


def test_the_interpreter_is_chosen_by_image() -> None:
    with Sandbox(interpreters={"other": "/no/such/python"}) as sandbox:
        create(sandbox, "other", "print('hello')", AlgorithmSpecification={"TrainingImage": "other:latest"})
        create(sandbox, "usual", "print('hello')")
        other = wait_for_end(sandbox, "other")
        assert other["TrainingJobStatus"] == "Failed"
        assert other["FailureReason"].startswith("ClientError: ")
        assert "/no/such/python" in other["FailureReason"]
        assert wait_for_end(sandbox, "usual")["TrainingJobStatus"] == "Completed"


def test_jobs_end_with_their_sandbox() -> None:
    marker = str(uuid.uuid4())
    with Sandbox() as sandbox:
        create(sandbox, "left-behind", SLEEP, Environment={"MARKER": marker})
        wait_for_line(sandbox, "left-behind", "up")
        assert processes_with(marker)
    assert not processes_with(marker)
