"""RUSH: successive halving that keeps up with configurations known to be good.

Zappella, Salinas and Archambeau, "A resource-efficient method for repeated HPO and NAS problems" (2021).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from cloudtune.errors import OptionError
from cloudtune.options import check_count
from cloudtune.schedulers.halving_rules import StoppingRule, comes_to, within
from cloudtune.schedulers.rung_systems import Promotion, RungSetting, Verdict
from cloudtune.schedulers.rungs import Rung, is_within


class Hurdles:
    """Per rung, the best result of the threshold candidates: the trials that evaluate the first points.

    A trial's number is that of its point, so that trials 0, 1, … ``count`` - 1 are the candidates.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._best: dict[int, float] = {}

    def arrived(self, level: int, trial_id: int, key: float) -> None:
        if trial_id < self.count:
            self._best[level] = min(key, self._best.get(level, key))

    def at(self, level: int, trial_id: int) -> float | None:
        """The key that this trial must reach at ``level``; None for candidates, and while none of them came there."""
        return None if trial_id < self.count else self._best.get(level)


class RushStoppingRule:
    """As in "stopping"; and a trial that is no threshold candidate must be as good as the best of those."""

    listener = None

    def __init__(self, num_threshold_candidates: int) -> None:
        self._hurdles = Hurdles(num_threshold_candidates)
        self._halving = StoppingRule()

    def arrived(self, rung: Rung, trial_id: int, key: float) -> Verdict:
        self._hurdles.arrived(rung.level, trial_id, key)
        verdict = self._halving.arrived(rung, trial_id, key)
        hurdle = self._hurdles.at(rung.level, trial_id)
        if verdict.goes_on and hurdle is not None and not is_within(key, hurdle):
            return Verdict(False, "behind the best threshold candidate", hurdle, rung.level, len(rung))
        return verdict

    def promotable(self, rung: Rung) -> Promotion | None:
        return None


class RushPromotionRule:
    """As in "promotion"; and a trial that is no threshold candidate must be as good as the best of those."""

    listener = None

    def __init__(self, num_threshold_candidates: int) -> None:
        self._hurdles = Hurdles(num_threshold_candidates)

    def arrived(self, rung: Rung, trial_id: int, key: float) -> Verdict:
        self._hurdles.arrived(rung.level, trial_id, key)
        return comes_to(rung)

    def promotable(self, rung: Rung) -> Promotion | None:
        best = rung.best_within()
        if best is None:
            return None
        hurdle = self._hurdles.at(rung.level, best)
        if hurdle is None or is_within(rung.keys[best], hurdle):
            return within(rung, best)
        # all others that wait are behind the hurdle as well, which doesn't hold for candidates
        cutoff = rung.cutoff()
        candidates = [each for each in range(self._hurdles.count) if rung.waits(each)]
        first = min(candidates, key=lambda each: (rung.keys[each], each), default=None)
        if first is None or cutoff is None or not is_within(rung.keys[first], cutoff):
            return None
        return within(rung, first)


@dataclass(frozen=True)
class RushStoppingOptions:
    """``num_threshold_candidates``: as many of the first ``points_to_evaluate`` are known to be good."""

    pauses: ClassVar[bool] = False

    num_threshold_candidates: int = 0

    def __post_init__(self) -> None:
        _check_number(self.num_threshold_candidates)

    def check(self, setting: RungSetting) -> None:
        _check_points(self.num_threshold_candidates, setting)

    def rule(self, levels: Sequence[int], max_t: int) -> RushStoppingRule:
        return RushStoppingRule(self.num_threshold_candidates)


@dataclass(frozen=True)
class RushPromotionOptions:
    """``num_threshold_candidates``: as many of the first ``points_to_evaluate`` are known to be good."""

    pauses: ClassVar[bool] = True

    num_threshold_candidates: int = 0

    def __post_init__(self) -> None:
        _check_number(self.num_threshold_candidates)

    def check(self, setting: RungSetting) -> None:
        _check_points(self.num_threshold_candidates, setting)

    def rule(self, levels: Sequence[int], max_t: int) -> RushPromotionRule:
        return RushPromotionRule(self.num_threshold_candidates)


def _check_number(number: object) -> None:
    check_count(
        "num_threshold_candidates",
        number,
        1,
        "say how many of the first points_to_evaluate are known to be good, as in rung_system_kwargs="
        '{"num_threshold_candidates": 3}',
    )


def _check_points(number: int, setting: RungSetting) -> None:
    if setting.num_points is not None and setting.num_points < number:
        raise OptionError(
            f"num_threshold_candidates={number}, but there are {setting.num_points} different points_to_evaluate",
            "give the configurations that are known to be good as points_to_evaluate, at the beginning",
        )
