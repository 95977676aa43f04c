"""What schedulers with a searcher have in common at construction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cloudtune.errors import OptionError
from cloudtune.searchers.base import Searcher
from cloudtune.searchers.factory import SearchProblem, make_searcher


def searcher_for(
    searcher: str | Searcher,
    config_space: Mapping[str, Any],
    points_to_evaluate: Sequence[Mapping[str, Any]] | None,
    search_options: Mapping[str, Any] | None,
    random_seed: int,
) -> Searcher:
    """The searcher itself, or the one of that name. Raises OptionError for arguments that could have no effect."""
    if search_options is not None and not isinstance(search_options, Mapping):
        raise OptionError(f"search_options is {search_options!r}", 'give a dict, {"debug_log": False} for example')
    if isinstance(searcher, str):
        return make_searcher(searcher, SearchProblem(config_space, points_to_evaluate, random_seed), search_options)
    if not isinstance(searcher, Searcher):
        raise OptionError(f"searcher is {searcher!r}", 'give a name such as "random", or a Searcher')
    for name, value in (("points_to_evaluate", points_to_evaluate), ("search_options", search_options)):
        if value:
            raise OptionError(
                f"{name} is given together with a {type(searcher).__name__} object", f"give {name} to the searcher"
            )
    return searcher


def searcher_name(searcher: Searcher) -> str:
    return type(searcher).__name__
