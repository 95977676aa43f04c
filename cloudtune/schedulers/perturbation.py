"""Exploring around a configuration: population-based training's step from one set of hyperparameters to the next."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from cloudtune.errors import OptionError
from cloudtune.space import Categorical, Domain, FiniteDomain, Float, Quantized
from cloudtune.trial import Config

FACTORS = (0.8, 1.2)


def explored(
    config: Config, config_space: Mapping[str, Any], random_state: np.random.Generator, resample_probability: float
) -> dict[str, Any]:
    """A configuration near ``config``, inside the space; constants are the space's.

    Each hyperparameter is drawn anew with ``resample_probability``, or perturbed (Jaderberg et al. 2017, section
    4.1.1). Numbers: times 0.8 or 1.2, ended at the bounds, and in steps no smaller than the domain's own; of a domain
    whose scale is the distance from 1, that distance. A float of 0 thus stays until it is drawn anew. Of an ordered
    list: the next value up or down, or the same at its end. Categories have no neighbours: always drawn anew.
    """
    new: dict[str, Any] = {}
    for name, entry in config_space.items():
        if not isinstance(entry, Domain):
            new[name] = copy.deepcopy(entry)
        elif random_state.random() < resample_probability or isinstance(entry, Categorical):
            new[name] = entry.sample(random_state)
        else:
            new[name] = perturbed(entry, config[name], up=bool(random_state.random() < 0.5))
    return new


def perturbed(domain: Domain, value: Any, up: bool) -> Any:
    """The value of an ordered domain one step up or down from ``value``."""
    if isinstance(domain, FiniteDomain):
        return _neighbour(domain, value, up)
    factor = FACTORS[up]
    if isinstance(domain, Float) and domain.scale == "reverse-log":
        # what is tuned there is the distance from 1
        return within(domain, 1 - (1 - value) * FACTORS[not up])
    number = value * factor
    if domain.value_type is int or isinstance(domain, Quantized):
        number = _at_least_one_step(domain, value, number, up)
    return within(domain, number)


def within(domain: Domain, value: Any) -> Any:
    """The value of the domain that is nearest to a number; one that is in the domain as it is.

    Raises ``ConfigSpaceError`` for what is no value of its type.
    """
    lower, upper = getattr(domain, "lower", None), getattr(domain, "upper", None)
    if lower is not None and upper is not None and isinstance(value, (int, float, np.number)):
        value = min(max(value, lower), upper)
    return domain.cast(value)


def checked_exploration(config: object, config_space: Mapping[str, Any]) -> dict[str, Any]:
    """What a user's function returned, numbers brought into their ranges and constants put back.

    Raises ``OptionError`` if it is no configuration, ``ConfigSpaceError`` if a value can't be brought into its domain.
    """
    if not isinstance(config, Mapping):
        raise OptionError(f"custom_explore_fn returned {config!r}", "return the configuration, changed or not")
    missing = [name for name, entry in config_space.items() if isinstance(entry, Domain) and name not in config]
    if missing:
        raise OptionError(
            f"custom_explore_fn returned a configuration without {missing[0]!r}", "return all that it was given"
        )
    return {
        name: within(entry, config[name]) if isinstance(entry, Domain) else copy.deepcopy(entry)
        for name, entry in config_space.items()
    }


def _neighbour(domain: FiniteDomain, value: Any, up: bool) -> Any:
    values = list(dict.fromkeys(domain.values))
    place = values.index(domain.cast(value)) + (1 if up else -1)
    return values[min(max(place, 0), len(values) - 1)]


def _at_least_one_step(domain: Domain, value: Any, number: float, up: bool) -> float:
    """``number`` as a multiple of the domain's step, other than ``value``, on the side where it lies.

    Up and down are those of the factor: a negative value that is multiplied by 1.2 falls.
    """
    step = domain.q if isinstance(domain, Quantized) else 1
    rises = number > value or (number == value and up)
    steps = max(1, round(abs(number - value) / step))
    result = value + steps * step if rises else value - steps * step
    return float(result) if math.isfinite(result) else number
