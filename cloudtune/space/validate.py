"""Is this dict a configuration space?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from cloudtune.space import checks
from cloudtune.space.domain import Domain


def validate_config_space(config_space: Mapping[str, Any]) -> None:
    """Raises ConfigSpaceError naming the parameter if an entry is neither a domain nor a constant that JSON holds.

    Constants are str, int, float, bool, None, and lists and dicts of them (which need ``pass_args_as_json``). Constants
    alone, one value or an empty dict make a legal space with one configuration.
    """
    if not isinstance(config_space, Mapping):
        checks.fail(f"the configuration space is {config_space!r}", "give a dict from names to domains and constants")
    for name, value in config_space.items():
        validate_name(name)
        if not isinstance(value, Domain):
            _validate_constant(value, repr(name))


def validate_name(name: Any) -> None:
    """A name is an argument of the training script: ``--name value``."""
    if not isinstance(name, str) or not name:
        checks.fail(f"{name!r} can't name a hyperparameter", "names are non-empty strings")
    if name.startswith("-") or any(character.isspace() or character == "=" for character in name):
        checks.fail(
            f"{name!r} can't name a hyperparameter", "the script gets it as --name: no spaces, no '=', no dash in front"
        )


def _validate_constant(value: Any, place: str) -> None:
    if value is None or type(value) in (str, int, bool):
        return
    if isinstance(value, float):
        if not math.isfinite(value):
            checks.fail(f"{place} is {value!r}, which JSON can't hold", "leave it out, or give it as a string")
        return
    if type(value) is list:
        for index, item in enumerate(value):
            _validate_constant(item, f"{place}[{index}]")
        return
    if type(value) is dict:
        for key, item in value.items():
            if not isinstance(key, str):
                checks.fail(f"{place} has the key {key!r}, which is not a string", "JSON has string keys only")
            _validate_constant(item, f"{place}[{key!r}]")
        return
    checks.fail(f"{place} is {value!r}, a {type(value).__name__}", _way_out(value))


def _way_out(value: Any) -> str:
    if isinstance(value, Domain):
        return "domains stand at the top of the space, not inside lists or dicts"
    if isinstance(value, (tuple, range, set, frozenset)):
        return f"choice({list(value)!r}) tunes over the values, list(...) passes them on"
    if type(value).__module__ == "numpy":
        return "convert it with .item() or .tolist()"
    return "entries are domains (uniform, randint, choice, ...) or constants that JSON holds"
