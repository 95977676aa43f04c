"""Trials' configurations in the unit cube, each encoded once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cloudtune.searchers.observations import TrainingSet
from cloudtune.space import UnitCube
from cloudtune.trial import Config


class EncodedTrials:
    """Remembers what ``cube.encode`` gave, which changes no answer: encoding thousands of configurations takes longer
    than what models do with them."""

    def __init__(self, cube: UnitCube) -> None:
        self._cube = cube
        self._known: dict[int, tuple[Config, NDArray[np.float64]]] = {}

    def points(self, data: TrainingSet) -> NDArray[np.float64]:
        """``(n, d)``"""
        trials = list(zip(data.trial_ids, data.configs, strict=True))
        new = [(trial_id, config) for trial_id, config in trials if not self._knows(trial_id, config)]
        for (trial_id, config), row in zip(new, self._cube.encode([config for _, config in new]), strict=True):
            self._known[trial_id] = config, row
        rows = [self._known[trial_id][1] for trial_id in data.trial_ids]
        return np.array(rows).reshape(len(rows), self._cube.dimension)

    def _knows(self, trial_id: int, config: Config) -> bool:
        known = self._known.get(trial_id)
        return known is not None and known[0] is config
