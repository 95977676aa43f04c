"""One attempt on this machine, followed through its files."""

from __future__ import annotations

import logging
import math
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from cloudtune.backends.local_files import AttemptFiles, tail
from cloudtune.backends.supervise import identity
from cloudtune.report import parse_report_line
from cloudtune.trial import Attempt, AttemptId, AttemptStatus, Observation, Report, StatusChange

logger = logging.getLogger("cloudtune.backends")

_CHUNK = 1 << 20
_TIMESTAMP = "st_worker_timestamp"


@dataclass(frozen=True)
class Ending:
    """How an attempt ended; ``stdout`` and ``stderr`` are the ends of what it printed, None: all that is there."""

    status: AttemptStatus
    reason: str
    at: float
    stdout: int | None = None


class LocalRun:
    """What became of one attempt since the last look. Costs what is new."""

    def __init__(self, attempt: Attempt, files: AttemptFiles) -> None:
        self.attempt = attempt
        self.files = files
        self.supervisor_lost: str | None = None
        """Why no supervisor will ever claim the attempt, if that is known."""
        self._process: dict[str, Any] | None = None
        self._printed: ReportFile | None = None
        self._told: set[AttemptStatus] = set()

    @property
    def id(self) -> AttemptId:
        return self.attempt.id

    @property
    def ended(self) -> bool:
        return any(status.is_final for status in self._told)

    def process(self) -> dict[str, Any] | None:
        """The claim, once a supervisor has made it."""
        if self._process is None:
            self._process = self.files.process()
        return self._process

    def look(self, now: float) -> list[Observation]:
        """What is new, in order. What can't be read now is read next time."""
        news: list[Observation] = []
        if not self.ended:
            try:
                self._look(now, news)
            except OSError as error:
                logger.warning("attempt %s can't be followed this time: %s", self.id, error)
        return news

    def _look(self, now: float, news: list[Observation]) -> None:
        # the end is looked for first: what the script printed before it is in the file by then
        ending = self._ending(now)
        process = self.process()
        if process is not None:
            news.extend(self._changed(AttemptStatus.RUNNING, min(now, process["at"])))
            news.extend(self._reports(process["stdout"], ending, now))
        if ending is None:
            if self.files.stop_is_wanted():
                news.extend(self._changed(AttemptStatus.STOPPING, now))
        else:
            news.extend(self._changed(ending.status, ending.at, ending.reason))

    def _changed(self, status: AttemptStatus, at: float, reason: str = "") -> Iterator[StatusChange]:
        if status not in self._told:
            self._told.add(status)
            yield StatusChange(self.id, status, at, reason)

    def _reports(self, start: int, ending: Ending | None, now: float) -> Iterator[Report]:
        if self._printed is None:
            self._printed = ReportFile(self.files, start)
        for number, metrics in self._printed.new(None if ending is None else ending.stdout, ending is not None):
            yield Report(self.id, str(number), metrics, _emitted_at(metrics, now), now)

    def _ending(self, now: float) -> Ending | None:
        process = self.process()
        if process is None:
            lost = self.supervisor_lost
            return None if lost is None else Ending(AttemptStatus.FAILED, f"{lost}{self._last_words(0, None)}", now)
        alive = identity(process["pid"]) == process["identity"]
        record = self.files.exit()
        if record is not None:
            return self._recorded(process, record, now)
        if alive:
            return None
        self.end_script()
        why = "the process that supervised it was killed, or the machine restarted"
        return Ending(AttemptStatus.FAILED, f"{why}{self._last_words(process['stderr'], None)}", now)

    def _recorded(self, process: dict[str, Any], record: dict[str, Any], now: float) -> Ending:
        at = min(now, record["at"])
        if record["stopped"]:
            return Ending(AttemptStatus.STOPPED, "", at, record["stdout"])
        if record["code"] == 0:
            return Ending(AttemptStatus.COMPLETED, "", at, record["stdout"])
        words = self._last_words(process["stderr"], record["stderr"]) or self._last_output(process, record)
        return Ending(AttemptStatus.FAILED, f"{_how_it_ended(record['code'])}{words}", at, record["stdout"])

    def _last_words(self, start: int, end: int | None) -> str:
        words = tail(self.files.trial.stderr, start, end)
        return f":\n{words}" if words else ""

    def _last_output(self, process: dict[str, Any], record: dict[str, Any]) -> str:
        words = tail(self.files.trial.stdout, process["stdout"], record["stdout"])
        return f", nothing on stderr; stdout ends with:\n{words}" if words else ", and it printed nothing"

    # -- ending it -------------------------------------------------------------------------------------------------

    def ask_to_stop(self) -> None:
        """Note it where a supervisor that starts now will see it; tell the one that runs."""
        self.files.want_stop()
        process = self.files.process()
        if process is not None and self.files.exit() is None and identity(process["pid"]) == process["identity"]:
            _signal(process["pid"], signal.SIGTERM)

    def end_script(self) -> None:
        """End what a killed supervisor left behind."""
        script = self.files.script()
        if script is not None and identity(script["pid"]) == script["identity"]:
            _signal(-script["pid"], signal.SIGKILL)


@dataclass
class ReportFile:
    """The reports in an attempt's part of ``std.out``, read on from where the last reading ended."""

    files: AttemptFiles
    offset: int
    _rest: bytes = b""
    _count: int = field(default=0)

    def new(self, end: int | None, ended: bool) -> Iterator[tuple[int, dict[str, Any]]]:
        """(number within the attempt, metrics). A line that is not complete waits, unless the script has ended."""
        for line in self._lines(end, ended):
            metrics = parse_report_line(line.decode(errors="replace"))
            if metrics is not None:
                yield self._count, metrics
                self._count += 1

    def _lines(self, end: int | None, ended: bool) -> Iterator[bytes]:
        try:
            file = self.files.trial.stdout.open("rb")
        except FileNotFoundError:
            return
        with file:
            end = os.fstat(file.fileno()).st_size if end is None else end
            file.seek(self.offset)
            while self.offset < end:
                chunk = file.read(min(_CHUNK, end - self.offset))
                if not chunk:
                    break
                self.offset += len(chunk)
                *lines, self._rest = (self._rest + chunk).split(b"\n")
                yield from lines
        if ended and self._rest:
            rest, self._rest = self._rest, b""
            yield rest


def _emitted_at(metrics: dict[str, Any], now: float) -> float:
    stamp = metrics.get(_TIMESTAMP)
    usable = isinstance(stamp, (int, float)) and not isinstance(stamp, bool) and math.isfinite(stamp)
    return float(stamp) if usable and stamp is not None else now


def _how_it_ended(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"killed by {name}" + (" (out of memory?)" if -code == signal.SIGKILL else "")


def _signal(pid: int, name: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # it has ended meanwhile
        os.kill(pid, name)
