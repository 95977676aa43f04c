"""Grid search."""

from __future__ import annotations

import logging
from bisect import insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cloudtune.errors import OptionError
from cloudtune.options import check_count, check_flag, named_options, nearest_name
from cloudtune.searchers.base import Searcher
from cloudtune.searchers.factory import options_from
from cloudtune.searchers.permutation import Permutation
from cloudtune.searchers.problem import SearchProblem
from cloudtune.searchers.random_searcher import NOT_HERE
from cloudtune.searchers.seeding import checked_seed
from cloudtune.searchers.value_grid import ValueGrid, spread
from cloudtune.space import Domain, config_to_match_string, impute_points_to_evaluate
from cloudtune.trial import Config

logger = logging.getLogger("cloudtune.searchers")

DEFAULT_NUM_SAMPLES = 5


@dataclass(frozen=True)
class GridOptions:
    """``search_options`` of ``searcher="grid"``. Their meaning is documented at ``GridSearcher``."""

    num_samples: Mapping[str, int] | None = None
    shuffle_config: bool = True
    allow_duplicates: bool = False
    debug_log: bool = False

    def __post_init__(self) -> None:
        if self.num_samples is not None and not isinstance(self.num_samples, Mapping):
            raise OptionError(f"num_samples is {self.num_samples!r}", 'give a dict, {"learning_rate": 7} for example')
        for name, count in (self.num_samples or {}).items():
            check_count(f"num_samples[{name!r}]", count, least=1)
        for name in ("shuffle_config", "allow_duplicates", "debug_log"):
            check_flag(name, getattr(self, name))


@named_options(NOT_HERE)
class GridSearcher(Searcher):
    """The cartesian product of some values of every hyperparameter, after ``points_to_evaluate``.

    :param points_to_evaluate: tried first, in order, and not again as part of the grid. None stands for none: the grid
        alone.
    :param num_samples: values by name. A float has 5 if it isn't named, an integer or a multiple of a step
        all of them up to 5. Categories, ordered lists and finite ranges always have all their values.
    :param shuffle_config: in random order; else with the last name running fastest.
    :param allow_duplicates: begin again when the grid is through. Configurations of failed trials are not repeated.
    :param debug_log: log every configuration that is launched.

    ``suggest`` returns None exactly when points and grid have all been launched (with ``allow_duplicates``: have
    failed). Grids of any size cost no memory. Raises OptionError for a name in ``num_samples`` that is not tuned,
    ConfigSpaceError for an impossible space or point.
    """

    def __init__(
        self,
        config_space: Mapping[str, Any],
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        random_seed: int | None = None,
        num_samples: Mapping[str, int] | None = None,
        shuffle_config: bool = True,
        allow_duplicates: bool = False,
        debug_log: bool = False,
    ) -> None:
        options = GridOptions(num_samples, shuffle_config, allow_duplicates, debug_log)
        self.random_seed = checked_seed(random_seed)
        self.config_space = dict(config_space)
        self.points_to_evaluate = impute_points_to_evaluate(points_to_evaluate or [], config_space)
        self._options = options
        self._grid = ValueGrid(config_space, _values(config_space, options.num_samples or {}))
        self._order = Permutation(self._grid.size, self.random_seed) if shuffle_config else None
        self._launched: set[str] = set()
        self._failed: set[str] = set()
        self._left = self._grid.size
        self._configs: dict[int, Config] = {}
        self._ahead: list[int] = []
        for point in self.points_to_evaluate:
            number = self._grid.number(point)
            if number is not None and not allow_duplicates:
                insort(self._ahead, number if self._order is None else self._order.position(number))

    @property
    def size(self) -> int:
        """Configurations of the grid; points that are not on it come on top."""
        return self._grid.size

    def suggest(self, trial_id: int) -> Config | None:
        if trial_id < len(self.points_to_evaluate) and self._allows(self.points_to_evaluate[trial_id]):
            return dict(self.points_to_evaluate[trial_id])
        if self._left == 0:
            return None
        start = self._place(max(trial_id - len(self.points_to_evaluate), 0))
        for step in range(self._grid.size):
            config = self._at((start + step) % self._grid.size)
            if self._allows(config):
                return config
        return None

    def check_fits(self, problem: SearchProblem) -> None:
        problem.check_space(self.config_space, "searcher")

    def on_trial_add(self, trial_id: int, config: Config) -> None:
        if self._options.debug_log:
            logger.info("trial %d: %s", trial_id, dict(config))
        if self._options.allow_duplicates:
            self._configs[trial_id] = config
        else:
            self._strike(self._launched, config)

    def on_trial_error(self, trial_id: int) -> None:
        config = self._configs.pop(trial_id, None)
        if config is not None:
            self._strike(self._failed, config)

    def _strike(self, struck: set[str], config: Config) -> None:
        text = config_to_match_string(config, self.config_space)
        if text not in struck:
            struck.add(text)
            self._left -= self._grid.number(config) is not None

    def _allows(self, config: Config) -> bool:
        text = config_to_match_string(config, self.config_space)
        return text not in self._launched and text not in self._failed

    def _at(self, place: int) -> dict[str, Any]:
        return self._grid.config(place if self._order is None else self._order.of(place))

    def _place(self, index: int) -> int:
        """Of the grid's configuration number ``index`` that is no point to evaluate."""
        for place in self._ahead:
            index += place <= index
        return index % self._grid.size


def _values(config_space: Mapping[str, Any], num_samples: Mapping[str, int]) -> dict[str, Sequence[Any]]:
    domains = {name: entry for name, entry in config_space.items() if isinstance(entry, Domain)}
    for name in num_samples:
        if name not in domains:
            raise OptionError(f"num_samples: {name!r} is not tuned", nearest_name(name, domains))
    return {name: spread(domain, num_samples.get(name, DEFAULT_NUM_SAMPLES)) for name, domain in domains.items()}


def make(problem: SearchProblem, given: Mapping[str, Any]) -> Searcher:
    options = options_from(GridOptions, given)
    return GridSearcher(
        problem.config_space,
        problem.points_to_evaluate,
        problem.random_seed,
        options.num_samples,
        options.shuffle_config,
        options.allow_duplicates,
        options.debug_log,
    )
