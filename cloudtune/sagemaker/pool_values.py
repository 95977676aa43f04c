"""What the book of warm pools is made of: its answers, jobs and their instances, usual durations. Pure."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from statistics import median
from typing import Any, TypeAlias

from cloudtune.trial import AttemptId

KEEP_ALIVE = "KeepAlivePeriodInSeconds"

_MEASURED = 25


@dataclass(frozen=True)
class Go:
    """Launch now. ``keep``: ask to keep the instances, as the template says; without, no pool is made or taken."""

    keep: bool


@dataclass(frozen=True)
class Wait:
    """Instances are about to be free: ask again in ``seconds``."""

    seconds: float
    why: str


Verdict: TypeAlias = Go | Wait


@dataclass(frozen=True)
class Savings:
    """What reuse saved so far, and what idling cost. Seconds are wall-clock time of whole jobs or pools; ``dollars``
    of idle instances, None where a price is unknown."""

    launches: int = 0
    reused: int = 0
    seconds_saved: float = 0.0
    idle_seconds: float = 0.0
    idle_dollars: float | None = 0.0


class Stage(Enum):
    """Of a job's instances."""

    RUNNING = "is running"
    ENDING = "is stopping"
    FREE = "has ended"
    GONE = "has no instances"


@dataclass
class PooledJob:
    """What is known of one job. Moments are this machine's, in seconds."""

    attempt: AttemptId
    key: str | None
    """What its instances match; None if it is not known."""
    keep_seconds: float
    price: float | None
    stage: Stage = Stage.RUNNING
    warm: bool = False
    """Whether it started on instances of another, as far as is known."""
    warm_for_sure: bool = False
    asked: bool = True
    """Whether it is known that it asked to keep its instances."""
    measured: bool = False
    """Whether its start was, or can't be any more."""
    modified: float = 0.0
    ending_since: float | None = None
    over_since: float | None = None
    free_since: float = 0.0
    idle: float = 0.0
    """Seconds its instances waited, once they wait no more."""
    taken_by: AttemptId | None = None
    taken_at: float = 0.0
    settled: bool = False
    """Whether a view has said that its instances wait no more: no older one counts."""
    let_go: bool = False
    earlier: bool = False
    """Whether an earlier process launched it, and may have let go of it at its end."""

    def matches(self, key: str) -> bool:
        """What an earlier process launched is of the same kind, as far as we know."""
        return self.key is None or self.key == key

    def __str__(self) -> str:
        return f"{self.attempt.trial_id:05d}-{self.attempt.number} {self.stage.value}"


@dataclass
class Usual:
    """The median of the latest few durations of a kind, in seconds; ``prior`` as long as there is none."""

    prior: float
    values: deque[float] = field(default_factory=lambda: deque(maxlen=_MEASURED))

    def add(self, seconds: float) -> None:
        self.values.append(max(0.0, seconds))

    @property
    def seconds(self) -> float:
        return median(self.values) if self.values else self.prior


@dataclass
class Waiter:
    """A launch that waits: for which instances, since when, when it asked last, and whose instances it waits for."""

    key: str
    since: float
    asked: float
    awaits: AttemptId


def pool_key(resources: Mapping[str, Any]) -> str:
    """What decides, within an experiment, whether instances match: role, image and network are the template's."""
    return json.dumps({name: value for name, value in resources.items() if name != KEEP_ALIVE}, sort_keys=True)
