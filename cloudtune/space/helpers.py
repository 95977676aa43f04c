"""Questions about configuration spaces and configurations."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from cloudtune.errors import ConfigSpaceError
from cloudtune.space import checks
from cloudtune.space.domain import Domain
from cloudtune.space.finite import FiniteRange, OrdinalNearestNeighbor
from cloudtune.space.numeric import Float, Integer, Normal, Quantized


def non_constant_hyperparameter_keys(config_space: Mapping[str, Any]) -> list[str]:
    """The names that are tuned, in order."""
    return [name for name, value in config_space.items() if isinstance(value, Domain)]


def cast_config_values(config: Mapping[str, Any], config_space: Mapping[str, Any]) -> dict[str, Any]:
    """``config`` with each value cast by its domain; constants and unknown names stay as they are.

    Raises ConfigSpaceError naming the parameter if a value can't be cast.
    """
    return {name: _cast(name, value, config_space.get(name)) for name, value in config.items()}


def _cast(name: str, value: Any, domain: Any) -> Any:
    if not isinstance(domain, Domain):
        return value
    try:
        return domain.cast(value)
    except ConfigSpaceError as error:
        raise ConfigSpaceError(f"{name!r}: {error.message}", error.hint) from error


def config_space_size(config_space: Mapping[str, Any], upper_limit: int = 2**20) -> int | None:
    """Number of distinct configurations; None if infinite or above ``upper_limit``."""
    total = 1
    for domain in config_space.values():
        if isinstance(domain, Domain):
            if domain.size is None:
                return None
            total *= domain.size
    return total if total <= upper_limit else None


def config_to_match_string(
    config: Mapping[str, Any], config_space: Mapping[str, Any], keys: Iterable[str] | None = None
) -> str:
    """Text that is equal for configurations that agree in ``keys`` (default: all that is tuned), in that order."""
    names = non_constant_hyperparameter_keys(config_space) if keys is None else keys
    return ",".join(f"{name}:{_match_string(config[name], config_space.get(name))}" for name in names)


def _match_string(value: Any, domain: Any) -> str:
    return domain.match_string(value) if isinstance(domain, Domain) else json.dumps(value, sort_keys=True)


def is_log_space(domain: Domain) -> bool:
    """Are equal ratios equally far apart in the unit cube?"""
    if isinstance(domain, Quantized):
        return is_log_space(domain.base)
    if isinstance(domain, (FiniteRange, OrdinalNearestNeighbor)):
        return domain.log_scale
    return isinstance(domain, (Float, Integer)) and domain.scale == "log"


def is_uniform_space(domain: Domain) -> bool:
    """Are equal differences equally far apart in the unit cube?"""
    if isinstance(domain, Quantized):
        return is_uniform_space(domain.base)
    if isinstance(domain, (FiniteRange, OrdinalNearestNeighbor)):
        return not domain.log_scale
    return isinstance(domain, (Float, Integer)) and domain.scale == "linear"


def restrict_domain(numerical_domain: Domain, lower: float, upper: float) -> Domain:
    """The part of a numerical domain inside [lower, upper], on the same scale.

    Raises ConfigSpaceError if nothing is left, or if the domain is categorical or normal.
    """
    domain = numerical_domain
    owner = f"restrict_domain({domain!r}, {lower!r}, {upper!r})"
    checks.ordered(checks.real(lower, f"{owner}: lower"), checks.real(upper, f"{owner}: upper"), owner)
    if isinstance(domain, Quantized) and not isinstance(domain.base, Normal):
        lower, upper = max(lower, domain.lower), min(upper, domain.upper)
        return replace(domain, base=_intersection(domain.base, lower, upper, owner))
    if isinstance(domain, (Float, Integer)):
        return _intersection(domain, lower, upper, owner)
    if isinstance(domain, (FiniteRange, OrdinalNearestNeighbor)):
        return _listed_inside(domain, lower, upper, owner)
    return checks.fail(
        f"{owner}: the domain has no bounds to move", "use uniform, randint, finrange or their log forms"
    )


def _intersection(domain: Float | Integer, lower: float, upper: float, owner: str) -> Float | Integer:
    low, high = max(lower, domain.lower), min(upper, domain.upper)
    if isinstance(domain, Integer):
        low, high = -int(-low // 1), int(high // 1)
    if low > high:
        checks.fail(f"{owner}: nothing is left", f"the domain's values lie in [{domain.lower!r}, {domain.upper!r}]")
    if isinstance(domain, Integer):
        return replace(domain, lower=int(low), upper=int(high))
    return replace(domain, lower=low, upper=high)


def _listed_inside(
    domain: FiniteRange | OrdinalNearestNeighbor, lower: float, upper: float, owner: str
) -> FiniteRange | OrdinalNearestNeighbor:
    inside = [index for index, value in enumerate(domain.values) if lower <= value <= upper]
    if not inside:
        checks.fail(f"{owner}: nothing is left", f"the values are {list(domain.values)!r}")
    if isinstance(domain, OrdinalNearestNeighbor):
        return replace(domain, categories=[domain.values[index] for index in inside])
    # a grid of one point is written as two that coincide
    first, last = domain.grid[inside[0]], domain.grid[inside[-1]]
    return replace(domain, lower=first, upper=last, points=max(len(inside), 2))
