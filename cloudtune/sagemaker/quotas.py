"""What the account may use at the same time, and what others in it use now."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection

from cloudtune.aws import Aws
from cloudtune.errors import RefusedError, TransientError
from cloudtune.names import parse_job_name
from cloudtune.sagemaker.capacity import Instances
from cloudtune.sagemaker.choices import Demand, choices_of, is_spot

logger = logging.getLogger("cloudtune.sagemaker")

MAX_AUTO_WORKERS = 100
"""However large a quota is: a bill of more jobs at a time than this should be asked for by number."""

_MAX_PAGES = 40
_IN_USE = [
    {"Name": "TrainingJobStatus", "Operator": "Equals", "Value": status} for status in ("InProgress", "Stopping")
]


def quota_name(instance_type: str, spot: bool) -> str:
    """The quota that counts a type's instances in training jobs, as Service Quotas names it."""
    return f"{instance_type} for {'spot ' if spot else ''}training job usage"


def limits(aws: Aws, names: Collection[str]) -> dict[str, float]:
    """The account's limits by the quotas' names; those it doesn't have are left out.

    Quotas have codes that differ by instance type and are documented nowhere; names are what they are found by.
    """
    found: dict[str, float] = {}
    pages = aws.pages("service-quotas", "ListServiceQuotas", ServiceCode="sagemaker", MaxResults=100)
    for number, page in enumerate(pages):
        for quota in page.get("Quotas", []):
            if quota.get("QuotaName") in names:
                found[quota["QuotaName"]] = float(quota["Value"])
        if len(found) == len(set(names)) or number >= _MAX_PAGES:
            break
    return found


def workers_available(aws: Aws, tuner_name: str, demand: Demand) -> int | None:
    """How many jobs at a time the account has room for; at least 1; None if its quotas can't be read.

    What jobs of other experiments use now is left to them.
    """
    ways = demand.ways
    quotas = {quota_name(need.instance_type, need.spot) for way in ways for need in way}
    try:
        known = limits(aws, quotas)
    except (RefusedError, TransientError) as error:
        logger.warning("the account's quotas can't be read: %s", error)
        return None
    others = _in_use_by_others(aws, tuner_name)

    def room(need: Instances) -> int:
        limit = known[quota_name(need.instance_type, need.spot)]
        return max(0, int(limit - others[need.instance_type, need.spot]) // need.count)

    readable = [way for way in ways if all(quota_name(need.instance_type, need.spot) in known for need in way)]
    if not readable:
        return None
    rooms = [min(room(need) for need in way) for way in readable]
    total = len(rooms) * min(rooms) if demand.spread else sum(rooms)
    return max(1, min(MAX_AUTO_WORKERS, total))


def _in_use_by_others(aws: Aws, tuner_name: str) -> Counter[tuple[str, bool]]:
    """Instances by type, on demand and on spot, in jobs of others, as far as one page tells."""
    used: Counter[tuple[str, bool]] = Counter()
    expression = {"Filters": _IN_USE, "Operator": "Or"}
    try:
        page = aws.call("sagemaker", "Search", Resource="TrainingJob", SearchExpression=expression, MaxResults=100)
    except (RefusedError, TransientError) as error:
        logger.info("what other jobs use can't be read, and is not left out: %s", error)
        return used
    for result in page.get("Results", []):
        job = result.get("TrainingJob") or {}
        if parse_job_name(tuner_name, str(job.get("TrainingJobName", ""))) is not None:
            continue
        # of a list of preferences the service may have taken any; the first is its likeliest choice
        for need in choices_of(job, (), {})[0].needs:
            used[need.instance_type, is_spot(job)] += need.count
    return used
