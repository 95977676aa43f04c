"""What the service asks of a CreateTrainingJob request beyond its model."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from cloudtune.sandbox.aws_error import AwsError, invalid
from cloudtune.sandbox.training.instances import instances_of, is_accelerated

MAX_RUNTIME = 28 * 24 * 3600
DEFAULT_MAX_RUNTIME = 24 * 3600


class Account(Protocol):
    """What exists around the training jobs."""

    def has_bucket(self, name: str) -> bool: ...
    def has_role(self, arn: str) -> bool: ...


def check(request: Mapping[str, Any], account: Account) -> None:
    """Raise the service's refusal of the first rule that ``request`` breaks."""
    for rule in (_algorithm, _metrics, _channels, _resources, _stopping, _spot, _tags):
        rule(request)
    _role(request, account)
    for what, uri in _s3_uris(request):
        bucket = uri.partition("://")[2].partition("/")[0]
        if uri.startswith("s3://") and not account.has_bucket(bucket):
            raise invalid(f"The S3 bucket '{bucket}' named by {what} ({uri}) does not exist.")


def _algorithm(request: Mapping[str, Any]) -> None:
    if "ServerlessJobConfig" in request:
        return
    algorithm = request.get("AlgorithmSpecification")
    if algorithm is None:
        raise invalid("AlgorithmSpecification is required.")
    if ("TrainingImage" in algorithm) == ("AlgorithmName" in algorithm):
        raise invalid("You must specify exactly one of TrainingImage and AlgorithmName in AlgorithmSpecification.")


def _metrics(request: Mapping[str, Any]) -> None:
    for definition in request.get("AlgorithmSpecification", {}).get("MetricDefinitions", []):
        try:
            re.compile(definition["Regex"])
        except re.error as error:
            raise invalid(
                f"The regex '{definition['Regex']}' of metric definition '{definition['Name']}' is invalid: {error}"
            ) from error


def _channels(request: Mapping[str, Any]) -> None:
    seen = set()
    for channel in request.get("InputDataConfig", []):
        name = channel["ChannelName"]
        if name in seen:
            raise invalid(f"Duplicate channel name '{name}' in InputDataConfig: channel names must be unique.")
        seen.add(name)
        sources = [source for source in channel["DataSource"].values() if source]
        if len(sources) != 1:
            raise invalid(f"Channel '{name}' must have exactly one data source, found {len(sources)}.")


def _resources(request: Mapping[str, Any]) -> None:
    if "ServerlessJobConfig" in request:
        return
    config = request.get("ResourceConfig")
    if config is None:
        raise invalid("ResourceConfig is required.")
    single = "InstanceType" in config
    if config.get("InstancePreferences"):
        if single or config.get("InstanceGroups") or "InstancePlacementConfig" in config:
            raise invalid(
                "InstancePreferences can not be used with InstanceType, InstanceGroups or InstancePlacementConfig."
            )
        if request.get("EnableManagedSpotTraining"):
            raise invalid("InstancePreferences is not supported with EnableManagedSpotTraining.")
    elif config.get("InstanceGroups"):
        if single or "InstanceCount" in config:
            raise invalid("InstanceGroups can not be used with InstanceType or InstanceCount.")
        names = [group["InstanceGroupName"] for group in config["InstanceGroups"]]
        if len(set(names)) != len(names):
            raise invalid("Instance group names must be unique.")
    elif not single or "InstanceCount" not in config:
        raise invalid("InstanceType and InstanceCount are required in ResourceConfig.")
    if not all(count >= 1 for count in instances_of(request).values()):
        raise invalid("InstanceCount must be at least 1.")


def _stopping(request: Mapping[str, Any]) -> None:
    condition = request.get("StoppingCondition", {})
    if condition.get("MaxRuntimeInSeconds", 1) > MAX_RUNTIME:
        raise invalid(f"MaxRuntimeInSeconds must not exceed {MAX_RUNTIME} seconds (28 days).")
    if "MaxPendingTimeInSeconds" in condition:
        plain = [name for name in instances_of(request) if not is_accelerated(name)]
        if plain:
            raise invalid(
                f"MaxPendingTimeInSeconds is only supported for accelerated computing instance types, not {plain[0]}."
            )


def _spot(request: Mapping[str, Any]) -> None:
    condition = request.get("StoppingCondition", {})
    max_wait = condition.get("MaxWaitTimeInSeconds")
    if not request.get("EnableManagedSpotTraining"):
        if max_wait is not None:
            raise invalid("MaxWaitTimeInSeconds is only supported with EnableManagedSpotTraining.")
        return
    if max_wait is None or max_wait < condition.get("MaxRuntimeInSeconds", DEFAULT_MAX_RUNTIME):
        raise invalid(
            "Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to MaxRuntimeInSeconds"
        )
    if request.get("ResourceConfig", {}).get("KeepAlivePeriodInSeconds"):
        raise invalid("KeepAlivePeriodInSeconds is not supported with EnableManagedSpotTraining.")


def _tags(request: Mapping[str, Any]) -> None:
    check_tags(request.get("Tags", []))


def check_tags(tags: list[Mapping[str, str]]) -> None:
    """Tag keys are unique and not AWS's own."""
    keys = [tag["Key"] for tag in tags]
    if len(set(keys)) != len(keys):
        raise invalid("Tag keys must be unique.")
    for key in keys:
        if key.lower().startswith("aws:"):
            raise invalid(f"Tag key '{key}' is invalid: keys that start with 'aws:' are reserved.")


def _role(request: Mapping[str, Any], account: Account) -> None:
    arn = request["RoleArn"]
    if not account.has_role(arn):
        raise AwsError(
            "ValidationException",
            f"Could not assume role {arn}. Please ensure that the role exists and allows principal "
            "'sagemaker.amazonaws.com' to assume the role.",
        )


def _s3_uris(request: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "OutputDataConfig.S3OutputPath", request["OutputDataConfig"]["S3OutputPath"]
    if "CheckpointConfig" in request:
        yield "CheckpointConfig.S3Uri", request["CheckpointConfig"]["S3Uri"]
    for channel in request.get("InputDataConfig", []):
        source = channel["DataSource"].get("S3DataSource")
        if source:
            yield f"channel '{channel['ChannelName']}'", source["S3Uri"]
