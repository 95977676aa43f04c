"""The options of ``HyperbandScheduler``, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeAlias

from cloudtune.errors import OptionError
from cloudtune.options import check_flag, nearest_name
from cloudtune.schedulers.cost_promotion import CostPromotionOptions
from cloudtune.schedulers.halving_rules import PromotionOptions, StoppingOptions
from cloudtune.schedulers.max_resource import MaxResource, check_not_tuned, infer_max_resource
from cloudtune.schedulers.objective import checked_name
from cloudtune.schedulers.pasha import PashaOptions
from cloudtune.schedulers.rung_levels import (
    bracket_probabilities,
    checked_reduction_factor,
    number_of_brackets,
    successive_halving_rung_levels,
)
from cloudtune.schedulers.rush import RushPromotionOptions, RushStoppingOptions

RuleOptions: TypeAlias = (
    StoppingOptions
    | PromotionOptions
    | CostPromotionOptions
    | PashaOptions
    | RushStoppingOptions
    | RushPromotionOptions
)

RUNG_SYSTEMS: Mapping[str, type[RuleOptions]] = {
    "stopping": StoppingOptions,
    "promotion": PromotionOptions,
    "cost_promotion": CostPromotionOptions,
    "pasha": PashaOptions,
    "rush_stopping": RushStoppingOptions,
    "rush_promotion": RushPromotionOptions,
}
"""By the scheduler's ``type``: the dataclass of its ``rung_system_kwargs``, which makes its rule."""

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
        check_flag("rung_system_per_bracket", self.rung_system_per_bracket)

    def plan(self, config_space: Mapping[str, Any], pauses: bool) -> RungPlan:
        """Which rungs there are in this space, for a type that pauses or not.

        Raises OptionError for what does not fit together.
        """
        limit = infer_max_resource(config_space, self.max_t, self.max_resource_attr)
        if limit is None:
            raise OptionError(
                "it is not known how long trials run at most",
                'add an entry such as "epochs": 81 to the space and give max_resource_attr="epochs", or give max_t',
            )
        if pauses:
            check_not_tuned(config_space, self.max_resource_attr)
        levels = successive_halving_rung_levels(
            limit.max_t, self.grace_period, self.reduction_factor, self.rung_increment, self.rung_levels
        )
        count = number_of_brackets(self.brackets, levels)
        probabilities = bracket_probabilities(count, levels, limit.max_t, self._geometric_factor())
        return RungPlan(limit, levels, probabilities)

    def _geometric_factor(self) -> float | None:
        linear = self.reduction_factor is None and self.rung_increment is not None
        return None if self.rung_levels is not None or linear else checked_reduction_factor(self.reduction_factor)


def rule_options(type: str, rung_system_kwargs: object, cost_attr: str | None) -> RuleOptions:
    """``rung_system_kwargs`` as the options of this type; ``cost_attr`` belongs to them, too.

    Raises OptionError for an entry that this type doesn't have, naming the nearest one.
    """
    if rung_system_kwargs is not None and not isinstance(rung_system_kwargs, Mapping):
        raise OptionError(f"rung_system_kwargs is {rung_system_kwargs!r}", "give a dict of options of this type")
    kind = RUNG_SYSTEMS[type]
    known = [field.name for field in fields(kind)]
    if cost_attr is not None and "cost_attr" not in known:
        raise OptionError(
            f"cost_attr={cost_attr!r} has no effect for type={type!r}",
            'use type="cost_promotion"; a searcher that models cost has it among its search_options',
        )
    given = dict(rung_system_kwargs or {})
    for name in given:
        if name not in known:
            hint = nearest_name(str(name), known) if known else "this type has no such options"
            raise OptionError(f"rung_system_kwargs: {name!r} is not known for type={type!r}", hint)
    if cost_attr is not None and given.get("cost_attr", cost_attr) != cost_attr:
        raise OptionError(
            f"cost_attr={cost_attr!r}, and rung_system_kwargs has cost_attr={given['cost_attr']!r}", "give one of them"
        )
    return kind(**(given if cost_attr is None else {**given, "cost_attr": cost_attr}))


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
