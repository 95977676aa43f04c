"""What every domain checks about the numbers and names it is given."""

from __future__ import annotations

import math
import numbers
from typing import Any, NoReturn

from cloudtune.errors import ConfigSpaceError

MAX_INTEGER = 2**53  # beyond it, neither JSON nor a float keeps neighbours apart


def fail(message: str, hint: str = "") -> NoReturn:
    raise ConfigSpaceError(message, hint)


def real(value: object, what: str) -> float:
    """``value`` as a finite float."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        fail(f"{what} is {value!r}, not a number", "give an int or a float")
    number = float(value)
    if not math.isfinite(number):
        fail(f"{what} is {value!r}", "bounds are finite; for unbounded values use normal or lognormal")
    return number


def integer(value: object, what: str) -> int:
    """``value`` as an int; a float such as ``1e6`` counts when it is whole."""
    number = real(value, what)
    if not number.is_integer():
        fail(f"{what} is {value!r}, not an integer", "round it, or use the domain for floats")
    whole = int(value) if isinstance(value, numbers.Integral) else int(number)
    if abs(whole) > MAX_INTEGER:
        fail(f"{what} is {value!r}, beyond ±2**53", "tune its logarithm, or a choice of strings")
    return whole


def ordered(lower: float, upper: float, owner: str) -> None:
    if lower > upper:
        fail(f"{owner}: lower {lower!r} is above upper {upper!r}", "swap the two")


def positive(value: float, what: str) -> None:
    if value <= 0:
        fail(f"{what} is {value!r}, and a logarithmic scale needs values above 0", "raise it, or use a linear scale")


def to_number(value: Any, value_type: type, owner: object) -> Any:
    """A number or its text as ``int`` (rounded) or ``float``."""
    if isinstance(value, bool) or not isinstance(value, (numbers.Real, str)):
        fail(f"{value!r} is not a number, which {owner} needs", "give an int, a float, or the text of one")
    try:
        number = int(value) if isinstance(value, numbers.Integral) else float(value)
    except ValueError:
        fail(f"{value!r} is not a number, which {owner} needs", "give an int, a float, or the text of one")
    if not math.isfinite(number):
        fail(f"{value!r} is not finite, and {owner} has finite values only", "give a value inside")
    return round(number) if value_type is int else float(number)


def to_bool(value: Any) -> bool:
    text = str(value).lower()
    if text in ("true", "1"):
        return True
    if text in ("false", "0"):
        return False
    return fail(f"{value!r} is neither true nor false", "write True or False")
