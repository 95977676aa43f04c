"""Synchronous Hyperband with various searchers, and with differential evolution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from cloudtune.options import named_options
from cloudtune.schedulers.dehb import GeometricDifferentialEvolutionHyperbandScheduler
from cloudtune.schedulers.hyperband_options import SearcherData
from cloudtune.schedulers.sync_hyperband import SynchronousGeometricHyperbandScheduler
from cloudtune.trial import Mode


@named_options()
class SyncHyperband(SynchronousGeometricHyperbandScheduler):
    """Hyperband of random configurations (Li et al. 2018); successive halving with ``brackets=1``.

    Arguments: ``SynchronousGeometricHyperbandScheduler``.
    """

    SEARCHER: ClassVar[str] = "random"

    def __init__(
        self,
        config_space: Mapping[str, Any],
        metric: str,
        resource_attr: str,
        *,
        mode: Mode = "min",
        max_resource_attr: str | None = None,
        max_resource_level: int | None = None,
        grace_period: int = 1,
        reduction_factor: float | None = None,
        brackets: int | None = None,
        searcher_data: SearcherData = "rungs",
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        random_seed: int | None = None,
        search_options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(
            config_space,
            metric,
            mode=mode,
            searcher=self.SEARCHER,
            search_options=search_options,
            points_to_evaluate=points_to_evaluate,
            random_seed=random_seed,
            resource_attr=resource_attr,
            max_resource_attr=max_resource_attr,
            max_resource_level=max_resource_level,
            grace_period=grace_period,
            reduction_factor=reduction_factor,
            brackets=brackets,
            searcher_data=searcher_data,
        )


class SyncBOHB(SyncHyperband):
    """Hyperband whose configurations come from density estimates (Falkner et al. 2018): BOHB as published."""

    SEARCHER = "kde"


@named_options()
class DEHB(GeometricDifferentialEvolutionHyperbandScheduler):
    """Hyperband whose configurations evolve (Awad et al. 2021).

    Arguments: ``GeometricDifferentialEvolutionHyperbandScheduler``.
    """

    def __init__(
        self,
        config_space: Mapping[str, Any],
        metric: str,
        resource_attr: str,
        *,
        mode: Mode = "min",
        max_resource_attr: str | None = None,
        max_resource_level: int | None = None,
        grace_period: int = 1,
        reduction_factor: float | None = None,
        brackets: int | None = None,
        mutation_factor: float = 0.5,
        crossover_probability: float = 0.5,
        support_pause_resume: bool = True,
        searcher_data: SearcherData = "rungs",
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        random_seed: int | None = None,
        search_options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(
            config_space,
            metric,
            mode=mode,
            search_options=search_options,
            points_to_evaluate=points_to_evaluate,
            random_seed=random_seed,
            resource_attr=resource_attr,
            max_resource_attr=max_resource_attr,
            max_resource_level=max_resource_level,
            grace_period=grace_period,
            reduction_factor=reduction_factor,
            brackets=brackets,
            mutation_factor=mutation_factor,
            crossover_probability=crossover_probability,
            support_pause_resume=support_pause_resume,
            searcher_data=searcher_data,
        )
