"""What became of an experiment's training jobs: a few calls per look, however many run."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from cloudtune.aws import Aws
from cloudtune.clock import Clock
from cloudtune.errors import InvalidRequestError, NotFoundError, TransientError
from cloudtune.names import job_name
from cloudtune.sagemaker.cursors import (
    CREATION_MARGIN,
    DEEP_OVERLAP,
    LOG_OVERLAP,
    LagMeter,
    LogCursor,
    StatusCursor,
)
from cloudtune.sagemaker.descriptions import Description, Descriptions
from cloudtune.sagemaker.following import LAG_FACTOR, FeedOptions, FollowedAttempt
from cloudtune.sagemaker.lines import LineReader, LogLine
from cloudtune.sagemaker.logs import printed_lines, whole_logs
from cloudtune.sagemaker.states import JobState, job_end
from cloudtune.sagemaker.verification import NOT_AS_ASKED, Expected, asked_for, differences
from cloudtune.trial import AttemptId, Observation

logger = logging.getLogger("cloudtune.sagemaker")

DEEP_READING_SECONDS = 60.0
"""Between two looks at the log that reach back far, for lines that are later than any before."""


class JobFeed:
    """Follows the open attempts of one experiment.

    A look costs one ListTrainingJobs of what changed and, while any script runs, one FilterLogEvents of what was
    printed since; more pages only where there is more news. Descriptions (after a launch, at an end, after an
    interruption) and last readings of logs are shared by all attempts that want one. Without open attempts nothing is
    called. ``watch`` hears of every state of every attempt that passes by.
    """

    def __init__(
        self,
        aws: Aws,
        clock: Clock,
        tuner_name: str,
        reader: LineReader,
        options: FeedOptions,
        watch: Callable[[AttemptId, JobState], None] = lambda attempt, state: None,
    ) -> None:
        self._watch = watch
        self._aws = aws
        self._clock = clock
        self._tuner_name = tuner_name
        self._reader = reader
        self._options = options
        self._statuses = StatusCursor(tuner_name)
        self._log = LogCursor(tuner_name, reader.filter_pattern)
        self._lag = LagMeter()
        self._descriptions = Descriptions(aws, tuner_name)
        self._open: dict[AttemptId, FollowedAttempt] = {}
        self._closed: dict[AttemptId, tuple[float, FollowedAttempt]] = {}
        """Those whose last word was told not long ago: what they printed may still come."""
        self._older: set[AttemptId] = set()
        self._newest_creation: float | None = None
        self._rechecked_at = self._read_deep_at = clock.now()
        self._log_has_begun = False
        self._outbox: list[Observation] = []
        self._mentioned: set[str] = set()

    # -- which attempts ------------------------------------------------------------------------------------------------

    def follow(
        self,
        attempt: AttemptId,
        dollars_per_hour: float | None,
        older: bool = False,
        expected: Expected | None = None,
    ) -> None:
        """Follow an attempt from now on.

        ``older``: it was launched by an earlier process, and must be read from its beginning. ``expected``: what to
        compare its job with.
        """
        name = job_name(self._tuner_name, attempt.trial_id, attempt.number)
        stop_asked = None if older else False
        self._open[attempt] = FollowedAttempt(
            attempt, name, dollars_per_hour, self._reader, self._clock.now(), stop_asked, expected
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
        self._read_descriptions()
        self._conclude()

    # -- statuses ------------------------------------------------------------------------------------------------------

    def _read_statuses(self) -> None:
        request = self._statuses.request(self._oldest_creation())
        for page in self._aws.pages("sagemaker", "ListTrainingJobs", **request):
            for attempt, state in self._statuses.take(page):
                self._take_state(attempt, state)
        self._statuses.finish()

    def _oldest_creation(self) -> float | None:
        """A moment before which no open attempt was created, if one is known: it keeps listings short."""
        unseen = [attempt for attempt, followed in self._open.items() if followed.state is None]
        if any(attempt in self._older for attempt in unseen):
            return None
        known = [followed.state.created for followed in self._open.values() if followed.state is not None]
        oldest = min(known) if known else self._newest_creation
        return None if oldest is None else oldest - CREATION_MARGIN

    def _take_state(self, attempt: AttemptId, state: JobState) -> None:
        self._watch(attempt, state)
        self._newest_creation = max(self._newest_creation or 0.0, state.created)
        followed = self._open.get(attempt)
        if followed is None:
            return
        if followed.state is None and (attempt in self._older or not self._log_has_begun):
            self._log.reach_back(state.created)
        self._older.discard(attempt)
        self._outbox.extend(followed.take_state(state, self._clock.now()))

    # -- descriptions --------------------------------------------------------------------------------------------------

    def _read_descriptions(self) -> None:
        now = self._clock.now()
        if now - self._rechecked_at >= self._options.recheck_seconds:
            self._recheck(now)
        wanted = [followed for followed in self._open.values() if followed.wants_description]
        due = [followed for followed in wanted if followed.description_is_due(now, self._options)]
        indexed = [followed for followed in wanted if not followed.by_name]
        if len(indexed) > 1 and any(not followed.by_name for followed in due) and self._descriptions.can_search:
            self._search(indexed)
            if self._descriptions.can_search:
                for followed in due:
                    followed.missed_by_index(now)
                due = [followed for followed in due if followed.by_name]
        missing = [followed for followed in self._open.values() if followed.is_missing(now, self._options)]
        self._describe([*due, *missing])

    def _recheck(self, now: float) -> None:
        """Whatever the listings of changes may have missed: an attempt that the index does not show at work."""
        states = {
            description["TrainingJobName"]: JobState.of(description) for description in self._descriptions.running()
        }
        if not self._descriptions.can_search:
            request = self._statuses.request(self._oldest_creation(), everything=True)
            for page in self._aws.pages("sagemaker", "ListTrainingJobs", **request):
                states.update((state.name, state) for _, state in self._statuses.take(page))
        for followed in self._open.values():
            if followed.name in states:
                self._take_state(followed.attempt, states[followed.name])
            else:
                followed.not_at_work(now)
        self._rechecked_at = now

    def _search(self, wanted: Sequence[FollowedAttempt]) -> None:
        """One Search for all of them."""
        remaining = {followed.name: followed for followed in wanted}
        oldest = min(followed.state.modified for followed in wanted if followed.state is not None)
        for description in self._descriptions.changed_since(oldest):
            followed = remaining.get(description["TrainingJobName"])
            if followed is None:
                continue
            self._take_description(followed, description, certain=False)
            del remaining[followed.name]
            if not remaining:
                return

    def _describe(self, wanted: Iterable[FollowedAttempt]) -> None:
        by_name = {followed.name: followed for followed in wanted}
        for name, description in self._descriptions.by_name(list(by_name)):
            followed = by_name[name]
            if description is None:
                self._outbox.extend(followed.take_not_found(self._clock.now()))
            else:
                followed.by_name = False
                self._take_description(followed, description, certain=True)

    def _take_description(self, followed: FollowedAttempt, description: Description, certain: bool) -> None:
        """``certain``: it is the job's own, not the index's."""
        self._take_state(followed.attempt, JobState.of(description))
        if followed.expected is not None:
            found = differences(asked_for(followed.expected, description), description)
            if not found:
                followed.expected = None
            elif not certain:
                followed.by_name = True
            elif callable(followed.expected):
                self._mention(followed, "; ".join(found))
            else:
                self._end_mismatch(followed, found)
        if JobState.of(description).is_over and followed.end is None:
            followed.take_end(job_end(description, followed.dollars_per_hour, followed.stop_asked))

    def _mention(self, followed: FollowedAttempt, found: str) -> None:
        """No end: an earlier process may have been given another template. What this one launches tells."""
        followed.expected = None
        if found not in self._mentioned:
            self._mentioned.add(found)
            logger.error("%s, from before this session, is not what it would ask for: %s", followed.name, found)

    def _end_mismatch(self, followed: FollowedAttempt, found: Sequence[str]) -> None:
        reason = f"{NOT_AS_ASKED}: training job {followed.name!r} is not what was asked for: {'; '.join(found)}"
        logger.error("%s", reason)
        try:
            if not followed.is_over:
                self._aws.call("sagemaker", "StopTrainingJob", TrainingJobName=followed.name)
        except InvalidRequestError:
            logger.debug("%s has ended", followed.name)
        followed.expected = None
        self._outbox.extend(followed.take_mismatch(reason, self._clock.now()))

    # -- the log -------------------------------------------------------------------------------------------------------

    def _read_log(self) -> None:
        self._log_has_begun = True
        now = self._clock.now()
        deep = now - self._read_deep_at >= DEEP_READING_SECONDS
        late = LAG_FACTOR * (self._lag.seconds(now) or 0.0) + LOG_OVERLAP
        request = self._log.request(DEEP_OVERLAP if deep else min(late, DEEP_OVERLAP))
        lines: dict[AttemptId, list[LogLine]] = defaultdict(list)
        try:
            for page in self._aws.pages("logs", "FilterLogEvents", **request):
                for attempt, line in self._log.take(page):
                    lines[attempt].append(line)
            self._log.finish()
            if deep:
                self._read_deep_at = now
        except NotFoundError:
            logger.debug("no job of this account has printed anything yet")
        finally:
            # what was read is told, whatever became of the rest
            self._take_lines(lines)

    def _take_lines(self, lines: Mapping[AttemptId, list[LogLine]]) -> None:
        now = self._clock.now()
        for attempt, read in lines.items():
            followed = self._open.get(attempt) or self._closed.get(attempt, (now, None))[1]
            if followed is None:
                continue
            news = [line for line in read if followed.is_news(line)]
            for line in news:
                if line.lag is not None:
                    self._lag.take(line.lag, now)
            news.sort(key=lambda line: line.at)
            self._outbox.extend(followed.take_lines(news, now))

    # -- the end of an attempt -----------------------------------------------------------------------------------------

    def _conclude(self) -> None:
        now = self._clock.now()
        lag = self._lag.seconds(now)
        over = [followed for followed in self._open.values() if followed.is_over]
        drained = [followed for followed in over if followed.wants_rereading(now, self._options, lag)]
        for followed, lines in whole_logs(self._aws, self._tuner_name, self._reader.filter_pattern, drained):
            self._outbox.extend(followed.take_whole_log(lines, now))
        for followed in over:
            if followed.is_final(now, self._options, lag):
                del self._open[followed.attempt]
                self._closed[followed.attempt] = (now, followed)
                self._outbox.append(followed.last_word(now))
        for attempt, (closed_at, _) in list(self._closed.items()):
            if now - closed_at > self._options.late_seconds:
                del self._closed[attempt]

    # -- for people ----------------------------------------------------------------------------------------------------

    def printed(self, trial_id: int) -> Iterator[str]:
        """All lines of a trial's attempts, of every instance, oldest first."""
        return printed_lines(self._aws, self._tuner_name, trial_id)
