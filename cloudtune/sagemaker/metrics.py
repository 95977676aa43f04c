"""Metrics read from what scripts print: by regular expressions, for scripts never written for tuning."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from cloudtune.constants import MAX_METRICS_SUPPORTED_BY_SAGEMAKER
from cloudtune.errors import MetricError, OptionError

FLOAT = r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|[-+]?(?:[nN]a[nN]|[iI]nf(?:inity)?))"
"""A number in every notation, for use in a definition: ``MetricDefinition("loss", rf"loss={FLOAT}")``."""

_MAX_NAME, _MAX_REGEX = 255, 500
_LITERAL = re.compile(r"[-+]?(?:(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?|nan|inf(?:inity)?)", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True)
class MetricDefinition:
    """A metric, and the regular expression whose first group is its value in a printed line.

    Where the group ends in the middle of a number (``1`` of ``1e-05``), the whole number counts.
    Raises ``MetricError`` if the expression has no group or doesn't compile.
    """

    name: str
    regex: str

    def __post_init__(self) -> None:
        for what, text in (("name", self.name), ("regex", self.regex)):
            if not isinstance(text, str):
                raise MetricError(
                    f"the {what} of a metric definition is {text!r}",
                    'for example MetricDefinition("loss", "loss=([-+0-9.e]+)")',
                )
        if not 1 <= len(self.name) <= _MAX_NAME:
            raise MetricError(f"metric name {self.name[:40]!r} has {len(self.name)} characters, not 1 to {_MAX_NAME}")
        if not 1 <= len(self.regex) <= _MAX_REGEX:
            raise MetricError(
                f"the regex of metric {self.name!r} has {len(self.regex)} characters, not 1 to {_MAX_REGEX}"
            )
        try:
            groups = re.compile(self.regex).groups
        except re.error as error:
            raise MetricError(
                f"the regex of metric {self.name!r} is none: {self.regex!r}: {error}",
                "try it in Python: re.compile(...)",
            ) from error
        if groups == 0:
            raise MetricError(
                f"the regex of metric {self.name!r} has no group: {self.regex!r}",
                f"put the value in parentheses, for example {self.name}=([-+0-9.e]+)",
            )

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(self.regex)

    def values(self, line: str) -> Iterable[tuple[int, float]]:
        """(position, value) of every match in ``line`` that is a number."""
        for match in self._pattern.finditer(line):
            value = _number(line, match)
            if value is not None:
                yield match.start(), value

    def as_request(self) -> dict[str, str]:
        """As CreateTrainingJob has it."""
        return {"Name": self.name, "Regex": self.regex}


def _number(line: str, match: re.Match[str]) -> float | None:
    text = match[1]
    if text is None:
        return None
    start = match.start(1) + len(text) - len(text.lstrip())
    literal = _LITERAL.match(line, start)
    if literal is None or literal.end() < match.start(1) + len(text.rstrip()):
        return None
    return float(literal[0])


def reporter_definitions(names: Sequence[str]) -> list[MetricDefinition]:
    """Definitions by which SageMaker finds the metrics ``names`` in the lines of the Reporter."""
    return [
        MetricDefinition(name, rf'\[tune-metric\]: .*"{re.escape(name)}": ([-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?)')
        for name in names
    ]


def as_resource(value: float) -> int | float:
    """Units of work are whole; what isn't stays as it was printed."""
    return int(value) if math.isfinite(value) and value == int(value) else value


def checked_names(given: Sequence[str] | None) -> tuple[str, ...] | None:
    """``metrics_names`` of the backend. Raises ``OptionError``."""
    if given is None:
        return None
    if isinstance(given, str) or not all(isinstance(name, str) for name in given):
        raise OptionError(f"metrics_names={given!r} is no list of names", "for example ['accuracy', 'loss']")
    if len(given) > MAX_METRICS_SUPPORTED_BY_SAGEMAKER:
        raise OptionError(
            f"{len(given)} metrics_names are more than SageMaker's {MAX_METRICS_SUPPORTED_BY_SAGEMAKER}",
            "name those to be drawn in its console; the tuner reads all metrics anyway",
        )
    return tuple(given)


def _definition(given: object) -> MetricDefinition:
    if isinstance(given, MetricDefinition):
        return given
    if isinstance(given, Mapping) and given.keys() == {"Name", "Regex"}:
        return MetricDefinition(given["Name"], given["Regex"])
    raise MetricError(
        f"{given!r} is no metric definition", """give MetricDefinition(name, regex) or {"Name": …, "Regex": …}"""
    )


def checked_definitions(
    given: Sequence[MetricDefinition | Mapping[str, str]] | None,
) -> tuple[MetricDefinition, ...] | None:
    """``metric_definitions`` of the backend. Raises ``MetricError``."""
    if given is None:
        return None
    if not isinstance(given, (list, tuple)):
        raise MetricError(
            f"metric_definitions={given!r} is no list", """give [MetricDefinition("loss", "loss=([-+0-9.e]+)"), …]"""
        )
    definitions = tuple(_definition(each) for each in given)
    names = [definition.name for definition in definitions]
    if not definitions:
        raise MetricError("metric_definitions is empty", "give at least the objective's")
    if len(set(names)) < len(names):
        raise MetricError(f"metric_definitions names a metric twice: {', '.join(sorted(names))}", "keep one of each")
    if len(names) > MAX_METRICS_SUPPORTED_BY_SAGEMAKER:
        most = MAX_METRICS_SUPPORTED_BY_SAGEMAKER
        raise MetricError(f"{len(names)} metric definitions are more than SageMaker's {most}", "leave some out")
    return definitions
