"""What an experiment in virtual time costs: calls, look by look, and the tuner's own time."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from cloudtune.trial import Observation, StatusChange
from tests.virtual import Virtual

DOCUMENTED_RATES = {
    "sagemaker.CreateTrainingJob": 1,
    "sagemaker.ListTrainingJobs": 2,
    "sagemaker.DescribeTrainingJob": 2,
    "sagemaker.Search": 2,
    "sagemaker.StopTrainingJob": 1,
    "logs.FilterLogEvents": 5,
}
"""Calls per second that the reference texts name, or AWS's own pacing constants."""


@dataclass(frozen=True)
class Look:
    """One look at the account: trials that ran, calls by operation, ends that were found."""

    running: int
    calls: Counter[str]
    ended: int


@dataclass(frozen=True)
class Mark:
    """How far an experiment is: trials launched, observations made, and what the tuner itself had to do for that."""

    launched: int
    observed: int
    work: float


@dataclass
class Meter:
    """What an experiment costs, look by look."""

    looks: list[Look] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    answering: float = 0.0
    """Seconds that the sandbox took."""

    def attach(self, world: Virtual, work: Callable[[], float] | None = None, every: int = 1) -> None:
        """Count what the backend asks. ``work``: what the tuner had to do so far; default: its seconds on a processor,
        without those that the sandbox took. ``every``: looks from one question for it to the next."""
        server: Any = world.sandbox._server
        application = server.application

        def timed(*request: Any) -> Iterable[bytes]:
            began = time.process_time()
            try:
                answer: Iterable[bytes] = application(*request)
                return answer
            finally:
                self.answering += time.process_time() - began

        server.application = timed
        self._count(world, work or (lambda: time.process_time() - self.answering), every)

    def _count(self, world: Virtual, work: Callable[[], float], every: int) -> None:
        backend: Any = world.tuner.trial_backend
        poll = backend.poll
        observed = 0

        def counted() -> Sequence[Observation]:
            nonlocal observed
            before = Counter(backend.aws.call_counts())
            if len(self.looks) % every == 0:
                self.marks.append(Mark(before["CreateTrainingJob"], observed, work()))
            running = sum(attempt.launched for attempt in world.tuner.ledger.open.values())
            news: Sequence[Observation] = poll()
            ended = sum(isinstance(seen, StatusChange) and seen.status.is_final for seen in news)
            self.looks.append(Look(running, Counter(backend.aws.call_counts()) - before, ended))
            observed += len(news)
            return news

        backend.poll = counted

    def work_per_observation(self, parts: int = 5) -> list[float]:
        """In each part of the experiment, from the first launch to the last."""
        total = self.marks[-1].launched
        marks = [
            next(mark for mark in self.marks if mark.launched >= total * part / parts) for part in range(parts + 1)
        ]
        return [
            (late.work - early.work) / max(1, late.observed - early.observed)
            for early, late in itertools.pairwise(marks)
        ]
