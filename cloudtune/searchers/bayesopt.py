"""Bayesian optimization: a model of the objective proposes what is most worth trying."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cloudtune.errors import OptionError
from cloudtune.searchers.acquisition_search import SearchEffort
from cloudtune.searchers.base import Searcher
from cloudtune.searchers.batches import one_by_one
from cloudtune.searchers.bayesopt_options import BayesianOptimizationOptions, check_is_here
from cloudtune.searchers.factory import several_options_from
from cloudtune.searchers.modelled import Modelled
from cloudtune.searchers.observations import Observations, check_same
from cloudtune.searchers.problem import SearchProblem
from cloudtune.searchers.proposing import CENTERS, Proposer
from cloudtune.searchers.random_searcher import RandomOptions, RandomSearcher, random_searcher
from cloudtune.searchers.seeding import generator
from cloudtune.space import Categorical, UnitCube
from cloudtune.surrogates.acquisition import (
    Acquisition,
    IndependentDraws,
    LogExpectedImprovement,
    LowerConfidenceBound,
    Score,
    worth,
)
from cloudtune.surrogates.gp_surrogate import GaussianProcessOptions, GaussianProcessSurrogate
from cloudtune.surrogates.inputs import Dimensions
from cloudtune.surrogates.prediction import Fit, Predictor, Surrogate
from cloudtune.surrogates.targets import ORDINARY_SHARE
from cloudtune.trial import Config, Metrics

AcquisitionOf = Callable[[Fit], Acquisition]
"""The acquisition function for a fitted model, which knows its incumbents."""


@dataclass(frozen=True)
class _Proposal:
    config: Config | None
    carried: Mapping[str, Any] | None


class BayesianOptimizationSearcher(Searcher):
    """Trials after the first few are those that a model expects to improve most on the best one.

    :param random: proposes the first configurations, and knows which may be proposed.
    :param observations: of the metric to be optimized; whatever its mode, the model minimizes.
    :param options: see ``BayesianOptimizationOptions``.
    :param surrogate: a model of your own (``cloudtune.surrogates.prediction.Surrogate``); None for the Gaussian
        process.
    :param acquisition: of your own; None for the one that the options name.
    :param max_t: the most a trial may use, of a scheduler with resources, whose results ``observations`` tell apart;
        ``opt_skip_num_max_resource`` needs it.

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
        acquisition: AcquisitionOf | None = None,
        max_t: int | None = None,
    ) -> None:
        self.options = options or BayesianOptimizationOptions()
        if self.options.map_reward is not None and observations.mode != "max":
            raise OptionError(
                f"search_options has map_reward={self.options.map_reward!r}, and the metric is minimized",
                'it is for mode="max"; leave it out',
            )
        self._random = random
        self._observations = observations
        self._model = Modelled(
            observations, surrogate or gaussian_process(random.cube, self.options), random.cube, random.random_seed
        )
        self._acquisition = acquisition or _AcquisitionOf(self.options)
        self._proposer = proposer(random, self.options)
        self._max_t = max_t if self.options.opt_skip_num_max_resource else None
        self._handed_on: tuple[int, Mapping[str, Any]] | None = None
        self._calls = 0
        self._latest: tuple[int, int, _Proposal] | None = None

    # -- proposals -----------------------------------------------------------------------------------------------------

    def suggest(self, trial_id: int) -> Config | None:
        config = self._proposed(trial_id).config
        return None if config is None else dict(config)

    def suggest_batch(self, trial_ids: Sequence[int]) -> list[Config]:
        """For several trials at once: each as if those before it had been launched; fewer if no more are left."""
        return one_by_one(self, trial_ids)

    def carried(self, trial_id: int) -> Mapping[str, Any] | None:
        return self._proposed(trial_id).carried

    def _proposed(self, trial_id: int) -> _Proposal:
        if self._latest is None or self._latest[:2] != (trial_id, self._calls):
            self._latest = trial_id, self._calls, self._propose(trial_id)
        return self._latest[2]

    def _propose(self, trial_id: int) -> _Proposal:
        if not self._proposer.needs_model(trial_id) or not len(self._observations):
            return _Proposal(self._proposer.initial(trial_id), None)
        fit = self._model.fitted(self._known())
        score = worth(fit.predictor, self._acquisition(fit))
        leaders, ranking = self._model.leaders(CENTERS), self._ranking(fit.predictor, trial_id)
        config = self._proposer.best(score, leaders, trial_id, ranking)
        carried = fit.carried
        if carried is not None and self._max_t is not None:
            carried = {**carried, "finished": self._finished()}
        return _Proposal(config, carried)

    def _ranking(self, predictor: Predictor, trial_id: int) -> Score | None:
        if self.options.initial_scoring == "acq_func":
            return None
        return IndependentDraws(predictor, generator(self._random.random_seed, "thompson", trial_id))

    def _known(self) -> Mapping[str, Any] | None:
        """What an earlier fit handed on: as if from today's observations, if hyperparameters need not be learned."""
        carried = self._handed_on[1] if self._handed_on else None
        if carried is None or self._max_t is None or carried.get("finished") != self._finished():
            return carried
        count = len(self._model.data())
        return {**carried, "fitted": count} if count >= self.options.opt_skip_init_length else carried

    def _finished(self) -> int:
        """Trials with a result at ``max_t``."""
        return 0 if self._max_t is None else len(self._observations.at(float(self._max_t)))

    # -- what happens --------------------------------------------------------------------------------------------------

    def check_fits(self, problem: SearchProblem) -> None:
        check_same(problem, self._observations, self._random.config_space)

    def on_carried(self, trial_id: int, carried: Mapping[str, Any]) -> None:
        self._calls += 1
        if self._handed_on is None or trial_id >= self._handed_on[0]:
            self._handed_on = trial_id, carried

    def on_trial_add(self, trial_id: int, config: Config) -> None:
        self._calls += 1
        self._random.on_trial_add(trial_id, config)
        self._observations.on_trial_add(trial_id, config)

    def register_pending(self, trial_id: int, resource: int | None = None) -> None:
        self._calls += 1
        self._observations.register_pending(trial_id, resource)

    def on_result(self, trial_id: int, config: Config, result: Metrics, update: bool) -> None:
        self._calls += 1
        self._observations.on_result(trial_id, config, result, update)

    def remove_case(self, trial_id: int, resource: int) -> None:
        self._calls += 1
        self._observations.remove_case(trial_id, resource)

    def cleanup_pending(self, trial_id: int) -> None:
        self._calls += 1
        self._observations.cleanup_pending(trial_id)

    def on_trial_error(self, trial_id: int) -> None:
        self._calls += 1
        self._random.on_trial_error(trial_id)
        self._observations.cleanup_pending(trial_id)


def make(problem: SearchProblem, given: Mapping[str, Any]) -> Searcher:
    check_is_here(given)
    random_options, options = several_options_from((RandomOptions, BayesianOptimizationOptions), given)
    random = random_searcher(problem, random_options)
    max_t = None if problem.resource_attr is None else problem.max_t
    return BayesianOptimizationSearcher(random, Observations.of(problem), options, max_t=max_t)


def proposer(random: RandomSearcher, options: BayesianOptimizationOptions) -> Proposer:
    near = options.num_init_candidates // 3
    effort = SearchEffort(candidates=options.num_init_candidates - near, near=near)
    return Proposer(random, options.num_init_random, effort, local=not options.skip_local_optimization)


@dataclass(frozen=True)
class _AcquisitionOf:
    """The acquisition function that the options name; an object, so that searchers can be pickled."""

    options: BayesianOptimizationOptions

    def __call__(self, fit: Fit) -> Acquisition:
        if self.options.acq_function == "lcb":
            return LowerConfidenceBound(self.options.kappa)
        return LogExpectedImprovement(fit.incumbents)


def gaussian_process(
    cube: UnitCube, options: BayesianOptimizationOptions, ordinary_share: float = ORDINARY_SHARE
) -> GaussianProcessSurrogate:
    """The model that the options describe, over a unit cube. ``ordinary_share``: as at ``Standard.of``."""
    categorical = frozenset(name for name, domain in cube.domains.items() if isinstance(domain, Categorical))
    dimensions = Dimensions.of(
        cube.slices, categorical, ard=options.gp_base_kernel == "matern52-ard", warp=options.input_warping
    )
    return GaussianProcessSurrogate(
        dimensions,
        len(cube.domains),
        GaussianProcessOptions(
            boxcox_transform=options.boxcox_transform,
            boxcox_shift=options.shift,
            ordinary_share=ordinary_share,
            num_fantasy_samples=options.num_fantasy_samples,
            no_fantasizing=options.no_fantasizing,
            gp_hyperparameters=options.gp_hyperparameters,
            opt_nstarts=options.opt_nstarts,
            opt_maxiter=options.opt_maxiter,
            opt_warmstart=options.opt_warmstart,
            opt_verbose=options.opt_verbose,
            opt_skip_init_length=options.opt_skip_init_length,
            opt_skip_period=options.opt_skip_period,
            opt_max_size=options.opt_max_size,
            max_size_data_for_model=options.max_size_data_for_model,
            max_size_top_fraction=options.max_size_top_fraction,
        ),
    )
