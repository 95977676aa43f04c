"""Searchers by name, with their options checked at the edge."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from cloudtune.errors import OptionError
from cloudtune.options import nearest_name
from cloudtune.searchers.base import Searcher
from cloudtune.searchers.random_searcher import RandomSearcher

Options = TypeVar("Options")


@dataclass(frozen=True)
class SearchProblem:
    """What every searcher is told by its scheduler."""

    config_space: Mapping[str, Any]
    points_to_evaluate: Sequence[Mapping[str, Any]] | None
    random_seed: int


@dataclass(frozen=True)
class RandomOptions:
    """``search_options`` of ``searcher="random"``; their meaning is documented at ``RandomSearcher``."""

    allow_duplicates: bool = False
    restrict_configurations: Sequence[Mapping[str, Any]] | None = None
    debug_log: bool = False

    def __post_init__(self) -> None:
        for name in ("allow_duplicates", "debug_log"):
            if not isinstance(getattr(self, name), bool):
                raise OptionError(f"search_options: {name} is {getattr(self, name)!r}", "give True or False")


def make_searcher(name: str, problem: SearchProblem, search_options: Mapping[str, Any] | None = None) -> Searcher:
    """The searcher called ``name``. Raises OptionError for an unknown name or option, naming the nearest one."""
    make = _SEARCHERS.get(name)
    if make is None:
        raise OptionError(f"searcher {name!r} is not known", nearest_name(name, _SEARCHERS))
    return make(problem, dict(search_options or {}))


def options_from(kind: Callable[..., Options], names: Sequence[str], given: Mapping[str, Any]) -> Options:
    """``kind(**given)``. Raises OptionError for a name that is not among ``names``."""
    for name in given:
        if name not in names:
            raise OptionError(f"search_options: {name!r} is not known", nearest_name(str(name), names))
    return kind(**given)


def _random(problem: SearchProblem, given: Mapping[str, Any]) -> Searcher:
    options = options_from(RandomOptions, [field.name for field in fields(RandomOptions)], given)
    return RandomSearcher(
        problem.config_space,
        points_to_evaluate=problem.points_to_evaluate,
        random_seed=problem.random_seed,
        allow_duplicates=options.allow_duplicates,
        restrict_configurations=options.restrict_configurations,
        debug_log=options.debug_log,
    )


_SEARCHERS: Mapping[str, Callable[[SearchProblem, Mapping[str, Any]], Searcher]] = {"random": _random}
