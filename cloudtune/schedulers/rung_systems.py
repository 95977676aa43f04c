"""What happens at rungs: the rules of asynchronous successive halving.

Li et al., "A System for Massively Parallel Hyperparameter Tuning" (2020), algorithm 2, and its variant that
stops instead of pausing. Fractions are those of neighbouring rung levels, so that levels need not be geometric.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple, Protocol

from cloudtune.schedulers.rungs import Rung, is_within
from cloudtune.trial import Metrics


class Verdict(NamedTuple):
    """What a rung says about a trial that has just come to it."""

    goes_on: bool
    rule: str
    cutoff: float | None
    """The key it was compared with; None if there was nothing to compare with."""
    level: int
    recorded: int
    """Trials at the rung, itself included."""


class Promotion(NamedTuple):
    """A paused trial that deserves to go on, and the level where it waits."""

    trial_id: int
    level: int


class PausedTrial(NamedTuple):
    """A trial that may be resumed. ``rank`` among all that came to its rung, from 0, the best."""

    trial_id: int
    rank: int
    metric_val: float
    level: int


class RungSystem(Protocol):
    """The rules of one type of scheduler. Keys: smaller is better, infinite for results that are no finite number."""

    pauses: bool
    """Whether trials pause at every level, to be resumed later or never."""

    def arrive(self, trial_id: int, level: int, key: float, result: Metrics) -> Verdict:
        """Trial has come to ``level``, for the first time. Recorded first, judged then."""

    def wait(self, trial_id: int, level: int) -> None:
        """Trial is paused; ``level`` is the highest one it has come to."""

    def leave(self, trial_id: int) -> None:
        """Trial was resumed, or can't be any more. Nothing if it was not waiting."""

    def promotion(self) -> Promotion | None:
        """What to resume next, if anything. Changes nothing."""

    def rungs(self) -> Sequence[Rung]:
        """From the lowest."""

    def rung_at(self, level: int) -> Rung:
        """The rung of this level, which there is."""


def make_rungs(levels: Sequence[int], max_t: int) -> dict[int, Rung]:
    return {level: Rung(level, following) for level, following in pairwise([*levels, max_t])}


class StoppingRungSystem:
    """At a rung a trial goes on iff its result is within the quantile of all results there, its own included."""

    pauses = False

    def __init__(self, levels: Sequence[int], max_t: int) -> None:
        self._rungs = make_rungs(levels, max_t)

    def arrive(self, trial_id: int, level: int, key: float, result: Metrics) -> Verdict:
        rung = self._rungs[level]
        rung.record(trial_id, key)
        cutoff = rung.cutoff()
        if cutoff is None:
            return Verdict(True, "first at its rung", None, level, len(rung))
        goes_on = is_within(key, cutoff)
        return Verdict(goes_on, "within the best" if goes_on else "not among the best", cutoff, level, len(rung))

    def wait(self, trial_id: int, level: int) -> None:
        raise AssertionError("trials of this type never pause")

    def leave(self, trial_id: int) -> None:
        pass

    def promotion(self) -> Promotion | None:
        return None

    def rungs(self) -> Sequence[Rung]:
        return list(self._rungs.values())

    def rung_at(self, level: int) -> Rung:
        return self._rungs[level]


class PromotionRungSystem:
    """Every trial pauses at every rung. From the top, the best one paused is resumed iff it is within the quantile."""

    pauses = True

    def __init__(self, levels: Sequence[int], max_t: int) -> None:
        self._rungs = make_rungs(levels, max_t)
        self._from_the_top = list(reversed(self._rungs.values()))
        self._paused_at: dict[int, int] = {}

    def arrive(self, trial_id: int, level: int, key: float, result: Metrics) -> Verdict:
        rung = self._rungs[level]
        rung.record(trial_id, key)
        return Verdict(True, "comes to a rung", None, level, len(rung))

    def wait(self, trial_id: int, level: int) -> None:
        self.leave(trial_id)
        self._paused_at[trial_id] = level
        self._rungs[level].wait(trial_id)

    def leave(self, trial_id: int) -> None:
        level = self._paused_at.pop(trial_id, None)
        if level is not None:
            self._rungs[level].leave(trial_id)

    def promotion(self) -> Promotion | None:
        for rung in self._from_the_top:
            best = rung.best_waiting()
            if best is None:
                continue
            cutoff = rung.cutoff()
            if cutoff is not None and is_within(best[1], cutoff):
                return Promotion(best[0], rung.level)
        return None

    def rungs(self) -> Sequence[Rung]:
        return list(self._rungs.values())

    def rung_at(self, level: int) -> Rung:
        return self._rungs[level]
