"""Kernel density estimates of good and of bad configurations: TPE, and the model of BOHB."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cloudtune.errors import OptionError
from cloudtune.options import check_count
from cloudtune.searchers.base import Searcher
from cloudtune.searchers.encoded_trials import EncodedTrials
from cloudtune.searchers.factory import several_options_from
from cloudtune.searchers.model_searcher import ModelSearcher, ModelUse, check_share
from cloudtune.searchers.observations import TrainingSet
from cloudtune.searchers.parzen import MixedPoints, MixedSpace, Parzen
from cloudtune.searchers.problem import SearchProblem
from cloudtune.searchers.random_searcher import RandomOptions, RandomSearcher, random_searcher
from cloudtune.trial import Config

_PRIOR = 1.0
_CHUNK = 16


@dataclass(frozen=True)
class KDEOptions:
    """``search_options`` of ``searcher="kde"``, besides those of random search.

    ``num_min_data_points``: results at one resource before the densities are used; None: one more than there are
    hyperparameters, at least 6. ``top_n_percent``: the share of results that count as good. ``min_bandwidth``: of the
    kernels of numbers, in the unit cube. ``num_candidates``: drawn from the density of the good, of which the best is
    proposed. ``bandwidth_factor``: they are drawn from kernels so many times as wide. ``random_fraction``: the share of
    random proposals.
    """

    num_min_data_points: int | None = None
    top_n_percent: float = 15
    min_bandwidth: float = 1e-3
    num_candidates: int = 128
    bandwidth_factor: float = 1.0
    random_fraction: float = 0.0

    def __post_init__(self) -> None:
        if self.num_min_data_points is not None:
            check_count("num_min_data_points", self.num_min_data_points, least=2)
        check_count("num_candidates", self.num_candidates, least=1)
        check_share("random_fraction", self.random_fraction)
        check_share("min_bandwidth", self.min_bandwidth)
        if not _is_between(self.top_n_percent, 100):
            raise OptionError(f"top_n_percent={self.top_n_percent!r} is not between 0 and 100", "15 is usual")
        if self.min_bandwidth == 0 or not _is_between(self.bandwidth_factor, math.inf):
            raise OptionError(
                f"min_bandwidth={self.min_bandwidth!r}, bandwidth_factor={self.bandwidth_factor!r}",
                "both are numbers above 0",
            )


def _is_between(value: object, most: float) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < most


class DensityRatio:
    """Proposes where good configurations are dense, compared to the others: the largest l(x) / g(x).

    Tree-structured Parzen estimators (Bergstra et al. 2011, section 4) with one multivariate kernel per configuration,
    as in BOHB (Falkner et al. 2018, equations 2 to 4). Bandwidths of numbers are those of Bergstra et al.: the larger
    distance to a neighbour, in each dimension by itself. Deviations: they are at least 1 / (n + 2) and half of one
    integer's share; a uniform density counts as one more configuration in both groups; pending configurations count
    as not good, so that workers asking at once are sent to different places.
    """

    def __init__(self, random: RandomSearcher, options: KDEOptions) -> None:
        self._random = random
        self._options = options
        self._trials = EncodedTrials(random.cube)
        self._space = MixedSpace(random.cube)

    def proposals(
        self, data: TrainingSet, pending: tuple[Config, ...], random_state: np.random.Generator
    ) -> Iterator[Config]:
        at_work = self._random.cube.encode(pending)
        points = self._space.of_cube(np.vstack([self._trials.points(data), at_work]))
        order = np.argsort(data.targets, kind="stable")
        split = self._number_of_good(len(data))
        good = self._density(points[order[:split]])
        others = self._density(points[np.concatenate([order[split:], np.arange(len(data), len(points))])])
        if self._random.restrict_configurations is None:
            drawn = good.sample(random_state, self._options.num_candidates, self._options.bandwidth_factor)
        else:
            drawn = self._space.points(self._random.sample(random_state, self._options.num_candidates))
        ratio = good.log_density(drawn) - others.log_density(drawn)
        ranked = np.argsort(-ratio, kind="stable")
        for start in range(0, len(ranked), _CHUNK):
            yield from self._space.configs(drawn[ranked[start : start + _CHUNK]])

    def _number_of_good(self, count: int) -> int:
        return min(max(2, math.ceil(self._options.top_n_percent / 100 * count)), count)

    def _density(self, points: MixedPoints) -> Parzen:
        least = np.maximum(np.maximum(self._space.cells / 2, 1 / (len(points) + 2)), self._options.min_bandwidth)
        return Parzen(
            points,
            self._space.sizes,
            np.clip(distances_to_neighbours(points.numbers), least, 1.0),
            self._lambdas(len(points)),
            _PRIOR,
        )

    def _lambdas(self, count: int) -> NDArray[np.float64]:
        """Of no configurations: those of the uniform distribution; with more of them they become as small as
        bandwidths do by Scott's rule, squared."""
        uniform = np.array([1 - 1 / size if size > 1 else 0.5 for size in self._space.sizes])
        return np.asarray(uniform * max(count, 1) ** (-2 / (self._space.dimension + 4)))


def distances_to_neighbours(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """``(n, d)`` for points ``(n, d)``: in each dimension the larger distance to the next number on either side.

    The outermost have one neighbour; to a point that is alone the ends of [0, 1] are neighbours.
    """
    if len(numbers) < 2:
        return np.maximum(numbers, 1.0 - numbers)
    order = np.argsort(numbers, axis=0, kind="stable")
    gaps = np.diff(np.take_along_axis(numbers, order, axis=0), axis=0)
    larger = np.vstack([gaps[:1], np.maximum(gaps[:-1], gaps[1:]), gaps[-1:]])
    distances = np.empty_like(numbers)
    np.put_along_axis(distances, order, larger, axis=0)
    return distances


def make(problem: SearchProblem, given: Mapping[str, Any]) -> Searcher:
    random_options, options = several_options_from((RandomOptions, KDEOptions), given)
    random = random_searcher(problem, random_options)
    least = options.num_min_data_points or max(6, len(random.cube.names) + 1)
    use = ModelUse(least=least, random_fraction=options.random_fraction)
    return ModelSearcher(problem, random, DensityRatio(random, options), use, "kde")
