"""Conformalized quantile regression (Salinas, Golebiowski, Klein, Seeger and Archambeau 2023)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cloudtune.errors import OptionError
from cloudtune.options import check_count
from cloudtune.searchers.base import Searcher
from cloudtune.searchers.candidates import PARENTS, uniform_and_near
from cloudtune.searchers.encoded_trials import EncodedTrials
from cloudtune.searchers.factory import several_options_from
from cloudtune.searchers.forest import ForestOptions
from cloudtune.searchers.model_searcher import ModelSearcher, ModelUse, check_share
from cloudtune.searchers.observations import TrainingSet
from cloudtune.searchers.problem import SearchProblem
from cloudtune.searchers.quantile_forest import QuantileForest
from cloudtune.searchers.random_searcher import RandomOptions, RandomSearcher, random_searcher
from cloudtune.trial import Config


@dataclass(frozen=True)
class CQROptions:
    """``search_options`` of ``searcher="cqr"``, besides those of random search.

    ``num_init_random``: results at one resource before the model is used. ``quantiles``: how many of them are
    predicted, an even number. ``num_candidates``: configurations for which one is drawn. ``num_trees``: of the forest.
    ``random_fraction``: the share of random proposals.
    """

    num_init_random: int = 10
    quantiles: int = 4
    num_candidates: int = 1000
    num_trees: int = 64
    random_fraction: float = 0.0

    def __post_init__(self) -> None:
        for name in ("num_init_random", "num_candidates", "num_trees"):
            check_count(name, getattr(self, name), least=1)
        check_count("quantiles", self.quantiles, least=2)
        check_share("random_fraction", self.random_fraction)
        if self.quantiles % 2:
            raise OptionError(f"quantiles={self.quantiles} is odd", "each has its mirror image: give an even number")


class ConformalQuantiles:
    """Proposes by independent draws from predicted quantiles, the smallest first (Algorithm 1 of the paper).

    Of every candidate one of the levels 1/(m+1), …, m/(m+1) is drawn, and counts with its predicted, conformalized
    quantile: a Thompson sample. Deviations: the quantiles are those of a forest instead of gradient-boosted trees, as
    numpy grows it in milliseconds, conformalized by what its trees have not seen; targets are replaced by normal scores
    of their ranks, which changes no quantile but where trees split; half of the candidates are mutations of the best
    configurations. Pending configurations are ignored: draws differ from trial to trial.
    """

    def __init__(self, random: RandomSearcher, options: CQROptions) -> None:
        self._random = random
        self._options = options
        self._trials = EncodedTrials(random.cube)
        self._levels = np.arange(1, options.quantiles + 1) / (options.quantiles + 1)

    def proposals(
        self, data: TrainingSet, pending: tuple[Config, ...], random_state: np.random.Generator
    ) -> Iterable[Config]:
        points = self._trials.points(data)
        scores = normal_scores(data.targets)
        forest = ForestOptions(trees=self._options.num_trees)
        model = QuantileForest(points, scores, self._levels, forest, random_state)
        best = points[np.argsort(data.targets, kind="stable")[:PARENTS]]
        candidates = uniform_and_near(self._random, best, self._options.num_candidates, random_state)
        quantiles = model.quantiles(candidates.units)
        drawn = random_state.integers(len(self._levels), size=(len(quantiles), 1))
        return candidates.ranked(np.take_along_axis(quantiles, drawn, axis=1)[:, 0], random_state)


def normal_scores(targets: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """``(n,)``: the quantile of a standard normal distribution at each one's rank; equal ones share theirs."""
    from scipy.special import ndtri
    from scipy.stats import rankdata

    return np.asarray(ndtri((rankdata(targets) - 0.5) / len(targets)))


def make(problem: SearchProblem, given: Mapping[str, Any]) -> Searcher:
    random_options, options = several_options_from((RandomOptions, CQROptions), given)
    random = random_searcher(problem, random_options)
    use = ModelUse(least=options.num_init_random, random_fraction=options.random_fraction)
    return ModelSearcher(problem, random, ConformalQuantiles(random, options), use, "cqr")
