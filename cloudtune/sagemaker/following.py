"""One attempt as it is followed from its launch to its last report. Pure: states and lines in, observations out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from cloudtune.errors import OptionError
from cloudtune.sagemaker.cursors import Window
from cloudtune.sagemaker.lines import LineParser, LineReader, LogLine, ParsedReport
from cloudtune.sagemaker.states import JobEnd, JobState
from cloudtune.trial import AttemptId, AttemptStatus, Observation, Report, StatusChange


@dataclass(frozen=True)
class FeedOptions:
    """How long to wait for what, in seconds.

    ``drain_quiet_seconds``: after its end, an attempt's log must have been quiet so long before it is taken as whole;
    three times as long if nothing was ever reported. ``drain_limit_seconds``: but no longer than this.
    ``missing_seconds``: an attempt that no listing shows for so long is asked for by name.
    ``recheck_seconds``: between two listings of all open attempts, changed or not.
    """

    drain_quiet_seconds: float = 5.0
    drain_limit_seconds: float = 120.0
    missing_seconds: float = 120.0
    recheck_seconds: float = 300.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value >= 0:
                raise OptionError(f"{name}={value!r} is no number of seconds")


_PATIENCE_WITHOUT_REPORT = 3
_ORDER = {status: order for order, status in enumerate(AttemptStatus)}


class FollowedAttempt:
    """``stop_asked``: whether we asked the job to stop, None if an earlier process may have."""

    def __init__(
        self,
        attempt: AttemptId,
        name: str,
        dollars_per_hour: float | None,
        reader: LineReader,
        overlap: float,
        now: float,
        stop_asked: bool | None = False,
    ) -> None:
        self.attempt = attempt
        self.name = name
        self.dollars_per_hour = dollars_per_hour
        self.stop_asked = stop_asked
        self.state: JobState | None = None
        self.end: JobEnd | None = None
        self.looked_for = now
        """When it was last seen, or asked for by name."""
        self._reader = reader
        self._parser: LineParser = reader.parser(dollars_per_hour)
        self._window = Window(overlap)
        self._delivered: set[str] = set()
        self._told = AttemptStatus.PENDING
        self._told_pending = False
        self._over_since: float | None = None
        self._last_news = now
        self._reread_since_news = False

    # -- what comes in ---------------------------------------------------------------------------------------------

    def take_state(self, state: JobState, now: float) -> Iterator[StatusChange]:
        """What a listing says; nothing if it says nothing new."""
        self.looked_for = now
        if self.state is not None and state.modified < self.state.modified:
            return
        self.state = state
        if state.is_over and self._over_since is None:
            self._over_since = self._last_news = now
        yield from self._tell(state.attempt_status, now)

    def take_lines(self, lines: Iterable[LogLine], now: float) -> Iterator[Observation]:
        """Lines as the feed brings them, in the order printed."""
        for line in lines:
            if self._window.is_new(line):
                self._last_news = now
                yield from self._reports(self._parser.read(line), now)

    def take_whole_log(self, lines: Iterable[LogLine], now: float) -> Iterator[Observation]:
        """The whole log, read again from its first line: what the feed missed, and nothing else."""
        parser = self._reader.parser(self.dollars_per_hour)
        self._reread_since_news = True
        for line in lines:
            before = len(self._delivered)
            yield from self._reports(parser.read(line), now)
            if len(self._delivered) > before:
                self._last_news = now
                self._reread_since_news = False

    def take_end(self, end: JobEnd) -> None:
        """How it ended, from its description."""
        self.end = end

    def gone(self, reason: str, now: float) -> Iterator[StatusChange]:
        """There is no such job."""
        self.end = JobEnd(AttemptStatus.FAILED, reason, False, None)
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
        if _ORDER[status] > _ORDER[self._told] or (status is AttemptStatus.PENDING and not self._told_pending):
            self._told = max(self._told, status, key=_ORDER.__getitem__)
            self._told_pending = True
            yield StatusChange(self.attempt, status, now)

    # -- the end -----------------------------------------------------------------------------------------------------

    @property
    def has_begun(self) -> bool:
        """Whether its script may have printed something."""
        return self._told is not AttemptStatus.PENDING

    @property
    def is_over(self) -> bool:
        return self._over_since is not None

    def wants_rereading(self, now: float, options: FeedOptions) -> bool:
        """Whether its log has been quiet for long enough to be read a last time."""
        return self._is_drained(now, options) and not self._reread_since_news and self.has_log

    def is_final(self, now: float, options: FeedOptions) -> bool:
        """Whether nothing more will come of it."""
        if self.end is None or not self.is_over:
            return False
        return not self.has_log or (self._is_drained(now, options) and self._reread_since_news)

    @property
    def has_log(self) -> bool:
        return self.end is None or self.end.ran or bool(self._delivered)

    def _is_drained(self, now: float, options: FeedOptions) -> bool:
        if self._over_since is None:
            return False
        patience = 1 if self._delivered else _PATIENCE_WITHOUT_REPORT
        quiet = now - self._last_news >= options.drain_quiet_seconds * patience
        return quiet or now - self._over_since >= options.drain_limit_seconds

    def last_word(self, now: float) -> StatusChange:
        """Its final status."""
        assert self.end is not None
        return StatusChange(self.attempt, self.end.status, now, self.end.reason, self.end.dollars)
