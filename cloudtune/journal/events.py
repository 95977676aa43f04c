"""What can happen in an experiment, as typed, frozen events with a JSON form.

Every event says when it happened (``at``, seconds since the epoch). Events ending in ``Intended`` are written before
the world is touched, their outcomes after; an intent without its outcome is repeated after a crash, which is
harmless because every action is idempotent.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from functools import lru_cache
from typing import Any, ClassVar, TypeAlias, get_args

from cloudtune.errors import JournalCorruptError
from cloudtune.records import record


@record
class ExperimentStarted:
    """First event of every journal."""

    at: float
    tuner_name: str
    version: str
    metadata: Mapping[str, Any] = field(default_factory=dict)


@record
class SessionStarted:
    """A process took over the experiment; ``tuner_time`` is the time (s) earlier sessions have spent."""

    at: float
    host: str
    pid: int
    tuner_time: float


@record
class LaunchIntended:
    """An attempt is to be launched; number 0 adds a new trial, from the checkpoint of another if that is named.

    One that follows a lost attempt waits until ``not_before`` (seconds since the epoch), for the reason ``why``.
    ``carried``: of a new trial, what the searcher's model hands on to its next fit. ``rule``, ``numbers``,
    ``threshold``: why the scheduler resumes a paused one.
    """

    at: float
    trial_id: int
    attempt: int
    config: Mapping[str, Any]
    checkpoint_trial_id: int | None = None
    not_before: float = 0.0
    why: str = ""
    carried: Mapping[str, Any] | None = None
    rule: str = ""
    numbers: Mapping[str, float] = field(default_factory=dict)
    threshold: float | None = None


@record
class Launched:
    at: float
    trial_id: int
    attempt: int
    name: str
    dollars_per_hour: float | None = None


@record
class LaunchHeld:
    """The launch waits: quota, capacity, throttling. Written once per reason; the trial has not failed."""

    at: float
    trial_id: int
    attempt: int
    reason: str


@record
class LaunchFailed:
    """The launch was refused for good."""

    at: float
    trial_id: int
    attempt: int
    reason: str


@record
class StatusObserved:
    """``outcome``: what the policies of that moment made of an attempt's end (``cloudtune.engine.policies``)."""

    at: float
    trial_id: int
    attempt: int
    status: str
    reason: str = ""
    dollars: float | None = None
    cause: str = ""
    outcome: str = ""


@record
class AttemptInterrupted:
    """The cloud took the machine away; the attempt goes on by itself. ``number`` counts them from 1."""

    at: float
    trial_id: int
    attempt: int
    number: int
    reason: str = ""


@record
class ReportObserved:
    """A report, once per (trial, attempt, key). ``tuner_time``: seconds the tuner has run, over all sessions."""

    at: float
    trial_id: int
    attempt: int
    key: str
    metrics: Mapping[str, Any]
    emitted_at: float
    tuner_time: float


@record
class DecisionMade:
    """What the scheduler said to a report, and why (rule, numbers, threshold)."""

    at: float
    trial_id: int
    attempt: int
    key: str
    action: str
    rule: str = ""
    numbers: Mapping[str, float] = field(default_factory=dict)
    threshold: float | None = None


@record
class StopIntended:
    at: float
    trial_id: int
    attempt: int
    why: str


@record
class StopIssued:
    at: float
    trial_id: int
    attempt: int


@record
class CheckpointCopied:
    at: float
    source_trial_id: int
    target_trial_id: int


@record
class CheckpointDeletionIntended:
    """A trial's checkpoints are to go although it might have been resumed, or its result was among the best once."""

    at: float
    trial_id: int
    why: str = ""


@record
class CheckpointDeleted:
    """``refused``: why they stay for good, if they do."""

    at: float
    trial_id: int
    refused: str = ""


@record
class TrialWarned:
    """Somebody should look at a running attempt; with the empty text, no longer."""

    at: float
    trial_id: int
    attempt: int
    text: str


@record
class SummaryChanged:
    """What the backend says about the experiment as a whole: all its lines, those of before included."""

    at: float
    lines: Sequence[str] = ()


@record
class SpaceExhausted:
    """The scheduler has nothing left to start, for good."""

    at: float


@record
class FinishIntended:
    """No new trials from here on: a criterion is met, too many failed, somebody asked."""

    at: float
    why: str
    failed: bool = False


@record
class ExperimentFinished:
    """Nothing is running any more."""

    at: float
    why: str


@record
class ExperimentReopened:
    """A finished experiment is continued, with a criterion that is not yet met."""

    at: float


Event: TypeAlias = (
    ExperimentStarted
    | SessionStarted
    | LaunchIntended
    | Launched
    | LaunchHeld
    | LaunchFailed
    | StatusObserved
    | AttemptInterrupted
    | ReportObserved
    | DecisionMade
    | StopIntended
    | StopIssued
    | CheckpointCopied
    | CheckpointDeletionIntended
    | CheckpointDeleted
    | TrialWarned
    | SummaryChanged
    | SpaceExhausted
    | FinishIntended
    | ExperimentFinished
    | ExperimentReopened
)

News: TypeAlias = StatusObserved | AttemptInterrupted | ReportObserved | DecisionMade
"""What comes in from trials, and what is decided about it."""


class _Codec:
    types: ClassVar[dict[str, type[Event]]] = {cls.__name__: cls for cls in get_args(Event)}
    fields: ClassVar[dict[type[Event], tuple[str, ...]]] = {
        cls: tuple(f.name for f in dataclasses.fields(cls)) for cls in types.values()
    }


def to_line(event: Event) -> str:
    """One line of JSON, without the newline. NaN and infinities are written as Python's ``json`` does."""
    if isinstance(event, ReportObserved):
        return _report_line(event)
    if isinstance(event, DecisionMade):
        return _decision_line(event)
    kind = type(event)
    parts = [f'{{"event":"{kind.__name__}","at":{_moment(event.at)}']
    for name in _Codec.fields[kind][1:]:
        value = getattr(event, name)
        parts.append(f',"{name}":{_object(value) if isinstance(value, dict) else _value(value)}')
    return "".join(parts) + "}"


def to_lines(events: Iterable[Event]) -> bytes:
    """As they are stored, each with a newline at its end."""
    return "\n".join([*map(to_line, events), ""]).encode()


def from_line(line: str | bytes) -> Event:
    """The event of one line. Fields it doesn't know (of a later version) are ignored.

    Raises ``JournalCorruptError`` if the line is not an event.
    """
    try:
        body = json.loads(line)
        kind = _Codec.types[body.pop("event")]
        return kind(**{name: body[name] for name in _Codec.fields[kind] if name in body})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise JournalCorruptError(
            f"not an event: {line[:200]!r} ({error})",
            "the journal was edited or written by a newer version; restore it from a copy, or upgrade cloudtune",
        ) from error


def _plain(value: object) -> object:
    """numpy scalars and arrays in configurations of users' own searchers."""
    item = getattr(value, "tolist", None)
    if item is None:
        raise TypeError(f"{value!r} of type {type(value).__name__} has no JSON form")
    return item()


_ENCODER = json.JSONEncoder(separators=(",", ":"), default=_plain)


# -- lines, sooner than ``_ENCODER`` makes them ------------------------------------------------------------------------


def _report_line(event: ReportObserved) -> str:
    return (
        f'{{"event":"ReportObserved","at":{_moment(event.at)},"trial_id":{_value(event.trial_id)},'
        f'"attempt":{_value(event.attempt)},"key":{_value(event.key)},"metrics":{_object(event.metrics)},'
        f'"emitted_at":{_moment(event.emitted_at)},"tuner_time":{_value(event.tuner_time)}}}'
    )


def _decision_line(event: DecisionMade) -> str:
    return (
        f'{{"event":"DecisionMade","at":{_moment(event.at)},"trial_id":{_value(event.trial_id)},'
        f'"attempt":{_value(event.attempt)},"key":{_value(event.key)},"action":{_value(event.action)},'
        f'"rule":{_value(event.rule)},"numbers":{_object(event.numbers)},"threshold":{_value(event.threshold)}}}'
    )


def _moment(at: float) -> str:
    """Events in a row share it; to find the shortest text of a float takes longer than all else here."""
    global _latest
    moment, text = _latest
    if at == moment and type(at) is float and at:  # 0.0 equals -0.0
        return text
    text = _value(at)
    if type(at) is float:
        _latest = at, text
    return text


_latest: tuple[float, str] = (0.0, "0.0")


def _value(value: object) -> str:
    kind = type(value)
    if kind is float:
        return repr(value) if value - value == 0.0 else _ENCODER.encode(value)  # type: ignore[operator]
    if kind is int:
        return repr(value)
    if kind is str:
        return _text(value)
    if value is None:
        return "null"
    return _ENCODER.encode(value)  # also of a dict inside another: it knows those that contain themselves


def _object(values: Mapping[str, Any]) -> str:
    if not values:
        return "{}"
    form = _form(*values) if type(values) is dict else None
    if form is None:
        return _ENCODER.encode(values)
    return form % tuple(
        [repr(value) if type(value) is float and value - value == 0.0 else _value(value) for value in values.values()]
    )


@lru_cache(1000)
def _form(*names: object) -> str | None:
    """An object with these names, "%s" in the place of each value; None if not all names are strings."""
    if not all(type(name) is str for name in names):
        return None
    return "{" + ",".join(f"{_ENCODER.encode(name).replace('%', '%%')}:%s" for name in names) + "}"


@lru_cache(1000)
def _text(text: str) -> str:
    """Names, mostly the same."""
    return _ENCODER.encode(text)
