"""ListTrainingJobs: filters, order and pages as the service cuts them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cloudtune.sandbox import tokens
from cloudtune.sandbox.aws_error import invalid
from cloudtune.sandbox.training.job import Job

DEFAULT_PAGE = 10


def list_jobs(request: Mapping[str, Any], jobs: Iterable[Job]) -> tuple[list[Job], str | None]:
    """One page of ``jobs`` and the token of the next.

    With both StatusEquals and MaxResults the page is cut first and filtered by status then, as the service documents
    for itself: it can be empty while a token goes on.
    """
    status = request.get("StatusEquals")
    cut_first = status is not None and "MaxResults" in request
    chosen = [job for job in jobs if _matches(request, job)]
    if status is not None and not cut_first:
        chosen = [job for job in chosen if job.status == status]
    sort_by, descending = _order(request)
    chosen.sort(key=lambda job: _sort_key(job, sort_by), reverse=descending)
    start = _start(request, chosen, sort_by, descending)
    size = request.get("MaxResults", DEFAULT_PAGE)
    page = chosen[start : start + size]
    token = tokens.encode([sort_by, *_sort_key(page[-1], sort_by)]) if start + size < len(chosen) else None
    if cut_first:
        page = [job for job in page if job.status == status]
    return page, token


def _matches(request: Mapping[str, Any], job: Job) -> bool:
    if "NameContains" in request and request["NameContains"] not in job.name:
        return False
    if "LastModifiedTimeAfter" in request and job.last_modified <= request["LastModifiedTimeAfter"]:
        return False
    if "LastModifiedTimeBefore" in request and job.last_modified >= request["LastModifiedTimeBefore"]:
        return False
    if "CreationTimeAfter" in request and job.created <= request["CreationTimeAfter"]:
        return False
    if "CreationTimeBefore" in request and job.created >= request["CreationTimeBefore"]:
        return False
    wanted_pool = request.get("WarmPoolStatusEquals")
    if wanted_pool is not None and (job.warm_pool is None or job.warm_pool.status != wanted_pool):
        return False
    if "TrainingPlanArnEquals" in request:
        config = job.request.get("ResourceConfig", {})
        return bool(config.get("TrainingPlanArn") == request["TrainingPlanArnEquals"])
    return True


def _order(request: Mapping[str, Any]) -> tuple[str, bool]:
    # the model documents Ascending as the default and, in the same breath, a plain listing that starts with the
    # newest; the latter is what one sees, the former is taken once a property to sort by is named
    newest_first = "SortBy" not in request and "SortOrder" not in request
    return request.get("SortBy", "CreationTime"), newest_first or request.get("SortOrder") == "Descending"


def _sort_key(job: Job, sort_by: str) -> tuple[Any, str]:
    value = {"Name": job.name, "CreationTime": job.created, "Status": job.status}[sort_by]
    return (value, job.name)


def _start(request: Mapping[str, Any], chosen: list[Job], sort_by: str, descending: bool) -> int:
    if "NextToken" not in request:
        return 0
    try:
        token_sort, value, name = tokens.decode(request["NextToken"])
        if token_sort != sort_by:
            raise ValueError(f"the token is of a listing by {token_sort}")
        after = (value, name)
        keys = [_sort_key(job, sort_by) for job in chosen]
        return sum(key >= after if descending else key <= after for key in keys)
    except (ValueError, TypeError) as error:
        raise invalid(f"The token '{request['NextToken']}' is invalid: {error}") from error
