"""Names of operations in rules: patterns that must fit one that exists."""

from __future__ import annotations

from fnmatch import fnmatchcase

from botocore.exceptions import UnknownServiceError

from cloudtune.sandbox.faults.checks import check_name
from cloudtune.sandbox.faults.plan import FaultPlan
from cloudtune.sandbox.model import service_model

SERVICES = ("sagemaker", "s3", "logs", "service-quotas", "cloudwatch", "sts", "iam", "sqs", "dynamodb")


def check_operations(plan: FaultPlan) -> None:
    """Raises ValueError for a rule about operations that don't exist."""
    for rule in plan.calls:
        check_pattern(rule.operations)
    for operation in plan.throttling.rates if plan.throttling is not None else ():
        check_pattern(operation, plain=True)


def check_pattern(pattern: str, plain: bool = False) -> None:
    """Raises ValueError, with the nearest name, for a pattern that fits no operation; ``plain``: for any pattern."""
    service, dot, _ = pattern.partition(".")
    if not dot and not any(fnmatchcase(name, pattern) for name in SERVICES) and pattern != "*":
        raise ValueError(f"unknown operation {pattern!r}: write 'service.Operation', such as 'sagemaker.{pattern}'")
    if pattern == "*" or "*" in service:
        if plain:
            raise ValueError(f"an operation by its full name, such as 'sagemaker.CreateTrainingJob', not {pattern!r}")
        return
    try:
        names = [f"{service}.{name}" for name in service_model(service).operation_names]
    except UnknownServiceError:
        check_name("service", service, SERVICES)
        raise
    if plain or not any(fnmatchcase(name, pattern) for name in names):
        check_name("operation", pattern, names)
