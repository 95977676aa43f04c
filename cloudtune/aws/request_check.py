"""Requests held against botocore's own model of a service, limits included, before they are sent.

botocore itself checks what is required, types and minima; maxima, patterns and enumerations it leaves to the service.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from cloudtune.errors import InvalidRequestError


@dataclass(frozen=True)
class Problem:
    """``field`` is a path such as ``ResourceConfig.InstanceType``."""

    field: str
    says: str
    hint: str = ""


@lru_cache(maxsize=8)
def input_shape(service: str, operation: str) -> Any:
    """The shape of an operation's request, of botocore's model."""
    return _service_model(service).operation_model(operation).input_shape


@lru_cache(maxsize=8)
def output_shape(service: str, operation: str) -> Any:
    """The shape of an operation's response."""
    return _service_model(service).operation_model(operation).output_shape


@lru_cache(maxsize=4)
def _service_model(service: str) -> Any:
    from botocore.loaders import Loader
    from botocore.model import ServiceModel

    return ServiceModel(Loader().load_service_model(service, "service-2"), service)


def check_request(service: str, operation: str, request: Mapping[str, Any]) -> None:
    """Raises ``InvalidRequestError`` naming each field, its value and the limit it breaks."""
    problems = list(problems_of(service, operation, request))
    if problems:
        lines = "; ".join(f"{problem.field}: {problem.says}" for problem in problems)
        raise InvalidRequestError(f"{operation}: {lines}", next((p.hint for p in problems if p.hint), ""))


def problems_of(service: str, operation: str, request: Mapping[str, Any]) -> Iterator[Problem]:
    """Everything in ``request`` that the service would reject for its form."""
    yield from _structure(input_shape(service, operation), request, "")


def _check(shape: Any, value: Any, path: str) -> Iterator[Problem]:
    checks = {"structure": _structure, "list": _list, "map": _map, "string": _string}
    if shape.type_name in ("integer", "long", "float", "double"):
        yield from _number(shape, value, path)
    elif shape.type_name in checks:
        yield from checks[shape.type_name](shape, value, path)
    elif shape.type_name == "boolean" and not isinstance(value, bool):
        yield Problem(path, f"{value!r} is not a boolean")


def _structure(shape: Any, value: Any, path: str) -> Iterator[Problem]:
    if not isinstance(value, Mapping):
        yield Problem(path, f"{value!r} is not a structure")
        return
    for name in shape.required_members:
        if value.get(name) is None:
            yield Problem(_join(path, name), "is missing")
    for name, member in value.items():
        if name not in shape.members:
            near = difflib.get_close_matches(str(name), list(shape.members), 1)
            hint = f"did you mean {near[0]!r}?" if near else "a newer boto3 may know it"
            yield Problem(_join(path, str(name)), "is no field of this request", hint)
        elif member is not None:
            yield from _check(shape.members[name], member, _join(path, name))


def _list(shape: Any, value: Any, path: str) -> Iterator[Problem]:
    if not isinstance(value, (list, tuple)):
        yield Problem(path, f"{value!r} is not a list")
        return
    yield from _size(shape, len(value), "entries", path)
    for number, item in enumerate(value):
        yield from _check(shape.member, item, f"{path}[{number}]")


def _map(shape: Any, value: Any, path: str) -> Iterator[Problem]:
    if not isinstance(value, Mapping):
        yield Problem(path, f"{value!r} is not a map")
        return
    yield from _size(shape, len(value), "entries", path)
    for key, item in value.items():
        yield from _check(shape.key, key, f"{path} key {_shortened(key)}")
        yield from _check(shape.value, item, f"{path}[{key!r}]")


def _string(shape: Any, value: Any, path: str) -> Iterator[Problem]:
    if not isinstance(value, str):
        yield Problem(path, f"{value!r} is not a string")
        return
    yield from _size(shape, len(value), "characters", path, _shortened(value))
    if shape.enum and value not in shape.enum:
        near = difflib.get_close_matches(value, shape.enum, 3)
        hint = f"did you mean {', '.join(near)}?" if near else f"one of {', '.join(shape.enum[:12])}"
        yield Problem(path, f"{value!r} is not a value it can have", hint + " (or a newer boto3 may know it)")
    pattern = shape.metadata.get("pattern")
    if pattern and not _compiled(pattern).fullmatch(value):
        yield Problem(path, f"{_shortened(value)} doesn't match {pattern}")


def _number(shape: Any, value: Any, path: str) -> Iterator[Problem]:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        yield Problem(path, f"{value!r} is not a number")
        return
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is not None and value < low:
        yield Problem(path, f"{value} is less than {low}")
    if high is not None and value > high:
        yield Problem(path, f"{value} is more than {high}")


def _size(shape: Any, size: int, unit: str, path: str, value: str = "") -> Iterator[Problem]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    of = f"{value} has " if value else ""
    if low is not None and size < low:
        yield Problem(path, f"{of}{size} {unit}, fewer than {low}")
    if high is not None and size > high:
        yield Problem(path, f"{of}{size} {unit}, more than {high}")


@lru_cache(maxsize=512)
def _compiled(pattern: str) -> re.Pattern[str]:
    """The model's patterns are Java's; Python's ``re`` lacks its character classes."""
    for java, python in _JAVA_CLASSES.items():
        pattern = pattern.replace(java, python)
    try:
        return re.compile(pattern, re.DOTALL)
    except re.error:  # what has no counterpart in Python the service will judge
        return re.compile(".*", re.DOTALL)


_JAVA_CLASSES = {r"\p{L}": r"\w", r"\p{M}": r"\w", r"\p{N}": r"\w", r"\p{Z}": r"\s", r"\p{Alnum}": "a-zA-Z0-9"}


def _shortened(value: Any, limit: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
