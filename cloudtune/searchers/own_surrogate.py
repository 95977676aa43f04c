"""Bayesian optimization by hand: with a model of your own, or with ours and without a scheduler's options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cloudtune.options import check_count, check_flag, named_arguments, named_options
from cloudtune.searchers.bayesopt import AcquisitionOf, BayesianOptimizationSearcher
from cloudtune.searchers.bayesopt_options import BayesianOptimizationOptions
from cloudtune.searchers.observations import Observations
from cloudtune.searchers.random_searcher import RandomSearcher
from cloudtune.surrogates.estimators import (
    EstimatorSurrogate,
    Regressor,
    RegressorEstimator,
    SKLearnEstimator,
    SKLearnPredictor,
    estimator_of,
)
from cloudtune.trial import Mode

__all__ = [
    "RegressorEstimator",
    "SKLearnEstimator",
    "SKLearnPredictor",
    "SKLearnSurrogateSearcher",
    "bayesian_optimization",
]


@named_options(
    {
        "scoring_class": "give acquisition=…: a function of the fit that returns an Acquisition",
        "clone_from_state": "searchers are pickled as they are",
    }
)
class SKLearnSurrogateSearcher(BayesianOptimizationSearcher):
    """Bayesian optimization with a model of your own.

    :param config_space: of the experiment.
    :param metric: what reports call the objective, with its ``mode``. Whatever it is, the model minimizes.
    :param estimator: a ``SKLearnEstimator``, or a regressor of scikit-learn (see ``RegressorEstimator``).
    :param acquisition: a function of the fit (``cloudtune.surrogates.prediction.Fit``) that returns the
        ``Acquisition`` which is maximized; None for expected improvement.
    :param num_initial_candidates: configurations that are scored for every proposal; there is no local optimization.
    :param num_initial_random_choices: trials before the first that the model proposes, points_to_evaluate included.
    :param points_to_evaluate: configurations tried first, partial ones completed (None: one of middles; ``[]``: none).
    :param random_seed: an integer of at least 0; None: one is drawn now. Give the scheduler's to have one in all.
    :param normalize_targets: the model's targets have mean 0 and standard deviation 1.
    :param ignore_pending: the model isn't told of trials at work. Otherwise they count with what it expects of them.

    Under a multi-fidelity scheduler give its ``resource_attr``. Raises OptionError and ConfigSpaceError.
    """

    def __init__(
        self,
        config_space: Mapping[str, Any],
        metric: str,
        estimator: SKLearnEstimator | Regressor,
        *,
        mode: Mode = "min",
        acquisition: AcquisitionOf | None = None,
        num_initial_candidates: int = 250,
        num_initial_random_choices: int = 3,
        allow_duplicates: bool = False,
        restrict_configurations: Sequence[Mapping[str, Any]] | None = None,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        random_seed: int | None = None,
        resource_attr: str | None = None,
        normalize_targets: bool = True,
        ignore_pending: bool = False,
    ) -> None:
        check_count("num_initial_candidates", num_initial_candidates, 1)
        check_count("num_initial_random_choices", num_initial_random_choices, 1)
        for name, value in (
            ("allow_duplicates", allow_duplicates),
            ("normalize_targets", normalize_targets),
            ("ignore_pending", ignore_pending),
        ):
            check_flag(name, value)
        random = RandomSearcher(
            config_space,
            points_to_evaluate=points_to_evaluate,
            random_seed=random_seed,
            allow_duplicates=allow_duplicates,
            restrict_configurations=restrict_configurations,
        )
        super().__init__(
            random,
            Observations(metric, mode, resource_attr),
            BayesianOptimizationOptions(
                num_init_random=num_initial_random_choices,
                num_init_candidates=num_initial_candidates,
                skip_local_optimization=True,
            ),
            surrogate=EstimatorSurrogate(estimator_of(estimator), normalize_targets, ignore_pending),
            acquisition=acquisition,
        )


@named_arguments
def bayesian_optimization(
    config_space: Mapping[str, Any],
    metric: str,
    *,
    mode: Mode = "min",
    options: BayesianOptimizationOptions | None = None,
    points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
    random_seed: int | None = None,
    allow_duplicates: bool = False,
    restrict_configurations: Sequence[Mapping[str, Any]] | None = None,
    resource_attr: str | None = None,
) -> BayesianOptimizationSearcher:
    """What ``searcher="bayesopt"`` is, as an object: to be asked and told without a scheduler, or given to one."""
    random = RandomSearcher(
        config_space,
        points_to_evaluate=points_to_evaluate,
        random_seed=random_seed,
        allow_duplicates=allow_duplicates,
        restrict_configurations=restrict_configurations,
    )
    return BayesianOptimizationSearcher(random, Observations(metric, mode, resource_attr), options)
