"""Tags of a training job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cloudtune.sandbox import tokens
from cloudtune.sandbox.aws_error import AwsError, invalid
from cloudtune.sandbox.training.job import Job
from cloudtune.sandbox.training.rules import check_tags

LIMIT = 50


def add(job: Job, tags: list[Mapping[str, str]]) -> None:
    """Add ``tags`` to those of ``job``; a key that is there already gets the new value."""
    check_tags(tags)
    merged = {**job.tags, **{tag["Key"]: tag["Value"] for tag in tags}}
    if len(merged) > LIMIT:
        raise AwsError("ResourceLimitExceeded", f"A resource has at most {LIMIT} tags, not {len(merged)}.")
    job.tags = merged


def all_of(job: Job) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in job.tags.items()]


def page(job: Job, request: Mapping[str, Any]) -> dict[str, Any]:
    """The answer of ListTags."""
    found = all_of(job)
    try:
        start = tokens.offset(request.get("NextToken"))
    except ValueError as error:
        raise invalid(f"The token '{request['NextToken']}' is invalid.") from error
    end = start + int(request.get("MaxResults", LIMIT))
    answer: dict[str, Any] = {"Tags": found[start:end]}
    if end < len(found):
        answer["NextToken"] = tokens.encode(end)
    return answer
