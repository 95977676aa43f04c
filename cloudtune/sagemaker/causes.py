"""Whose fault it was that a training job failed or ran out of time."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from cloudtune.trial import Cause

OUTCOME_OF_SECONDARY = {"Completed": "Completed", "Failed": "Failed"}
"""What TrainingJobStatus was, of a job that is being deleted; all others were stopped."""

_FAILURES: tuple[tuple[re.Pattern[str], Cause], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), cause)
    for pattern, cause in (
        # first: what a script prints may speak of anything
        (r"^(AlgorithmError|ExecuteUserScriptError|ExitCode)", Cause.SCRIPT),
        (r"CapacityError|sufficient.{0,40}capacity|capacity.{0,40}insufficient", Cause.CAPACITY),
        (r"unable to provision|no capacity|ResourceLimitExceeded|spot (instance )?interruption", Cause.CAPACITY),
        (r"^(InternalServerError|InternalServerException|InternalError|ServiceError)", Cause.SERVICE),
        (r"internal (server )?error|service unavailable|please (try again|retry)", Cause.SERVICE),
        # image, data, role, permissions: the user's own, as a script is
        (r"^ClientError", Cause.SCRIPT),
    )
)


def failure_cause(reason: str, ran: bool) -> Cause:
    """From FailureReason. ``ran``: whether the script ever started; decides where the text says nothing."""
    for pattern, cause in _FAILURES:
        if pattern.search(reason):
            return cause
    return Cause.SCRIPT if ran else Cause.SERVICE


def time_limit_cause(description: Mapping[str, Any]) -> Cause:
    """Of a job that exceeded a limit of its StoppingCondition.

    MaxWaitTimeInSeconds counts waiting for spot instances and running together: one that waited longer than it ran
    found no room.
    """
    if description.get("SecondaryStatus") != "MaxWaitTimeExceeded":
        return Cause.RUNTIME_LIMIT
    limit = (description.get("StoppingCondition") or {}).get("MaxWaitTimeInSeconds")
    ran = float(description.get("TrainingTimeInSeconds") or 0)
    waited_longer = ran == 0 or (limit is not None and ran < float(limit) / 2)
    return Cause.CAPACITY if waited_longer else Cause.RUNTIME_LIMIT
