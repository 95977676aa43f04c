from __future__ import annotations

from typing import Any

import pytest

from cloudtune.aws.request_check import check_request, problems_of
from cloudtune.errors import InvalidRequestError


def request(**changes: Any) -> dict[str, Any]:
    return {
        "TrainingJobName": "job-1",
        "RoleArn": "arn:aws:iam::111122223333:role/SageMakerRole",
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/out"},
        "ResourceConfig": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 30},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        **changes,
    }


def fields(value: dict[str, Any]) -> list[str]:
    return [problem.field for problem in problems_of("sagemaker", "CreateTrainingJob", value)]


def test_a_good_request_has_no_problems() -> None:
    assert fields(request()) == []


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"TrainingJobName": "a_b"}, "TrainingJobName"),
        ({"TrainingJobName": "a" * 64}, "TrainingJobName"),
        ({"HyperParameters": {str(n): "1" for n in range(101)}}, "HyperParameters"),
        ({"HyperParameters": {"x": "1" * 2501}}, "HyperParameters['x']"),
        ({"HyperParameters": {"x": 1}}, "HyperParameters['x']"),
        ({"ResourceConfig": {"InstanceType": "ml.m5.xlrge", "VolumeSizeInGB": 1}}, "ResourceConfig.InstanceType"),
        ({"StoppingCondition": {"MaxRuntimeInSeconds": 0}}, "StoppingCondition.MaxRuntimeInSeconds"),
        ({"Tags": [{"Key": "k", "Value": "v"}] * 51}, "Tags"),
        ({"Environment": {"1": "x"}}, "Environment key '1'"),
        ({"InputDataConfig": [{"ChannelName": "a/b", "DataSource": {}}]}, "InputDataConfig[0].ChannelName"),
        ({"EnableManagedSpotTraining": "yes"}, "EnableManagedSpotTraining"),
        ({"OutputDataConfig": {}}, "OutputDataConfig.S3OutputPath"),
        ({"StopingCondition": {}}, "StopingCondition"),
        ({"VpcConfig": []}, "VpcConfig"),
        ({"InputDataConfig": "x"}, "InputDataConfig"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_limit_of_the_service_is_found_before_anything_is_sent(changes: dict[str, Any], field: str) -> None:
    assert set(fields(request(**changes))) == {field}


def test_the_error_names_field_value_and_limit() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        check_request("sagemaker", "CreateTrainingJob", request(HyperParameters={"x": "1" * 2501}))
    assert "HyperParameters['x']" in caught.value.message
    assert "2501 characters, more than 2500" in caught.value.message


def test_a_typo_is_answered_with_the_nearest_name() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        check_request("sagemaker", "CreateTrainingJob", request(StopingCondition={}))
    assert "did you mean 'StoppingCondition'?" in caught.value.hint
    with pytest.raises(InvalidRequestError) as caught:
        check_request(
            "sagemaker",
            "CreateTrainingJob",
            request(ResourceConfig={"InstanceType": "ml.m5.xlrge", "VolumeSizeInGB": 1}),
        )
    assert "ml.m5.xlarge" in caught.value.hint


def test_patterns_with_unicode_classes_work() -> None:
    assert fields(request(Tags=[{"Key": "Projekt Größe", "Value": "5 + 1"}])) == []
    assert fields(request(Tags=[{"Key": "a*b", "Value": ""}])) == ["Tags[0].Key"]
