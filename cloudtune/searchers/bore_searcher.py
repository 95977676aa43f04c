"""Bayesian optimization by density-ratio estimation (Tiao, Klein, Seeger, Bonilla, Archambeau and Ramos 2021)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cloudtune.errors import OptionError
from cloudtune.options import check_count, nearest_name
from cloudtune.searchers.base import Searcher
from cloudtune.searchers.candidates import PARENTS, Candidates, snapped, uniform, uniform_and_near
from cloudtune.searchers.classifiers import (
    Classifier,
    Probability,
    gaussian_process,
    logistic_regression,
    multilayer_perceptron,
    random_forest,
)
from cloudtune.searchers.encoded_trials import EncodedTrials
from cloudtune.searchers.factory import several_options_from
from cloudtune.searchers.model_searcher import ModelSearcher, ModelUse, check_share
from cloudtune.searchers.observations import TrainingSet
from cloudtune.searchers.problem import SearchProblem
from cloudtune.searchers.random_searcher import RandomOptions, RandomSearcher, random_searcher
from cloudtune.trial import Config

CLASSIFIERS: Mapping[str, Classifier] = {
    "rf": random_forest,
    "mlp": multilayer_perceptron,
    "gp": gaussian_process,
    "logreg": logistic_regression,
}
ACQ_OPTIMIZERS = ("rs", "rs_with_replacement", "de")
_POPULATION = 25
_MOST = 200
"""Results a classifier is fitted to, drawn from more."""


@dataclass(frozen=True)
class BOREOptions:
    """``search_options`` of ``searcher="bore"``, besides those of random search.

    ``init_random``: results at one resource before the classifier is used. ``gamma``: the share of results that count
    as good. ``classifier``: "rf" (extremely randomized trees), "mlp" (a small network), "gp" (Gaussian process),
    "logreg" (logistic regression on coordinates and squares), or a ``Classifier`` of one's own. ``acq_optimizer``: how
    the configuration that is most probably good is looked for: "rs", among random ones; "rs_with_replacement", the
    same, and it may have been launched before; "de", by differential evolution (Storn and Price 1997), which is
    greedier.
    ``feval_acq``: configurations whose probability is computed. ``random_prob``: the share of random proposals.
    """

    init_random: int = 6
    gamma: float = 0.25
    classifier: str | Classifier = "rf"
    acq_optimizer: str = "rs"
    feval_acq: int = 500
    random_prob: float = 0.0

    def __post_init__(self) -> None:
        check_count("init_random", self.init_random, least=2)
        check_count("feval_acq", self.feval_acq, least=1)
        check_share("random_prob", self.random_prob)
        check_share("gamma", self.gamma)
        if self.gamma in (0, 1):
            raise OptionError(f"gamma={self.gamma!r}: neither group may be empty", "0.25 is usual")
        if isinstance(self.classifier, str) and self.classifier not in CLASSIFIERS:
            hint = "'rf' is as good, or give a function" if self.classifier == "xgboost" else ""
            raise OptionError(
                f"classifier={self.classifier!r} is not known", hint or nearest_name(self.classifier, CLASSIFIERS)
            )
        if not isinstance(self.classifier, str) and not callable(self.classifier):
            raise OptionError(f"classifier={self.classifier!r} is no Classifier", nearest_name("", CLASSIFIERS))
        if self.acq_optimizer not in ACQ_OPTIMIZERS:
            raise OptionError(
                f"acq_optimizer={self.acq_optimizer!r} is not known",
                nearest_name(str(self.acq_optimizer), ACQ_OPTIMIZERS),
            )


class DensityRatioClassifier:
    """Proposes what a classifier holds for good with the highest probability.

    The probability of being among the ``gamma`` best increases with expected improvement over their worst (section 3 of
    the paper). Pending configurations are ignored: candidates and, of networks and trees, fits differ from trial to
    trial.
    """

    def __init__(self, random: RandomSearcher, options: BOREOptions) -> None:
        self._random = random
        self._options = options
        self._trials = EncodedTrials(random.cube)
        chosen = options.classifier
        self._classifier = CLASSIFIERS[chosen] if isinstance(chosen, str) else chosen

    def proposals(
        self, data: TrainingSet, pending: tuple[Config, ...], random_state: np.random.Generator
    ) -> Iterable[Config]:
        order = np.argsort(data.targets, kind="stable")
        points = self._trials.points(data)[order]
        number = self._number_of_good(len(data))
        learned = _some_of_both(number, len(data), random_state)
        probability = self._classifier(points[learned], learned < number, random_state)
        return self._candidates(probability, points[:PARENTS], random_state)

    def _number_of_good(self, count: int) -> int:
        return min(max(1, math.ceil(self._options.gamma * count)), max(1, count - 1))

    def _candidates(
        self, probability: Probability, best: NDArray[np.float64], random_state: np.random.Generator
    ) -> Iterator[dict[str, Any]]:
        cube, count = self._random.cube, self._options.feval_acq
        if self._options.acq_optimizer != "de" or self._random.restrict_configurations is not None:
            candidates = uniform(self._random, count, random_state)
            return candidates.ranked(-probability(candidates.units), random_state)
        population = uniform_and_near(self._random, best, min(count, _POPULATION), random_state).units
        values = probability(population)
        everything, every_value = [population.copy()], [values]
        for _ in range(count // len(population) - 1):
            offspring = snapped(cube, _offspring(population, population[values.argmax()], random_state))
            offspring_values = probability(offspring)
            everything.append(offspring)
            every_value.append(offspring_values)
            better = offspring_values > values
            population[better], values = offspring[better], np.where(better, offspring_values, values)
        return Candidates(cube, np.vstack(everything)).ranked(-np.concatenate(every_value), random_state)


def _offspring(
    population: NDArray[np.float64], best: NDArray[np.float64], random_state: np.random.Generator
) -> NDArray[np.float64]:
    """``(n, d)``: each on its way to the best, plus the difference of two others, crossed with itself."""
    one, other = (population[random_state.permutation(len(population))] for _ in range(2))
    mutants = population + 0.6 * (best - population) + 0.6 * (one - other)
    crossed = random_state.random(population.shape) < 0.7
    return np.where(crossed, mutants, population)


def _some_of_both(good: int, count: int, random_state: np.random.Generator) -> NDArray[np.int64]:
    """Of ``count`` results, the ``good`` ones first: all, or ``_MOST`` of them with as large a share of good ones."""
    if count <= _MOST:
        return np.arange(count)
    among_good = min(max(1, round(_MOST * good / count)), _MOST - 1)
    first = random_state.permutation(good)[:among_good]
    rest = good + random_state.permutation(count - good)[: _MOST - among_good]
    return np.sort(np.concatenate([first, rest]))


def make(problem: SearchProblem, given: Mapping[str, Any]) -> Searcher:
    random_options, options = several_options_from((RandomOptions, BOREOptions), given)
    if options.acq_optimizer == "rs_with_replacement":
        random_options = replace(random_options, allow_duplicates=True)
    random = random_searcher(problem, random_options)
    use = ModelUse(least=options.init_random, random_fraction=options.random_prob)
    return ModelSearcher(problem, random, DensityRatioClassifier(random, options), use, "bore")
