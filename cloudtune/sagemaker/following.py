"""One attempt as it is followed from its launch to its last report. Pure: states and lines in, observations out."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from cloudtune.options import check_seconds, named_options
from cloudtune.sagemaker.cursors import DEEP_OVERLAP, Window
from cloudtune.sagemaker.lines import LineParser, LineReader, LogLine, ParsedReport
from cloudtune.sagemaker.states import GONE, JobEnd, JobState
from cloudtune.sagemaker.verification import Expected
from cloudtune.trial import AttemptId, AttemptStatus, Cause, Interruption, Observation, Report, StatusChange

logger = logging.getLogger("cloudtune.sagemaker")


@named_options()
@dataclass(frozen=True)
class FeedOptions:
    """How long to wait for what, in seconds.

    ``drain_quiet_seconds``: after its end, an attempt's log must have been quiet so long before it is taken as whole;
    three times as long if nothing was ever reported, and longer by one and a half times what lines of this
    experiment are late. ``drain_limit_seconds``: but no longer than this.
    ``silent_seconds``: and so long if a script ended in order and reported nothing: its lines may be later than others.
    ``late_seconds``: what comes even later is still taken in for so long after an attempt's end, if others run.
    ``missing_seconds``: an attempt that no listing shows for so long is asked for by name; it is gone once three such
    answers, a quarter of that time apart, say so.
    ``verify_seconds``: from a launch to the look at whether the job is what was asked for.
    ``recheck_seconds``: between two looks at all that run, changed or not.
    """

    drain_quiet_seconds: float = 5.0
    drain_limit_seconds: float = 600.0
    missing_seconds: float = 120.0
    recheck_seconds: float = 300.0
    silent_seconds: float = 240.0
    late_seconds: float = 900.0
    verify_seconds: float = 20.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            check_seconds(name, value)


LAG_FACTOR = 1.5
"""Lines may be later than any that was seen so far."""
NOT_FOUND_LIMIT = 3
"""Descriptions that must say a job doesn't exist: one alone may come from a replica that hasn't heard of it."""
INDEX_PATIENCE = 15.0
"""Seconds to wait for the index of Search, once it was behind."""
_MISSES = 2
_INDEXED_AFTER = 60.0
_PATIENCE_WITHOUT_REPORT = 3
_ORDER = {status: order for order, status in enumerate(AttemptStatus)}


class FollowedAttempt:
    """``stop_asked``: whether we asked the job to stop, None if an earlier process may have.

    ``expected``: what to compare its job with, as long as nobody has.
    """

    def __init__(
        self,
        attempt: AttemptId,
        name: str,
        dollars_per_hour: float | None,
        reader: LineReader,
        now: float,
        stop_asked: bool | None = False,
        expected: Expected | None = None,
    ) -> None:
        self.attempt = attempt
        self.name = name
        self.dollars_per_hour = dollars_per_hour
        self.stop_asked = stop_asked
        self.expected = expected
        self.state: JobState | None = None
        self.end: JobEnd | None = None
        self.mismatch = ""
        """In what the job differs from what was asked for."""
        self.looked_for = now  # when it was last seen, or asked for by name
        self.not_found = 0  # so many descriptions in a row said there is no such job
        self.by_name = False
        """Only its own description will do: the index is behind."""
        self._misses = 0
        self._index_due = 0.0
        self.streams: set[str] = set()
        self._since = now
        self._reader = reader
        self._parsers: dict[str, LineParser] = {}
        self._window = Window(DEEP_OVERLAP)
        self._delivered: set[str] = set()
        self._told = AttemptStatus.PENDING
        self._told_pending = False
        self._interruptions = 0
        self._history_unknown = stop_asked is None
        self._over_since: float | None = None
        self._last_news = now
        self._reread_since_news = False

    # -- what comes in ---------------------------------------------------------------------------------------------

    def take_state(self, state: JobState, now: float) -> Iterator[StatusChange | Interruption]:
        """What a listing or a description says; nothing if it says nothing new."""
        self.looked_for, self.not_found = now, 0
        if state.interruptions is not None:
            yield from self._interrupted(len(state.interruptions), state.interruptions, now)
        if self._is_stale(state):
            return
        if state.interruptions is not None:
            self._history_unknown = False
        elif self.state is None or state.modified > self.state.modified:
            # a machine may have come and gone between two looks
            went_back = self._told is AttemptStatus.RUNNING and state.attempt_status is AttemptStatus.PENDING
            self._history_unknown |= state.has_lost_its_machine or went_back
        self.state = state
        if state.is_over and self._over_since is None:
            self._over_since = self._last_news = now
        yield from self._tell(state.attempt_status, now)

    def _is_stale(self, state: JobState) -> bool:
        """Whether it was so once: listings, descriptions and the index lag, each in its own way."""
        if self.state is None:
            return False
        return state.modified < self.state.modified or (self.state.is_over and not state.is_over)

    def take_lines(self, lines: Iterable[LogLine], now: float) -> Iterator[Observation]:
        """Lines as the feed brings them, in the order printed."""
        for line in lines:
            if self._window.is_new(line):
                self._last_news = now
                yield from self._started_again(line.stream, now)
                yield from self._reports(self._parser_of(self._parsers, line).read(line), now)

    def is_news(self, line: LogLine) -> bool:
        """Whether the line was never read. Takes no note of it."""
        return not self._window.has(line)

    def take_whole_log(self, lines: Iterable[LogLine], now: float) -> Iterator[Observation]:
        """The whole log, read again from its first line: what the feed missed, and nothing else."""
        parsers: dict[str, LineParser] = {}
        self._reread_since_news = True
        for line in lines:
            before = len(self._delivered)
            yield from self._started_again(line.stream, now)
            yield from self._reports(self._parser_of(parsers, line).read(line), now)
            if len(self._delivered) > before:
                self._last_news = now
                self._reread_since_news = False

    def _parser_of(self, parsers: dict[str, LineParser], line: LogLine) -> LineParser:
        """Each start of the script counts for itself."""
        if line.stream not in parsers:
            parsers[line.stream] = self._reader.parser(self.dollars_per_hour)
        return parsers[line.stream]

    def _started_again(self, stream: str, now: float) -> Iterator[Interruption]:
        """A second stream of the same job is a second machine."""
        if stream not in self.streams:
            self.streams.add(stream)
            yield from self._interrupted(len(self.streams) - 1, (), now)

    def _interrupted(self, count: int, said: tuple[str, ...], now: float) -> Iterator[Interruption]:
        while self._interruptions < count:
            reason = (
                said[self._interruptions] if self._interruptions < len(said) else "started again on another machine"
            )
            self._interruptions += 1
            if self._reader.counted:
                logger.warning(
                    "%s was interrupted, and its resource is counted from 1 again: print it, or use the Reporter",
                    self.name,
                )
            yield Interruption(self.attempt, self._interruptions, now, reason)

    def take_end(self, end: JobEnd) -> None:
        """How it ended, from its description."""
        self.end = end

    def take_mismatch(self, differences: str, now: float) -> Iterator[StatusChange]:
        """The job is not what was asked for, and was told to stop."""
        self.mismatch, self.stop_asked = differences, True
        if _ORDER[AttemptStatus.STOPPING] > _ORDER[self._told]:
            self._told = AttemptStatus.STOPPING
            yield StatusChange(self.attempt, AttemptStatus.STOPPING, now, differences, cause=Cause.MISMATCH)

    def take_not_found(self, now: float) -> Iterator[StatusChange]:
        """A description says there is no such job: taken at its word when it insists."""
        self.looked_for = now
        self.not_found += 1
        if self.not_found >= NOT_FOUND_LIMIT:
            self.end = JobEnd(AttemptStatus.FAILED, GONE, False, None, Cause.OUTSIDE)
            self.expected = None
            self._over_since = now
            yield from self._tell(AttemptStatus.DRAINING, now)

    def _reports(self, parsed: Iterator[ParsedReport], now: float) -> Iterator[Observation]:
        for report in parsed:
            if report.key in self._delivered:
                continue
            self._delivered.add(report.key)
            yield from self._tell(AttemptStatus.RUNNING, now)
            yield Report(self.attempt, report.key, report.metrics, report.at, now)

    def _tell(self, status: AttemptStatus, now: float) -> Iterator[StatusChange]:
        """Only forward: an attempt that waits for another machine keeps its worker, and is running to all others."""
        if _ORDER[status] > _ORDER[self._told] or (status is AttemptStatus.PENDING and not self._told_pending):
            self._told = max(self._told, status, key=_ORDER.__getitem__)
            self._told_pending = True
            yield StatusChange(self.attempt, status, now)

    # -- what is wanted ----------------------------------------------------------------------------------------------

    @property
    def wants_description(self) -> bool:
        """Whether a description would tell something that a listing doesn't."""
        if self.state is None or self.not_found:
            return False
        ended = self.state.is_over and self.end is None
        return ended or self.expected is not None or self._history_unknown or self.by_name

    def description_is_due(self, now: float, options: FeedOptions) -> bool:
        """Whether it can't wait for others that will want one too."""
        if not self.wants_description or now < self._index_due:
            return False
        if self._over_since is not None and self.end is None:
            return now - self._over_since >= options.drain_quiet_seconds
        return self._history_unknown or self.by_name or now - self._since >= options.verify_seconds

    def missed_by_index(self, now: float) -> None:
        """A search was made for it: if that left something open, the next will know, or its own description must."""
        if self.wants_description and not self.by_name:
            self._misses += 1
            self._index_due = now + INDEX_PATIENCE
            if self._misses >= _MISSES:
                self._misses, self._index_due, self.by_name = 0, 0.0, True

    def not_at_work(self, now: float) -> None:
        """The index doesn't show it among those that run: its own description will tell."""
        if self.state is not None and not self.is_over and now - self._since >= _INDEXED_AFTER:
            self.by_name = True

    def is_missing(self, now: float, options: FeedOptions) -> bool:
        """Whether to ask for it by name: nothing shows it, or a description said that there is no such job."""
        unseen = self.state is None or self.not_found > 0
        patience = options.missing_seconds / (4 if self.not_found else 1)
        return unseen and self.end is None and now - self.looked_for >= patience

    # -- the end -----------------------------------------------------------------------------------------------------

    @property
    def has_begun(self) -> bool:
        """Whether its script may have printed something."""
        return self._told is not AttemptStatus.PENDING

    @property
    def is_over(self) -> bool:
        return self._over_since is not None

    def wants_rereading(self, now: float, options: FeedOptions, lag: float | None) -> bool:
        """Whether its log has been quiet for long enough to be read a last time."""
        if self.end is None or self._reread_since_news or not self.has_log:
            return False
        return self._is_drained(now, options, lag)

    def is_final(self, now: float, options: FeedOptions, lag: float | None) -> bool:
        """Whether nothing more is waited for."""
        if self.end is None or not self.is_over or self.expected is not None:
            return False
        return not self.has_log or (self._is_drained(now, options, lag) and self._reread_since_news)

    @property
    def has_log(self) -> bool:
        return self.end is None or self.end.ran or bool(self._delivered)

    def _is_drained(self, now: float, options: FeedOptions, lag: float | None) -> bool:
        if self._over_since is None:
            return False
        quiet = now - self._last_news >= self._patience(options, lag)
        return quiet or now - self._over_since >= options.drain_limit_seconds

    def _patience(self, options: FeedOptions, lag: float | None) -> float:
        """Seconds without news after which the log is whole. ``lag``: by which lines are late, None if unknown."""
        quiet = options.drain_quiet_seconds
        patience = quiet if self._delivered else quiet * _PATIENCE_WITHOUT_REPORT
        if self.end is not None and self.end.status is AttemptStatus.COMPLETED and not self._delivered:
            patience = max(patience, options.silent_seconds)
        return max(patience, quiet + LAG_FACTOR * lag) if lag else patience

    def last_word(self, now: float) -> StatusChange:
        """Its final status."""
        assert self.end is not None
        end = self.end
        if self.mismatch:
            end = replace(end, status=AttemptStatus.FAILED, reason=self.mismatch, cause=Cause.MISMATCH)
        return StatusChange(self.attempt, end.status, now, end.reason, end.dollars, end.cause)
