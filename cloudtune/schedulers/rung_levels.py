"""Rung levels of successive halving, and how often each bracket is used."""

from __future__ import annotations

import logging
import math
import numbers
from collections.abc import Sequence
from itertools import pairwise

from cloudtune.errors import OptionError
from cloudtune.schedulers.objective import as_number

logger = logging.getLogger("cloudtune.schedulers")

DEFAULT_REDUCTION_FACTOR = 3.0


def successive_halving_rung_levels(
    max_t: int,
    grace_period: int = 1,
    reduction_factor: float | None = None,
    rung_increment: int | None = None,
    rung_levels: Sequence[int] | None = None,
) -> tuple[int, ...]:
    """Increasing levels below ``max_t`` at which trials are compared; empty if there is none.

    The first of these that is given rules, and a warning names those that are then ignored: ``rung_levels`` as they
    are; ``reduction_factor`` η (default 3): round(grace_period · η^j); ``rung_increment`` ν: grace_period + j · ν.
    A last level equal to ``max_t`` is left out: trials end there. Raises OptionError for impossible arguments.
    """
    if rung_levels is not None:
        _warn_ignored(
            "rung_levels",
            grace_period=None if grace_period == 1 else grace_period,
            reduction_factor=reduction_factor,
            rung_increment=rung_increment,
        )
        return _listed(rung_levels, max_t)
    grace_period = positive_integer(grace_period, "grace_period")
    if grace_period > max_t:
        raise OptionError(
            f"grace_period={grace_period} is above the maximum resource {max_t}", "no trial would ever be compared"
        )
    if reduction_factor is None and rung_increment is not None:
        step = positive_integer(rung_increment, "rung_increment")
        return tuple(range(grace_period, max_t, step))
    _warn_ignored("reduction_factor", rung_increment=rung_increment)
    return _geometric(grace_period, checked_reduction_factor(reduction_factor), max_t)


def checked_reduction_factor(reduction_factor: object) -> float:
    if reduction_factor is None:
        return DEFAULT_REDUCTION_FACTOR
    if isinstance(reduction_factor, bool) or not isinstance(reduction_factor, numbers.Real):
        raise OptionError(f"reduction_factor is {reduction_factor!r}", "give a number of at least 2")
    factor = float(reduction_factor)
    if not (2 <= factor < math.inf):
        raise OptionError(
            f"reduction_factor={reduction_factor!r} is not at least 2",
            "1 of reduction_factor trials continues; usual: 3",
        )
    return factor


def positive_integer(value: object, name: str) -> int:
    """``value`` as an int; raises OptionError unless it is a whole number of at least 1."""
    number = math.nan if isinstance(value, bool) else as_number(value)
    if not number.is_integer() or number < 1:
        raise OptionError(f"{name} is {value!r}", "give an integer of at least 1")
    return int(number)


def _geometric(first: int, factor: float, max_t: int) -> tuple[int, ...]:
    levels: list[int] = []
    while (exact := first * factor ** len(levels)) <= max_t and (level := round(exact)) < max_t:
        levels.append(level)
    return tuple(levels)


def _listed(rung_levels: object, max_t: int) -> tuple[int, ...]:
    if not isinstance(rung_levels, (list, tuple)) or not rung_levels:
        raise OptionError(f"rung_levels is {rung_levels!r}", "give a list of increasing integers, such as [1, 3, 9]")
    levels = [positive_integer(level, "an entry of rung_levels") for level in rung_levels]
    for low, high in pairwise(levels):
        if low >= high:
            raise OptionError(
                f"rung_levels={rung_levels!r}: {high} does not lie above {low}", "sort them and drop repetitions"
            )
    if levels[-1] > max_t:
        raise OptionError(
            f"rung_levels={rung_levels!r} go beyond the maximum resource {max_t}", "lower them, or raise max_t"
        )
    return tuple(level for level in levels if level < max_t)


def _warn_ignored(rules: str, **others: object) -> None:
    for name, value in others.items():
        if value is not None:
            logger.warning("%s=%r is ignored, because %s is used", name, value, rules)


def number_of_brackets(brackets: int, rung_levels: Sequence[int]) -> int:
    """``brackets``, but no more than there are first milestones: the rungs, and running straight to the end."""
    wanted, available = positive_integer(brackets, "brackets"), len(rung_levels) + 1
    if wanted > available:
        logger.warning("brackets=%d: only %d are possible with rung levels %s", wanted, available, list(rung_levels))
    return min(wanted, available)


def bracket_probabilities(
    num_brackets: int, rung_levels: Sequence[int], max_t: int, reduction_factor: float | None
) -> tuple[float, ...]:
    """How often a new trial starts in each bracket: as many times as synchronous Hyperband starts trials there.

    With K = number of rung levels + 1, bracket b starts ceil(K / (K - b) · f) trials, where f = η^(K - 1 - b)
    (Li et al., "Hyperband", algorithm 1), or max_t / r_b if the levels are not geometric (``reduction_factor`` None).
    """
    levels = [*rung_levels, max_t]
    count = len(levels)
    sizes = []
    for bracket in range(num_brackets):
        last = count - 1 - bracket
        growth = reduction_factor**last if reduction_factor is not None else max_t / levels[bracket]
        sizes.append(math.ceil(round(count / (last + 1) * growth, 9)))
    return tuple(size / sum(sizes) for size in sizes)
