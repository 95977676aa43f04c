"""A request in which every field of botocore's service model is filled."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import Any

from cloudtune.aws.request_check import input_shape

_STRINGS = (
    "ml.m5.xlarge",
    "s3://bucket/some/place",
    "arn:aws:iam::111122223333:role/SageMakerRole",
    "arn:aws:sagemaker:us-east-1:111122223333:training-plan/plan",
    "arn:aws:sagemaker:us-east-1:111122223333:mlflow-tracking-server/server",
    "arn:aws:sagemaker:us-east-1:111122223333:mlflow-app/app-ABCDEFGHIJKL",
    "arn:aws:lambda:us-east-1:111122223333:function:reward",
    "arn:aws:sagemaker:us-east-1:111122223333:model-package/package/1",
    "arn:aws:sagemaker:us-east-1:111122223333:model-package-group/group",
    "arn:aws:sagemaker:us-east-1:aws:hub-content/hub/Model/name/1.0.0",
    "arn:aws:sagemaker:us-east-1:aws:hub-content/hub/DataSet/name/1.0.0",
    "fs-0123456789abcdef0",
    "8K",
    "arn:aws:sagemaker:us-east-1:111122223333:algorithm/name",
    "arn:aws:sagemaker:us-east-1:111122223333:evaluator/name",
    "123",
    "a",
    "/opt/ml/some/place",
    "sg-0123456789abcdef0",
    "subnet-0123456789abcdef0",
    "some-name-1",
    "SomeName",
    "some.name",
)


def every_field(service: str = "sagemaker", operation: str = "CreateTrainingJob") -> dict[str, Any]:
    """One value for each member of the request, at every depth, within all limits."""
    filled: dict[str, Any] = _fill(input_shape(service, operation), "")
    return filled


def _fill(shape: Any, name: str) -> Any:
    if shape.type_name == "structure":
        return {member: _fill(inner, member) for member, inner in shape.members.items()}
    if shape.type_name == "list":
        return [_fill(shape.member, name)] * max(1, shape.metadata.get("min", 1))
    if shape.type_name == "map":
        return {_fill(shape.key, "key"): _fill(shape.value, name)}
    if shape.type_name == "string":
        return _string(shape, name)
    if shape.type_name == "boolean":
        return True
    if shape.type_name == "timestamp":
        return datetime(2026, 1, 2, tzinfo=timezone.utc)
    low = shape.metadata.get("min", 1)
    return low if shape.type_name in ("integer", "long") else float(low)


def _string(shape: Any, name: str) -> str:
    if shape.enum:
        return str(shape.enum[-1])
    low, high = shape.metadata.get("min", 0), shape.metadata.get("max", 10_000)
    pattern = re.sub(r"\\p\{\w+\}", r"\\w", shape.metadata.get("pattern", ".*"))
    for text in _STRINGS:
        candidate = text.ljust(low, "0")
        if low <= len(candidate) <= high and re.fullmatch(pattern, candidate):
            return candidate
    raise AssertionError(f"no text of ours fits field {name} ({shape.name}): {pattern}")


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[tuple[Any, ...], Any]]:
    """(path, value) of everything that is no container."""
    if isinstance(value, dict):
        return [leaf for key, inner in value.items() for leaf in leaves(inner, (*path, key))]
    if isinstance(value, list):
        return [leaf for number, inner in enumerate(value) for leaf in leaves(inner, (*path, number))]
    return [(path, value)]
