"""Which role training jobs run under."""

from __future__ import annotations

import os
from typing import Any

from cloudtune.aws import Aws
from cloudtune.errors import AccessDeniedError, NotFoundError, OptionError

VARIABLES = ("CLOUDTUNE_ROLE", "AWS_ROLE")
_SAGEMAKER_PREFIX = "AmazonSageMaker-ExecutionRole"
_WAY_OUT = "give role=, or set AWS_ROLE to the ARN of a role that SageMaker may assume"


def get_execution_role(aws: Aws | None = None) -> str:
    """ARN of the account's SageMaker role: what CLOUDTUNE_ROLE or AWS_ROLE names, else this job's own role, else
    the newest of IAM's roles that SageMaker may assume.

    Raises ``OptionError`` if there is none, ``AccessDeniedError`` if it can't be looked up.
    """
    aws = aws or Aws()
    for variable in VARIABLES:
        if named := os.environ.get(variable):
            return role_arn(aws, named)
    caller = str(aws.call("sts", "GetCallerIdentity").get("Arn", ""))
    if ":assumed-role/" in caller:
        name = caller.split("/")[1]
        if "SageMaker" in name or os.environ.get("TRAINING_JOB_NAME"):
            return role_arn(aws, name)
    try:
        roles = [role for page in aws.pages("iam", "ListRoles") for role in page.get("Roles", [])]
    except AccessDeniedError as error:
        raise AccessDeniedError(f"can't look for the SageMaker role: {error.message}", _WAY_OUT) from error
    fitting = [role for role in roles if trusts_sagemaker(role)]
    if not fitting:
        raise OptionError("no role is given, and IAM has none that SageMaker may assume", _WAY_OUT)
    return str(max(fitting, key=_fitness)["Arn"])


def role_arn(aws: Aws, role: str) -> str:
    """The ARN of a role given by ARN or name. Raises ``OptionError`` if IAM has none of that name."""
    if role.startswith("arn:"):
        return role
    try:
        found: dict[str, Any] = aws.call("iam", "GetRole", RoleName=role.rpartition("/")[2])
    except NotFoundError as error:
        raise OptionError(f"role {role!r} doesn't exist in account {aws.account}", _WAY_OUT) from error
    return str(found["Role"]["Arn"])


def _fitness(role: Any) -> tuple[bool, str]:
    return role["RoleName"].startswith(_SAGEMAKER_PREFIX), str(role.get("CreateDate", ""))


def trusts_sagemaker(role: Any) -> bool:
    """Whether the role's trust policy names SageMaker."""
    return "sagemaker.amazonaws.com" in str(role.get("AssumeRolePolicyDocument", ""))
