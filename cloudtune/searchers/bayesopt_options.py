"""``search_options`` of Bayesian optimization."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from cloudtune.errors import OptionError
from cloudtune.options import check_count, check_flag, nearest_name

KERNELS = ("matern52-ard", "matern52-noard")
ACQUISITIONS = ("ei", "lcb")
HYPERPARAMETERS = ("map", "mcmc")
SCORINGS = ("acq_func", "thompson_indep")


@dataclass(frozen=True)
class BayesianOptimizationOptions:
    """``search_options`` of ``searcher="bayesopt"``, besides those of random search. Raises OptionError for nonsense.

    - ``num_init_random``: so many trials before the first that a model proposes, ``points_to_evaluate`` included.
    - ``num_init_candidates``: configurations that are scored for every proposal; the best of them are improved by
      local optimization, unless ``skip_local_optimization``.
    - ``num_fantasy_samples``: outcomes drawn for trials at work, over which the acquisition function is averaged;
      with ``no_fantasizing`` these trials are ignored.
    - ``input_warping``: learn a monotone warping of every dimension that is not categorical.
    - ``boxcox_transform``: learn a power transform of the targets; without effect while any is not positive.
    - ``gp_base_kernel``: Matérn 5/2 with a length scale per hyperparameter, or with one for all.
    - ``gp_hyperparameters``: the most likely ones, or averaged over samples of their posterior, which takes longer.
    - ``acq_function``: expected improvement, or ``"lcb"``, mean minus ``kappa`` standard deviations, with
      ``acq_function_kwargs={"kappa": 1.0}``.
    - ``initial_scoring``: by what the best candidates are chosen: by the acquisition function, or by a value drawn at
      each of them from the model, independently (``"thompson_indep"``).
    - ``opt_nstarts``, ``opt_maxiter``: searches for the most likely hyperparameters, and their iterations at most. With
      ``opt_warmstart`` there is one, from the better of the latest result and the usual start; with many observations
      one, from the best of so many starts. ``opt_verbose``: log what was learned.
    - ``opt_skip_init_length``, ``opt_skip_period``: with so many observations or more, hyperparameters are learned
      again after ``opt_skip_period`` new ones only; None stands for a twentieth of those that they were learned from.
      With ``opt_skip_num_max_resource`` there must also be a new one of a trial that reached the scheduler's ``max_t``.
    - ``opt_max_size``: hyperparameters are learned from so many observations at most.
    - ``map_reward``: of a metric x to be maximized, the model gets a - x: ``"1_minus_x"``, ``"minus_x"``, or
      ``"<a>_minus_x"`` with a number; None for ``"minus_x"``. Targets are standardized, so that this changes only where
      ``boxcox_transform`` works: where all x are below a.
    - ``max_size_data_for_model``: the model has so many observations at most, of which ``max_size_top_fraction`` are
      the best and the others drawn at random; None for all.
    """

    num_init_random: int = 4
    num_init_candidates: int = 600
    num_fantasy_samples: int = 20
    no_fantasizing: bool = False
    input_warping: bool = False
    boxcox_transform: bool = False
    gp_base_kernel: Literal["matern52-ard", "matern52-noard"] = "matern52-ard"
    gp_hyperparameters: Literal["map", "mcmc"] = "map"
    acq_function: Literal["ei", "lcb"] = "ei"
    acq_function_kwargs: Mapping[str, Any] = field(default_factory=dict)
    initial_scoring: Literal["acq_func", "thompson_indep"] = "acq_func"
    skip_local_optimization: bool = False
    opt_nstarts: int = 2
    opt_maxiter: int = 50
    opt_warmstart: bool = True
    opt_verbose: bool = False
    opt_skip_init_length: int = 100
    opt_skip_period: int | None = None
    opt_skip_num_max_resource: bool = False
    opt_max_size: int | None = 200
    max_size_data_for_model: int | None = 1000
    max_size_top_fraction: float = 0.25
    map_reward: str | None = None

    def __post_init__(self) -> None:
        for name in _FLAGS:
            check_flag(name, getattr(self, name))
        for name, least in _COUNTS.items():
            if not (name in _OPTIONAL and getattr(self, name) is None):
                check_count(name, getattr(self, name), least)
        for name, known in _NAMES.items():
            value = getattr(self, name)
            if value not in known:
                raise OptionError(f"search_options: {name} is {value!r}", nearest_name(str(value), known))
        fraction = self.max_size_top_fraction
        if isinstance(fraction, bool) or not isinstance(fraction, (int, float)) or not 0 <= fraction <= 1:
            raise OptionError(f"search_options: max_size_top_fraction is {fraction!r}", "give a number from 0 to 1")
        _check_acquisition(self.acq_function, self.acq_function_kwargs)
        if self.map_reward is not None and reward_shift(self.map_reward) is None:
            raise OptionError(
                f"search_options: map_reward is {self.map_reward!r}",
                "give '1_minus_x', 'minus_x', or '<a>_minus_x' with a number for <a>, '100_minus_x' for example",
            )

    @property
    def kappa(self) -> float:
        return float(self.acq_function_kwargs.get("kappa", 1.0))

    @property
    def shift(self) -> float:
        """What is added to the targets, minus the metric, before they are transformed."""
        return (reward_shift(self.map_reward) if self.map_reward is not None else None) or 0.0


_FLAGS = (
    "no_fantasizing",
    "input_warping",
    "boxcox_transform",
    "skip_local_optimization",
    "opt_warmstart",
    "opt_verbose",
    "opt_skip_num_max_resource",
)
_COUNTS = {
    "num_init_random": 1,
    "num_init_candidates": 1,
    "num_fantasy_samples": 1,
    "opt_nstarts": 1,
    "opt_maxiter": 1,
    "opt_skip_init_length": 0,
    "opt_skip_period": 1,
    "opt_max_size": 2,
    "max_size_data_for_model": 2,
}
_OPTIONAL = ("opt_skip_period", "opt_max_size", "max_size_data_for_model")
_NAMES = {
    "gp_base_kernel": KERNELS,
    "gp_hyperparameters": HYPERPARAMETERS,
    "acq_function": ACQUISITIONS,
    "initial_scoring": SCORINGS,
}


def reward_shift(map_reward: object) -> float | None:
    """The number a of ``"<a>_minus_x"``, 0 of ``"minus_x"``; None for anything else."""
    if map_reward == "minus_x":
        return 0.0
    if not isinstance(map_reward, str) or not map_reward.endswith("_minus_x"):
        return None
    try:
        shift = float(map_reward.removesuffix("_minus_x"))
    except ValueError:
        return None
    return shift if math.isfinite(shift) else None


def check_is_here(given: Mapping[str, Any]) -> None:
    """Raises ``OptionError`` for options of models that aren't there: of other tasks, and of several rungs at once."""
    for name in given:
        if str(name).startswith("transfer_learning_"):
            raise OptionError(
                f"search_options has {name!r}",
                "models that learn from earlier tasks are not there; "
                "give the best configurations of these as points_to_evaluate",
            )
        if name in _OF_SEVERAL_RUNGS:
            raise OptionError(
                f"search_options has {name!r}",
                "models of several rungs are not there: leave it out, and the model learns at one of them",
            )


_OF_SEVERAL_RUNGS = (
    *("model", "gp_resource_kernel", "resource_acq", "separate_noise_variances"),
    *("issm_gamma_one", "expdecay_normalize_inputs"),
)


def _check_acquisition(name: str, arguments: Mapping[str, Any]) -> None:
    known = ("kappa",) if name == "lcb" else ()
    if not isinstance(arguments, Mapping):
        raise OptionError(f"search_options: acq_function_kwargs is {arguments!r}", 'give a dict, {"kappa": 0.5}')
    for argument, value in arguments.items():
        if argument not in known:
            hint = nearest_name(str(argument), known) if known else f"{name!r} takes none"
            raise OptionError(f"search_options: acq_function_kwargs has {argument!r}", hint)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
            raise OptionError(f"search_options: {argument} is {value!r}", "give a number above 0")
