"""Searchers by name, with their options checked at the edge."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from importlib import import_module
from typing import Any, TypeVar

from cloudtune.errors import OptionError
from cloudtune.options import nearest_name
from cloudtune.searchers.base import Searcher
from cloudtune.searchers.problem import SearchProblem

Options = TypeVar("Options")

MODULES: Mapping[str, str] = {
    "random": "random_searcher",
    "grid": "grid_searcher",
    "sobol": "sobol_searcher",
    "bayesopt": "bayesopt",
    "bayesopt_constrained": "bayesopt_constrained",
    "bayesopt_cost": "bayesopt_cost",
    "kde": "kde_searcher",
    "bore": "bore_searcher",
    "cqr": "cqr_searcher",
    "rea": "regularized_evolution",
}
"""The module of ``cloudtune.searchers`` that makes each searcher, by ``make(problem, search_options)``. A module is
imported when its searcher is asked for: those with a model need scipy."""

NOT_HERE: Mapping[str, str] = {
    **dict.fromkeys(
        ("mobster", "hypertune"), "models of several rungs are not there: take 'bayesopt', or 'kde' (BOHB)"
    ),
    "dyhpo": "it is not there: take 'bayesopt', or 'kde' (BOHB)",
    "botorch": "BoTorch is not needed: take 'bayesopt'",
    "random_encoded": "take 'random'",
}
"""Searchers that users of Syne Tune may look for."""


def make_searcher(name: str, problem: SearchProblem, search_options: Mapping[str, Any] | None = None) -> Searcher:
    """The searcher called ``name``. Raises OptionError for an unknown name or option, naming the nearest one."""
    module = MODULES.get(name)
    if module is None:
        raise OptionError(f"searcher {name!r} is not known", NOT_HERE.get(name) or nearest_name(name, MODULES))
    make: Callable[[SearchProblem, dict[str, Any]], Searcher] = import_module(f"cloudtune.searchers.{module}").make
    return make(problem, dict(search_options or {}))


def searcher_for(
    searcher: str | Searcher, problem: SearchProblem, search_options: Mapping[str, Any] | None
) -> Searcher:
    """The searcher itself, or the one of that name.

    Raises OptionError for arguments that could have no effect, and for a searcher that doesn't fit the problem.
    """
    if search_options is not None and not isinstance(search_options, Mapping):
        raise OptionError(f"search_options is {search_options!r}", 'give a dict, {"debug_log": False} for example')
    if isinstance(searcher, str):
        return make_searcher(searcher, problem, search_options)
    if not isinstance(searcher, Searcher):
        raise OptionError(f"searcher is {searcher!r}", 'give a name such as "random", or a Searcher')
    for name, value in (("points_to_evaluate", problem.points_to_evaluate), ("search_options", search_options)):
        if value:
            raise OptionError(
                f"{name} is given together with a {type(searcher).__name__} object", f"give {name} to the searcher"
            )
    searcher.check_fits(problem)
    return searcher


def options_from(kind: Callable[..., Options], given: Mapping[str, Any]) -> Options:
    """``kind(**given)``, for a dataclass of options. Raises OptionError for a name that is not one of its fields."""
    options: Options = several_options_from((kind,), given)[0]
    return options


def several_options_from(kinds: tuple[Callable[..., Any], ...], given: Mapping[str, Any]) -> tuple[Any, ...]:
    """One object per dataclass of options, each with the entries of ``given`` that are its fields.

    Raises OptionError for a name that is a field of none of them, naming the nearest one.
    """
    names = {kind: [field.name for field in fields(kind)] for kind in kinds}  # type: ignore[arg-type]
    known = [name for each in names.values() for name in each]
    for name in given:
        if name not in known:
            raise OptionError(f"search_options: {name!r} is not known", nearest_name(str(name), known))
    return tuple(kind(**{name: given[name] for name in names[kind] if name in given}) for kind in kinds)
