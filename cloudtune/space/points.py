"""The configurations a user wants tried first, completed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from cloudtune.errors import ConfigSpaceError
from cloudtune.options import nearest_name
from cloudtune.space import checks
from cloudtune.space.domain import Domain
from cloudtune.space.helpers import config_to_match_string
from cloudtune.space.validate import validate_config_space


def impute_points_to_evaluate(
    points_to_evaluate: Sequence[Mapping[str, Any]] | None,
    config_space: Mapping[str, Any],
    argument: str = "points_to_evaluate",
) -> list[dict[str, Any]]:
    """Full configurations, constants included, in order and without repetitions.

    What a point leaves out becomes the middle of its range on its own scale (of categories the first). None
    stands for one point made of middles alone, ``[]`` for no point. Raises ConfigSpaceError for unknown names and
    for values outside their domain, which are never moved; an int for a float, a whole float for an int and
    round-off are fine. ``argument``: what messages call them.
    """
    validate_config_space(config_space)
    points = [{}] if points_to_evaluate is None else points_to_evaluate
    if isinstance(points, (str, Mapping)) or not isinstance(points, Sequence):
        checks.fail(f"{argument} is {points!r}", "give a list of dicts, each with values for some names")
    distinct: dict[str, dict[str, Any]] = {}
    for index, point in enumerate(points):
        config = _complete(point, config_space, f"{argument}[{index}]")
        distinct.setdefault(config_to_match_string(config, config_space), config)
    return list(distinct.values())


def _complete(point: Mapping[str, Any], config_space: Mapping[str, Any], place: str) -> dict[str, Any]:
    if not isinstance(point, Mapping):
        checks.fail(f"{place} is {point!r}", "each point is a dict from names to values")
    for name in point:
        if name not in config_space:
            checks.fail(f"{place}: {name!r} is not in the space", nearest_name(str(name), config_space))
    return {
        name: _given(point[name], entry, f"{place}[{name!r}]") if name in point else _middle(entry)
        for name, entry in config_space.items()
    }


def _middle(entry: Any) -> Any:
    return entry.midpoint if isinstance(entry, Domain) else entry


def _given(value: Any, entry: Any, place: str) -> Any:
    if not isinstance(entry, Domain):
        if value != entry:
            checks.fail(
                f"{place} is {value!r}, but the space fixes it to {entry!r}", "make it a domain, or leave it out"
            )
        return entry
    try:
        cast = entry.cast(value)
    except ConfigSpaceError as error:
        raise ConfigSpaceError(f"{place}: {error.message}", error.hint) from error
    if isinstance(value, str) != isinstance(cast, str):
        checks.fail(f"{place} is the string {value!r}, not a value of {entry!r}", f"write {cast!r}")
    same = cast == value or (not isinstance(cast, str) and math.isclose(cast, value, rel_tol=1e-9))
    if not (same and entry.is_valid(cast)):
        checks.fail(f"{place} is {value!r}, which is not in {entry!r}", "move the point inside, or widen the domain")
    return cast
