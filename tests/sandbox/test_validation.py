"""What CreateTrainingJob refuses, and in which words."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from botocore.exceptions import ClientError

from cloudtune.sandbox import Sandbox
from cloudtune.sandbox.aws_error import AwsError
from cloudtune.sandbox.model import input_shape
from cloudtune.sandbox.validation import validate
from tests.sandbox.support import client, create, job_request, wait_for_end

BASE: dict[str, Any] = {
    "TrainingJobName": "a",
    "RoleArn": "arn:aws:iam::123456789012:role/x",
    "OutputDataConfig": {"S3OutputPath": "s3://b/o"},
}


def refusal(changes: dict[str, Any]) -> str:
    """What the model's rules say to the smallest request with ``changes``."""
    with pytest.raises(AwsError) as caught:
        validate({**copy.deepcopy(BASE), **changes}, input_shape("sagemaker", "CreateTrainingJob"))
    return f"{caught.value.code}: {caught.value.message}"


def one(value: str, path: str, rule: str) -> str:
    return (
        f"ValidationException: 1 validation error detected: Value {value} at '{path}' "
        f"failed to satisfy constraint: {rule}"
    )


def test_the_smallest_request_passes() -> None:
    validate(BASE, input_shape("sagemaker", "CreateTrainingJob"))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param(
            {"TrainingJobName": "a_b"},
            one(
                "'a_b'",
                "trainingJobName",
                "Member must satisfy regular expression pattern: [a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}",
            ),
            id="pattern",
        ),
        pytest.param(
            {"RoleArn": None},
            one("null", "roleArn", "Member must not be null"),
            id="required",
        ),
        pytest.param(
            {"OutputDataConfig": {}},
            one("null", "outputDataConfig.s3OutputPath", "Member must not be null"),
            id="required in a structure",
        ),
        pytest.param(
            {"ResourceConfig": {"KeepAlivePeriodInSeconds": 30000}},
            one(
                "'30000'",
                "resourceConfig.keepAlivePeriodInSeconds",
                "Member must have value less than or equal to 21600",
            ),
            id="range",
        ),
        pytest.param(
            {"StoppingCondition": {"MaxPendingTimeInSeconds": 10}},
            one(
                "'10'",
                "stoppingCondition.maxPendingTimeInSeconds",
                "Member must have value greater than or equal to 1800",
            ),
            id="lower end",
        ),
        pytest.param(
            {"AlgorithmSpecification": {"TrainingInputMode": "Fast"}},
            one(
                "'Fast'",
                "algorithmSpecification.trainingInputMode",
                "Member must satisfy enum value set: [Pipe, File, FastFile]",
            ),
            id="enum",
        ),
        pytest.param(
            {"AlgorithmSpecification": {"TrainingInputMode": "File", "TrainingImage": "x" * 256}},
            one(
                f"'{'x' * 256}'",
                "algorithmSpecification.trainingImage",
                "Member must have length less than or equal to 255",
            ),
            id="length",
        ),
        pytest.param(
            {"InputDataConfig": []},
            one("'[]'", "inputDataConfig", "Member must have length greater than or equal to 1"),
            id="too few members",
        ),
        pytest.param(
            {"InputDataConfig": [{"ChannelName": "a b", "DataSource": {}}]},
            one(
                "'a b'",
                "inputDataConfig.1.member.channelName",
                r"Member must satisfy regular expression pattern: [A-Za-z0-9\.\-_]+",
            ),
            id="inside a list",
        ),
        pytest.param(
            {"HyperParameters": {"k": "v" * 2501}},
            one(
                "'{k=" + "v" * 2501 + "}'",
                "hyperParameters",
                "Map value must satisfy constraint: [Member must have length less than or equal to 2500, Member must "
                "have length greater than or equal to 0, Member must satisfy regular expression pattern: .*]",
            ),
            id="inside a map",
        ),
        pytest.param(
            {"HyperParameters": {"lr": 0.1}},
            "SerializationException: NUMBER_VALUE can not be converted to a String",
            id="type",
        ),
        pytest.param(
            {"EnableManagedSpotTraining": "yes"},
            "SerializationException: STRING_VALUE can not be converted to a Boolean",
            id="type boolean",
        ),
    ],
)
def test_a_broken_constraint_is_named_as_the_service_names_it(changes: dict[str, Any], expected: str) -> None:
    assert refusal(changes) == expected


def test_a_time_is_a_number() -> None:
    shape = input_shape("sagemaker", "ListTrainingJobs")
    validate({"CreationTimeAfter": 1.5}, shape)
    with pytest.raises(AwsError, match="SerializationException: STRING_VALUE can not be converted to a Timestamp"):
        validate({"CreationTimeAfter": "yesterday"}, shape)


def test_everything_wrong_is_told_at_once() -> None:
    message = refusal({"TrainingJobName": "x" * 64, "RoleArn": "short"})
    assert "4 validation errors detected: " in message
    assert "trainingJobName' failed to satisfy constraint: Member must have length less than or equal to 63" in message
    assert "Value 'short' at 'roleArn' failed to satisfy constraint: Member must have length" in message


def test_more_than_a_hundred_hyperparameters_are_too_many() -> None:
    message = refusal({"HyperParameters": {str(number): "" for number in range(101)}})
    assert (
        "at 'hyperParameters' failed to satisfy constraint: Member must have length less than or equal to 100"
        in message
    )


@pytest.mark.parametrize("key", ["Zähler", "naïve:key", "a b", "n°1".replace("°", "²"), "x_y/z=+-@"])
def test_tag_keys_may_use_letters_digits_and_spaces_of_any_script(key: str) -> None:
    validate({**BASE, "Tags": [{"Key": key, "Value": ""}]}, input_shape("sagemaker", "CreateTrainingJob"))


@pytest.mark.parametrize("key", ["a#b", "a!b", "a,b"])
def test_other_signs_in_tag_keys_are_refused(key: str) -> None:
    assert "at 'tags.1.member.key'" in refusal({"Tags": [{"Key": key, "Value": ""}]})


SPOT = {"EnableManagedSpotTraining": True}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param(
            {**SPOT, "StoppingCondition": {"MaxRuntimeInSeconds": 10, "MaxWaitTimeInSeconds": 9}},
            "Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to MaxRuntimeInSeconds",
            id="wait shorter than run",
        ),
        pytest.param(SPOT, "Invalid MaxWaitTimeInSeconds", id="spot without wait"),
        pytest.param(
            {"StoppingCondition": {"MaxWaitTimeInSeconds": 700}},
            "only supported with EnableManagedSpot",
            id="wait only",
        ),
        pytest.param(
            {
                **SPOT,
                "StoppingCondition": {"MaxWaitTimeInSeconds": 700},
                "ResourceConfig": {"KeepAlivePeriodInSeconds": 60},
            },
            "KeepAlivePeriodInSeconds is not supported with EnableManagedSpotTraining",
            id="keep-alive with spot",
        ),
        pytest.param(
            {"StoppingCondition": {"MaxRuntimeInSeconds": 2419201}}, "must not exceed 2419200", id="longer than 28 days"
        ),
        pytest.param(
            {"StoppingCondition": {"MaxPendingTimeInSeconds": 1800}},
            "only supported for accelerated computing instance types, not ml.m5.large",
            id="pending on a plain instance",
        ),
        pytest.param(
            {"ResourceConfig": {"InstancePreferences": [{"InstanceType": "ml.m5.large"}]}},
            "InstancePreferences can not be used with InstanceType",
            id="preferences and type",
        ),
        pytest.param(
            {"AlgorithmSpecification": {"AlgorithmName": "mine"}}, "exactly one of TrainingImage", id="image and name"
        ),
        pytest.param(
            {"AlgorithmSpecification": {"MetricDefinitions": [{"Name": "m", "Regex": "("}]}},
            r"The regex '\(' of metric definition 'm' is invalid",
            id="broken regex",
        ),
        pytest.param({"ResourceConfig": {"InstanceCount": 0}}, "InstanceCount must be at least 1", id="no instances"),
        pytest.param(
            {"Tags": [{"Key": "aws:x", "Value": ""}]}, "keys that start with 'aws:' are reserved", id="AWS's own tag"
        ),
        pytest.param({"Tags": [{"Key": "x", "Value": str(n)} for n in (1, 2)]}, "must be unique", id="tag twice"),
        pytest.param(
            {"OutputDataConfig": {"S3OutputPath": "s3://no-such-bucket/x"}},
            "bucket 'no-such-bucket' named by OutputDataConfig.S3OutputPath .* does not exist",
            id="output bucket",
        ),
        pytest.param(
            {"CheckpointConfig": {"S3Uri": "s3://no-such-bucket/x"}},
            "named by CheckpointConfig.S3Uri",
            id="checkpoints",
        ),
        pytest.param(
            {"RoleArn": "arn:aws:iam::123456789012:role/nobody"},
            "Could not assume role arn:aws:iam::123456789012:role/nobody",
            id="role",
        ),
    ],
)
def test_the_services_own_rules(shared: Sandbox, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ClientError, match=message) as caught:
        create(shared, "broken-rule", **changes)
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def channel(name: str, bucket: str) -> dict[str, Any]:
    source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{bucket}/data"}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}}


def test_channels_have_different_names_and_buckets_that_exist(shared: Sandbox) -> None:
    twice = [channel("train", shared.bucket), channel("train", shared.bucket)]
    with pytest.raises(ClientError, match="Duplicate channel name 'train'"):
        create(shared, "broken-channel", InputDataConfig=twice)
    with pytest.raises(ClientError, match="bucket 'nowhere-at-all' named by channel 'train'"):
        create(shared, "broken-channel", InputDataConfig=[channel("train", "nowhere-at-all")])


def test_a_refused_request_leaves_nothing_behind(shared: Sandbox) -> None:
    with pytest.raises(ClientError):
        create(shared, "left-nothing", RoleArn="arn:aws:iam::123456789012:role/nobody")
    create(shared, "left-nothing")
    assert wait_for_end(shared, "left-nothing")["TrainingJobStatus"] == "Completed"


def test_a_taken_name_is_in_use(shared: Sandbox) -> None:
    arn = create(shared, "taken")
    with pytest.raises(ClientError, match="already exists") as caught:
        create(shared, "taken")
    assert caught.value.response["Error"]["Code"] == "ResourceInUse"
    assert arn in str(caught.value)


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        ("describe_training_job", "ValidationException"),
        ("stop_training_job", "ValidationException"),
        ("update_training_job", "ResourceNotFound"),
        ("delete_training_job", "ResourceNotFound"),
    ],
)
def test_an_unknown_name(shared: Sandbox, operation: str, code: str) -> None:
    with pytest.raises(ClientError, match="Requested resource not found") as caught:
        getattr(client(shared, "sagemaker"), operation)(TrainingJobName="unheard-of")
    assert caught.value.response["Error"]["Code"] == code


def test_whatever_a_request_says_comes_back_unchanged(shared: Sandbox) -> None:
    said: dict[str, Any] = {
        "HyperParameters": {"lr": "0.1", "name": "a b"},
        "Environment": {"CODE": "pass", "OTHER": "line\nline"},
        "RetryStrategy": {"MaximumRetryAttempts": 3},
        "VpcConfig": {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]},
        "CheckpointConfig": {"S3Uri": f"s3://{shared.bucket}/checkpoints", "LocalPath": "/opt/ml/checkpoints"},
        "ExperimentConfig": {"ExperimentName": "e"},
        "EnableNetworkIsolation": False,
        "ResourceConfig": {
            "InstanceType": "ml.m5.large",
            "InstanceCount": 1,
            "VolumeSizeInGB": 7,
            "KeepAlivePeriodInSeconds": 60,
        },
    }
    create(shared, "echo", **said)
    job = wait_for_end(shared, "echo")
    assert {name: job[name] for name in said} == said
    request = job_request(shared, "echo")
    assert job["AlgorithmSpecification"] == request["AlgorithmSpecification"]
    assert job["StoppingCondition"] == request["StoppingCondition"]
