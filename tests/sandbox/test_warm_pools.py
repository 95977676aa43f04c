"""Warm pools as the service documents them: who keeps instances, who may take them over, what they cost."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest
from botocore.exceptions import ClientError

from cloudtune.clock import VirtualClock
from cloudtune.sandbox import Delays, Sandbox
from cloudtune.sandbox.faults.plan import FaultPlan, RunRule
from cloudtune.sandbox.script import Exit, Line, Run, Step

TYPE = "ml.g5.xlarge"
POOLS = f"{TYPE} for training warm pool usage"
DELAYS = Delays(starting=150, starting_warm=15, downloading=20, uploading=10, stopping=20)
DAY = 24 * 3600


def script(run: Run) -> Iterator[Step]:
    """Runs for ``seconds``, and fails if it is told to."""
    yield Line("up")
    yield Exit(1 if "fail" in run.hyperparameters else 0, after=float(run.hyperparameters["seconds"]))


class World(NamedTuple):
    sandbox: Sandbox
    sagemaker: Any
    clock: VirtualClock

    def create(self, name: str, seconds: float = 100, keep: int | None = 600, **changes: Any) -> None:
        resources: dict[str, Any] = {"InstanceType": TYPE, "InstanceCount": 1, "VolumeSizeInGB": 30}
        if keep is not None:
            resources["KeepAlivePeriodInSeconds"] = keep
        request: dict[str, Any] = {
            "TrainingJobName": name,
            "RoleArn": self.sandbox.role_arn,
            "AlgorithmSpecification": {"TrainingImage": "image:1", "TrainingInputMode": "File"},
            "HyperParameters": {"seconds": str(seconds)},
            "OutputDataConfig": {"S3OutputPath": f"s3://{self.sandbox.bucket}/out"},
            "ResourceConfig": resources,
            "StoppingCondition": {"MaxRuntimeInSeconds": 28 * DAY},
        }
        for member, value in changes.items():
            both = isinstance(value, Mapping) and isinstance(request.get(member), dict)
            request[member] = {**request[member], **value} if both else value
        self.sagemaker.create_training_job(**request)

    def pool(self, name: str) -> dict[str, Any] | None:
        found = self.sagemaker.describe_training_job(TrainingJobName=name).get("WarmPoolStatus")
        return None if found is None else dict(found)

    def status(self, name: str) -> str | None:
        pool = self.pool(name)
        return None if pool is None else str(pool["Status"])

    def started_after(self, name: str) -> float:
        """Seconds from its creation to its instances."""
        steps = self.sagemaker.describe_training_job(TrainingJobName=name)["SecondaryStatusTransitions"]
        return float((steps[0]["EndTime"] - steps[0]["StartTime"]).total_seconds())

    def keep_alive(self, name: str, seconds: int) -> None:
        self.sagemaker.update_training_job(TrainingJobName=name, ResourceConfig={"KeepAlivePeriodInSeconds": seconds})


COLD_END = 150 + 20 + 100 + 10
"""Seconds from the creation of a job of 100 seconds to its end, without a pool."""


@contextmanager
def world(pools: int = 4, jobs: int = 100, faults: FaultPlan | None = None) -> Iterator[World]:
    clock = VirtualClock()
    limits = {POOLS: pools, TYPE: jobs}
    with Sandbox(jobs=script, clock=clock, delays=DELAYS, quotas=limits, faults=faults) as sandbox:
        yield World(sandbox, sandbox.client("sagemaker"), clock)


@pytest.fixture
def account() -> Iterator[World]:
    with world() as made:
        yield made


# -- whose instances stay ----------------------------------------------------------------------------------------------


def test_instances_are_in_use_then_available_then_gone_and_their_idle_time_is_told(account: World) -> None:
    account.create("job")
    assert account.pool("job") == {"Status": "InUse"}
    account.clock.sleep(COLD_END + 60)
    assert account.pool("job") == {"Status": "Available", "ResourceRetainedBillableTimeInSeconds": 60}
    account.clock.sleep(600)
    assert account.pool("job") == {"Status": "Terminated", "ResourceRetainedBillableTimeInSeconds": 600}


def test_a_job_that_asks_for_no_pool_has_none(account: World) -> None:
    account.create("plain", keep=None)
    account.create("zero", keep=0)
    account.clock.sleep(COLD_END)
    assert account.pool("plain") is None
    assert account.pool("zero") is None


@pytest.mark.parametrize(
    ("after", "kept"), [(100, False), (160, True), (200, True)], ids=["starting", "downloading", "training"]
)
def test_a_stopped_job_leaves_its_instances_if_it_had_got_them(account: World, after: float, kept: bool) -> None:
    account.create("stopped", seconds=1000)
    account.clock.sleep(after)
    account.sagemaker.stop_training_job(TrainingJobName="stopped")
    assert account.status("stopped") == "InUse"
    account.clock.sleep(60)
    assert account.status("stopped") == ("Available" if kept else "Terminated")


def test_a_job_that_fails_by_its_own_fault_leaves_its_instances(account: World) -> None:
    account.create("failed", HyperParameters={"fail": "yes"})
    account.clock.sleep(COLD_END)
    assert account.status("failed") == "Available"


@pytest.mark.parametrize("kind", ["service-lost", "capacity-lost"])
def test_a_job_that_fails_by_the_services_fault_leaves_nothing(kind: str) -> None:
    with world(faults=FaultPlan(runs=(RunRule(kind, at=(30.0,)),))) as account:
        account.create("lost")
        account.clock.sleep(COLD_END)
        assert account.sagemaker.describe_training_job(TrainingJobName="lost")["TrainingJobStatus"] == "Failed"
        assert account.status("lost") == "Terminated"


def test_a_job_that_exceeds_its_runtime_leaves_its_instances(account: World) -> None:
    account.create("long", seconds=1000, StoppingCondition={"MaxRuntimeInSeconds": 100})
    account.clock.sleep(400)
    assert account.status("long") == "Available"


# -- who takes them over -----------------------------------------------------------------------------------------------


def test_a_matching_job_takes_them_over_and_starts_warm(account: World) -> None:
    account.create("first")
    account.clock.sleep(COLD_END + 30)
    account.create("second", keep=60)
    assert account.pool("first") == {
        "Status": "Reused",
        "ReusedByJob": "second",
        "ResourceRetainedBillableTimeInSeconds": 30,
    }
    assert account.status("second") == "InUse"
    account.clock.sleep(15 + 20 + 100 + 10)
    assert (account.started_after("first"), account.started_after("second")) == (150, 15)
    # from now on it is the second's period that counts
    account.clock.sleep(61)
    assert account.pool("second") == {"Status": "Terminated", "ResourceRetainedBillableTimeInSeconds": 60}
    assert account.pool("first")["ResourceRetainedBillableTimeInSeconds"] == 30  # type: ignore[index]


def test_of_several_the_one_that_has_waited_longest_is_taken(account: World) -> None:
    account.create("slow", seconds=150)
    account.create("fast", seconds=100)
    account.clock.sleep(COLD_END + 60)
    account.create("next")
    assert (account.status("fast"), account.status("slow")) == ("Reused", "Available")


OTHERS: dict[str, dict[str, Any]] = {
    "type": {"ResourceConfig": {"InstanceType": "ml.g5.2xlarge"}},
    "count": {"ResourceConfig": {"InstanceCount": 2}},
    "volume": {"ResourceConfig": {"VolumeSizeInGB": 31}},
    "key": {"ResourceConfig": {"VolumeKmsKeyId": "key"}},
    "image": {"AlgorithmSpecification": {"TrainingImage": "image:2"}},
    "network": {"VpcConfig": {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]}},
    "isolation": {"EnableNetworkIsolation": True},
    "encryption": {"EnableInterContainerTrafficEncryption": True},
    "session": {"SessionChainingConfig": {"EnableSessionTagChaining": True}},
    "no pool": {"ResourceConfig": {"KeepAlivePeriodInSeconds": 0}},
}


@pytest.mark.parametrize("change", OTHERS.values(), ids=OTHERS)
def test_a_job_that_differs_in_any_of_this_does_not(account: World, change: dict[str, Any]) -> None:
    account.create("first")
    account.clock.sleep(COLD_END)
    account.create("other", **change)
    assert account.status("first") == "Available"


def test_another_role_does_not(account: World) -> None:
    iam = account.sandbox.client("iam")
    trust = iam.get_role(RoleName=account.sandbox.role_arn.rpartition("/")[2])["Role"]["AssumeRolePolicyDocument"]
    role = iam.create_role(RoleName="other-role", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    account.create("first")
    account.clock.sleep(COLD_END)
    account.create("other", RoleArn=role)
    assert account.status("first") == "Available"


def test_what_else_differs_does_not_matter(account: World) -> None:
    network = {"SecurityGroupIds": ["sg-1", "sg-2"], "Subnets": ["subnet-1", "subnet-2"]}
    turned = {name: ids[::-1] for name, ids in network.items()}
    account.create("first", VpcConfig=network)
    account.clock.sleep(COLD_END)
    account.create(
        "second",
        keep=5,
        VpcConfig=turned,
        EnableNetworkIsolation=False,
        Environment={"A": "b"},
        Tags=[{"Key": "a", "Value": "b"}],
    )
    assert account.status("first") == "Reused"


def test_the_same_instances_pass_from_job_to_job_for_at_most_28_days() -> None:
    with world() as account:
        account.create("old", seconds=27 * DAY)
        account.clock.sleep(27 * DAY + 200)
        account.create("older", seconds=DAY - 1000)
        assert account.status("old") == "Reused"
        account.clock.sleep(DAY - 500)
        assert account.status("older") == "Available"  # for 600 s, were it not for the 28 days
        account.clock.sleep(400)
        assert account.status("older") == "Terminated"
        account.create("new")
        account.clock.sleep(200)
        assert account.started_after("new") == 150


# -- letting go --------------------------------------------------------------------------------------------------------


def test_an_update_to_zero_ends_a_waiting_pool_at_once(account: World) -> None:
    account.create("job")
    account.clock.sleep(COLD_END + 40)
    account.keep_alive("job", 0)
    assert account.pool("job") == {"Status": "Terminated", "ResourceRetainedBillableTimeInSeconds": 40}
    assert account.sagemaker.list_training_jobs(WarmPoolStatusEquals="Available")["TrainingJobSummaries"] == []
    with pytest.raises(ClientError, match="status Completed"):
        account.keep_alive("job", 0)


def test_an_update_to_zero_of_a_running_job_keeps_nothing_at_its_end(account: World) -> None:
    account.create("job")
    account.clock.sleep(200)
    account.keep_alive("job", 0)
    assert account.status("job") == "InUse"
    account.clock.sleep(COLD_END)
    assert account.pool("job") == {"Status": "Terminated"}


def test_a_longer_period_counts_from_the_end_of_the_job(account: World) -> None:
    account.create("job", keep=100)
    account.clock.sleep(COLD_END + 50)
    account.keep_alive("job", 300)
    account.clock.sleep(200)
    assert account.status("job") == "Available"
    account.clock.sleep(60)
    assert account.status("job") == "Terminated"


def test_a_pool_can_not_be_given_to_a_job_that_asked_for_none(account: World) -> None:
    account.create("plain", keep=None)
    with pytest.raises(ClientError, match="has no warm pool"):
        account.keep_alive("plain", 60)


# -- quotas ------------------------------------------------------------------------------------------------------------


def test_without_a_quota_nothing_is_kept_and_nothing_is_said() -> None:
    with world(pools=0) as account:
        account.create("job")
        assert account.status("job") == "InUse"
        account.clock.sleep(COLD_END)
        assert account.pool("job") == {"Status": "Terminated"}


def test_pools_in_use_count_in_their_quota_too() -> None:
    with world(pools=1) as account:
        account.create("first", seconds=500)
        account.create("second", seconds=100)
        account.clock.sleep(COLD_END)
        assert (account.status("first"), account.status("second")) == ("InUse", "Terminated")
        account.clock.sleep(400)
        assert account.status("first") == "Available"
        account.create("third")  # takes the place of the first in the quota as well
        account.clock.sleep(COLD_END)
        assert account.status("third") == "Available"


def test_a_pool_without_a_place_is_kept_if_there_is_one_by_its_end() -> None:
    with world(pools=1) as account:
        account.create("first", seconds=100, keep=10)
        account.create("second", seconds=500)
        account.clock.sleep(COLD_END + 400)
        assert (account.status("first"), account.status("second")) == ("Terminated", "Available")


def test_waiting_instances_count_in_the_quota_of_training_jobs() -> None:
    with world(jobs=1) as account:
        account.create("first")
        account.clock.sleep(COLD_END)
        with pytest.raises(ClientError, match=r"ResourceLimitExceeded.*current utilization of 1 Instances"):
            account.create("other", AlgorithmSpecification={"TrainingImage": "image:2"})
        assert account.status("first") == "Available"
        account.create("matching")
        assert account.status("first") == "Reused"


def test_spot_instances_are_never_kept(account: World) -> None:
    with pytest.raises(ClientError, match="not supported with EnableManagedSpotTraining"):
        account.create(
            "spot",
            EnableManagedSpotTraining=True,
            StoppingCondition={"MaxRuntimeInSeconds": 100, "MaxWaitTimeInSeconds": 200},
        )


# -- every view says the same ------------------------------------------------------------------------------------------


def test_descriptions_listings_and_searches_agree(account: World) -> None:
    def views() -> list[dict[str, dict[str, Any] | None]]:
        described = {name: account.pool(name) for name in ("a", "b", "c")}
        listed = account.sagemaker.list_training_jobs()["TrainingJobSummaries"]
        found = account.sagemaker.search(Resource="TrainingJob")["Results"]
        return [
            described,
            {each["TrainingJobName"]: each.get("WarmPoolStatus") for each in listed},
            {each["TrainingJob"]["TrainingJobName"]: each["TrainingJob"].get("WarmPoolStatus") for each in found},
        ]

    account.create("a")
    account.clock.sleep(COLD_END + 7)
    account.create("b", seconds=50)
    account.create("c", keep=None)
    for seconds in (0, 100, 200, 700):
        account.clock.sleep(seconds)
        described, listed, searched = views()
        assert described == listed == searched


@pytest.mark.parametrize("status", ["Available", "InUse", "Reused", "Terminated"])
def test_jobs_are_found_by_the_state_of_their_pools(account: World, status: str) -> None:
    account.create("Terminated", keep=1)
    account.create("Reused")
    account.clock.sleep(COLD_END + 1)
    account.create("Available")
    account.clock.sleep(COLD_END)
    account.create("InUse", AlgorithmSpecification={"TrainingImage": "image:2"})
    listed = account.sagemaker.list_training_jobs(WarmPoolStatusEquals=status)["TrainingJobSummaries"]
    assert [each["TrainingJobName"] for each in listed] == [status]
