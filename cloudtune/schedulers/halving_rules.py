"""The rules of asynchronous successive halving.

Li et al., "A System for Massively Parallel Hyperparameter Tuning" (2020), algorithm 2, and its variant that
stops instead of pausing. Fractions are those of neighbouring rung levels, so that levels need not be geometric.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from cloudtune.schedulers.rung_systems import Promotion, RungSetting, Verdict
from cloudtune.schedulers.rungs import Rung, is_within


class StoppingRule:
    """At a rung a trial goes on iff its result is within the quantile of all results there, its own included."""

    listener = None

    def arrived(self, rung: Rung, trial_id: int, key: float) -> Verdict:
        cutoff = rung.cutoff()
        if cutoff is None:
            return Verdict(True, "first at its rung", None, rung.level, len(rung))
        goes_on = is_within(key, cutoff)
        rule = "within the best" if goes_on else "not among the best"
        return Verdict(goes_on, rule, cutoff, rung.level, len(rung))

    def promotable(self, rung: Rung) -> Promotion | None:
        return None


class PromotionRule:
    """Every trial pauses at every rung; the best one that waits is resumed iff it is within the quantile."""

    listener = None

    def arrived(self, rung: Rung, trial_id: int, key: float) -> Verdict:
        return comes_to(rung)

    def promotable(self, rung: Rung) -> Promotion | None:
        return best_within(rung)


def comes_to(rung: Rung) -> Verdict:
    """Of a trial that pauses at its rung, whatever it has reached."""
    return Verdict(True, "comes to a rung", None, rung.level, len(rung))


def best_within(rung: Rung) -> Promotion | None:
    """The best trial that waits, if it is within the quantile."""
    trial_id = rung.best_within()
    return None if trial_id is None else within(rung, trial_id)


def within(rung: Rung, trial_id: int) -> Promotion:
    """Of a trial that waits and is within the quantile."""
    return Promotion(trial_id, rung.level, rung.keys[trial_id], "within the best", rung.cutoff(), len(rung))


@dataclass(frozen=True)
class StoppingOptions:
    pauses: ClassVar[bool] = False

    def check(self, setting: RungSetting) -> None:
        """Suits everything."""

    def rule(self, levels: Sequence[int], max_t: int) -> StoppingRule:
        return StoppingRule()


@dataclass(frozen=True)
class PromotionOptions:
    pauses: ClassVar[bool] = True

    def check(self, setting: RungSetting) -> None:
        """Suits everything."""

    def rule(self, levels: Sequence[int], max_t: int) -> PromotionRule:
        return PromotionRule()
