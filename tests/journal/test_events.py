"""Every event survives its line of JSON."""

from __future__ import annotations

import dataclasses
import json
import math
import typing
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudtune.errors import JournalCorruptError
from cloudtune.journal import events as ev

KINDS: tuple[type[ev.Event], ...] = typing.get_args(ev.Event)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
BY_TYPE: dict[Any, st.SearchStrategy[Any]] = {
    "float": st.floats(allow_nan=False),
    "float | None": st.none() | st.floats(allow_nan=False),
    "int": st.integers(0, 10**6),
    "int | None": st.none() | st.integers(0, 10**6),
    "str": st.text(),
    "bool": st.booleans(),
    "Mapping[str, Any]": st.dictionaries(st.text(), json_values, max_size=4),
    "Mapping[str, Any] | None": st.none() | st.dictionaries(st.text(), json_values, max_size=4),
    "Sequence[str]": st.lists(st.text(), max_size=3),
    "Mapping[str, float]": st.dictionaries(st.text(), st.floats(), max_size=4),
}


def events_of(kind: type[ev.Event]) -> st.SearchStrategy[ev.Event]:
    return st.builds(kind, **{field.name: BY_TYPE[str(field.type)] for field in dataclasses.fields(kind)})


def same(left: object, right: object) -> bool:
    """Equality under which NaN equals NaN."""
    if isinstance(left, float) and isinstance(right, float):
        return left == right or (math.isnan(left) and math.isnan(right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    return left == right


@given(st.one_of([events_of(kind) for kind in KINDS]))
def test_an_event_is_one_line_and_comes_back(event: ev.Event) -> None:
    line = ev.to_line(event)
    assert len(line.splitlines()) == 1
    back = ev.from_line(line)
    assert type(back) is type(event)
    assert same(dataclasses.asdict(back), dataclasses.asdict(event))


@given(st.one_of([events_of(kind) for kind in KINDS]))
def test_what_is_written_quickly_is_what_json_says(event: ev.Event) -> None:
    body = {"event": type(event).__name__, **{f.name: getattr(event, f.name) for f in dataclasses.fields(event)}}
    assert ev.to_line(event) == json.dumps(body, separators=(",", ":"))


def test_names_that_are_no_strings_or_look_like_formats_are_written_as_json_does() -> None:
    for metrics in ({"a%s": 1, "%": 2.5}, {1: 2.0}, {True: 2.0}, {None: 1}, {"a": {1: "%"}}, {}):
        line = ev.to_line(ev.ReportObserved(0.0, 0, 0, "0", typing.cast(Any, metrics), -0.0, 0.0))
        assert json.dumps(metrics, separators=(",", ":")) in line
        assert '"at":0.0' in line and '"emitted_at":-0.0' in line


def test_what_contains_itself_is_refused() -> None:
    endless: dict[str, Any] = {}
    endless["itself"] = endless
    with pytest.raises(ValueError, match="Circular"):
        ev.to_line(ev.ExperimentStarted(0.0, "", "", endless))


def test_numbers_of_numpy_are_written_as_numbers() -> None:
    at, metrics = np.float64(2.5), {"loss": np.float64(0.5), "epoch": np.int64(3), "sizes": np.array([1, 2])}
    line = ev.to_line(ev.ReportObserved(at, 0, 0, "0", metrics, at, at))
    back = ev.from_line(line)
    assert back == ev.ReportObserved(2.5, 0, 0, "0", {"loss": 0.5, "epoch": 3, "sizes": [1, 2]}, 2.5, 2.5)


def test_fields_of_a_later_version_are_ignored() -> None:
    line = ev.to_line(ev.SpaceExhausted(1.0)).replace("}", ',"mood":"good"}')
    assert ev.from_line(line) == ev.SpaceExhausted(1.0)


@pytest.mark.parametrize("line", ["", "[]", "{}", '{"event":"Unheard"}', '{"event":"StopIssued","at":1.0}', "nonsense"])
def test_anything_else_is_an_error(line: str) -> None:
    with pytest.raises(JournalCorruptError):
        ev.from_line(line)
