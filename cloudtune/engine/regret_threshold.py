"""Ending an experiment when its best trial can hardly be far from the optimum."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cloudtune.engine.status import MetricsStatistics, TrialView, TuningStatus
from cloudtune.engine.stopping import Criterion
from cloudtune.errors import OptionError
from cloudtune.options import check_count, named_options
from cloudtune.schedulers.objective import Objective, as_number
from cloudtune.searchers.acquisition_search import AcquisitionSearch, SearchEffort
from cloudtune.searchers.bayesopt import gaussian_process
from cloudtune.searchers.bayesopt_options import BayesianOptimizationOptions
from cloudtune.searchers.lattice import Array, Lattice
from cloudtune.searchers.proposing import CENTERS
from cloudtune.searchers.seeding import generator
from cloudtune.space import UnitCube
from cloudtune.surrogates.acquisition import LowerConfidenceBound, worth
from cloudtune.trial import Config, Mode, Status

DELTA = 0.1
EFFORT = SearchEffort(candidates=1500, near=500, starts=8)


@named_options()
@dataclass(frozen=True)
class RegretThreshold(Criterion):
    """Stop when the best trial is, with high probability, less than ``threshold`` worse than the optimum.

    A Gaussian process is fitted to the last results of the trials that ran to their end. The bound on the regret is the
    least upper confidence bound at these trials minus the least lower confidence bound in the whole space. Makarova et
    al. 2022, "Automatic termination for hyperparameter optimization", section 3, with β_t = ``beta_scale`` ·
    2 log(d t² π² / (6 · 0.1)) for t trials and d hyperparameters: bounds are sqrt(β_t) deviations from the mean.

    :param config_space: of the experiment.
    :param metric: what reports call the objective, with its ``mode``.
    :param threshold: in units of the metric; or None with ``std_attr``.
    :param std_attr: a metric, the standard deviation of the objective over the folds of a cross-validation. The
        threshold is then the best trial's, times sqrt(1/k + 1/(k - 1)) for k = ``num_folds`` (their section 4, after
        Nadeau and Bengio 2003): what lies below can't be told apart from noise.
    :param min_evaluations: trials that must have ended with a result before the model is believed.
    :param beta_scale: theirs, 0.2, ends experiments early, but on rugged objectives the regret is often larger than its
        bound; 1 is that of the theorem (Srinivas et al. 2010, theorem 1), whose bound nearly always holds.
    :param max_evaluations: of more results, the best quarter and others at random are used.

    Values that are no finite number count as the worst that is one. Computed when there are new results only; the
    same results give the same bound, in a resumed experiment, too. Raises ``OptionError``.
    """

    config_space: Mapping[str, Any]
    metric: str
    mode: Mode = "min"
    threshold: float | None = None
    std_attr: str | None = None
    num_folds: int = 10
    min_evaluations: int = 20
    beta_scale: float = 0.2
    max_evaluations: int = 500
    _latest: _Latest = field(default_factory=lambda: _Latest(), init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        Objective(self.metric, self.mode)
        if not UnitCube(self.config_space).dimension:
            raise OptionError("config_space has nothing to tune", "give the space of the experiment")
        if (self.threshold is None) == (self.std_attr is None):
            raise OptionError(
                f"threshold={self.threshold!r} and std_attr={self.std_attr!r}",
                "give one of them: a regret in units of the metric, or the metric that says how uncertain it is",
            )
        if self.threshold is not None:
            _check_positive("threshold", self.threshold, "give it in units of the metric")
        _check_positive("beta_scale", self.beta_scale, "give 0.2 or 1")
        if self.std_attr is not None and (not isinstance(self.std_attr, str) or not self.std_attr):
            raise OptionError(f"std_attr={self.std_attr!r} is no name", "give the name under which it is reported")
        check_count("num_folds", self.num_folds, 2)
        check_count("min_evaluations", self.min_evaluations, 1)
        check_count("max_evaluations", self.max_evaluations, 4)

    def reason(self, status: TuningStatus) -> str | None:
        """That the bound is low enough, with both numbers; None if it isn't."""
        ended = status.num_trials_completed
        if ended < self.min_evaluations:
            return None
        latest, statistics = self._latest, status.overall_metric_statistics
        if latest.ended != ended or latest.statistics is not statistics:
            latest.ended, latest.statistics, latest.reason = ended, statistics, self._judge(status)
        return latest.reason

    def _judge(self, status: TuningStatus) -> str | None:
        results = _results(status.trials(), self)
        if len(results.keys) < self.min_evaluations:
            return None
        allowed = self.threshold if self.threshold is not None else self._noise(results)
        if allowed is None:
            return None
        bound = regret_bound(self.config_space, results.configs, results.keys, self.beta_scale, self.max_evaluations)
        if bound > allowed:
            return None
        return (
            f"the best {self.metric} of {len(results.keys)} trials is at most {bound:.3g} from the optimum, in all "
            f"likelihood: not above {allowed:.3g}"
        )

    def _noise(self, results: _Results) -> float | None:
        """What can't be told apart from no regret; None if the best trial doesn't say."""
        spread = results.spreads[int(np.argmin(results.keys))]
        k = self.num_folds
        return math.sqrt(1 / k + 1 / (k - 1)) * spread if math.isfinite(spread) else None


def _check_positive(name: str, value: object, hint: str) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise OptionError(f"{name}={value!r} is no number above 0", hint)


class _Latest:
    """What was computed last; anew after a journey."""

    def __init__(self) -> None:
        self.ended = -1
        self.statistics: MetricsStatistics | None = None
        """The same object as long as it is the same experiment."""
        self.reason: str | None = None

    def __reduce__(self) -> tuple[type[_Latest], tuple[()]]:
        return _Latest, ()


@dataclass(frozen=True)
class _Results:
    """``keys``: ``(n,)``, objectives to be minimized, all finite. ``spreads``: their standard deviations."""

    configs: Sequence[Config]
    keys: Array
    spreads: Sequence[float]


def _results(views: Sequence[TrialView], criterion: RegretThreshold) -> _Results:
    configs, values, spreads = [], [], []
    for view in views:
        result = view.last_result
        if view.status is Status.completed and result is not None and criterion.metric in result:
            configs.append(view.config)
            values.append(as_number(result[criterion.metric]))
            spreads.append(as_number(result.get(criterion.std_attr)) if criterion.std_attr else math.nan)
    keys = np.array(values, dtype=np.float64) * (1.0 if criterion.mode == "min" else -1.0)
    finite = np.isfinite(keys)
    if not finite.any():
        return _Results([], np.empty(0), [])
    return _Results(configs, np.where(finite, keys, keys[finite].max()), spreads)


def regret_bound(
    config_space: Mapping[str, Any],
    configs: Sequence[Config],
    targets: Array,
    beta_scale: float = 0.2,
    max_evaluations: int = 500,
) -> float:
    """How much worse than the optimum the best of ``targets`` ``(n,)``, to be minimized, is at most, in all likelihood.

    ``RegretThreshold`` says how that is computed.
    """
    cube = UnitCube(config_space)
    options = BayesianOptimizationOptions(max_size_data_for_model=max_evaluations)
    points, count = cube.encode(configs), len(targets)
    random_state = generator(0, "regret", count)
    fit = gaussian_process(cube, options).fit(points, targets, np.empty((0, cube.dimension)), None, random_state)
    kappa = math.sqrt(beta_scale * 2.0 * math.log(len(cube.domains) * count**2 * math.pi**2 / (6.0 * DELTA)))
    mean, std = fit.predictor.predict(points).moments
    score = worth(fit.predictor, LowerConfidenceBound(kappa))
    centers = points[np.argsort(mean - kappa * std, kind="stable")[:CENTERS]]
    lowest = AcquisitionSearch(Lattice(cube), EFFORT).best(score, centers, random_state)[:1]
    least = min(float(-score.values(lowest)[0]), float((mean - kappa * std).min()))
    upper, lower = fit.backward(np.array([float((mean + kappa * std).min()), least]))
    return float(upper - lower)
