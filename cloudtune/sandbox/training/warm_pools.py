"""Instances that stay for a while after their job, and who may take them over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cloudtune.sandbox.aws_error import invalid
from cloudtune.sandbox.training.instances import WARM_POOL, Quotas, instances_of
from cloudtune.sandbox.training.job import COMPLETED, FAILED, STOPPED, Job, WarmPool

IN_USE, AVAILABLE, REUSED, TERMINATED = "InUse", "Available", "Reused", "Terminated"
LONGEST_CHAIN = 28 * 24 * 3600.0
"""Seconds for which the same instances may pass from job to job."""

_KEPT_AFTER = ("AlgorithmError", "ClientError")
_KEEP_ALIVE = "KeepAlivePeriodInSeconds"


def keep_alive_seconds(job: Job) -> int:
    """How long ``job`` asks to keep its instances, as last updated."""
    config = {**job.request.get("ResourceConfig", {}), **job.updates.get("ResourceConfig", {})}
    return int(config.get(_KEEP_ALIVE, 0))


def reserve(job: Job, quotas: Quotas, jobs: Iterable[Job], predecessor: Job | None = None) -> None:
    """A job that asks for a pool holds it from its creation on, and counts in the account's quota from then on.

    What it takes over from ``predecessor`` is counted already. Without room in the quota it runs as if it had one, and
    nothing is kept at its end, unless there is room by then.
    """
    if keep_alive_seconds(job) == 0:
        return
    if predecessor is not None and predecessor.warm_pool is not None:
        job.warm_pool = WarmPool(IN_USE, counted=True, chain_began=predecessor.warm_pool.chain_began)
    else:
        job.warm_pool = WarmPool(IN_USE, counted=_within_quota(job, quotas, jobs), chain_began=job.created)


def release(job: Job, quotas: Quotas, jobs: Iterable[Job]) -> None:
    """After the end of ``job``: keep its instances if the account may, and silently not otherwise."""
    pool = job.warm_pool
    if pool is None or pool.status != IN_USE:
        return
    ended = job.training_ended
    wanted = _leaves_instances(job) and keep_alive_seconds(job) > 0
    if ended is not None and wanted and (pool.counted or _within_quota(job, quotas, jobs)):
        pool.status, pool.available_from, pool.counted = AVAILABLE, ended, True
    else:
        pool.status = TERMINATED


def expire(jobs: Iterable[Job], now: float) -> list[Job]:
    """Let go of pools whose time is over; the jobs they belonged to."""
    gone = []
    for job in jobs:
        pool = job.warm_pool
        if pool is None or pool.status != AVAILABLE or pool.available_from is None:
            continue
        end = _end(job, pool)
        if end <= now:
            pool.status, pool.ended = TERMINATED, max(end, pool.available_from)
            gone.append(job)
    return gone


def _end(job: Job, pool: WarmPool) -> float:
    """When instances that wait are let go if nobody takes them."""
    return min((pool.available_from or 0.0) + keep_alive_seconds(job), pool.chain_began + LONGEST_CHAIN)


def take(job: Job, jobs: Iterable[Job], now: float) -> Job | None:
    """The job whose waiting instances ``job`` takes over, if there is one that matches: the first to have ended."""
    if keep_alive_seconds(job) == 0:
        return None
    wanted = matching_key(job.request)
    waiting = [(other, other.warm_pool) for other in jobs if other.warm_pool is not None]
    for other, pool in sorted(waiting, key=lambda found: found[1].available_from or 0.0):
        if pool.status == AVAILABLE and matching_key(other.request) == wanted:
            pool.status, pool.ended, pool.reused_by = REUSED, now, job.name
            return other
    return None


def give_back(pool: WarmPool) -> None:
    """Undo ``take``."""
    pool.status, pool.ended, pool.reused_by = AVAILABLE, None, None


def update_keep_alive(job: Job, seconds: int, now: float) -> None:
    """Change how long the instances of ``job`` stay; 0 lets them go, at once or when it ends."""
    pool = job.warm_pool
    if pool is None:
        raise invalid(f"Training job {job.name} has no warm pool: {_KEEP_ALIVE} can not be updated.")
    job.updates["ResourceConfig"] = {**job.request.get("ResourceConfig", {}), _KEEP_ALIVE: seconds}
    if seconds == 0 and pool.status == AVAILABLE:
        pool.status, pool.ended = TERMINATED, now


def matching_key(request: Mapping[str, Any]) -> tuple[Any, ...]:
    """What must be equal for instances to pass from one job to the next."""
    config, network = request.get("ResourceConfig", {}), request.get("VpcConfig", {})
    return (
        request.get("RoleArn"),
        request.get("AlgorithmSpecification", {}).get("TrainingImage"),
        tuple(sorted(instances_of(request).items())),
        config.get("VolumeSizeInGB"),
        config.get("VolumeKmsKeyId"),
        tuple(sorted(network.get("SecurityGroupIds", []))),
        tuple(sorted(network.get("Subnets", []))),
        bool(request.get("EnableNetworkIsolation")),
        bool(request.get("EnableInterContainerTrafficEncryption")),
        bool(request.get("SessionChainingConfig", {}).get("EnableSessionTagChaining")),
    )


def _leaves_instances(job: Job) -> bool:
    """Whether the way it ended leaves its instances usable."""
    if job.status == FAILED:
        return (job.failure_reason or "").startswith(_KEPT_AFTER)
    return job.status in (COMPLETED, STOPPED)


def _within_quota(job: Job, quotas: Quotas, jobs: Iterable[Job]) -> bool:
    """Whether the account may have the pool of ``job`` besides those that wait and those in use."""
    now = job.created if job.training_ended is None else job.training_ended
    pools = [(other, other.warm_pool) for other in jobs if other is not job and other.warm_pool is not None]
    held = [
        other
        for other, pool in pools
        if pool.counted and (pool.status == IN_USE or (pool.status == AVAILABLE and _end(other, pool) > now))
    ]
    for instance_type, count in instances_of(job.request).items():
        used = sum(instances_of(other.request)[instance_type] for other in held)
        if used + count > quotas.limit(instance_type, WARM_POOL):
            return False
    return True
