"""Search over training jobs: expressions of filters on any property, in any depth, with And and Or."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from botocore.model import Shape

from cloudtune.sandbox import tokens
from cloudtune.sandbox.aws_error import invalid
from cloudtune.sandbox.model import service_model

DEFAULT_PAGE = 100
MAX_CONDITIONS = 50
_COMPARISONS = {
    "GreaterThan": lambda left, right: left > right,
    "GreaterThanOrEqualTo": lambda left, right: left >= right,
    "LessThan": lambda left, right: left < right,
    "LessThanOrEqualTo": lambda left, right: left <= right,
}
_MODIFIED = "LastModifiedTime"
_NUMERIC = ("integer", "long", "float", "double")

Record = Mapping[str, Any]
Predicate = Callable[[Any], bool]


def search_jobs(request: Mapping[str, Any], records: Sequence[Record]) -> tuple[list[Record], str | None, int]:
    """One page of matching ``records``, the next page's token, and how many match in all."""
    expression = request.get("SearchExpression")
    if expression is not None:
        _check(expression)
        holds = _predicate(expression)
        records = [record for record in records if holds(record)]
    total = len(records)
    ordered = _sorted(records, request.get("SortBy", _MODIFIED), request.get("SortOrder", "Descending"))
    try:
        start = tokens.offset(request.get("NextToken"))
    except ValueError as error:
        raise invalid(f"The token '{request['NextToken']}' is invalid.") from error
    end = start + request.get("MaxResults", DEFAULT_PAGE)
    return ordered[start:end], tokens.encode(end) if end < total else None, total


def modified_from(expression: Mapping[str, Any]) -> float:
    """No job that was last modified before this moment (seconds since the epoch) can satisfy ``expression``."""
    if expression.get("Operator") == "Or":
        return 0.0
    bounds = [
        _expected(_MODIFIED, "timestamp", entry["Value"], entry["Operator"])
        for entry in expression.get("Filters", [])
        if entry["Name"] == _MODIFIED and entry.get("Operator", "Equals").startswith("GreaterThan") and "Value" in entry
    ]
    return max(bounds, default=0.0)


def _check(expression: Mapping[str, Any]) -> None:
    conditions = list(_conditions(expression))
    if not conditions:
        raise invalid("A SearchExpression must have at least one Filter, NestedFilter or SubExpression.")
    if len(conditions) > MAX_CONDITIONS:
        raise invalid(f"A SearchExpression can have at most {MAX_CONDITIONS} conditions, not {len(conditions)}.")
    contains = Counter(entry["Name"] for entry in conditions if entry.get("Operator") == "Contains")
    if any(count > 1 for count in contains.values()):
        raise invalid("'CONTAINS' operator usage limit of 1 exceeded.")
    for entry in conditions:
        operator = entry.get("Operator", "Equals")
        if operator not in ("Exists", "NotExists") and "Value" not in entry:
            raise invalid(f"Filter on '{entry['Name']}' with operator {operator} needs a Value.")
        kind = _kind(entry["Name"])
        if operator in _COMPARISONS and kind == "string" and not entry["Name"].startswith("HyperParameters."):
            raise invalid(f"Operator {operator} is not supported for text property '{entry['Name']}'.")
        if operator in ("Contains", "In") and kind != "string":
            raise invalid(f"Operator {operator} is only supported for text properties, not '{entry['Name']}'.")
        if operator not in ("Exists", "NotExists"):
            _expected(entry["Name"], kind, entry["Value"], operator)


def _conditions(expression: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from expression.get("Filters", [])
    for nested in expression.get("NestedFilters", []):
        yield from nested["Filters"]
    for part in expression.get("SubExpressions", []):
        yield from _conditions(part)


def _predicate(expression: Mapping[str, Any]) -> Predicate:
    """The whole expression, worked out once: a search asks it about every job."""
    parts = [_filter(entry) for entry in expression.get("Filters", [])]
    parts += [_nested(entry) for entry in expression.get("NestedFilters", [])]
    parts += [_predicate(entry) for entry in expression.get("SubExpressions", [])]
    if expression.get("Operator") == "Or":
        return lambda record: any(part(record) for part in parts)
    return lambda record: all(part(record) for part in parts)


def _nested(nested: Mapping[str, Any]) -> Predicate:
    """Whether a single object of the list satisfies all conditions."""
    prefix = nested["NestedPropertyName"]
    parts = [_filter(entry, prefix) for entry in nested["Filters"]]
    return lambda record: any(all(part(member) for part in parts) for member in _values(record, prefix))


def _filter(entry: Mapping[str, Any], prefix: str = "") -> Predicate:
    name, operator = str(entry["Name"]), str(entry.get("Operator", "Equals"))
    path = name.removeprefix(prefix + ".") if prefix else name
    if operator in ("Exists", "NotExists"):
        wanted = operator == "Exists"
        return lambda record: any(True for _ in _values(record, path)) == wanted
    kind = _kind(name)
    expected = _expected(name, kind, entry["Value"], operator)
    if operator == "NotEquals":
        return lambda record: all(_actual(value, kind, expected) != expected for value in _values(record, path))
    return lambda record: any(
        _compare(operator, _actual(value, kind, expected), expected) for value in _values(record, path)
    )


def _compare(operator: str, actual: Any, expected: Any) -> bool:
    if actual is None:
        return False
    if operator == "Equals":
        return bool(actual == expected)
    if operator == "Contains":
        return expected in str(actual)
    if operator == "In":
        return actual in expected
    return type(actual) is type(expected) and bool(_COMPARISONS[operator](actual, expected))


def _expected(name: str, kind: str, value: str, operator: str) -> Any:
    """A filter's value as what the property is; its refusal if it can't be."""
    try:
        if operator == "In":
            return [part.strip() for part in value.split(",")]
        if kind in _NUMERIC:
            return float(value)
        if kind == "boolean":
            return {"true": True, "false": False}[value.lower()]
        if kind == "timestamp":
            moment = datetime.datetime.fromisoformat(value.replace("Z", "+00:00"))
            return (moment if moment.tzinfo else moment.replace(tzinfo=datetime.timezone.utc)).timestamp()
        if operator in _COMPARISONS:
            return float(value)
    except (ValueError, KeyError) as error:
        raise invalid(f"Value '{value}' of the filter on '{name}' is no {kind}.") from error
    return value


def _actual(value: Any, kind: str, expected: Any) -> Any:
    if isinstance(expected, float) and isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return None
    if kind in _NUMERIC or kind == "timestamp":
        return float(value)
    return value


def _sorted(records: Sequence[Record], sort_by: str, order: str) -> list[Record]:
    _kind(sort_by)
    keyed = [(next(iter(_values(record, sort_by)), None), record) for record in records]
    present = [(value, record) for value, record in keyed if value is not None]
    present.sort(key=lambda pair: (pair[0], pair[1]["TrainingJobName"]), reverse=order == "Descending")
    # what lacks the property comes last either way
    return [record for _, record in present] + [record for value, record in keyed if value is None]


def _values(record: Any, path: str) -> Iterator[Any]:
    """Every value at a dotted path, through lists; the names behind Tags, Metrics and HyperParameters may have dots."""
    head, _, rest = path.partition(".")
    if head == "Tags" and rest:
        yield from (tag["Value"] for tag in record.get("Tags", []) if tag["Key"] == rest)
    elif head == "Metrics":
        entries = record.get("FinalMetricDataList", [])
        yield from (entry["Value"] for entry in entries if entry["MetricName"] == rest)
    elif head in ("HyperParameters", "Environment") and rest:
        if rest in record.get(head, {}):
            yield record[head][rest]
    elif isinstance(record, dict) and head in record:
        members = record[head] if isinstance(record[head], list) else [record[head]]
        for member in members:
            if rest:
                yield from _values(member, rest)
            else:
                yield member


def _kind(path: str) -> str:
    """What the property at ``path`` is, by the service model; a refusal if there is none."""
    head, _, rest = path.partition(".")
    if head == "Metrics" and rest:
        return "double"
    shape: Shape = service_model("sagemaker").shape_for("TrainingJob")
    for step in path.split("."):
        while shape.type_name == "list":
            shape = shape.member
        if shape.type_name == "map":
            return "string"
        if shape.name == "Tag":
            return "string"
        if shape.type_name != "structure" or step not in shape.members:
            raise invalid(f"The property '{path}' is not a searchable property of TrainingJob.")
        shape = shape.members[step]
    return str(shape.type_name)
