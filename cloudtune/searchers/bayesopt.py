"""Bayesian optimization: a model of the objective proposes what is most worth trying."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cloudtune.searchers.acquisition_search import AcquisitionSearch, SearchEffort
from cloudtune.searchers.base import Searcher
from cloudtune.searchers.bayesopt_options import BayesianOptimizationOptions
from cloudtune.searchers.factory import several_options_from
from cloudtune.searchers.lattice import Array, Lattice
from cloudtune.searchers.observations import Observations, TrainingSet, check_same
from cloudtune.searchers.problem import SearchProblem
from cloudtune.searchers.random_searcher import RandomOptions, RandomSearcher, random_searcher
from cloudtune.searchers.seeding import generator
from cloudtune.space import Categorical, UnitCube
from cloudtune.surrogates.acquisition import Acquisition, LogExpectedImprovement, LowerConfidenceBound, Score, worth
from cloudtune.surrogates.gp_surrogate import GaussianProcessOptions, GaussianProcessSurrogate
from cloudtune.surrogates.inputs import Dimensions
from cloudtune.surrogates.prediction import Fit, Surrogate
from cloudtune.trial import Config, Metrics

CENTERS = 5


@dataclass(frozen=True)
class _Proposal:
    config: Config | None
    carried: Mapping[str, Any] | None


class BayesianOptimizationSearcher(Searcher):
    """Trials after the first few are those that a model expects to improve on the best one most.

    :param random: proposes the first configurations, and knows which may be proposed.
    :param observations: of the metric to be optimized; whatever its mode, the model minimizes.
    :param options: see ``BayesianOptimizationOptions``.
    :param surrogate: a model of your own (``cloudtune.surrogates.prediction.Surrogate``); None for the Gaussian process.

    The n-th proposal depends on the seed, n, what has been told, and what earlier proposals carried: the model's
    hyperparameters, which later fits start from or use again. Jones et al. 1998, "Efficient global optimization of
    expensive black-box functions"; trials at work are fantasized as in Snoek et al. 2012, section 3.2.
    """

    def __init__(
        self,
        random: RandomSearcher,
        observations: Observations,
        options: BayesianOptimizationOptions | None = None,
        surrogate: Surrogate | None = None,
    ) -> None:
        self.options = options or BayesianOptimizationOptions()
        self.observations = observations
        self._random = random
        self._surrogate = surrogate or gaussian_process(random.cube, self.options)
        self._cube = random.cube
        self._lattice = Lattice(random.cube)
        self._search = AcquisitionSearch(
            self._lattice, effort_of(self.options), local=not self.options.skip_local_optimization
        )
        self._listed: Array | None = None
        if random.restrict_configurations is not None:
            self._listed = random.cube.encode(random.restrict_configurations)
        self._points: dict[int, Array] = {}
        self._handed_on: tuple[int, Mapping[str, Any]] | None = None
        self._version = 0
        self._fit: tuple[int, Fit] | None = None
        self._proposal: tuple[int, int, _Proposal] | None = None

    # -- proposals -----------------------------------------------------------------------------------------------------

    def suggest(self, trial_id: int) -> Config | None:
        config = self._proposed(trial_id).config
        return None if config is None else dict(config)

    def carried(self, trial_id: int) -> Mapping[str, Any] | None:
        return self._proposed(trial_id).carried

    def _proposed(self, trial_id: int) -> _Proposal:
        if self._proposal is not None and self._proposal[:2] == (trial_id, self._version):
            return self._proposal[2]
        proposal = self._propose(trial_id)
        self._proposal = trial_id, self._version, proposal
        return proposal

    def _propose(self, trial_id: int) -> _Proposal:
        if trial_id < len(self._random.points_to_evaluate) or self._random.exhausted:
            return _Proposal(self._random.suggest(trial_id), None)
        if trial_id < self.options.num_init_random or not len(self.observations):
            return _Proposal(self._initial(trial_id), None)
        fit = self._fitted()
        config = self._best(self._score(fit), trial_id)
        return _Proposal(config or self._random.suggest(trial_id), fit.carried)

    def _initial(self, trial_id: int) -> Config | None:
        """From a Latin hypercube of as many points as are needed before there is a model."""
        if self._listed is None:
            random_state = generator(self._random.random_seed, "initial design", 0)
            count, d = self.options.num_init_random, self._cube.dimension
            strata = np.argsort(random_state.random((d, count)), axis=1).T
            row = trial_id % count
            point = (strata[row] + random_state.random((count, d))[row]) / count
            config = self._cube.decode_one(point)
            if trial_id < count and self._random.allows(config):
                return config
        return self._random.suggest(trial_id)

    def _fitted(self) -> Fit:
        if self._fit is None or self._fit[0] != self._version:
            data = self._data()
            pending = [trial_id for trial_id, _ in self.observations.pending() if trial_id not in data.trial_ids]
            carried = self._handed_on[1] if self._handed_on else None
            random_state = generator(self._random.random_seed, "model", len(data) + len(pending))
            fit = self._surrogate.fit(
                self._encoded(data.trial_ids), data.targets, self._encoded(pending), carried, random_state
            )
            self._fit = self._version, fit
        return self._fit[1]

    def _data(self) -> TrainingSet:
        return self.observations.training_set(self._cube.dimension)

    def _score(self, fit: Fit) -> Score:
        return worth(fit.predictor, self._acquisition(fit))

    def _acquisition(self, fit: Fit) -> Acquisition:
        if self.options.acq_function == "lcb":
            return LowerConfidenceBound(self.options.kappa)
        return LogExpectedImprovement(fit.incumbents)

    def _best(self, score: Score, trial_id: int) -> Config | None:
        """The allowed configuration with the best score; None if none is found."""
        random_state = generator(self._random.random_seed, "acquisition", trial_id)
        if self._listed is not None:
            assert self._random.restrict_configurations is not None
            for place in np.argsort(-score.values(self._listed), kind="stable").tolist():
                config = self._random.restrict_configurations[place]
                if self._random.allows(config):
                    return dict(config)
            return None
        data = self._data()
        leaders = np.argsort(data.targets, kind="stable")[:CENTERS]
        centers = self._encoded([data.trial_ids[place] for place in leaders.tolist()])
        points = self._search.best(score, centers, random_state)
        for start in range(0, len(points), 8):
            for config in self._cube.decode(points[start : start + 8]):
                if self._random.allows(config):
                    return config
        return None

    def _encoded(self, trial_ids: Sequence[int]) -> Array:
        """``(n, d)``; every configuration is encoded once."""
        missing = [trial_id for trial_id in trial_ids if trial_id not in self._points]
        if missing:
            rows = self._cube.encode([self.observations.config(trial_id) for trial_id in missing])
            self._points.update(zip(missing, rows, strict=True))
        if not trial_ids:
            return np.empty((0, self._cube.dimension))
        return np.array([self._points[trial_id] for trial_id in trial_ids])

    # -- what happens --------------------------------------------------------------------------------------------------

    def check_fits(self, problem: SearchProblem) -> None:
        check_same(problem, self.observations.metric, self.observations.mode, "searcher")

    def on_carried(self, trial_id: int, carried: Mapping[str, Any]) -> None:
        if self._handed_on is None or trial_id >= self._handed_on[0]:
            self._handed_on = trial_id, carried
        self._version += 1

    def on_trial_add(self, trial_id: int, config: Config) -> None:
        self._random.on_trial_add(trial_id, config)
        self.observations.on_trial_add(trial_id, config)
        self._version += 1

    def register_pending(self, trial_id: int, resource: int | None = None) -> None:
        self.observations.register_pending(trial_id, resource)
        self._version += 1

    def on_result(self, trial_id: int, config: Config, result: Metrics, update: bool) -> None:
        self.observations.on_result(trial_id, config, result, update)
        self._version += 1

    def remove_case(self, trial_id: int, resource: int) -> None:
        self.observations.remove_case(trial_id, resource)
        self._version += 1

    def cleanup_pending(self, trial_id: int) -> None:
        self.observations.cleanup_pending(trial_id)
        self._version += 1

    def on_trial_error(self, trial_id: int) -> None:
        self._random.on_trial_error(trial_id)
        self.observations.cleanup_pending(trial_id)
        self._version += 1


def make(problem: SearchProblem, given: Mapping[str, Any]) -> Searcher:
    random_options, options = several_options_from((RandomOptions, BayesianOptimizationOptions), given)
    return BayesianOptimizationSearcher(random_searcher(problem, random_options), Observations.of(problem), options)


def gaussian_process(cube: UnitCube, options: BayesianOptimizationOptions) -> GaussianProcessSurrogate:
    """The model that the options describe, over a unit cube."""
    categorical = frozenset(name for name, domain in cube.domains.items() if isinstance(domain, Categorical))
    dimensions = Dimensions.of(
        cube.slices, categorical, ard=options.gp_base_kernel == "matern52-ard", warp=options.input_warping
    )
    return GaussianProcessSurrogate(
        dimensions,
        len(cube.domains),
        GaussianProcessOptions(
            boxcox_transform=options.boxcox_transform,
            num_fantasy_samples=options.num_fantasy_samples,
            no_fantasizing=options.no_fantasizing,
            gp_hyperparameters=options.gp_hyperparameters,
            opt_nstarts=options.opt_nstarts,
            opt_maxiter=options.opt_maxiter,
            opt_warmstart=options.opt_warmstart,
            opt_skip_init_length=options.opt_skip_init_length,
            opt_skip_period=options.opt_skip_period,
            opt_max_size=options.opt_max_size,
            max_size_data_for_model=options.max_size_data_for_model,
            max_size_top_fraction=options.max_size_top_fraction,
        ),
    )


def effort_of(options: BayesianOptimizationOptions) -> SearchEffort:
    near = options.num_init_candidates // 3
    return SearchEffort(candidates=options.num_init_candidates - near, near=near)
