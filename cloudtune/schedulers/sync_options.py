"""The options that the synchronous schedulers share, checked; and the sizes of brackets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any

from cloudtune.errors import OptionError
from cloudtune.options import nearest_name
from cloudtune.schedulers.hyperband_options import SearcherData
from cloudtune.schedulers.max_resource import MaxResource, check_not_tuned, infer_max_resource
from cloudtune.schedulers.objective import checked_name
from cloudtune.schedulers.rung_levels import (
    checked_reduction_factor,
    number_of_brackets,
    positive_integer,
    successive_halving_rung_levels,
)
from cloudtune.schedulers.sync_brackets import Size

_EXAMPLE = "such as [(9, 1), (3, 3), (1, 9)]: sizes fall, levels rise"


MOST_PLACES = 1_000_000
"""In a rung: all of them are there as soon as its bracket begins."""


@dataclass(frozen=True)
class SyncOptions:
    """As the user gave them; the meaning of each is documented at ``SynchronousHyperbandScheduler``."""

    resource_attr: str
    max_resource_attr: str | None
    max_resource_level: int | None
    searcher_data: SearcherData

    def __post_init__(self) -> None:
        checked_name(self.resource_attr, "resource_attr")
        if self.searcher_data not in ("rungs", "all"):
            hint = nearest_name(str(self.searcher_data), ("rungs", "all"))
            raise OptionError(f"searcher_data {self.searcher_data!r} is not known", hint)

    def limit(self, config_space: Mapping[str, Any], highest: int) -> MaxResource:
        """How long trials run at most: ``highest``, the top rung of all, unless it is given. Raises OptionError."""
        limit = self.inferred(config_space) or MaxResource(highest, None)
        if highest > limit.max_t:
            raise OptionError(
                f"a rung has level {highest}, and trials run to {limit.max_t} at most",
                "lower it, or raise max_resource_level",
            )
        return limit

    def known_limit(self, config_space: Mapping[str, Any]) -> MaxResource:
        """Raises OptionError if nothing says how long trials run at most."""
        limit = self.inferred(config_space)
        if limit is None:
            raise OptionError(
                "it is not known how long trials run at most",
                'add an entry such as "epochs": 81 to the space and give max_resource_attr="epochs", or give '
                "max_resource_level",
            )
        return limit

    def inferred(self, config_space: Mapping[str, Any]) -> MaxResource | None:
        limit = infer_max_resource(config_space, self.max_resource_level, self.max_resource_attr)
        check_not_tuned(config_space, self.max_resource_attr)
        return limit


def checked_bracket(rungs: object, name: str) -> tuple[Size, ...]:
    """Rungs (size, level) whose sizes fall and whose levels rise. Raises OptionError."""
    if not isinstance(rungs, (list, tuple)) or not rungs:
        raise OptionError(f"{name} is {rungs!r}", f"give pairs of size and level, {_EXAMPLE}")
    checked = []
    for rung in rungs:
        if not isinstance(rung, (list, tuple)) or len(rung) != 2:
            raise OptionError(f"{name} has the rung {rung!r}", f"give pairs of size and level, {_EXAMPLE}")
        size = positive_integer(rung[0], f"{name}: the size in {rung!r}")
        if size > MOST_PLACES:
            raise OptionError(
                f"{name}: {size:.3g} trials in one rung", "lower the reduction_factor, or give fewer places"
            )
        checked.append(Size(size, positive_integer(rung[1], f"{name}: the level in {rung!r}")))
    for low, high in pairwise(checked):
        if low.size <= high.size or low.level >= high.level:
            raise OptionError(f"{name}: the rung {tuple(high)} can't follow {tuple(low)}", f"give them {_EXAMPLE}")
    return tuple(checked)


def checked_brackets(brackets: object) -> list[tuple[Size, ...]]:
    if not isinstance(brackets, (list, tuple)) or not brackets:
        raise OptionError(f"bracket_rungs is {brackets!r}", f"give one list of rungs per bracket, {_EXAMPLE}")
    return [checked_bracket(rungs, f"bracket_rungs[{number}]") for number, rungs in enumerate(brackets)]


def geometric_brackets(
    max_resource: int, grace_period: int = 1, reduction_factor: float | None = None, brackets: int | None = None
) -> list[list[Size]]:
    """The brackets of Hyperband: bracket b has all levels from the b-th on, and rung r of it, from the lowest, has

        ceil(K / (K - b) · η^(K - b - 1 - r))

    places. Levels are round(grace_period · η^j) below ``max_resource``, and ``max_resource``: K in all. ``brackets``:
    how many (default: K; 1 is successive halving). The lowest rungs are those of Li et al. (2018), algorithm 1; higher
    ones, which are floor(n · η^-r) there, are rounded up, as users of Syne Tune know it. Raises OptionError.
    """
    levels = [*successive_halving_rung_levels(max_resource, grace_period, reduction_factor), max_resource]
    factor = Fraction(checked_reduction_factor(reduction_factor)).limit_denominator(10**6)
    count = len(levels)
    made = []
    for first in range(count if brackets is None else number_of_brackets(brackets, levels[:-1])):
        height = count - first
        sizes = [math.ceil(Fraction(count, height) * factor ** (height - 1 - rung)) for rung in range(height)]
        made.append(_falling(sizes, levels[first:]))
    return made


def _falling(sizes: Sequence[int], levels: Sequence[int]) -> list[Size]:
    return [Size(size, level) for size, level in zip(sizes, levels, strict=True)]
