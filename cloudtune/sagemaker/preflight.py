"""What can be known to be wrong before money is spent. Checks that need a permission we lack only warn."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from cloudtune.aws import Aws, S3Uri, objects
from cloudtune.aws.request_check import input_shape
from cloudtune.constants import ST_INSTANCE_COUNT, ST_INSTANCE_TYPE
from cloudtune.errors import (
    AccessDeniedError,
    AlreadyExistsError,
    NotFoundError,
    OptionError,
    RefusedError,
)
from cloudtune.sagemaker.choices import Demand
from cloudtune.sagemaker.layout import default_bucket
from cloudtune.sagemaker.quotas import limits, quota_name
from cloudtune.sagemaker.request import RequestOptions
from cloudtune.sagemaker.role import trusts_sagemaker
from cloudtune.trial import Config


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


def check_quotas(aws: Aws, demand: Demand, n_workers: int) -> None:
    """Warns where ``n_workers`` trials at a time need more instances than the account may have."""
    # how workers share several types nobody knows; but each must have room for one job
    workers = 1 if demand.spread else n_workers
    wanted = {quota_name(need.instance_type, need.spot): workers * need.count for way in demand.ways for need in way}
    if workers and wanted:
        warn_of_quotas(aws, wanted, any_of_them=len(demand.ways) > 1 and not demand.spread)


def warn_of_quotas(aws: Aws, wanted: Mapping[str, int], any_of_them: bool = False) -> None:
    """Warns where the account's limits are below what is wanted, both by the quotas' names."""
    try:
        known = limits(aws, set(wanted))
    except RefusedError as error:
        warnings.warn(f"can't check the account's quotas: {error}", stacklevel=3)
        return
    short = {name: limit for name, limit in known.items() if limit < wanted[name]}
    if not short or (any_of_them and (len(known) < len(wanted) or sum(known.values()) >= max(wanted.values()))):
        return
    listed = ", ".join(f"{name!r} is {limit:g}" for name, limit in short.items())
    most = max(wanted[name] for name in short)
    warnings.warn(
        f"n_workers need {most} instances at a time, and the account's quota {listed}: "
        "trials will wait for each other. Use fewer workers, or ask for more in Service Quotas",
        stacklevel=3,
    )


def instance_types(config_space: Mapping[str, Any]) -> list[str]:
    """Those that a configuration may ask for; empty if that is not tuned."""
    entry = config_space.get(ST_INSTANCE_TYPE)
    return [entry] if isinstance(entry, str) else list(getattr(entry, "categories", None) or [])


def demand_of(options: RequestOptions, config_space: Mapping[str, Any]) -> Demand:
    """What a trial needs, whatever its configuration. Raises ``OptionError`` if that is said twice."""
    types = instance_types(config_space)
    if types and options.fallback_instance_types:
        raise OptionError(
            f"the configuration says {ST_INSTANCE_TYPE}, so fallback instance types would never be used",
            "leave out one of them",
        )
    count = {ST_INSTANCE_COUNT: _largest(config_space[ST_INSTANCE_COUNT])} if ST_INSTANCE_COUNT in config_space else {}
    configs: list[Config] = [{ST_INSTANCE_TYPE: each, **count} for each in types] or [count]
    ways = tuple(choice.needs for config in configs for choice in options.choices(config) if choice.needs)
    return Demand(ways, spread=len(types) > 1)


def _largest(domain: Any) -> int:
    return int(max(getattr(domain, "categories", None) or [getattr(domain, "upper", domain)]))


def check_instance_types(config_space: Mapping[str, Any]) -> None:
    """Raises ``OptionError`` for an instance type in the configuration space that SageMaker doesn't have."""
    known = input_shape("sagemaker", "CreateTrainingJob").members["ResourceConfig"].members["InstanceType"].enum
    for instance_type in instance_types(config_space):
        if instance_type not in known:
            raise OptionError(
                f"{ST_INSTANCE_TYPE} can be {instance_type!r}, which is no training instance type",
                "see cloudtune.sagemaker.select_instance_type",
            )
