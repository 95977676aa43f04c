"""Values as command-line text and back: what a trial gets as ``--name value`` parses to the same value."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from cloudtune.errors import ConfigSpaceError
from cloudtune.space import checks
from cloudtune.space.domain import Domain


def to_cli_string(value: Any) -> str:
    """The text of ``value`` on a command line: all digits of a float, JSON for lists and dicts.

    Negative floats are written without exponent: argparse takes ``-1e-05`` for an option. A string that begins
    with a dash has that problem and no such cure; pass it in a JSON file.
    """
    if value is None or isinstance(value, (bool, str)):
        return str(value)
    if isinstance(value, float):
        text = repr(float(value))
        return format(Decimal(text), "f") if value < 0 and "e" in text else text
    if isinstance(value, (list, dict)):
        return json.dumps(value)
    return str(value)


def from_cli_string(entry: Any, text: str) -> Any:
    """The value that ``text`` stands for, by the type of ``entry``: a domain or a constant of the space.

    Raises ConfigSpaceError if it is no value of that type.
    """
    if isinstance(entry, Domain):
        return entry.cast(text)
    if isinstance(entry, bool):
        return checks.to_bool(text)
    if entry is None:
        return None if text == "None" else text
    try:
        return json.loads(text) if isinstance(entry, (list, dict)) else type(entry)(text)
    except ValueError:
        return checks.fail(f"{text!r} is not a {type(entry).__name__}", f"expected something like {entry!r}")


def add_to_argparse(parser: ArgumentParser, config_space: Mapping[str, Any]) -> None:
    """Adds one required, typed argument per tuned name to the parser of a training script; constants are left to it."""
    for name, domain in config_space.items():
        if isinstance(domain, Domain):
            text = repr(domain).replace("%", "%%")  # argparse formats its help texts
            parser.add_argument(f"--{name}", type=_parser_of(domain), required=True, help=text)


def _parser_of(domain: Domain) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        try:
            return domain.cast(text)
        except ConfigSpaceError as error:
            raise ValueError(str(error)) from error

    parse.__name__ = domain.value_type.__name__
    return parse
