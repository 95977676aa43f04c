"""Requests held to botocore's service model: required, type, length, range, pattern, enum, at every depth.

botocore itself checks only what is required, types and minima before it sends; the service checks all of it and names
everything that is wrong in one answer. So does this.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Any

from botocore.model import Shape, StructureShape

from cloudtune.sandbox.aws_error import AwsError

_TYPES: dict[str, tuple[type, ...]] = {
    "structure": (dict,),
    "map": (dict,),
    "list": (list,),
    "string": (str,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "boolean": (bool,),
    "timestamp": (int, float),
}
_NAMES = {
    "string": "a String",
    "integer": "an Integer",
    "long": "a Long",
    "float": "a Float",
    "double": "a Double",
    "boolean": "a Boolean",
    "timestamp": "a Timestamp",
}
# Java's classes in Python's words. \w is letters, digits and underscore, which every class here that has \p{L} has too
_JAVA_CLASSES = {
    r"\p{Alnum}": "a-zA-Z0-9",
    r"\p{L}": r"\w",
    r"\p{N}": r"\w",
    r"\p{Z}": " \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000",
}


@functools.cache
def compile_pattern(pattern: str) -> re.Pattern[str]:
    """The service model's (Java) pattern as a Python one."""
    for java, python in _JAVA_CLASSES.items():
        pattern = pattern.replace(java, python)
    return re.compile(pattern)


def validate(request: Any, shape: StructureShape | None, code: str = "ValidationException") -> None:
    """Raise the service's own refusal, naming everything in ``request`` that ``shape`` doesn't allow."""
    if shape is None:
        return
    if not isinstance(request, dict):
        raise AwsError("SerializationException", "Start of structure or map found where not expected.")
    problems = list(_problems(request, shape, ""))
    if problems:
        count = len(problems)
        head = f"{count} validation error{'s' if count > 1 else ''} detected: "
        raise AwsError(code, head + "; ".join(problems))


def _problems(value: Any, shape: Shape, path: str) -> Iterator[str]:
    _check_type(value, shape)
    if shape.type_name == "structure":
        yield from _structure_problems(value, shape, path)
    elif shape.type_name == "list":
        yield from _own_problems(value, shape, path)
        for index, member in enumerate(value, 1):
            yield from _problems(member, shape.member, f"{path}.{index}.member")
    elif shape.type_name == "map":
        yield from _map_problems(value, shape, path)
    else:
        yield from _own_problems(value, shape, path)


def _check_type(value: Any, shape: Shape) -> None:
    allowed = _TYPES.get(shape.type_name)
    if allowed is None:
        return
    if isinstance(value, allowed) and not (isinstance(value, bool) and shape.type_name != "boolean"):
        return
    if isinstance(value, dict):
        raise AwsError("SerializationException", "Start of structure or map found where not expected.")
    if isinstance(value, list):
        raise AwsError("SerializationException", "Start of list found where not expected")
    if shape.type_name in _NAMES:
        found = {bool: str(value).upper(), str: "STRING_VALUE"}.get(type(value), "NUMBER_VALUE")
        raise AwsError("SerializationException", f"{found} can not be converted to {_NAMES[shape.type_name]}")
    raise AwsError("SerializationException", f"Expected {shape.type_name} or null")


def _structure_problems(value: dict[str, Any], shape: Shape, path: str) -> Iterator[str]:
    for name in shape.required_members:
        if value.get(name) is None:
            yield f"Value null at '{_join(path, name)}' failed to satisfy constraint: Member must not be null"
    for name, member in value.items():
        if member is not None and name in shape.members:
            yield from _problems(member, shape.members[name], _join(path, name))


def _map_problems(value: dict[str, Any], shape: Shape, path: str) -> Iterator[str]:
    yield from _own_problems(value, shape, path)
    for entry in value.values():
        _check_type(entry, shape.value)
    for what, part, entries in (("keys", shape.key, value.keys()), ("value", shape.value, value.values())):
        if any(_broken(entry, part) for entry in entries):
            rules = ", ".join(reversed([text for text, _ in _constraints(part)]))
            yield (
                f"Value '{_shown(value)}' at '{path}' failed to satisfy constraint: "
                f"Map {what} must satisfy constraint: [{rules}]"
            )


def _own_problems(value: Any, shape: Shape, path: str) -> Iterator[str]:
    for text in _broken(value, shape):
        yield f"Value '{_shown(value)}' at '{path}' failed to satisfy constraint: {text}"


def _broken(value: Any, shape: Shape) -> list[str]:
    return [text for text, holds in _constraints(shape) if not holds(value)]


@functools.cache
def _constraints(shape: Shape) -> tuple[tuple[str, Any], ...]:
    metadata = shape.metadata
    numeric = shape.type_name in ("integer", "long", "float", "double")
    size = "value" if numeric else "length"
    measure = (lambda value: value) if numeric else len
    found: list[tuple[str, Any]] = []
    if "enum" in metadata:
        values = frozenset(metadata["enum"])
        text = f"Member must satisfy enum value set: [{', '.join(metadata['enum'])}]"
        found.append((text, lambda value: value in values))
    if "pattern" in metadata:
        pattern = compile_pattern(metadata["pattern"])
        text = f"Member must satisfy regular expression pattern: {metadata['pattern']}"
        found.append((text, lambda value: pattern.fullmatch(value) is not None))
    if "min" in metadata:
        low = metadata["min"]
        text = f"Member must have {size} greater than or equal to {low}"
        found.append((text, lambda value: measure(value) >= low))
    if "max" in metadata:
        high = metadata["max"]
        text = f"Member must have {size} less than or equal to {high}"
        found.append((text, lambda value: measure(value) <= high))
    return tuple(found)


def _join(path: str, name: str) -> str:
    member = name[:1].lower() + name[1:]
    return f"{path}.{member}" if path else member


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}={_shown(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_shown(entry) for entry in value) + "]"
    return str(value)
