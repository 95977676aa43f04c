"""Which instances a request asks for, and which of them the account may have."""

from __future__ import annotations

import difflib
import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from cloudtune.sandbox.aws_error import AwsError
from cloudtune.sandbox.model import service_model
from cloudtune.sandbox.training.job import Job

ON_DEMAND, SPOT, WARM_POOL = "training job usage", "spot training job usage", "training warm pool usage"
# enough for any laptop; an account's real limits are given by name
DEFAULT_LIMITS = {ON_DEMAND: 1000, SPOT: 1000, WARM_POOL: 0}
RATES = {
    "Rate of CreateTrainingJob requests": 1,
    "Rate of DescribeTrainingJob requests": 2,
    "Rate of ListTrainingJobs requests": 2,
    "Rate of StopTrainingJob requests": 1,
    "Rate of Search requests": 2,
}
_KNOWN_CODES = {"Rate of CreateTrainingJob requests": "L-21A1652A"}
_EXAMPLE = "ml.m5.large for training warm pool usage"
# accelerated computing: P, G, Trn and Inf families
_ACCELERATED = ("ml.p", "ml.g", "ml.trn", "ml.inf")


def instance_types() -> list[str]:
    """Every instance type the service model knows for training."""
    return list(service_model("sagemaker").shape_for("TrainingInstanceType").metadata["enum"])


def is_accelerated(instance_type: str) -> bool:
    return instance_type.startswith(_ACCELERATED)


def instances_of(request: Mapping[str, Any]) -> Counter[str]:
    """Instances by type that a CreateTrainingJob request asks for; of a list of preferences, the one selected."""
    config = request.get("ResourceConfig", {})
    if "SelectedInstanceType" in config:
        return Counter({config["SelectedInstanceType"]: config["SelectedInstanceCount"]})
    if config.get("InstanceGroups"):
        counts: Counter[str] = Counter()
        for group in config["InstanceGroups"]:
            counts[group["InstanceType"]] += group["InstanceCount"]
        return counts
    if config.get("InstancePreferences"):
        first = config["InstancePreferences"][0]
        return Counter({first["InstanceType"]: first.get("InstanceCount", config.get("InstanceCount", 1))})
    if "InstanceType" in config:
        return Counter({config["InstanceType"]: config.get("InstanceCount", 1)})
    return Counter()


def selections(request: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Of a request with a list of preferences: as it is with each of them selected. Of any other: itself."""
    config = request.get("ResourceConfig", {})
    return [
        {
            **request,
            "ResourceConfig": {
                **config,
                "SelectedInstanceType": preference["InstanceType"],
                "SelectedInstanceCount": preference.get("InstanceCount", config.get("InstanceCount", 1)),
            },
        }
        for preference in config.get("InstancePreferences") or []
    ] or [request]


def quota_name(instance_type: str, kind: str = ON_DEMAND) -> str:
    return f"{instance_type} for {kind}"


def quota_code(name: str) -> str:
    """A quota's code; made up from its name where the real one isn't public."""
    return _KNOWN_CODES.get(name) or "L-" + hashlib.sha256(name.encode()).hexdigest()[:8].upper()


def check_quota_names(names: Iterable[str]) -> None:
    """Raises ValueError for a name that is neither an instance type nor a quota's full name."""
    types = instance_types()
    known = {*types, *RATES, *(quota_name(instance_type, kind) for instance_type in types for kind in DEFAULT_LIMITS)}
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"such names are 'ml.m5.large' and {_EXAMPLE!r}"
            raise ValueError(f"unknown quota {name!r}: {hint}")


class Quotas:
    """The account's limits, by instance type (training job usage) or by a quota's full name."""

    def __init__(self, limits: Mapping[str, int]) -> None:
        self._limits = limits
        check_quota_names(limits)

    def limit(self, instance_type: str, kind: str = ON_DEMAND) -> int:
        name = quota_name(instance_type, kind)
        if name in self._limits:
            return self._limits[name]
        if kind == ON_DEMAND and instance_type in self._limits:
            return self._limits[instance_type]
        return DEFAULT_LIMITS[kind]

    def all(self) -> dict[str, int]:
        """Every quota by its full name."""
        found = {name: self._limits.get(name, rate) for name, rate in RATES.items()}
        for kind in DEFAULT_LIMITS:
            for instance_type in instance_types():
                found[quota_name(instance_type, kind)] = self.limit(instance_type, kind)
        return found

    def admit(self, request: Mapping[str, Any], jobs: Iterable[Job]) -> None:
        """Raise ResourceLimitExceeded if ``request`` asks for more than ``jobs`` leave free."""
        kind = SPOT if request.get("EnableManagedSpotTraining") else ON_DEMAND
        used = usage(jobs, spot=kind == SPOT)
        for instance_type, wanted in instances_of(request).items():
            limit = self.limit(instance_type, kind)
            if used[instance_type] + wanted > limit:
                raise limit_exceeded(quota_name(instance_type, kind), limit, used[instance_type], wanted)


def limit_exceeded(quota: str, limit: int, used: int, wanted: int) -> AwsError:
    """The service's refusal to start ``wanted`` more instances."""
    return AwsError(
        "ResourceLimitExceeded",
        f"The account-level service limit '{quota}' is {limit} Instances, with current utilization of {used} Instances "
        f"and a request delta of {wanted} Instances. Please use AWS Service Quotas to request an increase for this "
        "quota. If AWS Service Quotas is not available, contact AWS support to request an increase for this quota.",
    )


def usage(jobs: Iterable[Job], spot: bool) -> Counter[str]:
    """Instances by type that jobs hold: those in progress or stopping, and warm pools that wait."""
    used: Counter[str] = Counter()
    for job in jobs:
        waits = job.warm_pool is not None and job.warm_pool.status == "Available"
        if (not job.ended or waits) and job.spot == spot:
            for instance_type, count in instances_of(job.request).items():
                used[instance_type] += count
    return used
