"""The request of the tuner's job, held to the service's own model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from cloudtune.aws import S3Uri
from cloudtune.aws.request_check import check_request
from cloudtune.errors import OptionError
from cloudtune.remote import TunerJobOptions
from cloudtune.remote.request import TunerJobRequest, tuner_image
from cloudtune.remote.tuner_job import tuner_job_name

EXPERIMENT = S3Uri("bucket", "cloudtune/abc")


def request(options: TunerJobOptions | None = None, **hyperparameters: Any) -> Mapping[str, Any]:
    made = TunerJobRequest(
        tuner_name="abc",
        experiment=EXPERIMENT,
        source=EXPERIMENT / "source/0/sourcedir.tar.gz",
        role="arn:aws:iam::123456789012:role/tuner",
        image="123456789012.dkr.ecr.us-east-1.amazonaws.com/image:1",
        instance_type="ml.c5.4xlarge",
        hyperparameters=hyperparameters,
        metric_definitions=[{"Name": "best", "Regex": "best=(.*)"}],
    ).request(options or TunerJobOptions(), "us-east-1")
    check_request("sagemaker", "CreateTrainingJob", {**made, "TrainingJobName": tuner_job_name("abc", 1)})
    return made


def test_it_runs_our_entry_point_from_the_tarball() -> None:
    hyperparameters = request(tuner_sha256="f00")["HyperParameters"]
    assert json.loads(hyperparameters["sagemaker_program"]) == "cloudtune_tuner.py"
    assert json.loads(hyperparameters["sagemaker_submit_directory"]).endswith("/source/0/sourcedir.tar.gz")
    assert json.loads(hyperparameters["tuner_sha256"]) == "f00"


def test_nothing_of_the_experiment_is_synced_by_the_service() -> None:
    assert "CheckpointConfig" not in request()


def test_its_region_is_known_inside() -> None:
    assert request()["Environment"]["AWS_DEFAULT_REGION"] == "us-east-1"


def test_its_options_are_those_of_estimators() -> None:
    made = request(
        TunerJobOptions(
            max_run=7200,
            use_spot_instances=True,
            max_wait=9000,
            volume_size=50,
            volume_kms_key="key",
            environment={"A": "1"},
            tags={"team": "x"},
            subnets=["subnet-1"],
            security_group_ids=["sg-1"],
            max_retry_attempts=7,
            template={"EnableNetworkIsolation": False, "Tags": [{"Key": "cost", "Value": "42"}]},
        )
    )
    assert made["StoppingCondition"] == {"MaxRuntimeInSeconds": 7200, "MaxWaitTimeInSeconds": 9000}
    assert made["EnableManagedSpotTraining"] is True
    assert made["ResourceConfig"]["VolumeSizeInGB"] == 50
    assert made["ResourceConfig"]["VolumeKmsKeyId"] == "key"
    assert made["Environment"]["A"] == "1"
    tags = {tag["Key"]: tag["Value"] for tag in made["Tags"]}
    assert tags == {"team": "x", "cost": "42", "cloudtune:experiment": "abc", "cloudtune:tuner": "true"}
    assert made["VpcConfig"] == {"Subnets": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}
    assert made["RetryStrategy"] == {"MaximumRetryAttempts": 7}
    assert made["EnableNetworkIsolation"] is False


def test_a_warm_pool_can_be_asked_for() -> None:
    made = request(TunerJobOptions(keep_alive_period_in_seconds=600))
    assert made["ResourceConfig"]["KeepAlivePeriodInSeconds"] == 600


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"max_wait": 100}, "spot"),
        ({"use_spot_instances": True, "max_run": 200, "max_wait": 100}, "less than max_run"),
        ({"use_spot_instances": True, "keep_alive_period_in_seconds": 60}, "kept alive"),
        ({"subnets": ["subnet-1"]}, "go together"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(OptionError, match=says):
        TunerJobOptions(**options)


def test_its_name_does_not_begin_like_those_of_its_trials() -> None:
    assert tuner_job_name("abc", 3) == "tuner-3-abc"
    assert len(tuner_job_name("x" * 40, 999)) <= 63


def test_the_image_has_the_python_that_the_payload_is_bound_to(caplog: pytest.LogCaptureFixture) -> None:
    assert "scikit-learn" in tuner_image("us-east-1", "ml.c5.xlarge", "")
    assert "py311" in tuner_image("us-east-1", "ml.c5.xlarge", "3.11")
    assert "py312" in tuner_image("us-east-1", "ml.c5.xlarge", "3.12")
    assert not caplog.records
    assert tuner_image("us-east-1", "ml.c5.xlarge", "3.99")
    assert "give image_uri" in caplog.text
