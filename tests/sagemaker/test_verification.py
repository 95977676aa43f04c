"""What was asked for, beside what runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from cloudtune.errors import NotAsAskedError
from cloudtune.sagemaker.verification import differences
from cloudtune.trial import Cause, Status
from tests.sagemaker.every_field import every_field
from tests.sagemaker.support import attempt, in_virtual_time, on
from tests.virtual import jobs_of, virtual

REQUEST: dict[str, Any] = {
    "TrainingJobName": "a-00000-0",
    "RoleArn": "arn:aws:iam::123456789012:role/Trials",
    "AlgorithmSpecification": {"TrainingImage": "repo/image:1", "TrainingInputMode": "File"},
    "EnableManagedSpotTraining": True,
    "EnableNetworkIsolation": True,
    "EnableInterContainerTrafficEncryption": True,
    "VpcConfig": {"SecurityGroupIds": ["sg-1", "sg-2"], "Subnets": ["subnet-1"]},
    "Environment": {"MODE": "x", "TOKEN": "secret"},
    "ResourceConfig": {
        "InstanceType": "ml.m5.large",
        "InstanceCount": 2,
        "VolumeSizeInGB": 30,
        "VolumeKmsKeyId": "key",
        "KeepAlivePeriodInSeconds": 600,
    },
    "StoppingCondition": {"MaxRuntimeInSeconds": 3600, "MaxWaitTimeInSeconds": 7200},
    "CheckpointConfig": {"S3Uri": "s3://bucket/checkpoints", "LocalPath": "/opt/ml/checkpoints"},
    "OutputDataConfig": {"S3OutputPath": "s3://bucket/out/", "KmsKeyId": "key"},
    "RetryStrategy": {"MaximumRetryAttempts": 3},
    "Tags": [{"Key": "team", "Value": "vision"}],
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """The description of a job as asked for, but for one field. Without a value, the field is missing."""
    outer, _, inner = path.partition(".")
    description = {name: dict(there) if isinstance(there, Mapping) else there for name, there in REQUEST.items()}
    place, name = (description[outer], inner) if inner else (description, outer)
    if value is None:
        del place[name]
    else:
        place[name] = value
    return description


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("EnableManagedSpotTraining", False, "asked True, got False"),
        ("EnableManagedSpotTraining", None, "asked True, got nothing"),
        ("EnableNetworkIsolation", False, "asked True, got False"),
        ("EnableInterContainerTrafficEncryption", False, "asked True, got False"),
        ("VpcConfig", None, "asked {'SecurityGroupIds': ['sg-1', 'sg-2'], 'Subnets': ['subnet-1']}, got nothing"),
        ("VpcConfig.Subnets", ["subnet-2"], "asked ['subnet-1'], got ['subnet-2']"),
        ("Environment.MODE", None, "asked a value, got nothing"),
        ("Environment.TOKEN", "none", "asked a value, got another"),
        ("ResourceConfig.InstanceType", "ml.m5.xlarge", "asked 'ml.m5.large', got 'ml.m5.xlarge'"),
        ("ResourceConfig.InstanceCount", 1, "asked 2, got 1"),
        ("ResourceConfig.VolumeSizeInGB", 10, "asked 30, got 10"),
        ("ResourceConfig.VolumeKmsKeyId", None, "asked 'key', got nothing"),
        ("ResourceConfig.KeepAlivePeriodInSeconds", None, "asked 600, got nothing"),
        ("ResourceConfig.KeepAlivePeriodInSeconds", 3600, "asked 600, got 3600"),
        ("StoppingCondition.MaxRuntimeInSeconds", 86400, "asked 3600, got 86400"),
        (
            "CheckpointConfig.S3Uri",
            "s3://bucket/x",
            "asked 's3://bucket/checkpoints', got 's3://bucket/x'",
        ),
        ("OutputDataConfig.KmsKeyId", None, "asked 'key', got nothing"),
        ("RetryStrategy", None, "asked {'MaximumRetryAttempts': 3}, got nothing"),
        ("RoleArn", "arn:other", "asked 'arn:aws:iam::123456789012:role/Trials', got 'arn:other'"),
        ("AlgorithmSpecification.TrainingImage", "other", "asked 'repo/image:1', got 'other'"),
    ],
)
def test_a_difference_names_field_asked_and_got(path: str, value: Any, said: str) -> None:
    assert differences(REQUEST, changed(path, value)) == [f"{path}: {said}"]


def test_what_the_service_adds_or_writes_otherwise_is_no_difference() -> None:
    description = changed("ResourceConfig.KeepAlivePeriodInSeconds", 0)  # shortened since, by us
    del description["Tags"]
    description["VpcConfig"]["SecurityGroupIds"] = ["sg-2", "sg-1"]
    description["CheckpointConfig"]["S3Uri"] += "/"
    description["Environment"]["ADDED"] = "by the service"
    description["StoppingCondition"]["MaxPendingTimeInSeconds"] = 7200
    description["AlgorithmSpecification"]["EnableSageMakerMetricsTimeSeries"] = True
    assert differences(REQUEST, {**description, "BillableTimeInSeconds": 3}) == []


def test_what_was_asked_to_be_off_may_be_missing() -> None:
    off = {"EnableManagedSpotTraining": False, "VpcConfig": {}, "ResourceConfig": {"KeepAlivePeriodInSeconds": 0}}
    assert differences(off, {}) == []


def test_of_preferred_instances_one_was_selected() -> None:
    preferences = [{"InstanceType": "ml.g5.xlarge"}, {"InstanceType": "ml.g4dn.xlarge"}]
    request = {"ResourceConfig": {"InstancePreferences": preferences, "VolumeSizeInGB": 30}}

    def got(selected: str) -> list[str]:
        return differences(request, {"ResourceConfig": {"SelectedInstanceType": selected, "VolumeSizeInGB": 30}})

    assert got("ml.g4dn.xlarge") == []
    assert got("ml.p3.2xlarge") == [
        "ResourceConfig.SelectedInstanceType: asked one of ml.g5.xlarge, ml.g4dn.xlarge, got ml.p3.2xlarge"
    ]


def test_any_request_described_as_it_was_has_no_difference() -> None:
    request = every_field()
    assert differences(request, request) == []


# -- in an experiment ------------------------------------------------------------------------------


class Changing:
    """Changes every request on its way, as an administrator's proxy might that dislikes a field."""

    def __init__(self, tuner: Any, **fields: Any) -> None:
        self.launches = 0
        client = tuner.trial_backend.aws.client("sagemaker")
        client.meta.events.register("provide-client-params.sagemaker.CreateTrainingJob", self._changed)
        self._fields = fields

    def _changed(self, params: dict[str, Any], **_: Any) -> dict[str, Any]:
        self.launches += 1
        return {name: value for name, value in {**params, **self._fields}.items() if value is not None}


def test_an_experiment_whose_jobs_are_not_what_was_asked_for_ends_at_once() -> None:
    changes = {"EnableManagedSpotTraining": True, "StoppingCondition": {"MaxWaitTimeInSeconds": 90_000}}
    with virtual(request=changes, n_workers=3) as (sandbox, tuner, clock):
        changing = Changing(tuner, EnableManagedSpotTraining=False, StoppingCondition={"MaxRuntimeInSeconds": 86_400})
        began = clock.now()
        with pytest.raises(NotAsAskedError, match="EnableManagedSpotTraining: asked True, got False") as caught:
            tuner.run()
        assert "StoppingCondition.MaxWaitTimeInSeconds: asked 90000, got nothing" in str(caught.value)
        assert changing.launches == 3, "none was launched again, and no other after them"
        assert clock.now() - began < 120
        assert all(job["TrainingJobStatus"] == "Stopped" for job in jobs_of(sandbox))
        causes = [trial.current.cause for trial in tuner.ledger.trials]
        assert Cause.MISMATCH in causes
        assert {trial.status for trial in tuner.ledger.trials} <= {Status.failed, Status.stopped}


POOLS: dict[str, Any] = {"quotas": {"ml.m5.large for training warm pool usage": 9}}


@pytest.mark.parametrize(
    ("asked", "changed", "says"),
    [
        (
            {"VpcConfig": {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]}},
            {"VpcConfig": None},
            "VpcConfig: asked .*, got nothing",
        ),
        ({"Environment": {"MODE": "x"}}, {"Environment": None}, r"Environment\.MODE: asked a value, got nothing"),
        (
            {"ResourceConfig": {"KeepAlivePeriodInSeconds": 600}},
            {"ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10}},
            r"ResourceConfig\.KeepAlivePeriodInSeconds: asked 600, got nothing",
        ),
        ({}, {"CheckpointConfig": None}, "CheckpointConfig: asked .*, got nothing"),
    ],
    ids=["vpc", "environment", "keep-alive", "checkpoint"],
)
def test_whatever_is_lost_on_its_way_ends_it(asked: dict[str, Any], changed: dict[str, Any], says: str) -> None:
    with virtual(request=asked, n_workers=2, sandbox_options=POOLS) as (sandbox, tuner, _):
        Changing(tuner, **changed)
        with pytest.raises(NotAsAskedError, match=says):
            tuner.run()
        assert all(job["TrainingJobStatus"] == "Stopped" for job in jobs_of(sandbox))


def test_jobs_as_asked_for_are_compared_in_few_calls_and_nobody_hears_of_it() -> None:
    with virtual(n_workers=7) as (sandbox, tuner, _):
        tuner.run()
        assert len(tuner.ledger.trials) >= 7
        assert sandbox.call_counts()["sagemaker.DescribeTrainingJob"] <= 2
        assert sandbox.call_counts()["sagemaker.Search"] <= 10
        assert all(trial.current.cause is Cause.NONE for trial in tuner.ledger.trials)


# -- launched by a process that has died -----------------------------------------------------------


def adopted_by_another(launched: dict[str, Any], wanted: dict[str, Any]) -> tuple[Counter[str], list[Any]]:
    """A tuner of ``launched`` dies right after two launches, one of ``wanted`` takes over: calls, jobs in the end."""
    with in_virtual_time(request=launched, **POOLS) as first:
        both = [attempt(number, x=0.5, epochs=3) for number in range(2)]
        for trial in both:
            first.backend.start(trial)
        second = on(first.sandbox, first.clock, request=wanted)
        first.sandbox.reset_call_counts()
        second.backend.adopt(both)
        second.seen.finish(*both)
        return first.sandbox.call_counts(), jobs_of(first.sandbox)


KEPT = {"ResourceConfig": {"KeepAlivePeriodInSeconds": 600}}


@pytest.mark.parametrize("wanted", [{"Environment": {"MODE": "x"}}, KEPT], ids=["environment", "keep-alive"])
def test_after_a_crash_jobs_as_asked_for_are_nothing_to_talk_about(
    wanted: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    calls, _ = adopted_by_another(wanted, wanted)
    # which may have been launched before pools were wanted, or without one
    adopted_by_another({name: value for name, value in wanted.items() if name == "Environment"}, wanted)
    assert "is not what" not in caplog.text
    assert calls["sagemaker.DescribeTrainingJob"] <= 2


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        (
            {"EnableManagedSpotTraining": True, "StoppingCondition": {"MaxWaitTimeInSeconds": 90_000}},
            "EnableManagedSpotTraining: asked True, got ",
        ),
        ({"VpcConfig": {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]}}, "VpcConfig: asked {'Sec"),
        ({"Environment": {"MODE": "x"}}, "Environment.MODE: asked a value, got nothing"),
        (
            {"CheckpointConfig": {"S3Uri": "s3://any/x", "LocalPath": "/opt/ml/own"}},
            "CheckpointConfig.LocalPath: asked '/opt/ml/own', got ",
        ),
    ],
    ids=["spot", "vpc", "environment", "checkpoint"],
)
def test_after_a_crash_what_a_job_lacks_is_an_error_in_the_log_once_and_ends_nothing(
    wanted: dict[str, Any], says: str, caplog: pytest.LogCaptureFixture
) -> None:
    # it may be on purpose: nobody knows what the one that launched them was told
    _, jobs = adopted_by_another({}, wanted)
    said = [record for record in caplog.records if "from before this session" in record.message]
    assert [record.levelname for record in said] == ["ERROR"]
    assert says in said[0].message
    assert {job["TrainingJobStatus"] for job in jobs} == {"Completed"}
