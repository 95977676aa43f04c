"""What can be known to be wrong before money is spent. Checks that need a permission we lack only warn."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from cloudtune.aws import Aws, S3Uri, objects
from cloudtune.aws.request_check import input_shape
from cloudtune.constants import ST_INSTANCE_TYPE
from cloudtune.errors import (
    AccessDeniedError,
    AlreadyExistsError,
    NotFoundError,
    OptionError,
    RefusedError,
)
from cloudtune.sagemaker.layout import default_bucket
from cloudtune.sagemaker.role import trusts_sagemaker

_MAX_QUOTA_PAGES = 40


def check_bucket(aws: Aws, place: S3Uri) -> None:
    """Raises ``OptionError`` if the bucket is missing; SageMaker's default bucket is made, as its SDK would."""
    try:
        if objects.bucket_exists(aws, place.bucket):
            return
        if place.bucket == default_bucket(aws):
            _make_bucket(aws, place.bucket)
            return
    except AccessDeniedError as error:
        warnings.warn(f"can't check bucket {place.bucket!r}: {error}", stacklevel=2)
        return
    raise OptionError(
        f"bucket {place.bucket!r} of s3_path={str(place)!r} doesn't exist",
        f"`aws s3 mb s3://{place.bucket}`, or give another s3_path",
    )


def _make_bucket(aws: Aws, bucket: str) -> None:
    # us-east-1 is the one region that must not be named
    where: dict[str, Any] = (
        {} if aws.region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": aws.region}}
    )
    try:
        aws.call("s3", "CreateBucket", Bucket=bucket, **where)
    except AlreadyExistsError:
        return  # somebody else was faster


def check_role(aws: Aws, arn: str) -> None:
    """Raises ``OptionError`` if IAM has no such role; warns if SageMaker may not assume it."""
    account, _, name = arn.partition(":role/")
    if not account.endswith(f":{aws.account}"):
        warnings.warn(f"role {arn} is another account's than {aws.account}, the one in use", stacklevel=2)
        return
    try:
        role = aws.call("iam", "GetRole", RoleName=name.rpartition("/")[2])["Role"]
    except NotFoundError as error:
        raise OptionError(
            f"role {arn!r} doesn't exist", "give role=, or set AWS_ROLE to one that SageMaker may assume"
        ) from error
    except AccessDeniedError as error:
        warnings.warn(f"can't check role {arn}: {error}", stacklevel=2)
        return
    if not trusts_sagemaker(role):
        warnings.warn(f"role {arn} doesn't trust sagemaker.amazonaws.com: jobs can't run under it", stacklevel=2)


def check_quotas(aws: Aws, needs: Mapping[str, int], spot: bool) -> None:
    """Warns where the account's limits are below ``needs``: instances in use at a time, by type."""
    kind = "spot training job usage" if spot else "training job usage"
    wanted = {f"{instance_type} for {kind}": count for instance_type, count in needs.items()}
    try:
        limits = dict(_quotas(aws, set(wanted)))
    except RefusedError as error:
        warnings.warn(f"can't check the account's quotas: {error}", stacklevel=2)
        return
    for name, count in wanted.items():
        if name in limits and limits[name] < count:
            warnings.warn(
                f"n_workers need {count} instances at a time, and the account's quota {name!r} is {limits[name]:g}: "
                "trials will wait for each other. Use fewer workers, or ask for more in Service Quotas",
                stacklevel=2,
            )


def _quotas(aws: Aws, names: set[str]) -> Iterator[tuple[str, float]]:
    """Quotas have codes that differ by instance type and are documented nowhere; names are what they are found by."""
    missing = set(names)
    for number, page in enumerate(
        aws.pages("service-quotas", "ListServiceQuotas", ServiceCode="sagemaker", MaxResults=100)
    ):
        for quota in page.get("Quotas", []):
            if quota.get("QuotaName") in missing:
                missing.discard(quota["QuotaName"])
                yield quota["QuotaName"], float(quota["Value"])
        if not missing or number >= _MAX_QUOTA_PAGES:
            return


def instance_types(config_space: Mapping[str, Any]) -> list[str]:
    """Those that a configuration may ask for; empty if that is not tuned."""
    entry = config_space.get(ST_INSTANCE_TYPE)
    return [entry] if isinstance(entry, str) else list(getattr(entry, "categories", None) or [])


def check_instance_types(config_space: Mapping[str, Any]) -> None:
    """Raises ``OptionError`` for an instance type in the configuration space that SageMaker doesn't have."""
    known = input_shape("sagemaker", "CreateTrainingJob").members["ResourceConfig"].members["InstanceType"].enum
    for instance_type in instance_types(config_space):
        if instance_type not in known:
            raise OptionError(
                f"{ST_INSTANCE_TYPE} can be {instance_type!r}, which is no training instance type",
                "see cloudtune.sagemaker.select_instance_type",
            )
