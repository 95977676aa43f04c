"""Instances that stay for a while after their job, and who may take them over."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cloudtune.sandbox.aws_error import invalid
from cloudtune.sandbox.training.instances import WARM_POOL, Quotas, instances_of
from cloudtune.sandbox.training.job import COMPLETED, STOPPED, Job, WarmPool

IN_USE, AVAILABLE, REUSED, TERMINATED = "InUse", "Available", "Reused", "Terminated"


def keep_alive_seconds(job: Job) -> int:
    """How long ``job`` asks to keep its instances, as last updated."""
    config = {**job.request.get("ResourceConfig", {}), **job.updates.get("ResourceConfig", {})}
    return int(config.get("KeepAlivePeriodInSeconds", 0))


def reserve(job: Job) -> None:
    """A job that asks for a pool holds it from its creation on."""
    if keep_alive_seconds(job) > 0:
        job.warm_pool = WarmPool(IN_USE)


def release(job: Job, quotas: Quotas, jobs: Iterable[Job]) -> None:
    """After the end of ``job``: keep its instances if the account may, and silently not otherwise."""
    pool = job.warm_pool
    if pool is None or pool.status != IN_USE or job.training_ended is None:
        if pool is not None and pool.status == IN_USE:
            pool.status = TERMINATED
        return
    clean = job.status in (COMPLETED, STOPPED) or (job.failure_reason or "").startswith(
        ("AlgorithmError", "ClientError")
    )
    if clean and keep_alive_seconds(job) > 0 and _within_quota(job, quotas, jobs):
        pool.status, pool.available_from = AVAILABLE, job.training_ended
    else:
        pool.status = TERMINATED


def expire(jobs: Iterable[Job], now: float) -> list[Job]:
    """Let go of pools whose time is over; the jobs they belonged to."""
    gone = []
    for job in jobs:
        pool = job.warm_pool
        if pool is None or pool.status != AVAILABLE or pool.available_from is None:
            continue
        end = pool.available_from + keep_alive_seconds(job)
        if end <= now:
            pool.status, pool.ended = TERMINATED, end
            gone.append(job)
    return gone


def take(job: Job, jobs: Iterable[Job], now: float) -> Job | None:
    """The job whose waiting instances ``job`` takes over, if there is one that matches."""
    if keep_alive_seconds(job) == 0:
        return None
    for other in jobs:
        pool = other.warm_pool
        if pool is not None and pool.status == AVAILABLE and _key(other) == _key(job):
            pool.status, pool.ended, pool.reused_by = REUSED, now, job.name
            return other
    return None


def give_back(pool: WarmPool) -> None:
    """Undo ``take``."""
    pool.status, pool.ended, pool.reused_by = AVAILABLE, None, None


def update_keep_alive(job: Job, seconds: int) -> None:
    """Change how long the instances of ``job`` stay; 0 lets them go."""
    if job.warm_pool is None:
        raise invalid(f"Training job {job.name} has no warm pool: KeepAlivePeriodInSeconds can not be updated.")
    config = {**job.request.get("ResourceConfig", {}), "KeepAlivePeriodInSeconds": seconds}
    job.updates["ResourceConfig"] = config


def _within_quota(job: Job, quotas: Quotas, jobs: Iterable[Job]) -> bool:
    held = [other for other in jobs if other.warm_pool is not None and other.warm_pool.status == AVAILABLE]
    for instance_type, count in instances_of(job.request).items():
        used = sum(instances_of(other.request)[instance_type] for other in held)
        if used + count > quotas.limit(instance_type, WARM_POOL):
            return False
    return True


def _key(job: Job) -> tuple[Any, ...]:
    """What must be equal for instances to pass from one job to the next."""
    request, config = job.request, job.request.get("ResourceConfig", {})
    return (
        request.get("RoleArn"),
        request.get("AlgorithmSpecification", {}).get("TrainingImage"),
        tuple(sorted(instances_of(request).items())),
        config.get("VolumeSizeInGB"),
        config.get("VolumeKmsKeyId"),
        repr(request.get("VpcConfig")),
        bool(request.get("EnableNetworkIsolation")),
        bool(request.get("EnableInterContainerTrafficEncryption")),
    )
