"""Random search without replacement."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from cloudtune.errors import OptionError
from cloudtune.searchers.base import Searcher
from cloudtune.searchers.pools import Draws, pool_of
from cloudtune.searchers.seeding import checked_seed, generator
from cloudtune.space import UnitCube, config_to_match_string, impute_points_to_evaluate
from cloudtune.trial import Config

logger = logging.getLogger("cloudtune.searchers")


class RandomSearcher(Searcher):
    """Trial n evaluates ``points_to_evaluate[n]``; when these are used up, configurations are drawn at random.

    :param points_to_evaluate: tried first, in order; what a point leaves out becomes the middle of its range. None
        stands for one point of middles alone, ``[]`` for none.
    :param random_seed: an integer of at least 0; if None, one is drawn now and can be read from ``random_seed``.
    :param allow_duplicates: draw with replacement. Configurations of failed trials are never proposed again
        either way.
    :param restrict_configurations: propose only these (complete or completed as points are); others among
        ``points_to_evaluate`` are left out.
    :param debug_log: log every configuration that is launched.

    ``suggest`` returns None exactly when everything there is has been launched (with ``allow_duplicates``: has
    failed); spaces of more than 2**20 configurations count as infinite. Raises ConfigSpaceError for an impossible
    space, point or restriction.
    """

    def __init__(
        self,
        config_space: Mapping[str, Any],
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        random_seed: int | None = None,
        allow_duplicates: bool = False,
        restrict_configurations: Sequence[Mapping[str, Any]] | None = None,
        debug_log: bool = False,
    ) -> None:
        self.random_seed = checked_seed(random_seed)
        self.config_space = dict(config_space)
        self.allow_duplicates = allow_duplicates
        points = impute_points_to_evaluate(points_to_evaluate, config_space)
        if restrict_configurations is not None:
            restrict_configurations = _checked_restriction(restrict_configurations, config_space)
            allowed = {config_to_match_string(config, config_space) for config in restrict_configurations}
            points = [point for point in points if config_to_match_string(point, config_space) in allowed]
        self.points_to_evaluate = points
        self._pool = pool_of(UnitCube(config_space), restrict_configurations)
        self._draws = Draws(self._pool, self.random_seed, "configuration", 1)
        self._redraws = Draws(self._pool, self.random_seed, "configuration again", 8)
        self._running: dict[int, Config] = {}
        self._debug_log = debug_log

    def suggest(self, trial_id: int) -> Config | None:
        if trial_id < len(self.points_to_evaluate) and self._pool.allows(self.points_to_evaluate[trial_id]):
            return dict(self.points_to_evaluate[trial_id])
        if self._pool.exhausted:
            return None
        (config,) = self._draws.of(trial_id)
        if self._pool.allows(config):
            return dict(config)
        for config in self._redraws.of(trial_id):
            if self._pool.allows(config):
                return dict(config)
        return self._pool.pick(generator(self.random_seed, "configuration from the remainder", trial_id))

    def on_trial_add(self, trial_id: int, config: Config) -> None:
        if self._debug_log:
            logger.info("trial %d: %s", trial_id, dict(config))
        if self.allow_duplicates:
            self._running[trial_id] = config
        else:
            self._pool.ban(config)

    def on_trial_error(self, trial_id: int) -> None:
        config = self._running.pop(trial_id, None)
        if config is not None:
            self._pool.ban(config)


def _checked_restriction(configs: Sequence[Mapping[str, Any]], config_space: Mapping[str, Any]) -> list[dict[str, Any]]:
    allowed = impute_points_to_evaluate(configs, config_space)
    if not allowed:
        raise OptionError("restrict_configurations is empty", "list at least one configuration, or leave it out")
    return allowed
