"""Jobs that are refused, find no instances, or lose the ones they have."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError

from cloudtune.sandbox import Delays, FaultPlan, Sandbox
from cloudtune.sandbox.faults.plan import LaunchRule, RunRule, When
from cloudtune.sandbox.script import Line, Run, Save, Script, Step
from tests.sandbox.here import Here, here_with
from tests.sandbox.support import (
    GROUP,
    client,
    create,
    describe,
    lines_of,
    path_of,
    wait_for,
    wait_for_end,
)

SPOT: dict[str, Any] = {
    "EnableManagedSpotTraining": True,
    "StoppingCondition": {"MaxRuntimeInSeconds": 7200, "MaxWaitTimeInSeconds": 14_400},
}
NO_CAPACITY = (
    "CapacityError: Unable to provision requested ML compute capacity. Please retry using a different ML instance type."
)


def counting(run: Run) -> Iterator[Step]:
    """A number a minute, up to 60; goes on from its checkpoint."""
    for number in range(int(run.checkpoint.get("number", b"0")) + 1, 61):
        yield Line(f"{number}", after=60.0)
        yield Save({"number": str(number).encode()})


@contextmanager
def world(plan: FaultPlan, script: Script = counting, delays: Delays | None = None, **options: Any) -> Iterator[Here]:
    delays = delays or Delays(starting=60.0, checkpoint_sync=1.0)
    with here_with(jobs=script, delays=delays, faults=plan, **options) as here:
        yield here


def create_keeping(here: Here, name: str = "job", **changes: Any) -> None:
    """A job with checkpoints of its own."""
    here.create(name, **{**here.keeping(name), **changes})


def lines_and_streams(here: Here) -> list[tuple[str, str]]:
    return [(event["logStreamName"], event["message"]) for event in here.events()]


def refusals(here: Here, names: list[str], **changes: Any) -> list[str]:
    found = []
    for name in names:
        try:
            create_keeping(here, name, **changes)
            found.append("")
        except ClientError as error:
            found.append(error.response["Error"]["Code"])
    return found


# -- at creation -------------------------------------------------------------------------------------------------------


def test_somebody_else_in_the_account_uses_the_quota_up() -> None:
    plan = FaultPlan(launches=(LaunchRule("limit-exceeded", "ml.m5.*", When(windows=((60.0, 120.0),))),))
    with world(plan, quotas={"ml.m5.large": 4}) as here:
        create_keeping(here, "before")
        here.clock.sleep(60.0)
        with pytest.raises(ClientError) as caught:
            create_keeping(here, "within")
        create_keeping(here, "other-type", ResourceConfig={"InstanceType": "ml.c5.xlarge"})
        here.clock.sleep(60.0)
        create_keeping(here, "after")
        assert here.sandbox.faults_injected() == {"limit-exceeded": 1}
    assert caught.value.response["Error"]["Code"] == "ResourceLimitExceeded"
    assert (
        "'ml.m5.large for training job usage' is 4 Instances, with current utilization of 4 Instances and a request "
        "delta of 1 Instances" in caught.value.response["Error"]["Message"]
    )


def test_a_refused_job_was_not_created_and_its_name_stays_free() -> None:
    with world(FaultPlan(launches=(LaunchRule("capacity-refused", when=When(counts=(2,))),))) as here:
        assert refusals(here, ["a", "b", "c", "b"]) == ["", "CapacityError", "", ""]
        # who asks again for what is there is told so, whatever else is wrong
        here.sandbox.fail_next("sagemaker.CreateTrainingJob", "limit-exceeded")
        assert refusals(here, ["a", "d"]) == ["ResourceInUse", "ResourceLimitExceeded"]
        assert here.sandbox.faults_injected() == {"capacity-refused": 1, "limit-exceeded": 1}


def test_a_job_without_instances_fails_after_a_while() -> None:
    plan = FaultPlan(launches=(LaunchRule("no-capacity", when=When(windows=((0.0, 100.0),)), wait=90.0),))
    with world(plan) as here:
        create_keeping(here, "early")
        early = here.at(89.0, "early")
        assert early["SecondaryStatus"] == "Starting"
        failed = here.at(91.0, "early")
        assert (failed["TrainingJobStatus"], failed["FailureReason"]) == ("Failed", NO_CAPACITY)
        assert "BillableTimeInSeconds" not in failed
        here.clock.sleep(20.0)
        create_keeping(here, "late")
        assert here.at(200.0, "late")["SecondaryStatus"] == "Training"
        assert here.sandbox.faults_injected() == {"no-capacity": 1}


def test_a_spot_job_waits_for_instances_until_there_are_some() -> None:
    plan = FaultPlan(launches=(LaunchRule("no-capacity", when=When(windows=((0.0, 1000.0),))),))
    with world(plan) as here:
        create_keeping(here, **SPOT)
        assert here.history(2000.0) == [("Starting", 0.0), ("Downloading", 1060.0), ("Training", 1060.0)]


def test_a_spot_job_waits_no_longer_than_it_may() -> None:
    plan = FaultPlan(launches=(LaunchRule("no-capacity", when=When(windows=((0.0, 1e6),))),))
    with world(plan) as here:
        create_keeping(here, **SPOT)
        assert here.history(20_000.0) == [("Starting", 0.0), ("MaxWaitTimeExceeded", 14_400.0)]


# -- while running -----------------------------------------------------------------------------------------------------


def test_an_interrupted_job_goes_on_from_its_checkpoint_and_pays_for_what_ran() -> None:
    plan = FaultPlan(runs=(RunRule("interrupted", at=(90.0, 150.0), pause=200.0),))
    with world(plan) as here:
        create_keeping(here, **SPOT)
        history = here.history(10_000.0)
        job = here.at(10_000.0)
        lines = lines_and_streams(here)
        assert here.sandbox.faults_injected() == {"interrupted": 2}
    assert history[:10] == [
        ("Starting", 0.0),
        ("Downloading", 60.0),
        ("Training", 60.0),
        ("Interrupted", 150.0),
        ("Starting", 350.0),
        ("Downloading", 410.0),
        ("Training", 410.0),
        ("Interrupted", 560.0),
        ("Starting", 760.0),
        ("Downloading", 820.0),
    ]
    assert job["TrainingJobStatus"] == "Completed"
    # what was done after the last checkpoint is done again, and nothing else
    assert [text for _, text in lines] == [str(number) for number in range(1, 61)]
    assert len({stream for stream, _ in lines}) == 3
    assert job["BillableTimeInSeconds"] == 90 + 150 + (60 - 1 - 2) * 60
    assert job["TrainingEndTime"].timestamp() - here.begin == 820 + (60 - 1 - 2) * 60


def test_only_spot_jobs_are_interrupted() -> None:
    with world(FaultPlan(runs=(RunRule("interrupted", at=(90.0,)),))) as here:
        create_keeping(here, StoppingCondition={"MaxRuntimeInSeconds": 7200})
        assert "Interrupted" not in [status for status, _ in here.history(10_000.0)]
        assert here.sandbox.faults_injected() == {}


def test_a_job_is_interrupted_on_demand_while_it_has_instances() -> None:
    with world(FaultPlan()) as here:
        create_keeping(here, "spot", **SPOT)
        create_keeping(here, "plain")
        with pytest.raises(ValueError, match="'spot' has no instances at the moment: it is Starting"):
            here.sandbox.interrupt("spot")
        here.at(100.0, "spot")
        here.sandbox.interrupt("spot")
        assert ("Interrupted", 100.0) in here.history(100.0, "spot")
        with pytest.raises(ValueError, match="no spot job 'plain'"):
            here.sandbox.interrupt("plain")
        assert here.sandbox.faults_injected() == {"interrupted": 1}


@pytest.mark.parametrize(("kind", "word"), [("capacity-lost", "CapacityError"), ("service-lost", "InternalServer")])
def test_a_running_job_is_lost(kind: str, word: str) -> None:
    with world(FaultPlan(runs=(RunRule(kind, "job-*", at=(100.0,)),))) as here:
        for name in ("job-1", "other"):
            create_keeping(here, name, StoppingCondition={"MaxRuntimeInSeconds": 7200})
        job = here.at(200.0, "job-1")
        assert job["TrainingJobStatus"] == "Failed"
        assert job["FailureReason"].startswith(word)
        assert here.at(200.0, "other")["SecondaryStatus"] == "Training"
        assert here.sandbox.faults_injected() == {kind: 1}


def fates(seed: int, names: list[str], looks: int) -> dict[str, Any]:
    """What became of jobs under a hazard, relative to their creation."""
    plan = FaultPlan(seed=seed, runs=(RunRule("interrupted", per_hour=3.0, pause=60.0),))
    with world(plan) as here:
        for name in names:
            create_keeping(here, name, **SPOT)
        for look in range(looks):
            here.at(look * 100.0, names[0])
        return {name: here.history(30_000.0, name) for name in names}


def test_a_hazard_does_the_same_to_the_same_jobs_in_any_order() -> None:
    names = [f"job-{number}" for number in range(12)]
    first = fates(0, names, looks=0)
    assert fates(0, names[::-1], looks=40) == first
    assert fates(1, names, looks=0) != first
    interruptions = sum(status == "Interrupted" for history in first.values() for status, _ in history)
    # twelve jobs of an hour each, at three per hour, and what they repeat
    assert 20 <= interruptions <= 60


# -- real processes ----------------------------------------------------------------------------------------------------

KEEPER = """
import os, signal, sys, time
path = '/opt/ml/checkpoints/n'
base = os.environ.get('SAGEMAKER_BASE_DIR')
path = base + '/checkpoints/n' if base and not os.path.isdir('/opt/ml/checkpoints') else path
n = int(open(path).read()) if os.path.exists(path) else 0
print('begins at', n, flush=True)
def leave(*_):
    print('terminated', flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
open(path, 'w').write('7')
time.sleep(0 if n else 600)
"""


def keeper(sandbox: Sandbox) -> dict[str, Any]:
    return {**SPOT, "CheckpointConfig": {"S3Uri": f"s3://{sandbox.bucket}/keeper"}}


def test_an_interrupted_process_is_told_and_starts_again_from_its_checkpoint() -> None:
    with Sandbox(delays=Delays(checkpoint_sync=0.1)) as sandbox:
        create(sandbox, "keeper", KEEPER, **keeper(sandbox))
        s3 = client(sandbox, "s3")
        wait_for(lambda: s3.list_objects_v2(Bucket=sandbox.bucket, Prefix="keeper/")["KeyCount"], "the checkpoint")
        sandbox.interrupt("keeper")
        job = wait_for_end(sandbox, "keeper")
        assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
        assert path_of(job) == [
            "Starting", "Downloading", "Training", "Interrupted", "Starting", "Downloading", "Training", "Uploading",
            "Completed",
        ]  # fmt: skip
        assert lines_of(sandbox, "keeper") == ["begins at 0", "terminated", "begins at 7"]
        streams = client(sandbox, "logs").describe_log_streams(logGroupName=GROUP)["logStreams"]
        assert len(streams) == 2
        assert sandbox.faults_injected() == {"interrupted": 1}


STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print('runs', flush=True)
time.sleep(600)
"""


def test_a_process_that_does_not_listen_is_killed_after_its_grace() -> None:
    plan = FaultPlan(runs=(RunRule("interrupted", at=(0.5,), grace=0.2),))
    with Sandbox(faults=plan) as sandbox:
        create(sandbox, "stubborn", STUBBORN, **SPOT)
        again = ["Starting", "Downloading", "Training", "Interrupted", "Starting", "Downloading", "Training"]
        wait_for(lambda: path_of(describe(sandbox, "stubborn")) == again, "another run")
        wait_for(lambda: "runs" in lines_of(sandbox, "stubborn"), "its line")
        assert sandbox.faults_injected() == {"interrupted": 1}


def test_a_process_is_lost_with_its_reason() -> None:
    with Sandbox(faults=FaultPlan(runs=(RunRule("capacity-lost", at=(0.3,)),))) as sandbox:
        create(sandbox, "lost", STUBBORN)
        job = wait_for_end(sandbox, "lost")
        assert job["FailureReason"].startswith("CapacityError: ")
        assert path_of(job) == ["Starting", "Downloading", "Training", "Failed"]


def test_processes_find_no_instances_either() -> None:
    with Sandbox() as sandbox:
        sandbox.fail_next("sagemaker.CreateTrainingJob", "no-capacity")
        create(sandbox, "unlucky", StoppingCondition={"MaxRuntimeInSeconds": 60})
        wait_for(lambda: sandbox.faults_injected() == {"no-capacity": 1}, "the shortage")
        assert path_of(describe(sandbox, "unlucky")) == ["Starting"]
        client(sandbox, "sagemaker").stop_training_job(TrainingJobName="unlucky")
        assert wait_for_end(sandbox, "unlucky")["TrainingJobStatus"] == "Stopped"
        create(sandbox, "lucky")
        assert wait_for_end(sandbox, "lucky")["TrainingJobStatus"] == "Completed"


def test_the_wait_for_spot_instances_counts_after_an_interruption_too() -> None:
    limits = {"MaxRuntimeInSeconds": 3, "MaxWaitTimeInSeconds": 3}
    with Sandbox(faults=FaultPlan(runs=(RunRule("interrupted", at=(0.0,), pause=600.0, grace=0.0),))) as sandbox:
        create(sandbox, "waits", STUBBORN, EnableManagedSpotTraining=True, StoppingCondition=limits)
        job = wait_for_end(sandbox, "waits")
        assert path_of(job) == ["Starting", "Downloading", "Training", "Interrupted", "MaxWaitTimeExceeded"]
        assert job["BillableTimeInSeconds"] < 3
