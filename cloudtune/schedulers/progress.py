"""How far one trial has come on its ladder of rungs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from cloudtune.schedulers.rung_systems import RungSystem, Verdict
from cloudtune.trial import Config


class Phase(Enum):
    RUNNING = "running"
    PAUSING = "pausing"
    """Told to pause; its job may still be at work on the checkpoint."""
    PAUSED = "paused"
    ENDED = "ended"


class Arrival(NamedTuple):
    """A trial has come to a rung with ``value``."""

    verdict: Verdict
    value: float


@dataclass(slots=True)
class Progress:
    """``milestones`` are the rung levels of its bracket; the lowest ``passed`` of them are recorded."""

    rungs: RungSystem
    milestones: tuple[int, ...]
    max_t: int
    config: Config
    phase: Phase = Phase.ENDED
    passed: int = 0
    next_milestone: int = 0
    """The lowest milestone not recorded yet; ``max_t`` if all are."""
    target: float = math.inf
    """Where the present attempt pauses, if trials of its type do."""
    updated: float = 0.0
    """The highest resource whose result the searcher has among its data."""
    stopped: bool = False
    """By a decision: whatever its job still does, it takes no place at a rung from those that go on."""
    overdue: tuple[Arrival, ...] = ()
    """Arrivals by late reports of an earlier attempt, while this one runs: still to be decided on."""

    def __post_init__(self) -> None:
        self._aim()

    @property
    def level(self) -> int:
        """The highest milestone recorded; 0 if there is none."""
        return self.milestones[self.passed - 1] if self.passed else 0

    def come_to(self, trial_id: int, resource: float, value: float, key: float) -> list[Arrival]:
        """Record the milestones that ``resource`` has reached or jumped over, lowest first."""
        arrivals = []
        while self.passed < len(self.milestones) and resource >= self.milestones[self.passed]:
            verdict = self.rungs.arrive(trial_id, self.milestones[self.passed], key)
            self.passed += 1
            arrivals.append(Arrival(verdict, value))
        self._aim()
        return arrivals

    def go_past(self, resource: float) -> bool:
        """Whether a trial that has been stopped came to milestones by ``resource``: they are not recorded at rungs."""
        before = self.passed
        while self.passed < len(self.milestones) and resource >= self.milestones[self.passed]:
            self.passed += 1
        self._aim()
        return self.passed > before

    def _aim(self) -> None:
        self.next_milestone = self.milestones[self.passed] if self.passed < len(self.milestones) else self.max_t
