"""From the lines of one attempt's log to its reports."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from cloudtune.errors import MetricError
from cloudtune.report import ST_WORKER_ITER, ST_WORKER_TIMESTAMP, parse_report_line
from cloudtune.sagemaker.metrics import MetricDefinition, as_resource

logger = logging.getLogger("cloudtune.sagemaker")

REPORT_FILTER = '"[tune-metric]:"'
"""CloudWatch's filter for the lines of the Reporter."""


@dataclass(frozen=True)
class LogLine:
    """One log event. ``at``: when it was printed, seconds since the epoch; ``event_id`` is CloudWatch's.

    ``stream``: each start of the job's machine has its own. ``lag``: seconds from printed to readable, None if unknown.
    """

    event_id: str
    at: float
    text: str
    stream: str = ""
    lag: float | None = None


@dataclass(frozen=True)
class ParsedReport:
    """``key`` is the same whenever the same log is read."""

    key: str
    at: float
    metrics: Mapping[str, Any]


class LineParser(Protocol):
    """Reads the lines of one start of an attempt's script, in order."""

    def read(self, line: LogLine) -> Iterator[ParsedReport]: ...


class LineReader(Protocol):
    """How reports of an experiment are read; makes a parser for each start of an attempt."""

    @property
    def filter_pattern(self) -> str | None:
        """What CloudWatch may leave out, None for nothing."""

    @property
    def counted(self) -> bool:
        """Whether the resource is the number of reports since the script started, because nothing prints it."""

    def parser(self, dollars_per_hour: float | None) -> LineParser: ...


class ReporterReader:
    """Lines that ``cloudtune.report.Reporter`` prints.

    A report is known by its own number and time: CloudWatch may hold the same line twice, under two event ids.
    """

    filter_pattern: str | None = REPORT_FILTER
    counted = False

    def parser(self, dollars_per_hour: float | None) -> LineParser:
        return self

    def read(self, line: LogLine) -> Iterator[ParsedReport]:
        metrics = parse_report_line(line.text)
        if metrics is None:
            return
        number, stamp = metrics.get(ST_WORKER_ITER), metrics.get(ST_WORKER_TIMESTAMP)
        if isinstance(stamp, (int, float)):
            key = line.event_id if number is None else f"{number}@{stamp!r}"
            yield ParsedReport(key, float(stamp), metrics)
        else:
            yield ParsedReport(line.event_id, line.at, metrics)


class RegexReader:
    """Lines of scripts that only print: one report per match of ``objective``, with the latest value of the others.

    ``resource_attr`` comes from the definition of that name; without one, reports are counted 1, 2, 3 from each start
    of the script, also from one after an interruption. A script that resumes from a checkpoint must therefore print its
    resource to be resumed. A line that CloudWatch holds twice is two reports: scripts do print the same line twice.
    Raises ``MetricError`` unless ``objective`` is defined.
    """

    filter_pattern: str | None = None

    def __init__(
        self, definitions: Sequence[MetricDefinition], objective: str | None, resource_attr: str | None = None
    ) -> None:
        names = [definition.name for definition in definitions]
        wanted = objective if objective is not None else names[0]
        if wanted not in names:
            raise MetricError(
                f"no metric definition for {wanted!r}, which the scheduler needs; there are {', '.join(names)}",
                f"add MetricDefinition({wanted!r}, regex)",
            )
        self.objective = wanted
        self.definitions = tuple(definitions)
        self.resource_attr = resource_attr
        self.counted = resource_attr is not None and resource_attr not in names

    def parser(self, dollars_per_hour: float | None) -> LineParser:
        return _RegexParser(self, dollars_per_hour)


class _RegexParser:
    def __init__(self, reader: RegexReader, dollars_per_hour: float | None) -> None:
        self._reader = reader
        self._dollars_per_hour = dollars_per_hour
        self._latest: dict[str, float | int] = {}
        self._reports = 0
        self._first_line: float | None = None

    def read(self, line: LogLine) -> Iterator[ParsedReport]:
        if self._first_line is None:
            self._first_line = line.at
        found = [
            (position, definition.name, value)
            for definition in self._reader.definitions
            for position, value in definition.values(line.text)
        ]
        objectives = sorted((position, value) for position, name, value in found if name == self._reader.objective)
        others = sorted((position, name, value) for position, name, value in found if name != self._reader.objective)
        for number, (_, objective) in enumerate(objectives):
            # what a line prints after the objective belongs to it, up to its next objective
            until = objectives[number + 1][0] if number + 1 < len(objectives) else float("inf")
            while others and others[0][0] < until:
                self._remember(*others.pop(0)[1:])
            yield ParsedReport(f"{line.event_id}/{number}", line.at, self._report(objective, line.at))
        for _, name, value in others:
            self._remember(name, value)

    def _remember(self, name: str, value: float) -> None:
        self._latest[name] = as_resource(value) if name == self._reader.resource_attr else value

    def _report(self, objective: float, at: float) -> dict[str, Any]:
        seconds = max(0.0, at - (at if self._first_line is None else self._first_line))
        report: dict[str, Any] = {**self._latest, self._reader.objective: objective}
        report["st_worker_timestamp"] = at
        report["st_worker_time"] = seconds
        report["st_worker_iter"] = self._reports
        if self._dollars_per_hour is not None:
            report["st_worker_cost"] = seconds * self._dollars_per_hour / 3600
        self._reports += 1
        if self._reader.counted and self._reader.resource_attr is not None:
            report[self._reader.resource_attr] = self._reports
        return report
