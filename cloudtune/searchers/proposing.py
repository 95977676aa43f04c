"""What searchers with a model propose: a good start, and then the configuration that scores best."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cloudtune.searchers.acquisition_search import AcquisitionSearch, SearchEffort
from cloudtune.searchers.lattice import Array, Lattice
from cloudtune.searchers.random_searcher import RandomSearcher
from cloudtune.searchers.seeding import generator
from cloudtune.surrogates.acquisition import Score
from cloudtune.trial import Config

CENTERS = 5
"""So many of the best points known have candidates around them."""
DECODED = 8


class Proposer:
    """Chooses among the configurations that a random searcher still allows.

    ``num_init_random``: so many trials are proposed before there is a model, ``points_to_evaluate`` among them.
    """

    def __init__(self, random: RandomSearcher, num_init_random: int, effort: SearchEffort, local: bool = True) -> None:
        self._random = random
        self._first = num_init_random
        self._search = AcquisitionSearch(Lattice(random.cube), effort, local)
        listed = random.restrict_configurations
        self._listed = None if listed is None else random.cube.encode(listed)

    def needs_model(self, trial_id: int) -> bool:
        first = max(self._first, len(self._random.points_to_evaluate))
        return trial_id >= first and not self._random.exhausted

    def initial(self, trial_id: int) -> Config | None:
        """Points to evaluate; then a Latin hypercube of ``num_init_random`` points (McKay et al. 1979); then random."""
        if trial_id >= len(self._random.points_to_evaluate) and self._listed is None and trial_id < self._first:
            random_state = generator(self._random.random_seed, "initial design", 0)
            d = self._random.cube.dimension
            strata = np.argsort(random_state.random((d, self._first)), axis=1).T
            places = (strata + random_state.random((self._first, d))) / self._first
            config = self._random.cube.decode_one(places[trial_id])
            if self._random.allows(config):
                return config
        return self._random.suggest(trial_id)

    def best(self, score: Score, centers: Array, trial_id: int, ranking: Score | None = None) -> Config | None:
        """The configuration that scores best, of those found; random if none of them is allowed.

        ``centers``: ``(c, d)``, points known to be good. ``ranking``: another score, by which candidates are chosen.
        """
        for config in self._ranked(score, centers, trial_id, ranking):
            if self._random.allows(config):
                return dict(config)
        return self._random.suggest(trial_id)

    def _ranked(self, score: Score, centers: Array, trial_id: int, ranking: Score | None) -> Iterator[Config]:
        if self._listed is not None:
            assert self._random.restrict_configurations is not None
            for place in np.argsort(-(ranking or score).values(self._listed), kind="stable").tolist():
                yield self._random.restrict_configurations[place]
            return
        random_state = generator(self._random.random_seed, "acquisition", trial_id)
        points = self._search.best(score, centers[:CENTERS], random_state, ranking)
        for start in range(0, len(points), DECODED):
            yield from self._random.cube.decode(points[start : start + DECODED])
