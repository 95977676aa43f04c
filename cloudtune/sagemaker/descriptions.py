"""Descriptions of training jobs: many with one Search where its index knows them, the others by name."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from cloudtune.aws import Aws
from cloudtune.errors import AccessDeniedError, NotFoundError

logger = logging.getLogger("cloudtune.sagemaker")

Description = Mapping[str, Any]

DESCRIBED_PER_LOOK = 5
"""Descriptions asked for by name in one look: more would hold up the next."""
_INDEX_MARGIN = 2.0


class Descriptions:
    """Asks for the descriptions of one experiment's jobs."""

    def __init__(self, aws: Aws, tuner_name: str) -> None:
        self._aws = aws
        self._tuner_name = tuner_name
        self._search_refused = False

    @property
    def can_search(self) -> bool:
        """Whether the index may be asked."""
        return not self._search_refused

    def changed_since(self, moment: float) -> Iterator[Description]:
        """All that the index knows to have changed since ``moment`` (the server's seconds); up to 100 with each call.

        The index lags: what is missing, or not over, may be over all the same.
        """
        at = datetime.fromtimestamp(max(0.0, moment - _INDEX_MARGIN), timezone.utc)
        changed = {"Name": "LastModifiedTime", "Operator": "GreaterThanOrEqualTo", "Value": at.isoformat()}
        yield from self._search({"Filters": [self._ours(), changed]})

    def running(self) -> Iterator[Description]:
        """All that the index knows to be at work; up to 100 with each call."""
        statuses = [
            {"Name": "TrainingJobStatus", "Operator": "Equals", "Value": status}
            for status in ("InProgress", "Stopping")
        ]
        yield from self._search(
            {"Filters": [self._ours()], "SubExpressions": [{"Filters": statuses, "Operator": "Or"}]}
        )

    def _ours(self) -> dict[str, str]:
        return {"Name": "TrainingJobName", "Operator": "Contains", "Value": f"{self._tuner_name}-"}

    def _search(self, expression: Mapping[str, Any]) -> Iterator[Description]:
        if self._search_refused:
            return
        request = {"Resource": "TrainingJob", "SearchExpression": expression, "MaxResults": 100}
        try:
            for page in self._aws.pages("sagemaker", "Search", **request):
                for result in page.get("Results") or ():
                    if "TrainingJob" in result:
                        yield result["TrainingJob"]
        except AccessDeniedError as error:
            self._search_refused = True
            logger.warning("jobs are described one by one, which takes more calls: %s", error)

    def by_name(self, names: Sequence[str]) -> Iterator[tuple[str, Description | None]]:
        """The first few of ``names``, with None for a job of which the service knows nothing (yet)."""
        for name in names[:DESCRIBED_PER_LOOK]:
            try:
                yield name, self._aws.call("sagemaker", "DescribeTrainingJob", TrainingJobName=name)
            except NotFoundError:
                yield name, None
