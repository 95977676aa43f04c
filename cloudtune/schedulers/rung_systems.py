"""What happens at rungs: where trials have come to, which of them wait there, and a rule that says who goes on.

Rules are modules of their own: ``halving_rules``, ``cost_promotion``, ``pasha``, ``rush``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, NamedTuple, Protocol

from cloudtune.schedulers.rungs import Rung
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
    """A paused trial that deserves to go on, the level where it waits, and why."""

    trial_id: int
    level: int
    key: float
    rule: str
    cutoff: float | None
    """The key it was compared with, if there is one."""
    recorded: int
    """Trials at the rung, itself included."""


class PausedTrial(NamedTuple):
    """A trial that may be resumed. ``rank`` among all that came to its rung, from 0, the best."""

    trial_id: int
    rank: int
    metric_val: float
    level: int


class ReportListener(Protocol):
    """What a rule learns between rungs."""

    def hear(self, trial_id: int, resource: float, key: float, result: Metrics) -> None:
        """Every report of a trial, before what it leads to at a rung."""

    def relaunched(self, trial_id: int) -> None:
        """The trial's next report is the first of another attempt."""


class RungRule(Protocol):
    """The rule of one type of scheduler. Keys: smaller is better, infinite for results that are no finite number."""

    @property
    def listener(self) -> ReportListener | None:
        """What wants to hear every report; None if the rule only looks at rungs."""

    def arrived(self, rung: Rung, trial_id: int, key: float) -> Verdict:
        """The trial has come to ``rung``, for the first time, and is recorded there already."""

    def promotable(self, rung: Rung) -> Promotion | None:
        """Of those that wait at ``rung``, the one to resume next, if any deserves it. Changes nothing."""


@dataclass(frozen=True)
class RungSetting:
    """What else was asked for, as far as it may not suit a rule.

    ``num_points``: of ``points_to_evaluate``, if known.
    """

    levels: tuple[int, ...]
    max_t: int
    num_brackets: int
    rung_system_per_bracket: bool
    num_points: int | None


class RungRuleOptions(Protocol):
    """A dataclass of what ``rung_system_kwargs`` may have for one type."""

    pauses: ClassVar[bool]
    """Whether trials of this type pause at every level, to be resumed later or never."""

    def check(self, setting: RungSetting) -> None:
        """Raises ``OptionError`` for what can't work together."""

    def rule(self, levels: Sequence[int], max_t: int) -> RungRule:
        """A fresh rule for one rung system with these levels."""


class RungSystem:
    """Rungs, the trials that wait at them, and the rule."""

    def __init__(self, levels: Sequence[int], max_t: int, rule: RungRule) -> None:
        self.rule = rule
        self.listener = rule.listener
        self._rungs = {level: Rung(level, following) for level, following in pairwise([*levels, max_t])}
        self._from_the_top = list(reversed(self._rungs.values()))
        self._paused_at: dict[int, Rung] = {}

    def arrive(self, trial_id: int, level: int, key: float) -> Verdict:
        """Trial has come to ``level``, for the first time. Recorded first, judged then."""
        rung = self._rungs[level]
        rung.record(trial_id, key)
        return self.rule.arrived(rung, trial_id, key)

    def wait(self, trial_id: int, level: int) -> None:
        """Trial is paused; ``level`` is the highest one it has come to."""
        self.leave(trial_id)
        rung = self._paused_at[trial_id] = self._rungs[level]
        rung.wait(trial_id)

    def leave(self, trial_id: int) -> None:
        """Trial was resumed, or can't be any more. Nothing if it was not waiting."""
        rung = self._paused_at.pop(trial_id, None)
        if rung is not None:
            rung.leave(trial_id)

    def promotion(self) -> Promotion | None:
        """What to resume next, if anything: the highest rung comes first. Changes nothing."""
        if not self._paused_at:
            return None
        for rung in self._from_the_top:
            promotion = self.rule.promotable(rung)
            if promotion is not None:
                return promotion
        return None

    def rungs(self) -> Sequence[Rung]:
        """From the lowest."""
        return list(self._rungs.values())

    def rung_at(self, level: int) -> Rung:
        """The rung of this level, which there is."""
        return self._rungs[level]
