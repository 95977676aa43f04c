"""Whole logs of training jobs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from cloudtune.aws import Aws
from cloudtune.errors import NotFoundError
from cloudtune.sagemaker.cursors import STREAMS_PER_CALL, lines_of, log_request, streams_request
from cloudtune.sagemaker.following import FollowedAttempt
from cloudtune.sagemaker.lines import LogLine
from cloudtune.trial import AttemptId


def whole_logs(
    aws: Aws, tuner_name: str, filter_pattern: str | None, wanted: Sequence[FollowedAttempt]
) -> Iterator[tuple[FollowedAttempt, list[LogLine]]]:
    """The lines of each, in the order printed. Those whose streams are known share calls."""
    known = [followed for followed in wanted if followed.streams]
    for group in _grouped(known):
        created = [followed.state.created for followed in group if followed.state is not None]
        streams = [stream for followed in group for stream in sorted(followed.streams)]
        since = min(created) if len(created) == len(group) else None
        lines = _lines(aws, tuner_name, streams_request(streams, filter_pattern, since))
        for followed in group:
            yield followed, lines[followed.attempt]
    for followed in wanted:
        if not followed.streams:
            lines = _lines(aws, tuner_name, log_request(f"{followed.name}/", filter_pattern))
            yield followed, lines[followed.attempt]


def _grouped(known: Iterable[FollowedAttempt]) -> Iterator[list[FollowedAttempt]]:
    """As many as one call takes."""
    group: list[FollowedAttempt] = []
    streams = 0
    for followed in known:
        if group and streams + len(followed.streams) > STREAMS_PER_CALL:
            yield group
            group, streams = [], 0
        group.append(followed)
        streams += len(followed.streams)
    if group:
        yield group


def _lines(aws: Aws, tuner_name: str, request: dict[str, Any]) -> dict[AttemptId, list[LogLine]]:
    found: dict[AttemptId, list[LogLine]] = defaultdict(list)
    try:
        for page in aws.pages("logs", "FilterLogEvents", **request):
            for attempt, line in lines_of(page, tuner_name):
                found[attempt].append(line)
    except NotFoundError:
        pass  # no job of this account has printed anything yet, or somebody deleted a stream
    for lines in found.values():
        lines.sort(key=lambda line: line.at)
    return found


def printed_lines(aws: Aws, tuner_name: str, trial_id: int) -> Iterator[str]:
    """All lines of a trial's attempts, of every instance, oldest first."""
    request = log_request(f"{tuner_name}-{trial_id:05d}-")
    try:
        for page in aws.pages("logs", "FilterLogEvents", **request):
            for attempt, line in lines_of(page, tuner_name, every_host=True):
                if attempt.trial_id == trial_id:
                    yield line.text
    except NotFoundError:
        return
