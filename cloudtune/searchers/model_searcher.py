"""What searchers with a model have in common: when the model is asked, and what becomes of its answer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from cloudtune.errors import OptionError
from cloudtune.searchers.base import Searcher
from cloudtune.searchers.observations import Observations, TrainingSet, check_same
from cloudtune.searchers.problem import SearchProblem
from cloudtune.searchers.random_searcher import RandomSearcher
from cloudtune.searchers.seeding import Uniforms, generator
from cloudtune.trial import Config, Metrics


class Model(Protocol):
    """Learns which configurations are good. A model remembers nothing between calls (but may keep a fit)."""

    def proposals(
        self, data: TrainingSet, pending: tuple[Config, ...], random_state: np.random.Generator
    ) -> Iterable[Config]:
        """Complete configurations, the one to be tried first in front.

        ``data``: what is known, targets to be minimized; ``pending``: at work, with no target among ``data``. All
        randomness comes from ``random_state``.
        """


@dataclass(frozen=True)
class ModelUse:
    """When a model is asked.

    ``num_init_random``: trials with smaller numbers are random. ``least``: so are those proposed before there are this
    many results at one resource (Observations.training_set), at least 1. ``random_fraction``: and this share of all
    others.
    """

    num_init_random: int = 0
    least: int = 1
    random_fraction: float = 0.0


class ModelSearcher(Searcher):
    """Points to evaluate, then random configurations, then the first proposal of ``model`` that may be launched.

    Until the model is asked for the first time, the proposals are those of ``random``. Where none of the model's
    proposals may be launched, the random one is taken, so that finite spaces end as in random search. Under
    schedulers that compare trials at several resources, the model learns from the highest resource where there is
    enough (Falkner et al. 2018). Objectives that were no finite number count as the worst that was one.

    Raises OptionError if the problem has several metrics.
    """

    def __init__(self, problem: SearchProblem, random: RandomSearcher, model: Model, use: ModelUse, name: str) -> None:
        self._name = name
        self.random_seed = random.random_seed
        self.observations = Observations.of(problem)
        self._problem = problem
        self._random = random
        self._model = model
        self._use = use
        self._lots = Uniforms(random.random_seed, f"{name}: model or random")
        self._latest: tuple[int, Config | None] | None = None

    @property
    def name(self) -> str:
        return self._name

    def suggest(self, trial_id: int) -> Config | None:
        if self._latest is None or self._latest[0] != trial_id:
            self._latest = trial_id, self._proposal(trial_id)
        config = self._latest[1]
        return None if config is None else dict(config)

    def check_fits(self, problem: SearchProblem) -> None:
        check_same(problem, self.observations, self._problem.config_space, self.name)

    def on_trial_add(self, trial_id: int, config: Config) -> None:
        self._latest = None
        self._random.on_trial_add(trial_id, config)
        self.observations.on_trial_add(trial_id, config)

    def register_pending(self, trial_id: int, resource: int | None = None) -> None:
        self._latest = None
        self.observations.register_pending(trial_id, resource)

    def on_result(self, trial_id: int, config: Config, result: Metrics, update: bool) -> None:
        self._latest = None
        self.observations.on_result(trial_id, config, result, update)

    def remove_case(self, trial_id: int, resource: int) -> None:
        self._latest = None
        self.observations.remove_case(trial_id, resource)

    def cleanup_pending(self, trial_id: int) -> None:
        self._latest = None
        self.observations.cleanup_pending(trial_id)

    def on_trial_error(self, trial_id: int) -> None:
        self._latest = None
        self._random.on_trial_error(trial_id)
        self.observations.cleanup_pending(trial_id)

    def _proposal(self, trial_id: int) -> Config | None:
        if not self._random.exhausted and self._asks_model(trial_id):
            data = self.observations.training_set(self._use.least)
            if len(data) >= self._use.least:
                for config in self._model.proposals(data, self._pending(data), self._random_state(trial_id)):
                    if self._random.allows(config):
                        return config
        return self._random.suggest(trial_id)

    def _asks_model(self, trial_id: int) -> bool:
        if trial_id < max(self._use.num_init_random, len(self._random.points_to_evaluate)):
            return False
        if self._random.cube.dimension == 0:
            return False
        return self._use.random_fraction == 0 or self._lots.of(trial_id) >= self._use.random_fraction

    def _pending(self, data: TrainingSet) -> tuple[Config, ...]:
        known = set(data.trial_ids)
        return tuple(config for trial_id, config in self.observations.pending() if trial_id not in known)

    def _random_state(self, trial_id: int) -> np.random.Generator:
        return generator(self.random_seed, f"{self.name}: proposal", trial_id)


def check_share(name: str, value: object) -> None:
    """Raises ``OptionError`` for what is no number from 0 to 1."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise OptionError(f"{name}={value!r} is no number from 0 to 1", "0.1 is a tenth")
