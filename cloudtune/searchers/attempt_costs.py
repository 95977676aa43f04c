"""What trials have cost in all, though scripts report the cost of their present attempt only."""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass, field


@dataclass(slots=True)
class _Account:
    """Of one trial: resources it has reported, increasing, and what it had cost by each."""

    resources: list[float] = field(default_factory=list)
    totals: list[float] = field(default_factory=list)
    offset: float = 0.0
    """What the work cost that the present attempt builds on."""
    cost: float = 0.0
    """What the present attempt had cost when it said so last."""
    fresh: bool = True
    """Whether the next report is the first one of an attempt."""


class AttemptCosts:
    """Adds up the attempts of each trial: one before its first pause, one after each resume.

    An attempt builds on the work that it doesn't repeat. Its first report tells: if that is for resource r, what had
    been reported below r was in its checkpoint. So a trial that starts again from scratch costs as if it were new.
    Costs that fall are those of another attempt, or of another machine after an interruption, which nobody announces.
    A cost that is negative or no finite number counts as none.
    """

    def __init__(self) -> None:
        self._accounts: dict[int, _Account] = {}

    def total(self, trial_id: int) -> float:
        """Up to its last report; 0 if there is none."""
        account = self._accounts.get(trial_id)
        return account.totals[-1] if account is not None and account.totals else 0.0

    def report(self, trial_id: int, resource: float, cost: float) -> float:
        """What the trial has cost in all, by ``resource``, now that its present attempt has cost so much."""
        is_known = math.isfinite(cost) and cost >= 0
        account = self._accounts.setdefault(trial_id, _Account())
        place = bisect_left(account.resources, resource)
        if account.fresh or (is_known and cost < account.cost):
            account.fresh, account.cost = False, 0.0
            account.offset = account.totals[place - 1] if place else 0.0
        if is_known:
            account.cost = cost
        total = account.offset + (cost if is_known else 0.0)
        del account.resources[place:], account.totals[place:]
        account.resources.append(resource)
        account.totals.append(total)
        return total

    def relaunched(self, trial_id: int) -> None:
        """The trial's next report is the first of another attempt."""
        self._accounts.setdefault(trial_id, _Account()).fresh = True
