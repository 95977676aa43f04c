"""The book of warm pools, without a cloud: when a launch goes ahead, what it waits for, what is let go."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudtune.sagemaker.pool_values import KEEP_ALIVE, Go, Wait, pool_key
from cloudtune.sagemaker.pools import (
    ASK_AGAIN,
    COLD_START,
    LONGEST_YIELD,
    SETTLING,
    WARM_START,
    PoolBook,
)
from cloudtune.sagemaker.states import JobState, PoolState
from cloudtune.trial import AttemptId

KEY = pool_key({"InstanceType": "ml.m5.large", "InstanceCount": 1})
BIG = pool_key({"InstanceType": "ml.m5.4xlarge", "InstanceCount": 1})
PRICE = 3600.0  # a dollar per second


def job(trial: int, number: int = 0) -> AttemptId:
    return AttemptId(trial, number)


def state(
    of: AttemptId,
    status: str = "InProgress",
    secondary: str = "Training",
    at: float = 0.0,
    pool: str = "InUse",
    by: AttemptId | None = None,
    created: float = 0.0,
    idle: float | None = None,
) -> JobState:
    reused_by = "" if by is None else f"a-{by.trial_id:05d}-{by.number}"
    ended = at if status in ("Completed", "Stopped", "Failed") else None
    name = f"a-{of.trial_id:05d}-{of.number}"
    pool_state = PoolState(pool, reused_by, idle) if pool else None
    return JobState(name, status, secondary, created, at, None, ended, pool_state)


class Bench:
    """A book with ``most`` running jobs, trials 0, 1, …, launched at 0 and training since."""

    def __init__(self, most: int = 2, running: int | None = None, longest_wait: float | None = None) -> None:
        self.book = PoolBook("a", 300, most, longest_wait)
        for trial in range(most if running is None else running):
            self.launch(job(trial), 0.0)

    def ask(self, attempt: AttemptId, now: float, key: str = KEY) -> Go | Wait:
        return self.book.decide(attempt, key, now)

    def launch(self, attempt: AttemptId, now: float, key: str = KEY) -> Go:
        verdict = self.ask(attempt, now, key)
        assert isinstance(verdict, Go)
        self.book.launched(attempt, key, verdict.keep, PRICE, now)
        return verdict

    def stop(self, attempt: AttemptId, now: float) -> None:
        self.book.stopping(attempt, now)

    def ended(self, attempt: AttemptId, now: float, pool: str = "Available", status: str = "Stopped") -> None:
        self.book.saw(attempt, state(attempt, status, status, now, pool), now)

    def waits(self, attempt: AttemptId, now: float, key: str = KEY) -> str:
        verdict = self.ask(attempt, now, key)
        assert isinstance(verdict, Wait), verdict
        assert 0 < verdict.seconds <= ASK_AGAIN
        return verdict.why


# -- when a launch goes ahead ------------------------------------------------------------------------------------------


def test_as_long_as_there_are_fewer_pools_than_workers_launches_open_more() -> None:
    bench = Bench(most=3, running=0)
    assert [bench.launch(job(trial), 0.0) for trial in range(3)] == [Go(keep=True)] * 3
    assert bench.launch(job(3), 0.0) == Go(keep=False)


def test_a_launch_takes_what_is_free_at_once() -> None:
    bench = Bench()
    bench.ended(job(0), 500.0)
    assert bench.launch(job(2), 501.0) == Go(keep=True)
    assert bench.launch(job(3), 501.0) == Go(keep=False)


def test_what_is_free_is_of_no_use_to_a_launch_on_other_instances() -> None:
    bench = Bench()
    bench.ended(job(0), 500.0)
    assert bench.ask(job(2), 501.0, BIG) == Go(keep=False)
    assert bench.ask(job(3), 501.0, KEY) == Go(keep=True)


def test_a_launch_waits_for_a_job_that_is_stopping_and_says_for_which() -> None:
    bench = Bench()
    bench.stop(job(1), 500.0)
    assert bench.waits(job(2), 500.0) == "waiting for a warm instance: 00001-0 is stopping"
    bench.ended(job(1), 520.0)
    assert bench.launch(job(2), 521.0) == Go(keep=True)


def test_a_launch_on_other_instances_does_not_wait() -> None:
    bench = Bench()
    bench.stop(job(1), 500.0)
    assert bench.ask(job(2), 500.0, BIG) == Go(keep=False)


def test_a_job_that_uploads_is_about_to_be_free_too() -> None:
    bench = Bench()
    bench.book.saw(job(1), state(job(1), secondary="Uploading", at=500.0), 500.0)
    assert "00001-0" in bench.waits(job(2), 500.0)


def test_a_job_that_has_ended_is_waited_for_until_its_pool_is_known_and_no_longer() -> None:
    bench = Bench()
    bench.ended(job(1), 500.0, pool="InUse")
    assert "00001-0" in bench.waits(job(2), 501.0)
    # nobody says what became of it: then it counts no more
    assert bench.launch(job(2), 502.0 + SETTLING) == Go(keep=True)


def test_it_waits_no_longer_than_the_wait_saves_and_then_keeps_nothing() -> None:
    bench = Bench()
    bench.stop(job(1), 500.0)
    bench.waits(job(2), 500.0)
    saved = COLD_START - WARM_START
    bench.waits(job(2), 500.0 + saved - 1)
    assert bench.ask(job(2), 500.0 + saved) == Go(keep=False)


def test_a_stop_that_takes_longer_than_it_saves_is_not_waited_for() -> None:
    bench = Bench()
    for trial in (0, 1):
        bench.stop(job(trial), 500.0)
        bench.ended(job(trial), 900.0)
        bench.launch(job(2 + trial), 900.0)
    bench.stop(job(2), 1500.0)
    assert bench.ask(job(4), 1500.0) == Go(keep=False)


def test_what_a_wait_saves_is_measured() -> None:
    bench = Bench()
    for trial in (0, 1):
        bench.book.saw(job(trial), state(job(trial), secondary="Training", at=400.0), 401.0)
        bench.ended(job(trial), 500.0)
    for trial in (2, 3):
        bench.launch(job(trial), 500.0)
        bench.book.saw(job(trial), state(job(trial), created=500.0, at=520.0), 521.0)
    assert bench.book.saved_by_reuse == 400 - 20


def test_a_user_may_shorten_the_wait_but_not_prolong_it() -> None:
    bench = Bench(longest_wait=0.0)
    bench.stop(job(1), 500.0)
    assert bench.ask(job(2), 500.0) == Go(keep=False)
    assert PoolBook("a", 300, 2, longest_wait=1e6).patience == COLD_START - WARM_START


def test_as_many_wait_as_are_about_to_be_free_and_each_for_another() -> None:
    bench = Bench(most=3)
    bench.stop(job(0), 500.0)
    bench.stop(job(1), 502.0)
    assert "00000-0" in bench.waits(job(3), 503.0)
    assert "00001-0" in bench.waits(job(4), 503.0)
    assert bench.ask(job(5), 503.0) == Go(keep=False)
    # and it stays that one: nobody is told anything new
    assert "00001-0" in bench.waits(job(4), 505.0)


def test_who_has_waited_longer_goes_first_whoever_asks_first() -> None:
    bench = Bench(most=3)
    bench.stop(job(0), 500.0)
    bench.waits(job(3), 500.0)
    bench.stop(job(1), 510.0)
    bench.ended(job(0), 520.0)
    assert "00001-0" in bench.waits(job(4), 520.0)
    assert bench.launch(job(3), 520.0) == Go(keep=True)
    bench.ended(job(1), 530.0)
    assert bench.launch(job(4), 530.0) == Go(keep=True)


def test_who_asks_no_more_is_forgotten() -> None:
    bench = Bench()
    bench.stop(job(0), 500.0)
    bench.waits(job(2), 500.0)
    bench.ended(job(0), 540.0)
    assert bench.ask(job(3), 541.0) == Go(keep=True)


def test_what_a_trial_left_is_left_to_it_if_it_waits_for_some_for_a_moment() -> None:
    bench = Bench()
    bench.ended(job(0), 500.0, pool="InUse")
    bench.stop(job(1), 500.0)
    assert "00000-0" in bench.waits(job(2), 500.0)
    bench.waits(job(0, 1), 500.0)
    bench.ended(job(0), 510.0)
    bench.waits(job(2), 510.0)
    assert bench.ask(job(0, 1), 510.0) == Go(keep=True)
    # not for long, although it still waits
    late = 500.0 + LONGEST_YIELD + 1
    assert bench.ask(job(2), late) == Go(keep=True)


def test_what_was_stopped_by_somebody_else_is_waited_for_as_well() -> None:
    bench = Bench()
    bench.book.saw(job(1), state(job(1), "Stopping", "Stopping", 500.0), 500.0)
    assert "00001-0" in bench.waits(job(2), 500.0)


# -- what views say ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pool", ["Terminated", ""])
def test_what_is_gone_makes_room_for_another_pool(pool: str) -> None:
    bench = Bench()
    bench.ended(job(0), 400.0)  # so pools are kept in general
    bench.launch(job(2), 400.0)
    bench.ended(job(1), 500.0, pool, status="Failed")
    assert bench.ask(job(3), 501.0 + SETTLING) == Go(keep=True)


def test_a_pool_that_nobody_takes_is_gone_after_its_time() -> None:
    bench = Bench()
    bench.ended(job(0), 500.0)
    assert bench.ask(job(2), 799.0, BIG) == Go(keep=False)
    assert bench.ask(job(2), 800.0, BIG) == Go(keep=True)


def test_a_view_from_before_changes_nothing() -> None:
    bench = Bench()
    bench.stop(job(0), 500.0)
    bench.ended(job(0), 520.0)
    bench.book.saw(job(0), state(job(0), at=100.0), 521.0)
    bench.book.saw(job(0), state(job(0), "Stopping", "Stopping", 600.0), 521.0)
    assert bench.ask(job(2), 522.0) == Go(keep=True)


def test_the_service_may_have_given_another_pool_than_was_thought() -> None:
    bench = Bench(most=3)
    bench.ended(job(0), 500.0)
    bench.ended(job(1), 501.0)
    bench.launch(job(3), 502.0)  # takes that of 0, one would think
    bench.book.saw(job(1), state(job(1), "Stopped", "Stopped", 501.0, "Reused", job(3), idle=1), 505.0)
    assert bench.book.to_let_go(505.0)[0] == job(0)
    bench.launch(job(4), 506.0)
    savings = bench.book.savings(506.0)
    assert (savings.launches, savings.reused) == (5, 2)


def test_a_pool_that_is_still_there_long_after_it_was_thought_taken_was_not_taken() -> None:
    bench = Bench()
    bench.ended(job(0), 500.0)
    bench.launch(job(2), 501.0)
    still_there = state(job(0), "Stopped", "Stopped", 500.0, "Available")
    bench.book.saw(job(0), still_there, 501.0 + SETTLING)  # a view may be as late as this
    assert bench.book.savings(600.0).reused == 1
    bench.book.saw(job(0), still_there, 502.0 + SETTLING)
    assert bench.book.savings(600.0).reused == 0
    assert bench.book.to_let_go(600.0)[0] == job(0)


def test_where_the_account_keeps_no_pools_nobody_waits() -> None:
    bench = Bench()
    bench.ended(job(0), 500.0, "Terminated", "Completed")
    assert bench.book.none_kept
    bench.stop(job(1), 600.0)
    assert bench.ask(job(3), 600.0) == Go(keep=True)


def test_a_job_that_never_had_instances_says_nothing_about_what_the_account_keeps() -> None:
    bench = Bench()
    never = state(job(0), "Stopped", "Stopped", 500.0, "Terminated")
    bench.book.saw(job(0), JobState(**{**vars(never), "ended": None}), 500.0)
    bench.book.saw(job(1), state(job(1), "Failed", "Failed", 500.0, "Terminated"), 500.0)
    assert not bench.book.none_kept


def test_what_an_earlier_process_let_go_of_says_nothing_about_what_the_account_keeps() -> None:
    bench = Bench()
    bench.book.saw(job(7), state(job(7), "Stopped", "Stopped", 500.0, "Terminated"), 500.0)
    bench.book.adopted(job(8), "key", 1.0)
    bench.book.saw(job(8), state(job(8), "Stopped", "Stopped", 500.0, "Terminated"), 500.0)
    assert not bench.book.none_kept


def test_after_a_crash_views_tell_what_there_is() -> None:
    book = PoolBook("a", 300, 2)
    book.adopted(job(3), KEY, PRICE)
    book.saw(job(0), state(job(0), "Stopped", "Stopped", 400.0, "Reused", job(3), idle=10), 500.0)
    book.saw(job(1), state(job(1), "Stopped", "Stopped", 450.0, "Available"), 500.0)
    book.saw(job(2), state(job(2), "Completed", "Completed", 300.0, ""), 500.0)
    book.saw(job(3), state(job(3), created=410.0, at=430.0), 500.0)
    assert book.decide(job(4), KEY, 500.0) == Go(keep=True)
    assert set(book.to_let_go(500.0)) == {job(1), job(3)}
    assert book.savings(500.0).reused == 1


# -- letting go and accounting -----------------------------------------------------------------------------------------


def test_what_is_let_go_is_not_waited_for_and_let_go_once() -> None:
    bench = Bench()
    bench.ended(job(0), 500.0)
    assert bench.book.to_let_go(510.0) == [job(0), job(1)]
    bench.book.let_go(job(0), 510.0)
    bench.book.let_go(job(1), 510.0)
    assert bench.book.to_let_go(511.0) == []
    bench.stop(job(1), 520.0)
    assert bench.ask(job(2), 520.0) == Go(keep=True)  # in the place of the first
    bench.book.launched(job(2), KEY, True, PRICE, 520.0)
    assert bench.ask(job(3), 520.0) == Go(keep=False)
    assert bench.book.savings(600.0).idle_seconds == 10


def test_savings_are_what_reuse_saved_and_idling_cost() -> None:
    bench = Bench()
    bench.ended(job(0), 500.0)
    bench.launch(job(2), 504.0)
    bench.ended(job(1), 510.0)
    savings = bench.book.savings(516.0)
    assert (savings.launches, savings.reused) == (3, 1)
    assert savings.seconds_saved == bench.book.saved_by_reuse
    assert (savings.idle_seconds, savings.idle_dollars) == (4 + 6, 10)
    # the service's own figure counts as soon as it is known
    bench.book.saw(job(0), state(job(0), "Stopped", "Stopped", 500.0, "Reused", job(2), idle=5), 517.0)
    assert bench.book.savings(516.0).idle_seconds == 5 + 6


def test_without_a_price_there_are_no_dollars() -> None:
    book = PoolBook("a", 300, 1)
    book.launched(job(0), KEY, True, None, 0.0)
    assert book.savings(0.0).idle_dollars == 0
    book.saw(job(0), state(job(0), "Stopped", "Stopped", 500.0, "Available"), 500.0)
    assert book.savings(501.0).idle_dollars is None


def test_what_matches_is_all_but_the_time_for_which_it_is_kept() -> None:
    one = {"InstanceType": "ml.m5.large", "InstanceCount": 1, KEEP_ALIVE: 60}
    assert pool_key(one) == pool_key(dict(reversed({**one, KEEP_ALIVE: 90}.items())))
    assert pool_key(one) != pool_key({**one, "VolumeSizeInGB": 2})


# -- whatever happens --------------------------------------------------------------------------------------------------


@dataclass
class Cloud:
    """A service that keeps pools as it documents, whose views lag, and a tuner's work: stops, ends, launches."""

    seed: int
    workers: int
    lag: float
    stop_seconds: float
    cold: float = 150.0
    warm: float = 15.0
    keep: float = 300.0
    now: float = 0.0
    history: dict[AttemptId, list[JobState]] = field(default_factory=dict)
    ends: dict[AttemptId, tuple[float, str]] = field(default_factory=dict)
    pools: dict[AttemptId, float] = field(default_factory=dict)
    """Until when pools wait, those in use until ever."""
    waited: dict[AttemptId, float] = field(default_factory=dict)
    reused: int = 0

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        self.book = PoolBook("a", self.keep, self.workers)

    def step(self, seconds: float) -> None:
        self.now += seconds
        for attempt, (at, how) in list(self.ends.items()):
            if at <= self.now:
                del self.ends[attempt]
                if attempt in self.pools:
                    self.pools[attempt] = self.now + self.keep
                self._note(attempt, how, how, "Available" if attempt in self.pools else "")
        for attempt, until in list(self.pools.items()):
            if until <= self.now:
                del self.pools[attempt]
                self._note(attempt, pool="Terminated", idle=self.keep)

    def look(self) -> None:
        for attempt, states in self.history.items():
            seen = [each for each in states if each.modified <= self.now - self.lag * self.dice.random()]
            if seen:
                self.book.saw(attempt, seen[-1], self.now)

    def stop(self, attempt: AttemptId) -> None:
        self.book.stopping(attempt, self.now)
        self._note(attempt, "Stopping", "Stopping")
        self.ends[attempt] = (self.now + self.stop_seconds, "Stopped")

    def create(self, attempt: AttemptId, keep: bool) -> None:
        self.book.launched(attempt, KEY, keep, PRICE, self.now)
        waiting = [each for each, until in self.pools.items() if until < float("inf")]
        start = self.cold
        if keep and waiting:
            taken = self.dice.choice(waiting)  # as the service pleases
            del self.pools[taken]
            self._note(taken, pool="Reused", by=attempt, idle=1)
            start, self.reused = self.warm, self.reused + 1
        if keep:
            self.pools[attempt] = float("inf")
        self.history[attempt] = [state(attempt, secondary="Starting", at=self.now, pool="InUse" if keep else "")]
        self.ends[attempt] = (self.now + start + self.dice.choice((60.0, 200.0, 700.0)), "Completed")

    def _note(
        self,
        attempt: AttemptId,
        status: str = "",
        secondary: str = "",
        pool: str = "",
        by: AttemptId | None = None,
        idle: float | None = None,
    ) -> None:
        last = self.history[attempt][-1]
        pool = pool or ("" if last.pool is None else last.pool.status)
        made = state(attempt, status or last.status, secondary or last.secondary, self.now, pool, by, idle=idle)
        self.history[attempt].append(made)

    def running(self) -> Iterator[AttemptId]:
        return (attempt for attempt in self.ends if self.history[attempt][-1].status == "InProgress")


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    workers=st.integers(1, 8),
    lag=st.sampled_from([0.0, 10.0, 40.0]),
    stop_seconds=st.sampled_from([5.0, 20.0, 100.0, 200.0]),
)
def test_never_more_pools_than_workers_and_no_launch_waits_longer_than_it_saves(
    seed: int, workers: int, lag: float, stop_seconds: float
) -> None:
    cloud = Cloud(seed, workers, lag, stop_seconds)
    pending: list[AttemptId] = []
    begun = 0
    for _ in range(150):
        cloud.step(cloud.dice.choice((1.0, 5.0, 20.0)))
        cloud.look()
        running = list(cloud.running())
        if running and cloud.dice.random() < 0.3:
            cloud.stop(cloud.dice.choice(running))
        while len(list(cloud.running())) + len(pending) < workers:
            pending.append(job(begun))
            begun += 1
        cloud.dice.shuffle(pending)
        for attempt in list(pending):
            verdict = cloud.book.decide(attempt, KEY, cloud.now)
            if isinstance(verdict, Go):
                pending.remove(attempt)
                cloud.create(attempt, verdict.keep)
            else:
                since = cloud.waited.setdefault(attempt, cloud.now)
                assert cloud.now - since < COLD_START
                assert 0 < verdict.seconds <= ASK_AGAIN
        assert len(cloud.pools) <= workers
    assert cloud.book.savings(cloud.now).launches == len(cloud.history)
    cloud.step(1.0)
    cloud.lag = 0.0
    cloud.look()
    assert cloud.book.savings(cloud.now).reused == cloud.reused
