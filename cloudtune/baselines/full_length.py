"""Searchers whose trials all run to their end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from cloudtune.errors import OptionError
from cloudtune.options import named_options
from cloudtune.schedulers.fifo import FIFOScheduler
from cloudtune.schedulers.setup import NOT_HERE
from cloudtune.trial import Mode


def _with(own: Mapping[str, Any], search_options: object) -> Mapping[str, Any]:
    """``search_options`` with those that are arguments here. Raises ``OptionError`` for one that is given twice."""
    given = {} if search_options is None else search_options
    if not isinstance(given, Mapping):
        raise OptionError(f"search_options is {search_options!r}", 'give a dict, {"debug_log": False} for example')
    for name, value in own.items():
        if name in given:
            raise OptionError(
                f"search_options has {name}={given[name]!r}, beside {name}={value!r}", f"give {name} as an argument"
            )
    return {**given, **own}


@named_options(NOT_HERE)
class _FullLength(FIFOScheduler):
    """``FIFOScheduler`` with the searcher ``SEARCHER``. Arguments: as there."""

    SEARCHER: ClassVar[str]

    def __init__(
        self,
        config_space: Mapping[str, Any],
        metric: str | Sequence[str],
        *,
        mode: Mode | Sequence[Mode] = "min",
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        random_seed: int | None = None,
        search_options: Mapping[str, Any] | None = None,
        max_resource_attr: str | None = None,
        max_t: int | None = None,
    ) -> None:
        super().__init__(
            config_space,
            metric,
            mode=mode,
            searcher=self.SEARCHER,
            search_options=search_options,
            points_to_evaluate=points_to_evaluate,
            random_seed=random_seed,
            max_resource_attr=max_resource_attr,
            max_t=max_t,
        )


class RandomSearch(_FullLength):
    """Configurations drawn at random without replacement. ``search_options``: ``RandomSearcher``."""

    SEARCHER = "random"


class GridSearch(_FullLength):
    """Every point of a grid, once. ``search_options``: ``grid_searcher.GridOptions``."""

    SEARCHER = "grid"


class BayesianOptimization(_FullLength):
    """Gaussian-process Bayesian optimization. ``search_options``: ``BayesianOptimizationOptions``."""

    SEARCHER = "bayesopt"


class KDE(_FullLength):
    """Density estimation of good and bad configurations (TPE). ``search_options``: ``kde_searcher.KDEOptions``."""

    SEARCHER = "kde"


class BORE(_FullLength):
    """Bayesian optimization by classifying good from bad (Tiao et al. 2021).

    ``search_options``: ``bore_searcher.BOREOptions``.
    """

    SEARCHER = "bore"


class CQR(_FullLength):
    """Conformalized quantile regression (Salinas et al. 2023). ``search_options``: ``cqr_searcher.CQROptions``."""

    SEARCHER = "cqr"


@named_options(NOT_HERE)
class REA(_FullLength):
    """Regularized evolution (Real et al. 2019), with a population of the youngest ``population_size`` trials.

    ``sample_size``: of so many drawn from it the best becomes the parent.
    """

    SEARCHER = "rea"

    def __init__(
        self,
        config_space: Mapping[str, Any],
        metric: str,
        *,
        population_size: int = 100,
        sample_size: int = 10,
        mode: Mode = "min",
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        random_seed: int | None = None,
        search_options: Mapping[str, Any] | None = None,
        max_resource_attr: str | None = None,
        max_t: int | None = None,
    ) -> None:
        own = {"population_size": population_size, "sample_size": sample_size}
        super().__init__(
            config_space,
            metric,
            mode=mode,
            points_to_evaluate=points_to_evaluate,
            random_seed=random_seed,
            search_options=_with(own, search_options),
            max_resource_attr=max_resource_attr,
            max_t=max_t,
        )


@named_options(NOT_HERE)
class ConstrainedBayesianOptimization(_FullLength):
    """Minimizes the metric among configurations whose ``constraint_attr`` is at most 0 (Gardner et al. 2014).

    Both are reported by the script. ``search_options``: ``BayesianOptimizationOptions``.
    """

    SEARCHER = "bayesopt_constrained"

    def __init__(
        self,
        config_space: Mapping[str, Any],
        metric: str,
        constraint_attr: str,
        *,
        mode: Mode = "min",
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        random_seed: int | None = None,
        search_options: Mapping[str, Any] | None = None,
        max_resource_attr: str | None = None,
        max_t: int | None = None,
    ) -> None:
        super().__init__(
            config_space,
            metric,
            mode=mode,
            points_to_evaluate=points_to_evaluate,
            random_seed=random_seed,
            search_options=_with({"constraint_attr": constraint_attr}, search_options),
            max_resource_attr=max_resource_attr,
            max_t=max_t,
        )
