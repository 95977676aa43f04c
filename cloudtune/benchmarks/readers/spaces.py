"""Domains of what was published without them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cloudtune.space import Domain, choice, logordinal, ordinal

_WIDE = 10.0
"""From this ratio of the largest to the smallest value on, they are taken to lie on a logarithmic scale."""


def observed_domain(values: Sequence[Any]) -> Domain:
    """All values that occur: in order if they are numbers; on a logarithmic scale if they are far apart."""
    distinct = sorted(set(values), key=lambda value: (isinstance(value, str), value))
    numbers = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in distinct)
    if not numbers or len(distinct) == 1:
        return choice(distinct)
    if distinct[0] > 0 and distinct[-1] >= _WIDE * distinct[0]:
        return logordinal(distinct)
    return ordinal(distinct)
