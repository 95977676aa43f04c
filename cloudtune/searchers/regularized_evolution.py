"""Regularized evolution (Real, Aggarwal, Huang and Le 2019)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cloudtune.errors import OptionError
from cloudtune.options import check_count
from cloudtune.searchers.base import Searcher
from cloudtune.searchers.factory import several_options_from
from cloudtune.searchers.model_searcher import ModelSearcher, ModelUse
from cloudtune.searchers.observations import TrainingSet
from cloudtune.searchers.problem import SearchProblem
from cloudtune.searchers.random_searcher import RandomOptions, random_searcher
from cloudtune.space import Domain
from cloudtune.trial import Config

_MUTATIONS = 50
"""Offspring tried before a random configuration is taken instead."""
_DRAWS = 100
"""Values drawn until one differs from the parent's."""


@dataclass(frozen=True)
class EvolutionOptions:
    """``search_options`` of ``searcher="rea"``, besides those of random search.

    ``population_size`` (P in the paper): so many trials are random, and parents are among the so many youngest with a
    result. ``sample_size`` (S): so many of them are drawn, the best of which is the parent.
    """

    population_size: int = 100
    sample_size: int = 10

    def __post_init__(self) -> None:
        check_count("population_size", self.population_size, least=1)
        check_count("sample_size", self.sample_size, least=1)
        if self.sample_size > self.population_size:
            raise OptionError(
                f"sample_size={self.sample_size} is above population_size={self.population_size}",
                "a tenth of the population is usual",
            )


class AgingEvolution:
    """A model in name only: mutations of the winners of tournaments (Algorithm 1 of the paper).

    The age of a trial is its number, whenever its result comes, so that proposals don't depend on the order of
    arrival. One hyperparameter of the parent is drawn anew; a value of a finite domain never stays the same.
    """

    def __init__(self, config_space: Mapping[str, Any], options: EvolutionOptions) -> None:
        self._space = dict(config_space)
        self._domains = {
            name: entry for name, entry in config_space.items() if isinstance(entry, Domain) and entry.size != 1
        }
        self._options = options

    def proposals(
        self, data: TrainingSet, pending: tuple[Config, ...], random_state: np.random.Generator
    ) -> Iterator[Config]:
        for _ in range(_MUTATIONS if self._domains else 0):
            yield self.mutated(data.configs[self.parent(data, random_state)], random_state)

    def parent(self, data: TrainingSet, random_state: np.random.Generator) -> int:
        """Its index among ``data``. A tournament is drawn with replacement, as in the paper; ties go to the older."""
        youngest = min(len(data), self._options.population_size)
        drawn = np.sort(random_state.integers(len(data) - youngest, len(data), size=self._options.sample_size))
        return int(drawn[np.argmin(data.targets[drawn])])

    def mutated(self, config: Config, random_state: np.random.Generator) -> Config:
        names = list(self._domains)
        name = names[random_state.integers(len(names))]
        domain = self._domains[name]
        same = domain.match_string(config[name])
        for _ in range(_DRAWS):
            value = domain.sample(random_state)
            if domain.match_string(value) != same:
                break
        # constants as the space has them: a scheduler may have changed the one that says how long to run
        child = {key: config[key] if isinstance(entry, Domain) else entry for key, entry in self._space.items()}
        return {**child, name: value}


def make(problem: SearchProblem, given: Mapping[str, Any]) -> Searcher:
    random_options, options = several_options_from((RandomOptions, EvolutionOptions), given)
    model = AgingEvolution(problem.config_space, options)
    use = ModelUse(num_init_random=options.population_size)
    return ModelSearcher(problem, random_searcher(problem, random_options), model, use, "rea")
