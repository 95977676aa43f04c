"""Random search without replacement."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cloudtune.errors import OptionError
from cloudtune.options import named_options
from cloudtune.searchers.base import Searcher
from cloudtune.searchers.factory import options_from
from cloudtune.searchers.pools import Draws, pool_of
from cloudtune.searchers.problem import SearchProblem
from cloudtune.searchers.seeding import checked_seed, generator
from cloudtune.space import UnitCube, config_to_match_string, impute_points_to_evaluate
from cloudtune.trial import Config

logger = logging.getLogger("cloudtune.searchers")


@dataclass(frozen=True)
class RandomOptions:
    """``search_options`` of ``searcher="random"``, and of every searcher that begins with random configurations.

    Their meaning is documented at ``RandomSearcher``.
    """

    allow_duplicates: bool = False
    restrict_configurations: Sequence[Mapping[str, Any]] | None = None
    debug_log: bool = False

    def __post_init__(self) -> None:
        for name in ("allow_duplicates", "debug_log"):
            if not isinstance(getattr(self, name), bool):
                raise OptionError(f"search_options: {name} is {getattr(self, name)!r}", "give True or False")


NOT_HERE = dict.fromkeys(("metric", "mode", "resource_attr"), "it proposes without looking at results: leave it out")
"""Arguments that users of Syne Tune may look for in searchers without a model."""


@named_options(NOT_HERE)
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

    Searchers with a model hold one of these: it is what they begin with and fall back on, and what knows which
    configurations may still be proposed (``allows``, ``exhausted``).
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
            restrict_configurations = checked_restriction(restrict_configurations, config_space)
            allowed = {config_to_match_string(config, config_space) for config in restrict_configurations}
            points = [point for point in points if config_to_match_string(point, config_space) in allowed]
        self.points_to_evaluate = points
        self.restrict_configurations = restrict_configurations
        """Complete configurations, or None."""
        self.cube = UnitCube(config_space)
        self._pool = pool_of(self.cube, restrict_configurations)
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

    @property
    def exhausted(self) -> bool:
        """Whether nothing may be proposed any more."""
        return self._pool.exhausted

    def allows(self, config: Config) -> bool:
        """Whether a complete configuration may be proposed: not launched before (or failed), nor ruled out."""
        return self._pool.allows(config)

    def sample(self, random_state: np.random.Generator, n: int) -> list[dict[str, Any]]:
        """n independent draws from what may be proposed at all, launched ones among them."""
        return self._pool.sample(random_state, n)

    def check_fits(self, problem: SearchProblem) -> None:
        problem.check_space(self.config_space, "searcher")

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


def make(problem: SearchProblem, given: Mapping[str, Any]) -> Searcher:
    return random_searcher(problem, options_from(RandomOptions, given))


def random_searcher(problem: SearchProblem, options: RandomOptions) -> RandomSearcher:
    return RandomSearcher(
        problem.config_space,
        points_to_evaluate=problem.points_to_evaluate,
        random_seed=problem.random_seed,
        allow_duplicates=options.allow_duplicates,
        restrict_configurations=options.restrict_configurations,
        debug_log=options.debug_log,
    )


def checked_restriction(configs: Sequence[Mapping[str, Any]], config_space: Mapping[str, Any]) -> list[dict[str, Any]]:
    allowed = impute_points_to_evaluate(configs, config_space, "restrict_configurations")
    if not allowed:
        raise OptionError("restrict_configurations is empty", "list at least one configuration, or leave it out")
    return allowed
