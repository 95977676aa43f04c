"""Successive halving of what trials cost, instead of their number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from heapq import heappop, heappush
from itertools import pairwise
from typing import ClassVar

from cloudtune.errors import OptionError
from cloudtune.schedulers.halving_rules import comes_to
from cloudtune.schedulers.objective import as_number, checked_name, missing
from cloudtune.schedulers.rung_systems import Promotion, RungSetting, Verdict
from cloudtune.schedulers.rungs import WORST, Rung
from cloudtune.searchers.attempt_costs import AttemptCosts
from cloudtune.trial import Metrics


@dataclass(frozen=True)
class CostPromotionOptions:
    """``cost_attr``: what reports call the cost of their attempt so far, in any unit (seconds, dollars)."""

    pauses: ClassVar[bool] = True

    cost_attr: str | None = None

    def __post_init__(self) -> None:
        if self.cost_attr is None:
            raise OptionError(
                'type="cost_promotion" has no cost_attr',
                'give cost_attr="elapsed_time", say: the metric by which scripts report their cost so far',
            )
        checked_name(self.cost_attr, "cost_attr")

    def check(self, setting: RungSetting) -> None:
        """Suits everything."""

    def rule(self, levels: Sequence[int], max_t: int) -> CostPromotionRule:
        assert self.cost_attr is not None
        return CostPromotionRule(levels, max_t, self.cost_attr)


class CostPromotionRule:
    """Every trial pauses at every rung; the best ones go on, as many as have cost a fraction of what all have cost.

    Of the N trials that came to a rung, best first, let C(k) be what the first k have cost until there. With q the
    fraction of the rung (its level by the next one), the first K may go on, where K is the largest k with
    C(k) <= q · C(N). With fewer than two trials none may. If all cost the same this is successive halving without
    interpolation.
    """

    def __init__(self, levels: Sequence[int], max_t: int, cost_attr: str) -> None:
        self._costs = TotalCosts(cost_attr)
        self._shares = {level: CostShare(level, following) for level, following in pairwise([*levels, max_t])}

    @property
    def listener(self) -> TotalCosts:
        return self._costs

    def arrived(self, rung: Rung, trial_id: int, key: float) -> Verdict:
        self._shares[rung.level].add(key, trial_id, self._costs.total(trial_id))
        return comes_to(rung)

    def promotable(self, rung: Rung) -> Promotion | None:
        best = rung.best_waiting()
        if best is None:
            return None
        trial_id, key = best
        if key >= WORST or not self._shares[rung.level].has(key, trial_id):
            return None
        return Promotion(trial_id, rung.level, key, "among the best by their share of the cost", None, len(rung))


class CostShare:
    """The best trials of a rung that together have cost at most ``numerator / denominator`` of what all have cost.

    Sums are exact, so that they depend neither on rounding nor on the order of arrival.
    """

    def __init__(self, numerator: int, denominator: int) -> None:
        self._numerator, self._denominator = numerator, denominator
        self._inside: list[tuple[float, int, Fraction]] = []
        """A heap with the worst on top: keys and trials are negated."""
        self._outside: list[tuple[float, int, Fraction]] = []
        """A heap with the best on top."""
        self._cost_inside = Fraction(0)
        self._cost = Fraction(0)

    def add(self, key: float, trial_id: int, cost: float) -> None:
        exact = Fraction(cost)
        self._cost += exact
        if self._precedes_worst_inside(key, trial_id):
            self._put_inside(key, trial_id, exact)
        else:
            heappush(self._outside, (key, trial_id, exact))
        while self._inside and not self._affordable(self._cost_inside):
            worst, number, its_cost = heappop(self._inside)
            self._cost_inside -= its_cost
            heappush(self._outside, (-worst, -number, its_cost))
        while self._outside and self._affordable(self._cost_inside + self._outside[0][2]):
            self._put_inside(*heappop(self._outside))

    def has(self, key: float, trial_id: int) -> bool:
        """Whether the trial is among the best; of equal keys the first trial is the better one."""
        return len(self._inside) + len(self._outside) > 1 and self._precedes_worst_inside(key, trial_id)

    def _precedes_worst_inside(self, key: float, trial_id: int) -> bool:
        """Whether it comes before the worst one inside, or is it."""
        if not self._inside:
            return False
        worst, number, _ = self._inside[0]
        return (key, trial_id) <= (-worst, -number)

    def _put_inside(self, key: float, trial_id: int, cost: Fraction) -> None:
        self._cost_inside += cost
        heappush(self._inside, (-key, -trial_id, cost))

    def _affordable(self, cost: Fraction) -> bool:
        return cost * self._denominator <= self._cost * self._numerator


class TotalCosts:
    """What trials have cost in all, by what they report: see ``AttemptCosts``."""

    def __init__(self, cost_attr: str) -> None:
        self._cost_attr = cost_attr
        self._costs = AttemptCosts()

    def total(self, trial_id: int) -> float:
        """Up to its last report; 0 if there is none."""
        return self._costs.total(trial_id)

    def hear(self, trial_id: int, resource: float, key: float, result: Metrics) -> None:
        if self._cost_attr not in result:
            raise missing(self._cost_attr, result, trial_id)
        self._costs.report(trial_id, resource, as_number(result[self._cost_attr]))

    def relaunched(self, trial_id: int) -> None:
        self._costs.relaunched(trial_id)
