"""Whether a training job is what was asked for. Pure: a request and a description in, differences out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

Expected: TypeAlias = Mapping[str, Any] | Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""A request as it was sent; or, of a job that an earlier process launched, what this one would have sent for a job of
such a description."""

NOT_AS_ASKED = "NotAsAsked"

_ABSENT = "nothing"
_MISSING: Any = object()


def asked_for(expected: Expected, description: Mapping[str, Any]) -> Mapping[str, Any]:
    """The request to compare a job with."""
    return expected(description) if callable(expected) else expected


def differences(request: Mapping[str, Any], description: Mapping[str, Any]) -> list[str]:
    """What of a CreateTrainingJob request its job doesn't show, each as "field: asked …, got …".

    Looks at what decides about money, safety and results: spot, instances and keep-alive, limits, network, encryption,
    environment, checkpoints, outputs, role, image. What the service adds of its own is no difference.
    """
    found: list[str] = []
    for field, compare in _FIELDS.items():
        if field in request:
            found.extend(compare(field, request[field], description.get(field, _MISSING)))
    return found


def _same(field: str, asked: Any, got: Any) -> Iterator[str]:
    """``got`` has all that was asked for, and maybe more."""
    if isinstance(asked, Mapping) and (asked == {} or isinstance(got, Mapping)):
        there = got if isinstance(got, Mapping) else {}
        for name, value in asked.items():
            yield from _same(f"{field}.{name}", value, there.get(name, _MISSING))
    elif not _equal(asked, got):
        yield f"{field}: asked {_shown(asked)}, got {_shown(got)}"


def _equal(asked: Any, got: Any) -> bool:
    if got is _MISSING or got is None:
        return asked in (None, False, "", [], {})
    if isinstance(asked, (list, tuple)) and isinstance(got, (list, tuple)):
        return sorted(map(repr, asked)) == sorted(map(repr, got))
    if isinstance(asked, str) and asked.startswith("s3://"):
        return asked.rstrip("/") == str(got).rstrip("/")
    return bool(asked == got)


def _resources(field: str, asked: Mapping[str, Any], got: Any) -> Iterator[str]:
    there: Mapping[str, Any] = got if isinstance(got, Mapping) else {}
    plain = {name: value for name, value in asked.items() if name not in ("InstancePreferences", _KEEP_ALIVE)}
    yield from _same(field, plain, there)
    kept, wanted = there.get(_KEEP_ALIVE), asked.get(_KEEP_ALIVE)
    # it may have been shortened since, by us; a job that has none at all never had a pool
    if wanted and (kept is None or kept > wanted):
        yield f"{field}.{_KEEP_ALIVE}: asked {wanted}, got {_ABSENT if kept is None else kept}"
    preferences = [preference.get("InstanceType") for preference in asked.get("InstancePreferences") or []]
    selected = there.get("SelectedInstanceType")
    if selected is not None and preferences and selected not in preferences:
        yield f"{field}.SelectedInstanceType: asked one of {', '.join(map(str, preferences))}, got {selected}"


def _environment(field: str, asked: Mapping[str, str], got: Any) -> Iterator[str]:
    """By name only: values may be secrets."""
    there: Mapping[str, Any] = got if isinstance(got, Mapping) else {}
    for name, value in asked.items():
        if there.get(name) != value:
            yield f"{field}.{name}: asked a value, got {'another' if name in there else _ABSENT}"


def _algorithm(field: str, asked: Mapping[str, Any], got: Any) -> Iterator[str]:
    wanted = {name: asked[name] for name in ("TrainingImage", "AlgorithmName") if name in asked}
    yield from _same(field, wanted, got)


_KEEP_ALIVE = "KeepAlivePeriodInSeconds"

_FIELDS: Mapping[str, Callable[[str, Any, Any], Iterator[str]]] = {
    "EnableManagedSpotTraining": _same,
    "ResourceConfig": _resources,
    "StoppingCondition": _same,
    "CheckpointConfig": _same,
    "VpcConfig": _same,
    "EnableNetworkIsolation": _same,
    "EnableInterContainerTrafficEncryption": _same,
    "Environment": _environment,
    "OutputDataConfig": _same,
    "RetryStrategy": _same,
    "RoleArn": _same,
    "AlgorithmSpecification": _algorithm,
}


def _shown(value: Any) -> str:
    text = _ABSENT if value is _MISSING or value is None else repr(value)
    return text if len(text) <= 120 else text[:117] + "..."
