"""One metric's observations together with the model of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cloudtune.searchers.lattice import Array
from cloudtune.searchers.levels import with_those_that_ended_below
from cloudtune.searchers.observations import Observations, TrainingSet
from cloudtune.searchers.seeding import generator
from cloudtune.space import UnitCube
from cloudtune.surrogates.prediction import Fit, Surrogate


class Modelled:
    """Fits a surrogate to what was observed, when that is asked for.

    The fit depends on the observations, on the trials at work, on what an earlier fit carried, and on the seed: its
    random numbers belong to (``seed``, ``purpose``, how many trials it knows).
    """

    def __init__(
        self, observations: Observations, surrogate: Surrogate, cube: UnitCube, seed: int, purpose: str = "model"
    ) -> None:
        self.observations = observations
        self._surrogate = surrogate
        self._cube = cube
        self._seed, self._purpose = seed, purpose
        self._points: dict[int, Array] = {}
        self._latest: tuple[int, Mapping[str, Any] | None, Fit] | None = None
        self._data: tuple[int, TrainingSet] | None = None

    def fitted(self, carried: Mapping[str, Any] | None) -> Fit:
        """There must be an observation. ``carried``: what ``Fit.carried`` of an earlier fit was."""
        version = self.observations.version
        if self._latest is None or self._latest[0] != version or self._latest[1] != carried:
            self._latest = version, carried, self._fit(carried)
        return self._latest[2]

    def _fit(self, carried: Mapping[str, Any] | None) -> Fit:
        data = self.data()
        known = set(data.trial_ids)
        pending = [trial_id for trial_id, _ in self.observations.pending() if trial_id not in known]
        random_state = generator(self._seed, self._purpose, len(data) + len(pending))
        points, awaited = self.encoded(data.trial_ids), self.encoded(pending)
        return self._surrogate.fit(points, data.targets, awaited, carried, random_state)

    def data(self) -> TrainingSet:
        """What the model learns from: with several resources, the highest that has an observation per dimension.

        Of trials that ended before, it is estimated what they would have had there: else the model would go on to
        propose what is like them.
        """
        version = self.observations.version
        if self._data is None or self._data[0] != version:
            data = self.observations.training_set(self._cube.dimension)
            self._data = version, with_those_that_ended_below(self.observations, data)
        return self._data[1]

    def leaders(self, count: int) -> Array:
        """``(count, d)``: where the best targets were observed, best first; fewer if there are not so many."""
        data = self.data()
        best = np.argsort(data.targets, kind="stable")[:count]
        return self.encoded([data.trial_ids[place] for place in best.tolist()])

    def encoded(self, trial_ids: Sequence[int]) -> Array:
        """``(n, d)`` of trials that were added or observed. A configuration is encoded once."""
        missing = [trial_id for trial_id in trial_ids if trial_id not in self._points]
        if missing:
            rows = self._cube.encode([self.observations.config(trial_id) for trial_id in missing])
            self._points.update(zip(missing, rows, strict=True))
        if not trial_ids:
            return np.empty((0, self._cube.dimension))
        return np.array([self._points[trial_id] for trial_id in trial_ids])
