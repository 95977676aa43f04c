"""Several tuners in one account, which know nothing of each other and whose calls count together."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from cloudtune.aws import Aws, Rate
from cloudtune.aws.pacing import RATES
from cloudtune.baselines import RandomSearch
from cloudtune.callbacks.base import TunerCallback
from cloudtune.engine.stopping import StoppingCriterion
from cloudtune.sandbox import FaultPlan, Sandbox
from cloudtune.sandbox.faults.plan import Throttling
from cloudtune.trial import Status
from cloudtune.tuner import Tuner
from tests.tuning import SPACE
from tests.virtual import Training, tuner_in

LIST = "ListTrainingJobs"
WARM, END = 400.0, 1800.0


class ManyClocks:
    """One virtual time for several threads, of which one runs at a time: the one that has slept enough first."""

    def __init__(self) -> None:
        self._now = 1_700_000_000.0
        self._change = threading.Condition()
        self._asleep: dict[int, tuple[float, int]] = {}
        self._turn: int | None = None
        self._naps = 0

    def now(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        me = threading.get_ident()
        if seconds <= 0 or self._turn != me:
            return
        with self._change:
            self._lie_down(me, seconds)
            self._wake_next()
            self._await_turn(me)

    def run(self, *tasks: Callable[[], None]) -> None:
        """All at once. Raises what one of them raises."""
        failures: list[BaseException] = []
        gate = threading.Barrier(len(tasks) + 1)

        def one(task: Callable[[], None], offset: float) -> None:
            me = threading.get_ident()
            with self._change:
                self._lie_down(me, offset)
            gate.wait(30)
            try:
                with self._change:
                    self._await_turn(me)
                task()
            except BaseException as failure:  # noqa: BLE001
                failures.append(failure)
            finally:
                with self._change:
                    self._wake_next()

        threads = [threading.Thread(target=one, args=(task, 0.1 * n), daemon=True) for n, task in enumerate(tasks)]
        for thread in threads:
            thread.start()
        gate.wait(30)
        with self._change:
            self._wake_next()
        for thread in threads:
            thread.join(120)
        assert not any(thread.is_alive() for thread in threads)
        if failures:
            raise failures[0]

    def _lie_down(self, me: int, seconds: float) -> None:
        self._naps += 1
        self._asleep[me] = (self._now + seconds, self._naps)

    def _wake_next(self) -> None:
        self._turn = min(self._asleep, key=self._asleep.__getitem__, default=None)
        if self._turn is not None:
            self._now = max(self._now, self._asleep.pop(self._turn)[0])
        self._change.notify_all()

    def _await_turn(self, me: int) -> None:
        assert self._change.wait_for(lambda: self._turn == me, 60)


@dataclass
class Watching(TunerCallback):
    """Calls and throttles of one tuner between two moments."""

    aws: Aws
    clock: ManyClocks
    began: float
    seen: list[tuple[Counter[str], Counter[str]]] = field(default_factory=list)

    def on_loop_end(self) -> None:
        elapsed = self.clock.now() - self.began
        if elapsed >= (WARM, END)[min(len(self.seen), 1)] and len(self.seen) < 2:
            self.seen.append((Counter(self.aws.call_counts()), Counter(self.aws.throttle_counts())))

    def between(self, operation: str) -> tuple[int, int]:
        (calls, throttles), (later_calls, later_throttles) = self.seen
        return later_calls[operation] - calls[operation], later_throttles[operation] - throttles[operation]


def test_five_tuners_slow_down_together_and_all_finish() -> None:
    # a fifth of the documented rate: five seconds between two looks are too few for five tuners
    clock, plan = ManyClocks(), FaultPlan(throttling=Throttling(burst=5.0, rates={f"sagemaker.{LIST}": 0.4}))
    with Sandbox(jobs=Training(seconds=30.0), clock=clock, faults=plan) as sandbox:
        tuners: list[Tuner] = []
        watching: list[Watching] = []
        for number in range(5):
            tuner = tuner_in(
                sandbox,
                clock,  # type: ignore[arg-type]
                RandomSearch(SPACE, metric="loss", random_seed=number),
                StoppingCriterion(max_num_trials_started=13),
                tuner_name=f"t{number}",
                wait_trial_completion_when_stopping=True,
                n_workers=2,
            )
            tuner.trial_backend.aws = aws = Aws(  # type: ignore[attr-defined]
                session=sandbox.session(), attempts=1, clock=clock, rates={**RATES, LIST: Rate(0.36)}
            )
            watching.append(Watching(aws, clock, clock.now()))
            tuner.callbacks.append(watching[-1])
            tuners.append(tuner)
        clock.run(*(tuner.run for tuner in tuners))
    calls, throttles = zip(*(each.between(LIST) for each in watching), strict=True)
    served = [made - refused for made, refused in zip(calls, throttles, strict=True)]
    fairness = sum(served) ** 2 / (len(served) * sum(count**2 for count in served))
    # of few hundred calls; over hours it is closer to 1 (tests/aws/test_pacing.py)
    assert fairness > 0.9, served
    assert sum(throttles) < 0.2 * sum(served), (served, throttles)
    for tuner in tuners:
        assert {trial.status for trial in tuner.ledger.trials} == {Status.completed}
