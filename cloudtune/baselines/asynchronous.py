"""Asynchronous successive halving and Hyperband with various searchers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from cloudtune.options import named_options
from cloudtune.schedulers.hyperband import HyperbandScheduler
from cloudtune.schedulers.hyperband_options import SearcherData
from cloudtune.schedulers.setup import NOT_HERE
from cloudtune.trial import Mode


@named_options(NOT_HERE)
class ASHA(HyperbandScheduler):
    """Asynchronous successive halving of random configurations (Li et al. 2020). Arguments: ``HyperbandScheduler``."""

    SEARCHER: ClassVar[str] = "random"

    def __init__(
        self,
        config_space: Mapping[str, Any],
        metric: str,
        resource_attr: str,
        *,
        mode: Mode = "min",
        max_t: int | None = None,
        max_resource_attr: str | None = None,
        type: str = "stopping",
        grace_period: int = 1,
        reduction_factor: float | None = None,
        rung_increment: int | None = None,
        rung_levels: Sequence[int] | None = None,
        brackets: int = 1,
        rung_system_per_bracket: bool = False,
        searcher_data: SearcherData = "rungs",
        cost_attr: str | None = None,
        rung_system_kwargs: Mapping[str, Any] | None = None,
        early_checkpoint_removal_kwargs: Mapping[str, Any] | None = None,
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
            max_t=max_t,
            max_resource_attr=max_resource_attr,
            type=type,
            grace_period=grace_period,
            reduction_factor=reduction_factor,
            rung_increment=rung_increment,
            rung_levels=rung_levels,
            brackets=brackets,
            rung_system_per_bracket=rung_system_per_bracket,
            searcher_data=searcher_data,
            cost_attr=cost_attr,
            rung_system_kwargs=rung_system_kwargs,
            early_checkpoint_removal_kwargs=early_checkpoint_removal_kwargs,
        )


@named_options(NOT_HERE)
class PASHA(HyperbandScheduler):
    """ASHA that allows more resource only as long as that changes who is best (Bohdal et al. 2023).

    ``rung_system_kwargs``: ``PashaOptions``. All other arguments: ``HyperbandScheduler``.
    """

    def __init__(
        self,
        config_space: Mapping[str, Any],
        metric: str,
        resource_attr: str,
        *,
        mode: Mode = "min",
        max_t: int | None = None,
        max_resource_attr: str | None = None,
        grace_period: int = 1,
        reduction_factor: float | None = None,
        rung_increment: int | None = None,
        rung_levels: Sequence[int] | None = None,
        brackets: int = 1,
        rung_system_per_bracket: bool = False,
        searcher_data: SearcherData = "rungs",
        rung_system_kwargs: Mapping[str, Any] | None = None,
        early_checkpoint_removal_kwargs: Mapping[str, Any] | None = None,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        random_seed: int | None = None,
        search_options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(
            config_space,
            metric,
            mode=mode,
            searcher="random",
            search_options=search_options,
            points_to_evaluate=points_to_evaluate,
            random_seed=random_seed,
            resource_attr=resource_attr,
            max_t=max_t,
            max_resource_attr=max_resource_attr,
            type="pasha",
            grace_period=grace_period,
            reduction_factor=reduction_factor,
            rung_increment=rung_increment,
            rung_levels=rung_levels,
            brackets=brackets,
            rung_system_per_bracket=rung_system_per_bracket,
            searcher_data=searcher_data,
            rung_system_kwargs=rung_system_kwargs,
            early_checkpoint_removal_kwargs=early_checkpoint_removal_kwargs,
        )


class BOHB(ASHA):
    """ASHA whose configurations come from density estimates at the highest rung with enough data (Falkner et al. 2018).

    As there, but asynchronous; ``SyncBOHB`` is the original. ``search_options``: ``kde_searcher.KDEOptions``.
    """

    SEARCHER = "kde"


class ASHABORE(ASHA):
    """ASHA whose configurations come from BORE. ``search_options``: ``bore_searcher.BOREOptions``."""

    SEARCHER = "bore"


class ASHACQR(ASHA):
    """ASHA whose configurations come from conformalized quantile regression (Salinas et al. 2023)."""

    SEARCHER = "cqr"
