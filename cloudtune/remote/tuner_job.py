"""The tuner's own training job: its name, and the jobs of that name there have been."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cloudtune.aws import Aws
from cloudtune.errors import OptionError
from cloudtune.options import check_count, check_flag, check_texts, named_options

SECONDS_PER_DAY = 86_400

ACTIVE = frozenset({"InProgress", "Stopping"})


@named_options()
@dataclass(frozen=True)
class TunerJobOptions:
    """How the tuner's job runs, in the words of SageMaker's estimators.

    ``max_run``, ``max_wait``: seconds; ``max_wait`` (spot only) includes waiting for an instance, default: a day more.
    ``max_retry_attempts``: how often the service starts the job again after a fault of its own; the tuner goes on then.
    ``template``: fields of a ``CreateTrainingJob`` request that none of the others names (``VpcConfig`` …); ours win.
    """

    max_run: int = 5 * SECONDS_PER_DAY
    use_spot_instances: bool = False
    max_wait: int | None = None
    max_retry_attempts: int = 3
    volume_size: int = 30
    volume_kms_key: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    subnets: Sequence[str] = ()
    security_group_ids: Sequence[str] = ()
    keep_alive_period_in_seconds: int | None = None
    template: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._check_values()
        if self.max_wait is not None and not self.use_spot_instances:
            raise OptionError("max_wait is for spot instances", "set use_spot_instances=True, or leave max_wait out")
        if self.max_wait is not None and self.max_wait < self.max_run:
            raise OptionError(
                f"max_wait={self.max_wait} is less than max_run={self.max_run}", "max_wait includes the run"
            )
        if self.use_spot_instances and self.keep_alive_period_in_seconds:
            raise OptionError(
                "spot instances can't be kept alive", "leave out keep_alive_period_in_seconds or use_spot_instances"
            )
        if bool(self.subnets) != bool(self.security_group_ids):
            raise OptionError("subnets and security_group_ids go together", "give both, or none")

    def _check_values(self) -> None:
        check_flag("use_spot_instances", self.use_spot_instances)
        leasts = {
            "max_run": 1,
            "max_wait": 1,
            "max_retry_attempts": 0,
            "volume_size": 1,
            "keep_alive_period_in_seconds": 0,
        }
        for name, least in leasts.items():
            value = getattr(self, name)
            if value is not None:
                check_count(name, value, least)
        check_texts("environment", self.environment)
        check_texts("tags", self.tags)
        for name in ("subnets", "security_group_ids"):
            if not isinstance(getattr(self, name), (list, tuple)):
                raise OptionError(f"{name}={getattr(self, name)!r} is no list", f"write {name}=[…]")
        if not isinstance(self.template, Mapping):
            raise OptionError(f"template={self.template!r} is no dict", "for example {'VpcConfig': {…}}")


@dataclass(frozen=True)
class TunerJob:
    """The ``number``-th launch (from 1) of an experiment's tuner; ``status`` as the service spells it.

    ``reason``: why it failed, where that is known.
    """

    name: str
    number: int
    status: str
    reason: str = ""

    @property
    def is_active(self) -> bool:
        return self.status in ACTIVE


def tuner_job_name(tuner_name: str, number: int) -> str:
    """Does not begin with the experiment's name, as its trials' jobs do."""
    return f"tuner-{number}-{tuner_name}"


def tuner_jobs(aws: Aws, tuner_name: str) -> list[TunerJob]:
    """All launches of the experiment's tuner that the service knows of, oldest first."""
    pattern = re.compile(rf"tuner-(\d+)-{re.escape(tuner_name)}")
    found = []
    for page in aws.pages("sagemaker", "ListTrainingJobs", NameContains=f"-{tuner_name}", MaxResults=100):
        for summary in page["TrainingJobSummaries"]:
            match = pattern.fullmatch(summary["TrainingJobName"])
            if match:
                found.append(TunerJob(match[0], int(match[1]), summary["TrainingJobStatus"]))
    return sorted(found, key=lambda job: job.number)
