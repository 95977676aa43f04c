"""How far one trial has come on its ladder of rungs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from cloudtune.schedulers.rung_systems import RungSystem, Verdict
from cloudtune.trial import Config


class Phase(Enum):
    RUNNING = "running"
    PAUSING = "pausing"
    """Told to pause; its job may still be at work on the checkpoint."""
    PAUSED = "paused"
    ENDED = "ended"


Arrival: TypeAlias = tuple[Verdict, float]
"""A trial has come to a rung with this value."""


@dataclass(slots=True)
class Progress:
    """``milestones`` are the rung levels of its bracket; the lowest ``passed`` of them are recorded."""

    rungs: RungSystem
    milestones: tuple[int, ...]
    max_t: int
    config: Config
    next_milestone: int
    """The lowest milestone not recorded yet; ``max_t`` if all are."""
    level: int = 0
    """The highest milestone recorded; 0 if there is none."""
    phase: Phase = Phase.ENDED
    passed: int = 0
    target: float = math.inf
    """Where the present attempt pauses, if trials of its type do."""
    updated: float = 0.0
    """The highest resource whose result the searcher has among its data."""
    stopped: bool = False
    """By a decision: whatever its job still does, it takes no place at a rung from those that go on."""
    overdue: tuple[Arrival, ...] = ()
    """Arrivals by late reports of an earlier attempt, while this one runs: still to be decided on."""

    def come_to(self, trial_id: int, resource: float, value: float, key: float) -> list[Arrival]:
        """Record the milestones that ``resource`` has reached or jumped over, lowest first."""
        arrivals = []
        while resource >= self.next_milestone and self.passed < len(self.milestones):
            self._pass()
            arrivals.append((self.rungs.arrive(trial_id, self.level, key), value))
        return arrivals

    def go_past(self, resource: float) -> bool:
        """Whether a trial that has been stopped came to milestones by ``resource``: they are not recorded at rungs."""
        before = self.passed
        while resource >= self.next_milestone and self.passed < len(self.milestones):
            self._pass()
        return self.passed > before

    def _pass(self) -> None:
        self.level = self.next_milestone
        self.passed += 1
        self.next_milestone = self.milestones[self.passed] if self.passed < len(self.milestones) else self.max_t
