"""Refusals of nonsense, with what would make sense."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable


def check_name(what: str, name: str, known: Iterable[str]) -> None:
    """Raises ValueError for an unknown ``name``, with the nearest of ``known``."""
    names = list(known)
    if name not in names:
        near = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names)}"
        raise ValueError(f"unknown {what} {name!r}: {hint}")


def check_probability(name: str, value: float) -> None:
    if not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise ValueError(f"{name} is a probability, from 0 to 1; got {value!r}")


def check_amount(name: str, value: float) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
        raise ValueError(f"{name} is a number, at least 0; got {value!r}")
