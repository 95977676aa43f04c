"""What schedulers with a searcher have in common at construction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cloudtune.errors import OptionError
from cloudtune.schedulers.base import Start
from cloudtune.searchers.base import Searcher
from cloudtune.searchers.factory import make_searcher
from cloudtune.searchers.problem import SearchProblem
from cloudtune.trial import Config, Trial


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


def start(searcher: Searcher, trial_id: int, config: Config) -> Start:
    """The searcher's proposal for a new trial, ``config`` being what becomes of it, with what its model carries."""
    return Start(config, carried=searcher.carried(trial_id))


def tell_of_new_trial(searcher: Searcher, trial: Trial) -> None:
    """A trial was launched, live or in a replay."""
    if trial.carried is not None:
        searcher.on_carried(trial.trial_id, trial.carried)
    searcher.on_trial_add(trial.trial_id, trial.config)


def searcher_name(searcher: Searcher) -> str:
    return searcher.name
