"""Training jobs that are functions of time: no processes, no threads. What was due is done when somebody asks."""

from __future__ import annotations

import heapq
import itertools

from cloudtune.sandbox.clock import Clock
from cloudtune.sandbox.logs.store import LogStore
from cloudtune.sandbox.script import Script
from cloudtune.sandbox.settings import Delays
from cloudtune.sandbox.training.checkpoint_store import CheckpointStore
from cloudtune.sandbox.training.execution import Mishaps, Shortages, no_mishaps, no_shortages
from cloudtune.sandbox.training.job import Job
from cloudtune.sandbox.training.ledger import Ledger
from cloudtune.sandbox.training.synthetic_life import Action, Life


class SyntheticExecutor:
    """Executes jobs by ``script``. One heap holds what is due of all of them: being asked costs what became due,
    however many run.
    """

    def __init__(
        self,
        script: Script,
        ledger: Ledger,
        logs: LogStore,
        checkpoints: CheckpointStore,
        delays: Delays,
        clock: Clock,
        mishaps: Mishaps = no_mishaps,
        shortages: Shortages = no_shortages,
    ) -> None:
        self.script = script
        self.ledger = ledger
        self.logs = logs
        self.checkpoints = checkpoints
        self.delays = delays
        self.mishaps = mishaps
        self.shortages = shortages
        self._clock = clock
        self._due: list[tuple[float, int, Life, Action]] = []
        self._numbers = itertools.count()
        # by the job itself: one that was deleted may have a namesake
        self._lives: dict[int, Life] = {}

    def launch(self, job: Job, warm: bool) -> None:
        with self.ledger.reading():
            life = self._lives[id(job)] = Life(self, job)
            life.begin(job.created, warm)

    def stop(self, job: Job) -> None:
        self._now(job, lambda life, at: life.stop(at))

    def interrupt(self, job: Job) -> None:
        self._now(job, lambda life, at: life.interrupt(at, 0.0))

    def fail(self, job: Job, reason: str) -> None:
        self._now(job, lambda life, at: life.fail(at, reason))

    def _now(self, job: Job, action: Action) -> None:
        with self.ledger.reading():
            life = self._lives.get(id(job))
            if life is not None:
                action(life, self._clock.now())

    def catch_up(self) -> None:
        now = self._clock.now()
        due = self._due
        if not due or due[0][0] > now:
            return
        with self.ledger.reading():
            while due and due[0][0] <= now:
                at, number, life, action = heapq.heappop(due)
                if life.takes(action, number):
                    action(life, at)

    def plan(self, life: Life, action: Action, at: float) -> int:
        """Have ``action`` of ``life`` at a moment; its number. ``life`` says then whether it still wants it."""
        number = next(self._numbers)
        heapq.heappush(self._due, (at, number, life, action))
        return number

    def forget(self, job: Job) -> None:
        """``job`` has ended."""
        self._lives.pop(id(job), None)

    def end_all(self) -> None:
        with self.ledger.reading():
            for life in list(self._lives.values()):
                life.abandon()
            self._lives.clear()
            self._due.clear()

    def close(self) -> None:
        self.end_all()
