"""What schedulers with a searcher have in common."""

from __future__ import annotations

from cloudtune.schedulers.base import Start
from cloudtune.searchers.base import Searcher
from cloudtune.trial import Config, Trial

NOT_HERE = {
    "time_keeper": "the tuner takes its clock from its backend, simulated or not: leave it out",
    "do_snapshots": "searchers hear of everything that happens: leave it out",
    "register_pending_myopic": "what is awaited of a trial is all up to its next rung: leave it out",
}
"""Arguments that users of Syne Tune may look for."""


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
