"""Configuration spaces as JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cloudtune.errors import ConfigSpaceError
from cloudtune.options import nearest_name
from cloudtune.space import checks, factories
from cloudtune.space.domain import Domain
from cloudtune.space.validate import validate_config_space

_FACTORIES: dict[str, Callable[..., Domain]] = {
    factory.__name__: factory
    for factory in (
        factories.uniform,
        factories.loguniform,
        factories.reverseloguniform,
        factories.randint,
        factories.lograndint,
        factories.normal,
        factories.lognormal,
        factories.choice,
        factories.ordinal,
        factories.finrange,
        factories.logfinrange,
        factories.quniform,
        factories.qloguniform,
        factories.qrandint,
        factories.qlograndint,
        factories.qnormal,
        factories.qlognormal,
    )
}


def to_dict(domain: Domain) -> dict[str, Any]:
    """``{"domain": "uniform", "lower": 0.0, "upper": 1.0}`` for ``uniform(0, 1)``."""
    return domain.to_dict()


def domain_from_dict(data: Mapping[str, Any]) -> Domain:
    """The inverse of ``to_dict``. Raises ConfigSpaceError for an unknown domain or wrong arguments."""
    arguments = dict(data)
    name = arguments.pop("domain", None)
    if name not in _FACTORIES:
        checks.fail(f"{name!r} names no domain", nearest_name(str(name), _FACTORIES))
    try:
        return _FACTORIES[name](**arguments)
    except TypeError as error:
        return checks.fail(f"{name} can't be made from {arguments!r}: {error}", "was it written by another version?")


def config_space_to_json_dict(config_space: Mapping[str, Any]) -> dict[str, Any]:
    """What ``json.dumps`` takes: domains by ``to_dict``; dicts that are constants become ``{"constant": …}``."""
    validate_config_space(config_space)
    return {name: _entry_to_json(value) for name, value in config_space.items()}


def _entry_to_json(value: Any) -> Any:
    if isinstance(value, Domain):
        return value.to_dict()
    return {"constant": value} if isinstance(value, dict) else value


def config_space_from_json_dict(config_space_dict: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of ``config_space_to_json_dict``. Raises ConfigSpaceError naming the parameter."""
    config_space = {name: _entry_from_json(name, value) for name, value in config_space_dict.items()}
    validate_config_space(config_space)
    return config_space


def _entry_from_json(name: str, value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if set(value) == {"constant"}:
        return value["constant"]
    try:
        return domain_from_dict(value)
    except ConfigSpaceError as error:
        raise ConfigSpaceError(f"{name!r}: {error.message}", error.hint) from error
