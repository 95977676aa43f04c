"""What became of an experiment's training jobs: a few calls per look, however many run."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence

from cloudtune.aws import Aws
from cloudtune.clock import Clock
from cloudtune.errors import NotFoundError, TransientError
from cloudtune.names import job_name
from cloudtune.sagemaker.cursors import (
    CREATION_MARGIN,
    LOG_OVERLAP,
    LogCursor,
    StatusCursor,
    lines_of,
    log_request,
)
from cloudtune.sagemaker.following import FeedOptions, FollowedAttempt
from cloudtune.sagemaker.lines import LineReader, LogLine
from cloudtune.sagemaker.states import GONE, JobState, job_end
from cloudtune.trial import AttemptId, Observation

logger = logging.getLogger("cloudtune.sagemaker")

_ASKED_BY_NAME = 20


class JobFeed:
    """Follows the open attempts of one experiment.

    A look costs one ListTrainingJobs of what changed and, while any script runs, one FilterLogEvents of what was
    printed since; more pages only where there is more news. An attempt's end costs one DescribeTrainingJob and one
    last reading of its log. Without open attempts nothing is called.
    """

    def __init__(self, aws: Aws, clock: Clock, tuner_name: str, reader: LineReader, options: FeedOptions) -> None:
        self._aws = aws
        self._clock = clock
        self._tuner_name = tuner_name
        self._reader = reader
        self._options = options
        self._statuses = StatusCursor(tuner_name)
        self._log = LogCursor(tuner_name, reader.filter_pattern)
        self._open: dict[AttemptId, FollowedAttempt] = {}
        self._older: set[AttemptId] = set()
        self._newest_creation: float | None = None
        self._rechecked_at = clock.now()
        self._log_has_begun = False
        self._outbox: list[Observation] = []

    # -- which attempts ------------------------------------------------------------------------------------------------

    def follow(self, attempt: AttemptId, dollars_per_hour: float | None, older: bool = False) -> None:
        """Follow an attempt from now on. ``older``: it was launched by an earlier process, and must be read from its
        beginning."""
        name = job_name(self._tuner_name, attempt.trial_id, attempt.number)
        now = self._clock.now()
        self._open[attempt] = FollowedAttempt(
            attempt, name, dollars_per_hour, self._reader, LOG_OVERLAP, now, None if older else False
        )
        if older:
            self._older.add(attempt)

    def stop_asked(self, attempt: AttemptId) -> None:
        """We are about to stop it."""
        if attempt in self._open:
            self._open[attempt].stop_asked = True

    # -- looking -------------------------------------------------------------------------------------------------------

    def poll(self) -> Sequence[Observation]:
        """Everything new. Raises ``TransientError`` only if there is no news to give; none is lost."""
        if self._open:
            try:
                self._look()
            except TransientError as error:
                if not self._outbox:
                    raise
                logger.warning("the rest of the news comes later: %s", error)
        news, self._outbox = self._outbox, []
        return news

    def _look(self) -> None:
        self._read_statuses()
        if any(followed.has_begun for followed in self._open.values()):
            self._read_log()
        for followed in list(self._open.values()):
            if followed.is_over:
                self._conclude(followed)

    def _read_statuses(self) -> None:
        now = self._clock.now()
        everything = now - self._rechecked_at >= self._options.recheck_seconds
        seen: set[AttemptId] = set()
        request = self._statuses.request(self._oldest_creation(), everything)
        for page in self._aws.pages("sagemaker", "ListTrainingJobs", **request):
            for attempt, state in self._statuses.take(page):
                seen.add(attempt)
                self._take_state(attempt, state)
        self._statuses.finish()
        if everything:
            self._rechecked_at = now
        for attempt, followed in list(self._open.items()):
            never_seen = followed.state is None and now - followed.looked_for >= self._options.missing_seconds
            vanished = everything and followed.state is not None and not followed.is_over and attempt not in seen
            if never_seen or vanished:
                self._ask_for(followed)

    def _oldest_creation(self) -> float | None:
        """A moment before which no open attempt was created, if one is known: it keeps listings short."""
        unseen = [attempt for attempt, followed in self._open.items() if followed.state is None]
        if any(attempt in self._older for attempt in unseen):
            return None
        known = [followed.state.created for followed in self._open.values() if followed.state is not None]
        oldest = min(known) if known else self._newest_creation
        return None if oldest is None else oldest - CREATION_MARGIN

    def _take_state(self, attempt: AttemptId, state: JobState) -> None:
        self._newest_creation = max(self._newest_creation or 0.0, state.created)
        followed = self._open.get(attempt)
        if followed is None:
            return
        if followed.state is None and (attempt in self._older or not self._log_has_begun):
            self._log.reach_back(state.created)
        self._older.discard(attempt)
        self._outbox.extend(followed.take_state(state, self._clock.now()))

    def _ask_for(self, followed: FollowedAttempt) -> None:
        """A listing is an index, and may lack what exists."""
        followed.looked_for = self._clock.now()
        try:
            description = self._aws.call("sagemaker", "DescribeTrainingJob", TrainingJobName=followed.name)
        except NotFoundError:
            self._outbox.extend(followed.gone(GONE, self._clock.now()))
        else:
            self._take_state(followed.attempt, JobState.of(description))

    def _read_log(self) -> None:
        self._log_has_begun = True
        lines: dict[AttemptId, list[LogLine]] = defaultdict(list)
        try:
            for page in self._aws.pages("logs", "FilterLogEvents", **self._log.request()):
                for attempt, line in self._log.take(page):
                    if attempt in self._open:
                        lines[attempt].append(line)
            self._log.finish()
        except NotFoundError:
            logger.debug("no job of this account has printed anything yet")
        finally:
            # what was read is told, whatever became of the rest
            now = self._clock.now()
            for attempt, read in lines.items():
                read.sort(key=lambda line: line.at)
                self._outbox.extend(self._open[attempt].take_lines(read, now))

    # -- the end of an attempt -----------------------------------------------------------------------------------------

    def _conclude(self, followed: FollowedAttempt) -> None:
        if followed.end is None:
            self._describe_end(followed)
        now = self._clock.now()
        if followed.wants_rereading(now, self._options):
            self._outbox.extend(followed.take_whole_log(self._whole_log(followed.name), now))
        if followed.is_final(now, self._options):
            del self._open[followed.attempt]
            self._outbox.append(followed.last_word(now))

    def _describe_end(self, followed: FollowedAttempt) -> None:
        try:
            description = self._aws.call("sagemaker", "DescribeTrainingJob", TrainingJobName=followed.name)
        except NotFoundError:
            self._outbox.extend(followed.gone(GONE, self._clock.now()))
        else:
            followed.take_end(job_end(description, followed.dollars_per_hour, followed.stop_asked))

    def _whole_log(self, name: str) -> list[LogLine]:
        request = log_request(f"{name}/", self._reader.filter_pattern)
        try:
            lines = [
                line
                for page in self._aws.pages("logs", "FilterLogEvents", **request)
                for _, line in lines_of(page, self._tuner_name)
            ]
        except NotFoundError:
            return []
        return sorted(lines, key=lambda line: line.at)

    # -- for people ----------------------------------------------------------------------------------------------------

    def printed(self, trial_id: int) -> Iterator[str]:
        """All lines of a trial's attempts, of every instance, oldest first."""
        return printed_lines(self._aws, self._tuner_name, trial_id)


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


def existing_attempts(aws: Aws, tuner_name: str, attempts: Sequence[AttemptId]) -> set[AttemptId]:
    """Those of ``attempts`` that have a training job."""
    wanted = set(attempts)
    found: set[AttemptId] = set()
    cursor = StatusCursor(tuner_name)
    for page in aws.pages("sagemaker", "ListTrainingJobs", **cursor.request(None)):
        found.update(attempt for attempt, _ in cursor.take(page) if attempt in wanted)
        if found == wanted:
            return found
    # a listing may lack a job made a moment ago: the last few are asked for by name
    for attempt in sorted(wanted - found)[-_ASKED_BY_NAME:]:
        if job_exists(aws, job_name(tuner_name, attempt.trial_id, attempt.number)):
            found.add(attempt)
    return found


def job_exists(aws: Aws, name: str) -> bool:
    """Whether there is a training job of this name."""
    try:
        aws.call("sagemaker", "DescribeTrainingJob", TrainingJobName=name)
    except NotFoundError:
        return False
    return True
