"""Scrambled Sobol points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cloudtune.options import check_flag, named_options
from cloudtune.searchers.base import Searcher
from cloudtune.searchers.factory import options_from
from cloudtune.searchers.problem import SearchProblem
from cloudtune.searchers.random_searcher import NOT_HERE, RandomSearcher
from cloudtune.searchers.seeding import BLOCK, generator
from cloudtune.space import UnitCube
from cloudtune.trial import Config


@dataclass(frozen=True)
class SobolOptions:
    """``search_options`` of ``searcher="sobol"``. Their meaning is documented at ``SobolSearcher``."""

    allow_duplicates: bool = False
    debug_log: bool = False

    def __post_init__(self) -> None:
        check_flag("allow_duplicates", self.allow_duplicates)
        check_flag("debug_log", self.debug_log)


@named_options(NOT_HERE)
class SobolSearcher(Searcher):
    """After p ``points_to_evaluate``, trial n evaluates point n - p of a scrambled Sobol sequence.

    The sequence (Sobol 1967; scrambling by Matoušek 1998, as in ``scipy.stats.qmc``) fills the space more evenly than
    independent draws. Every hyperparameter is one dimension of it; a category's share of [0, 1] is as large as
    any other's. A point whose configuration has been launched already is replaced by a random one, so that finite
    spaces are exhausted as by ``RandomSearcher``, whose arguments mean the same here.
    """

    def __init__(
        self,
        config_space: Mapping[str, Any],
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        random_seed: int | None = None,
        allow_duplicates: bool = False,
        debug_log: bool = False,
    ) -> None:
        self._random = RandomSearcher(
            config_space, points_to_evaluate, random_seed, allow_duplicates, debug_log=debug_log
        )
        self.random_seed = self._random.random_seed
        self.points_to_evaluate = self._random.points_to_evaluate
        self._block: int | None = None
        self._configs: list[dict[str, Any]] = []

    def suggest(self, trial_id: int) -> Config | None:
        index = trial_id - len(self.points_to_evaluate)
        if index >= 0 and self._random.cube.dimension > 0:
            config = self._point(index)
            if self._random.allows(config):
                return dict(config)
        return self._random.suggest(trial_id)

    def check_fits(self, problem: SearchProblem) -> None:
        self._random.check_fits(problem)

    def on_trial_add(self, trial_id: int, config: Config) -> None:
        self._random.on_trial_add(trial_id, config)

    def on_trial_error(self, trial_id: int) -> None:
        self._random.on_trial_error(trial_id)

    def _point(self, index: int) -> Config:
        block, position = divmod(index, BLOCK)
        if block != self._block:
            cube = self._random.cube
            self._configs = cube.decode(one_dimension_each(cube, self._sequence(block, len(cube.names))))
            self._block = block
        return self._configs[position]

    def _sequence(self, block: int, dimension: int) -> NDArray[np.float64]:
        """``(BLOCK, dimension)``"""
        from scipy.stats import qmc

        sobol = qmc.Sobol(dimension, scramble=True, seed=generator(self.random_seed, "scrambling", 0))
        if block > 0:
            sobol.fast_forward(block * BLOCK)
        points: NDArray[np.float64] = sobol.random(BLOCK)
        return points


def one_dimension_each(cube: UnitCube, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points ``(n, number of names)`` as points ``(n, d)`` of the cube: what is one-hot there is one number here."""
    units = np.zeros((len(points), cube.dimension))
    for column, (name, place) in enumerate(cube.slices.items()):
        size = cube.domains[name].encoded_size
        if size == 1:
            units[:, place] = points[:, column, None]
        else:
            category = np.minimum((points[:, column] * size).astype(np.int64), size - 1)
            units[np.arange(len(points)), place.start + category] = 1.0
    return units


def make(problem: SearchProblem, given: Mapping[str, Any]) -> Searcher:
    options = options_from(SobolOptions, given)
    return SobolSearcher(
        problem.config_space,
        problem.points_to_evaluate,
        problem.random_seed,
        options.allow_duplicates,
        options.debug_log,
    )
