"""Kill the tuner between any two steps, lose any answer: nothing is launched twice, lost or counted twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from cloudtune.callbacks.store_results import StoreResultsCallback
from cloudtune.engine.stopping import StoppingCriterion
from cloudtune.errors import (
    CapacityError,
    CloudtuneError,
    NoCapacityError,
    QuotaReachedError,
    ThrottledError,
    UnreachableError,
)
from cloudtune.journal import events as ev
from cloudtune.journal.store import MemoryJournal
from cloudtune.testing.fake_backend import FakeBackend
from cloudtune.testing.fake_cloud import FakeCloud, FakeFaults, FakeTiming
from cloudtune.trial import Attempt, AttemptId, Cause, Report, Status
from cloudtune.tuner import Tuner
from tests.tuning import KeptJournal, asha, curve, tuner_on

TRIALS = 6


class Killed(BaseException):
    """The process is gone. Not an Exception: nobody may handle it."""


class Countdown:
    """Kills at the n-th step from now: before the step takes effect, or after."""

    def __init__(self) -> None:
        self.steps = 0
        self.after = False
        self.taken = 0

    def arm(self, steps: int, after: bool) -> None:
        self.steps, self.after = steps, after

    def take(self, step: Callable[[], Any]) -> Any:
        self.taken += 1
        self.steps -= 1
        if self.steps == 0 and not self.after:
            raise Killed
        result = step()
        if self.steps == 0:
            raise Killed
        return result


class MortalJournal(MemoryJournal):
    """Every append may be the last thing the process does, or may not happen any more."""

    def __init__(self, countdown: Countdown) -> None:
        super().__init__()
        self._countdown = countdown

    def append(self, expected_seq: int, events: Sequence[ev.Event]) -> None:
        self._countdown.take(lambda: super(MortalJournal, self).append(expected_seq, events))


class MortalCloud(FakeCloud):
    """So may every call."""

    countdown: Countdown

    def answer(self, operation: str, work: Callable[[], Any]) -> Any:
        return self.countdown.take(lambda: super(MortalCloud, self).answer(operation, work))


class NoResults(StoreResultsCallback):
    """Results are rebuilt from the journal, whatever became of their file."""

    def store(self) -> None:
        pass


class World:
    """A cloud and a journal that outlive their tuners."""

    def __init__(self, kind: str, timing: FakeTiming, faults: Callable[[Attempt], FakeFaults]) -> None:
        self.kind = kind
        self.countdown = Countdown()
        self.cloud = MortalCloud(curve, "epochs", timing=timing, faults=faults, slots=4)
        self.cloud.countdown = self.countdown
        self.journal = MortalJournal(self.countdown)

    def tuner(self) -> Tuner:
        """As another process would make it: nothing of the earlier one but cloud and journal."""
        return tuner_on(
            self.cloud,
            asha(self.kind),
            StoppingCriterion(max_num_trials_started=TRIALS - 1),
            storage=KeptJournal(self.journal),
            backend=FakeBackend(self.cloud),
            max_failures=TRIALS,
            callbacks=[NoResults()],
        )

    def run(self) -> bool:
        """Run until it has ended; False if it was killed."""
        try:
            self.tuner().run()
        except Killed:
            return False
        return True

    # -- what must hold whenever an experiment has ended -----------------------------------------------------------

    def check(self) -> None:
        events = list(self.journal.read())
        self._each_attempt_was_launched_once(events)
        ledger = self.tuner_view()
        self._every_report_was_counted_once(events, ledger)
        self._every_decision_was_made_once(events)
        assert self.cloud.busy() == 0
        assert ledger.finished
        assert not ledger.divergent
        assert all(trial.status is not Status.in_progress for trial in ledger.trials)
        assert len(ledger.trials) == TRIALS
        assert self.cloud.calls["release"] > 0
        self._nobody_failed_but_by_its_own_fault(ledger)

    def _nobody_failed_but_by_its_own_fault(self, ledger: Any) -> None:
        for trial in ledger.trials:
            assert trial.status is not Status.failed or "as planned" in trial.reason

    def tuner_view(self) -> Any:
        tuner = self.tuner()
        self.countdown.arm(0, False)
        tuner.run()
        return tuner.ledger

    def _each_attempt_was_launched_once(self, events: Sequence[ev.Event]) -> None:
        intended = Counter((e.trial_id, e.attempt) for e in events if isinstance(e, ev.LaunchIntended))
        launched = Counter((e.trial_id, e.attempt) for e in events if isinstance(e, ev.Launched))
        created = {(id.trial_id, id.number): count for id, count in self.cloud.creations.items()}
        assert set(intended.values()) <= {1}
        assert set(created.values()) <= {1}
        assert set(created) == set(launched) <= set(intended)

    def _every_report_was_counted_once(self, events: Sequence[ev.Event], ledger: Any) -> None:
        counted = Counter((e.trial_id, e.attempt, e.key) for e in events if isinstance(e, ev.ReportObserved))
        made = {(r.attempt.trial_id, r.attempt.number, r.key) for r in self.cloud.feed if isinstance(r, Report)}
        assert set(counted.values()) <= {1}
        assert set(counted) == made
        heard = [
            (e.trial_id, e.metrics["epoch"])
            for e, row in zip(_of(events, ev.ReportObserved), ledger.rows, strict=True)
            if not row.repeated
        ]
        assert len(set(heard)) == len(heard)

    def _every_decision_was_made_once(self, events: Sequence[ev.Event]) -> None:
        decided = Counter((e.trial_id, e.attempt, e.key) for e in events if isinstance(e, ev.DecisionMade))
        assert set(decided.values()) <= {1}


def _of(events: Sequence[ev.Event], kind: type[ev.ReportObserved]) -> list[ev.ReportObserved]:
    return [event for event in events if isinstance(event, kind)]


ERRORS: Sequence[CloudtuneError] = (
    UnreachableError("connection reset"),
    ThrottledError("Rate exceeded"),
    QuotaReachedError("4 of 4 in use"),
    NoCapacityError("none left"),
)


_SOME_TRIALS = st.sets(st.integers(0, TRIALS - 1), max_size=2)


class Tuning(RuleBasedStateMachine):
    """An experiment whose tuner is killed again and again while the cloud misbehaves."""

    world: World
    ended = False

    @initialize(
        kind=st.sampled_from(["stopping", "promotion"]),
        start_delay=st.sampled_from([0.0, 3.0]),
        stop_delay=st.sampled_from([0.0, 2.5]),
        log_lag=st.sampled_from([0.0, 1.7, 6.0]),
        failing=_SOME_TRIALS,
        lost=_SOME_TRIALS,
        interrupted=_SOME_TRIALS,
        keeps_every=st.sampled_from([1, 2, 100]),
    )
    def begin(
        self,
        kind: str,
        start_delay: float,
        stop_delay: float,
        log_lag: float,
        failing: set[int],
        lost: set[int],
        interrupted: set[int],
        keeps_every: int,
    ) -> None:
        def faults(attempt: Attempt) -> FakeFaults:
            trial_id, number = attempt.id.trial_id, attempt.id.number
            return FakeFaults(
                fail_at=2 if trial_id in failing else None,
                lost_at=1 if trial_id in lost and number == 0 else None,
                service_fails_at=3 if trial_id in lost and number == 1 else None,
                interrupted_at=(1, 3) if trial_id in interrupted else (),
                keeps_every=keeps_every,
            )

        timing = FakeTiming(start_delay=start_delay, stop_delay=stop_delay, log_lag=log_lag)
        self.world = World(kind, timing, faults)

    @precondition(lambda self: not self.ended)
    @rule(steps=st.integers(1, 60), after=st.booleans(), away=st.sampled_from([0.0, 1.0, 30.0]))
    def run_and_die(self, steps: int, after: bool, away: float) -> None:
        self.world.countdown.arm(steps, after)
        self.ended = self.world.run()
        self.world.countdown.arm(0, False)
        self.world.cloud.clock.sleep(away)

    @precondition(lambda self: self.ended)
    @rule()
    def look_again(self) -> None:
        assert self.world.run()

    @precondition(lambda self: not self.ended)
    @rule(
        operation=st.sampled_from(["start", "stop", "poll", "release"]),
        error=st.sampled_from(ERRORS),
        times=st.integers(1, 3),
        after=st.booleans(),
    )
    def cloud_fails(self, operation: str, error: CloudtuneError, times: int, after: bool) -> None:
        if operation in ("poll", "release") and not isinstance(error, (UnreachableError, ThrottledError)):
            return
        if operation == "poll" or isinstance(error, CapacityError):
            # a poll whose answer is lost is repeated by the backend itself; what has no room is not done
            after = False
        self.world.cloud.fail_next(operation, error, times, after)

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        self.world.countdown.arm(0, False)
        if not self.ended:
            assert self.world.run()
        self.world.check()


TestTuning = Tuning.TestCase
TestTuning.settings = settings(
    max_examples=60, stateful_step_count=12, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate]
)


def _no_faults(attempt: Attempt) -> FakeFaults:
    return FakeFaults()


def _many_faults(attempt: Attempt) -> FakeFaults:
    """Some trials are interrupted, some lost twice, and checkpoints are rare."""
    lost = attempt.id.trial_id % 3 == 1 and attempt.id.number < 2
    interrupted = attempt.id.trial_id % 3 == 2
    return FakeFaults(lost_at=2 if lost else None, interrupted_at=(2,) if interrupted else (), keeps_every=2)


@pytest.mark.parametrize(
    ("kind", "after", "faults"),
    [
        ("stopping", False, _no_faults),
        ("stopping", True, _many_faults),
        ("promotion", False, _many_faults),
        ("promotion", True, _no_faults),
    ],
)
def test_killed_once_at_every_single_step(kind: str, after: bool, faults: Callable[[Attempt], FakeFaults]) -> None:
    """Exhaustively: a tuner killed at step n, for every n that an uninterrupted run has."""
    undisturbed = World(kind, FakeTiming(log_lag=1.0), faults)
    assert undisturbed.run()
    undisturbed.check()
    whole = undisturbed.countdown.taken
    assert whole > 30
    ledger = undisturbed.tuner_view()
    assert (ledger.interruptions > 0) is (any(row.repeated for row in ledger.rows)) is (faults is _many_faults)
    assert any(attempt.cause is not Cause.NONE for trial in ledger.trials for attempt in trial.attempts) is (
        faults is _many_faults
    )
    for step in range(1, whole):
        world = World(kind, FakeTiming(log_lag=1.0), faults)
        world.countdown.arm(step, after)
        world.run()
        world.countdown.arm(0, False)
        assert world.run()
        world.check()


def test_the_countdown_really_kills() -> None:
    world = World("stopping", FakeTiming(), lambda attempt: FakeFaults())
    world.countdown.arm(5, False)
    assert not world.run()
    assert AttemptId(0, 0) in world.cloud.creations or not world.cloud.creations
