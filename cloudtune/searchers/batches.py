"""Several proposals at once, of searchers that are asked without a scheduler."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from cloudtune.searchers.base import Searcher
from cloudtune.trial import Config


def one_by_one(searcher: Searcher, trial_ids: Sequence[int]) -> list[Config]:
    """For each trial what would be proposed if those before it had been launched; fewer if no more are left.

    The searcher itself hears nothing of it.
    """
    other = copy.deepcopy(searcher)
    configs: list[Config] = []
    for trial_id in trial_ids:
        config = other.suggest(trial_id)
        if config is None:
            break
        carried = other.carried(trial_id)
        if carried is not None:
            other.on_carried(trial_id, carried)
        other.on_trial_add(trial_id, config)
        configs.append(config)
    return configs
