"""The CreateTrainingJob request of a tuner's job."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cloudtune.aws import S3Uri
from cloudtune.aws.pacing import RATES_VARIABLE
from cloudtune.remote import layout
from cloudtune.remote.tuner_job import SECONDS_PER_DAY, TunerJobOptions
from cloudtune.sagemaker.hyperparameters import PROGRAM, SUBMIT_DIRECTORY
from cloudtune.sagemaker.images import default_image, pytorch_image
from cloudtune.sagemaker.request import TAG_EXPERIMENT

logger = logging.getLogger("cloudtune.remote")

TAG_TUNER = "cloudtune:tuner"

_PYTORCH_OF_PYTHON = {"3.11": ("2.5.1", "py311"), "3.12": ("2.6.0", "py312")}
"""AWS's images by their Python; SageMaker's scikit-learn image, the small default, has 3.10."""

_PASSED_ON = (RATES_VARIABLE, "CLOUDTUNE_ROLE", "AWS_ROLE")
"""What is said about the account here holds for the job as well."""


@dataclass(frozen=True)
class TunerJobRequest:
    """What the launcher knows about the job. ``hyperparameters``: JSON values for ``cloudtune.remote.main``."""

    tuner_name: str
    experiment: S3Uri
    source: S3Uri
    role: str
    image: str
    instance_type: str
    hyperparameters: Mapping[str, Any]
    metric_definitions: Sequence[Mapping[str, str]] = ()

    def request(self, options: TunerJobOptions, region: str) -> dict[str, Any]:
        """Everything but the job's name."""
        resources: dict[str, Any] = {
            "InstanceType": self.instance_type,
            "InstanceCount": 1,
            "VolumeSizeInGB": options.volume_size,
        }
        if options.volume_kms_key:
            resources["VolumeKmsKeyId"] = options.volume_kms_key
        if options.keep_alive_period_in_seconds:
            resources["KeepAlivePeriodInSeconds"] = options.keep_alive_period_in_seconds
        stopping = {"MaxRuntimeInSeconds": options.max_run}
        request: dict[str, Any] = {
            **options.template,
            "AlgorithmSpecification": {"TrainingImage": self.image, "TrainingInputMode": "File"},
            "RoleArn": self.role,
            "HyperParameters": self._hyperparameters(region),
            "OutputDataConfig": {
                **options.template.get("OutputDataConfig", {}),
                "S3OutputPath": str(self.experiment / layout.OUTPUT),
            },
            "ResourceConfig": resources,
            "StoppingCondition": stopping,
            "Environment": {
                "AWS_DEFAULT_REGION": region,
                **_passed_on(),
                **options.template.get("Environment", {}),
                **options.environment,
            },
            "Tags": _tags(options, self.tuner_name),
        }
        if self.metric_definitions:
            request["AlgorithmSpecification"]["MetricDefinitions"] = [dict(entry) for entry in self.metric_definitions]
        if options.subnets:
            request["VpcConfig"] = {
                "Subnets": list(options.subnets),
                "SecurityGroupIds": list(options.security_group_ids),
            }
        if options.use_spot_instances:
            request["EnableManagedSpotTraining"] = True
            stopping["MaxWaitTimeInSeconds"] = options.max_wait or options.max_run + SECONDS_PER_DAY
        if options.max_retry_attempts:
            request["RetryStrategy"] = {"MaximumRetryAttempts": options.max_retry_attempts}
        return request

    def _hyperparameters(self, region: str) -> dict[str, str]:
        values = {
            PROGRAM: layout.ENTRY_POINT,
            SUBMIT_DIRECTORY: str(self.source),
            "sagemaker_region": region,
            "sagemaker_container_log_level": 20,
            **self.hyperparameters,
        }
        return {name: json.dumps(value) for name, value in values.items()}


def tuner_image(region: str, instance_type: str, python: str) -> str:
    """AWS's own image for the tuner; ``python``: the version its payload is bound to, "" if none."""
    if python in _PYTORCH_OF_PYTHON:
        version, tag = _PYTORCH_OF_PYTHON[python]
        return pytorch_image(region, version, tag, gpu=False)
    if python not in ("", "3.10"):
        logger.warning(
            "the launcher script holds functions or classes that only Python %s can load, and no image of AWS with "
            "that Python is known: give image_uri, or move them into a module next to the script",
            python,
        )
    return default_image(region, instance_type)


def _passed_on() -> dict[str, str]:
    # tables in the job's log are as wide as the terminal they will be followed on
    width = str(shutil.get_terminal_size((160, 40)).columns)
    return {"COLUMNS": width, **{name: os.environ[name] for name in _PASSED_ON if os.environ.get(name)}}


def _tags(options: TunerJobOptions, tuner_name: str) -> list[dict[str, str]]:
    ours = {TAG_EXPERIMENT: tuner_name, TAG_TUNER: "true"}
    given = {tag["Key"]: tag["Value"] for tag in options.template.get("Tags", ())}
    return [{"Key": key, "Value": value} for key, value in {**given, **options.tags, **ours}.items()]
