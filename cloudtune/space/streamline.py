"""Spaces rewritten into nearly the same ones that models and random search handle better."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from cloudtune.errors import ConfigSpaceError
from cloudtune.options import nearest_name
from cloudtune.space import checks
from cloudtune.space.domain import Domain
from cloudtune.space.finite import Categorical, FiniteRange, OrdinalNearestNeighbor
from cloudtune.space.numeric import Float, Integer
from cloudtune.space.validate import validate_config_space

UPPER_LOWER_RATIO_THRESHOLD = 100  # ranges of at least this ratio become logarithmic
REGULAR_GRID_THRESHOLD = 0.995  # R² above which values count as equally spaced

logger = logging.getLogger(__name__)


def streamline_config_space(
    config_space: Mapping[str, Any], exclude_names: Iterable[str] | None = None, verbose: bool = False
) -> dict[str, Any]:
    """A new space with the domains not in ``exclude_names`` converted by ``convert_domain``; ``verbose`` logs changes.

    Raises ConfigSpaceError if an excluded name is not in the space.
    """
    validate_config_space(config_space)
    excluded = [exclude_names] if isinstance(exclude_names, str) else list(exclude_names or ())
    for name in excluded:
        if name not in config_space:
            checks.fail(f"exclude_names has {name!r}, which is not in the space", nearest_name(name, config_space))
    streamlined = dict(config_space)
    for name, entry in config_space.items():
        if isinstance(entry, Domain) and name not in excluded:
            streamlined[name] = convert_domain(entry, name)
            if verbose and streamlined[name] != entry:
                logger.info("%s: %r becomes %r", name, entry, streamlined[name])
    return streamlined


def convert_domain(domain: Domain, name: str | None = None) -> Domain:
    """``convert_choice_domain`` for categories, ``convert_linear_to_log_domain`` for ranges; others as they are."""
    if isinstance(domain, Categorical):
        return convert_choice_domain(domain, name)
    return convert_linear_to_log_domain(domain, name)


def convert_linear_to_log_domain(domain: Domain, name: str | None = None) -> Domain:
    """``uniform``/``randint`` with 0 < lower and upper >= 100 * lower as ``loguniform``/``lograndint``."""
    if not isinstance(domain, (Float, Integer)) or domain.scale != "linear":
        return domain
    if domain.lower <= 0 or domain.upper < UPPER_LOWER_RATIO_THRESHOLD * domain.lower:
        return domain
    try:
        return replace(domain, scale="log")
    except ConfigSpaceError:
        logger.debug("%s: %r is too large for a log scale and stays", name, domain)
        return domain


def convert_choice_domain(domain: Categorical, name: str | None = None) -> Domain:
    """More than two numerical categories as an ordered domain of one dimension.

    A regular grid is fitted to the sorted values and, if all are positive, to their logarithms; the better R²
    decides for linear or log. Above 0.995 the grid replaces the values, which may then differ a little, the
    last ones most (exclude the name if that matters); else they stay as they are, with kind "nn" or "nn-log".
    """
    if domain.value_type not in (int, float) or len(domain.values) < 3:
        return domain
    values = sorted(domain.values)
    linear = fit_to_regular_grid(values)
    log = fit_to_regular_grid([math.log(value) for value in values]) if values[0] > 0 else None
    log_scale = log is not None and log["r2"] > linear["r2"]
    fit = log if log is not None and log_scale else linear
    try:
        grid = _grid(fit, values, log_scale) if fit["r2"] > REGULAR_GRID_THRESHOLD else None
        return grid or OrdinalNearestNeighbor(values, log_scale)
    except ConfigSpaceError:
        logger.debug("%s: %r has values too close or too far apart to order, and stays", name, domain)
        return domain


def _grid(fit: Mapping[str, float], values: Sequence[Any], log_scale: bool) -> FiniteRange | None:
    """The fitted grid, or None if it would not have as many distinct values on the same side of zero."""
    count, cast_int = len(values), isinstance(values[0], int)
    ends = [fit["b"], fit["b"] + fit["a"] * (count - 1)]
    lower, upper = (float(f"{math.exp(end) if log_scale else end:.10g}") for end in ends)
    if cast_int:
        # outward, so that rounding does not narrow the range; a log scale stays above 0
        lower, upper = math.floor(lower), math.ceil(upper)
        lower = max(lower, 1) if log_scale else lower
    if (values[0] > 0) != (lower > 0) or (values[0] >= 0) != (lower >= 0) or (values[-1] <= 0) != (upper <= 0):
        return None
    grid = FiniteRange(lower, upper, count, log_scale, cast_int)
    return grid if grid.size == count else None


def fit_to_regular_grid(x: Sequence[float]) -> dict[str, float]:
    """Least squares fit of a * j + b to ``x[j]``, j = 0, 1, …: a, b and the coefficient of determination ``r2``.

    Raises ConfigSpaceError unless ``x`` has two or more strictly increasing values.
    """
    count = len(x)
    if count < 2 or any(a >= b for a, b in pairwise(x)):
        checks.fail(f"{list(x)!r} is not strictly increasing", "sort it and remove repetitions")
    center, mean = (count - 1) / 2, math.fsum(x) / count
    spread = sum((j - center) ** 2 for j in range(count))
    a = math.fsum((j - center) * (value - mean) for j, value in enumerate(x)) / spread
    total = math.fsum((value - mean) ** 2 for value in x)
    residual = math.fsum((value - mean - a * (j - center)) ** 2 for j, value in enumerate(x))
    return {"a": a, "b": mean - a * center, "r2": 1 - residual / total}
