"""Configurations as JSON, and where users have them from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from cloudtune.errors import OptionError
from cloudtune.trial import Config


def plain(config: Config) -> dict[str, Any]:
    """The configuration as JSON has it: numpy's scalars become numbers. Raises ``OptionError`` for what isn't JSON."""
    values = {name: value.item() if hasattr(value, "item") else value for name, value in config.items()}
    for name, value in values.items():
        try:
            json.dumps(value)
        except (TypeError, ValueError) as error:
            raise OptionError(
                f"the configuration's {name}={value!r} is not JSON: {error}",
                "use numbers, strings, booleans, and lists and dicts of these",
            ) from error
    return values


def same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two configurations are equal as JSON: NaN is NaN, a tuple is a list."""
    return _as_json(one) == _as_json(other)


def _as_json(config: Mapping[str, Any]) -> str:
    return json.dumps(config, sort_keys=True)


def config_of(given: object) -> dict[str, Any]:
    """The configuration in what ``Tuner.best_config()`` or ``ExperimentResult.best_config()`` returned."""
    if isinstance(given, tuple) and len(given) == 2 and isinstance(given[1], Mapping):
        given = given[1]
    if not isinstance(given, Mapping):
        raise OptionError(
            f"config={given!r} is no configuration", "give a dict of values, or what best_config() returned"
        )
    prefix = "config_"
    if "trial_id" in given and any(name.startswith(prefix) for name in given):
        return {name[len(prefix) :]: value for name, value in given.items() if name.startswith(prefix)}
    return {name: value for name, value in given.items() if name != "trial_id"}
