"""Methods under the names by which they are known: a scheduler with its searcher, and defaults that fit.

Each takes the main arguments of the scheduler it is; for all others use that scheduler itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cloudtune.options import named_options
from cloudtune.schedulers.fifo import FIFOScheduler
from cloudtune.schedulers.hyperband import HyperbandScheduler
from cloudtune.schedulers.hyperband_options import SearcherData
from cloudtune.trial import Mode

__all__ = ["RandomSearch", "ASHA"]


@named_options()
class RandomSearch(FIFOScheduler):
    """Configurations drawn at random without replacement, each trial run to its end. Arguments: ``FIFOScheduler``."""

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
            searcher="random",
            search_options=search_options,
            points_to_evaluate=points_to_evaluate,
            random_seed=random_seed,
            max_resource_attr=max_resource_attr,
            max_t=max_t,
        )


@named_options()
class ASHA(HyperbandScheduler):
    """Asynchronous successive halving of random configurations (Li et al. 2020). Arguments: ``HyperbandScheduler``."""

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
            type=type,
            grace_period=grace_period,
            reduction_factor=reduction_factor,
            rung_increment=rung_increment,
            rung_levels=rung_levels,
            brackets=brackets,
            rung_system_per_bracket=rung_system_per_bracket,
            searcher_data=searcher_data,
            early_checkpoint_removal_kwargs=early_checkpoint_removal_kwargs,
        )
