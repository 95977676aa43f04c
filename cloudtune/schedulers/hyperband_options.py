"""The options of ``HyperbandScheduler``, checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from cloudtune.errors import OptionError
from cloudtune.options import nearest_name
from cloudtune.schedulers.max_resource import MaxResource, infer_max_resource
from cloudtune.schedulers.objective import checked_name
from cloudtune.schedulers.rung_levels import (
    bracket_probabilities,
    checked_reduction_factor,
    number_of_brackets,
    successive_halving_rung_levels,
)
from cloudtune.schedulers.rung_systems import PromotionRungSystem, RungSystem, StoppingRungSystem
from cloudtune.space import Domain

RUNG_SYSTEMS: Mapping[str, Callable[[Sequence[int], int], RungSystem]] = {
    "stopping": StoppingRungSystem,
    "promotion": PromotionRungSystem,
}
"""Rung system by the scheduler's ``type``; made from rung levels and ``max_t``."""

SearcherData = Literal["rungs", "all"]


@dataclass(frozen=True)
class HyperbandOptions:
    """As the user gave them; the meaning of each is documented at ``HyperbandScheduler``."""

    resource_attr: str
    max_t: int | None
    max_resource_attr: str | None
    type: str
    grace_period: int
    reduction_factor: float | None
    rung_increment: int | None
    rung_levels: Sequence[int] | None
    brackets: int
    rung_system_per_bracket: bool
    searcher_data: SearcherData

    def __post_init__(self) -> None:
        checked_name(self.resource_attr, "resource_attr")
        if self.type not in RUNG_SYSTEMS:
            raise OptionError(f"type {self.type!r} is not known", nearest_name(str(self.type), RUNG_SYSTEMS))
        if self.searcher_data not in ("rungs", "all"):
            hint = nearest_name(str(self.searcher_data), ("rungs", "all"))
            raise OptionError(f"searcher_data {self.searcher_data!r} is not known", hint)

    def plan(self, config_space: Mapping[str, Any]) -> RungPlan:
        """Which rungs there are in this space. Raises OptionError for what does not fit together."""
        limit = infer_max_resource(config_space, self.max_t, self.max_resource_attr)
        if limit is None:
            raise OptionError(
                "it is not known how long trials run at most",
                'add an entry such as "epochs": 81 to the space and give max_resource_attr="epochs", or give max_t',
            )
        if RUNG_SYSTEMS[self.type] is PromotionRungSystem:
            _check_not_tuned(config_space, self.max_resource_attr)
        levels = successive_halving_rung_levels(
            limit.max_t, self.grace_period, self.reduction_factor, self.rung_increment, self.rung_levels
        )
        count = number_of_brackets(self.brackets, levels)
        probabilities = bracket_probabilities(count, levels, limit.max_t, self._geometric_factor())
        return RungPlan(limit, levels, probabilities)

    def _geometric_factor(self) -> float | None:
        linear = self.reduction_factor is None and self.rung_increment is not None
        return None if self.rung_levels is not None or linear else checked_reduction_factor(self.reduction_factor)


@dataclass(frozen=True)
class RungPlan:
    """Rung levels below ``limit.max_t``; trials of bracket b skip the lowest b of them."""

    limit: MaxResource
    levels: tuple[int, ...]
    bracket_probabilities: tuple[float, ...]

    @property
    def num_brackets(self) -> int:
        return len(self.bracket_probabilities)

    def milestones(self, bracket: int) -> tuple[int, ...]:
        return self.levels[bracket:]

    def first_milestone(self, bracket: int) -> int:
        return self.levels[bracket] if bracket < len(self.levels) else self.limit.max_t

    def bracket_at(self, uniform: float) -> int:
        """The bracket for a number drawn uniformly from [0, 1)."""
        for bracket, probability in enumerate(self.bracket_probabilities):
            uniform -= probability
            if uniform < 0:
                return bracket
        return 0


def _check_not_tuned(config_space: Mapping[str, Any], max_resource_attr: str | None) -> None:
    if max_resource_attr is not None and isinstance(config_space[max_resource_attr], Domain):
        raise OptionError(
            f"max_resource_attr={max_resource_attr!r} is tuned in the configuration space, and this type sets it",
            "make it a constant: the most a trial may use",
        )
