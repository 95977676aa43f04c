"""Where reading stands in the two feeds of an experiment: statuses and log lines. Pure: pages in, news out.

Times here are the server's, so that no difference between two machines' clocks can hide news.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from cloudtune.names import parse_job_name
from cloudtune.sagemaker.lines import LogLine
from cloudtune.sagemaker.states import JobState
from cloudtune.trial import AttemptId

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
STATUS_OVERLAP = 30.0
"""Seconds read again at each look at the statuses: a listing may show a change after a later one."""
LOG_OVERLAP = 60.0
"""Seconds of log read again at each look: lines of different jobs arrive with different delays."""
DEEP_OVERLAP = 360.0
"""Seconds of log read again now and then, and at each look where lines are known to be that late."""
CREATION_MARGIN = 300.0
"""Seconds by which an attempt may be older than one that was seen before it."""
LAG_HALF_LIFE = 3600.0
"""Seconds after which a late line counts half: waiting for an ended job's log holds up no worker."""
STREAMS_PER_CALL = 100
"""Streams that FilterLogEvents takes by name."""

_FIRST_HOST = "algo-1"


class StatusCursor:
    """Reads ListTrainingJobs by what changed since the last look."""

    def __init__(self, tuner_name: str, overlap: float = STATUS_OVERLAP) -> None:
        self._tuner_name = tuner_name
        self._overlap = overlap
        self._since: float | None = None
        self._newest = 0.0

    def request(self, created_after: float | None, everything: bool = False) -> dict[str, Any]:
        """For the next look. ``created_after``: no open attempt is older. ``everything``: unchanged ones, too."""
        request: dict[str, Any] = {
            "NameContains": f"{self._tuner_name}-",
            "SortBy": "CreationTime",
            "SortOrder": "Descending",
            "MaxResults": 100,
        }
        if created_after is not None:
            request["CreationTimeAfter"] = _moment(created_after)
        if self._since is not None and not everything:
            request["LastModifiedTimeAfter"] = _moment(self._since)
        return request

    def take(self, page: Mapping[str, Any]) -> Iterator[tuple[AttemptId, JobState]]:
        """This experiment's jobs on a page; not those of an experiment whose name merely contains ours."""
        for summary in page.get("TrainingJobSummaries") or []:
            state = JobState.of(summary)
            parsed = parse_job_name(self._tuner_name, state.name)
            if parsed is not None:
                self._newest = max(self._newest, state.modified)
                yield AttemptId(*parsed), state

    def finish(self) -> None:
        """All pages were read: the next look starts here. Without this, it starts where this one did."""
        if self._newest:
            self._since = self._newest - self._overlap


class LogCursor:
    """Reads FilterLogEvents by name prefix, over all jobs of the experiment at once."""

    def __init__(self, tuner_name: str, filter_pattern: str | None = None, overlap: float = LOG_OVERLAP) -> None:
        self._tuner_name = tuner_name
        self._filter_pattern = filter_pattern
        self._overlap = overlap
        self._begin: float | None = None
        self._reach: float | None = None
        self._read_to: float | None = None
        self._newest: float | None = None

    def reach_back(self, moment: float) -> None:
        """Read again from ``moment`` on: of an attempt that began then, nothing has been read yet."""
        self._begin = moment if self._begin is None else min(self._begin, moment)
        self._reach = moment if self._reach is None else min(self._reach, moment)

    def request(self, overlap: float | None = None) -> dict[str, Any]:
        """For the next look. ``overlap``: seconds to read again, if more than usual."""
        since = self._reach
        if self._read_to is not None:
            cursor = max(self._begin or 0.0, self._read_to - max(self._overlap, overlap or 0.0))
            since = cursor if since is None else min(since, cursor)
        return log_request(f"{self._tuner_name}-", self._filter_pattern, since)

    def take(self, page: Mapping[str, Any]) -> Iterator[tuple[AttemptId, LogLine]]:
        """Lines of this experiment's jobs on a page, those of the overlap included."""
        for attempt, line in lines_of(page, self._tuner_name):
            self._newest = line.at if self._newest is None else max(self._newest, line.at)
            yield attempt, line

    def finish(self) -> None:
        """All pages were read. Without this, the next look starts where this one did."""
        if self._newest is not None:
            self._read_to = self._newest
            self._reach = None


class LagMeter:
    """How late log lines come, in seconds: the latest of the recent ones. What was once seen counts less and less."""

    def __init__(self) -> None:
        self._peak: float | None = None
        self._at = 0.0

    def take(self, lag: float, now: float) -> None:
        """A line came ``lag`` seconds late."""
        if self._peak is None or lag >= self._faded(now):
            self._peak, self._at = lag, now

    def seconds(self, now: float) -> float | None:
        """None as long as no line was seen."""
        return None if self._peak is None else self._faded(now)

    def _faded(self, now: float) -> float:
        return (self._peak or 0.0) * math.pow(0.5, max(0.0, now - self._at) / LAG_HALF_LIFE)


def log_request(stream_prefix: str, filter_pattern: str | None = None, since: float | None = None) -> dict[str, Any]:
    """For FilterLogEvents."""
    request: dict[str, Any] = {"logGroupName": LOG_GROUP, "logStreamNamePrefix": stream_prefix}
    if filter_pattern:
        request["filterPattern"] = filter_pattern
    if since is not None:
        request["startTime"] = max(0, int(since * 1000))
    return request


def streams_request(streams: Sequence[str], filter_pattern: str | None, since: float | None) -> dict[str, Any]:
    """For FilterLogEvents: whole streams that are known by name, at most ``STREAMS_PER_CALL``."""
    request = log_request("", filter_pattern, since)
    del request["logStreamNamePrefix"]
    return {**request, "logStreamNames": list(streams)}


def lines_of(page: Mapping[str, Any], tuner_name: str, every_host: bool = False) -> Iterator[tuple[AttemptId, LogLine]]:
    """Log events of this experiment's jobs. Of a job on several instances the first speaks for all."""
    for event in page.get("events") or []:
        stream = event["logStreamName"]
        job, _, host = stream.partition("/")
        parsed = parse_job_name(tuner_name, job)
        if parsed is None or not (every_host or host.rpartition("-")[0] == _FIRST_HOST):
            continue
        printed, readable = event["timestamp"], event.get("ingestionTime")
        lag = None if readable is None else max(0.0, (readable - printed) / 1000)
        yield AttemptId(*parsed), LogLine(str(event["eventId"]), printed / 1000, event["message"], stream, lag)


class Window:
    """Which lines of one attempt were read already. Remembers as many as the overlap holds."""

    def __init__(self, overlap: float) -> None:
        self._overlap = overlap
        self._newest = float("-inf")
        self._seen: dict[str, float] = {}
        self._pruned_at = float("-inf")

    def has(self, line: LogLine) -> bool:
        """Whether it was read already, or may have been."""
        return line.at < self._newest - self._overlap or line.event_id in self._seen

    def is_new(self, line: LogLine) -> bool:
        """Whether to read it; a line older than the overlap isn't, whatever it is: the last reading will find it."""
        if self.has(line):
            return False
        self._seen[line.event_id] = line.at
        self._newest = max(self._newest, line.at)
        if self._newest - self._pruned_at > 2 * self._overlap:
            self._pruned_at = self._newest
            limit = self._newest - self._overlap
            self._seen = {event: at for event, at in self._seen.items() if at >= limit}
        return True


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(max(0.0, seconds), timezone.utc)
