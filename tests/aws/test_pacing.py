from __future__ import annotations

import heapq
import itertools
import logging
import random
from collections import Counter

import pytest

from cloudtune.aws.pacing import (
    RATES,
    RATES_VARIABLE,
    RECOVERY_SECONDS,
    SMALLEST_SHARE,
    Pacer,
    Rate,
    rates_of_environment,
)
from cloudtune.clock import VirtualClock
from cloudtune.errors import OptionError


def test_a_burst_passes_at_once_and_then_calls_come_at_their_rate() -> None:
    clock = VirtualClock(0.0)
    pacer = Pacer(clock, {"ListTrainingJobs": Rate(2, burst=3)})
    times = []
    for _ in range(6):
        pacer.wait("ListTrainingJobs")
        times.append(clock.now())
    assert times == [0.0, 0.0, 0.0, 0.5, 1.0, 1.5]


def test_operations_have_rates_of_their_own_and_unnamed_ones_have_none() -> None:
    clock = VirtualClock(0.0)
    pacer = Pacer(clock, {"A": Rate(1), "B": Rate(1)})
    for operation in ("A", "B", "C", "C", "C"):
        pacer.wait(operation)
    assert clock.now() == 0.0


def test_a_rest_refills_the_bucket_but_never_beyond_the_burst() -> None:
    clock = VirtualClock(0.0)
    pacer = Pacer(clock, {"A": Rate(1, burst=2)})
    pacer.wait("A")
    clock.sleep(1000)
    for _ in range(3):
        pacer.wait("A")
    assert clock.now() == 1001.0


def test_the_account_s_own_rates_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RATES_VARIABLE, "CreateTrainingJob=5, DescribeTrainingJob=0.5")
    rates = rates_of_environment()
    assert rates["CreateTrainingJob"] == Rate(5)
    assert rates["DescribeTrainingJob"] == Rate(0.5)
    assert rates["ListTrainingJobs"] == RATES["ListTrainingJobs"]


@pytest.mark.parametrize("text", ["CreateTrainingJob", "CreateTrainingJob=fast", "CreateTrainingJob=0"])
def test_a_rate_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(RATES_VARIABLE, text)
    with pytest.raises(OptionError):
        rates_of_environment()


# -- congestion -------------------------------------------------------------------------------------------


def paced() -> tuple[Pacer, VirtualClock]:
    clock = VirtualClock(0.0)
    return Pacer(clock, {"A": Rate(1, burst=5)}), clock


def spacings(pacer: Pacer, clock: VirtualClock, count: int = 100) -> list[float]:
    """Seconds between calls made as soon as they may be."""
    pacer.wait("A")
    times = [clock.now()]
    for _ in range(count):
        pacer.wait("A")
        times.append(clock.now())
    return [later - earlier for earlier, later in itertools.pairwise(times)]


def spacing(pacer: Pacer, clock: VirtualClock) -> float:
    """On average."""
    found = spacings(pacer, clock)
    return sum(found) / len(found)


def test_a_throttle_halves_the_pace_and_takes_the_burst(caplog: pytest.LogCaptureFixture) -> None:
    pacer, clock = paced()
    with caplog.at_level(logging.DEBUG, "cloudtune.aws"):
        pacer.throttled("A")
    assert spacing(pacer, clock) == pytest.approx(2.0, rel=0.01)
    pacer.throttled("A")
    assert spacing(pacer, clock) == pytest.approx(4.0, rel=0.01)
    assert caplog.messages == ["A was throttled: 0.5 of 1 calls per second from now on"]


def test_who_is_slowed_down_keeps_no_step_that_another_could_be_in() -> None:
    pacer, clock = paced()
    pacer.throttled("A")
    found = spacings(pacer, clock)
    phases = {round(moment % 2.0, 1) for moment in itertools.accumulate(found)}
    assert len(phases) >= 10
    assert all(1.0 < each < 3.0 for each in found)
    again, clock = paced()
    again.throttled("A")
    assert spacings(again, clock) == found, "the same from run to run"


def test_calls_under_way_together_are_one_sign_of_congestion() -> None:
    pacer, clock = paced()
    for _ in range(5):
        pacer.throttled("A")
    assert pacer.share("A") == 0.5
    clock.sleep(1.0)
    pacer.throttled("A")
    assert pacer.share("A") == 0.25


def test_however_bad_it_is_some_calls_pass() -> None:
    pacer, clock = paced()
    for _ in range(50):
        pacer.wait("A")
        pacer.throttled("A")
    assert pacer.share("A") == SMALLEST_SHARE
    assert spacing(pacer, clock) == pytest.approx(1 / SMALLEST_SHARE, rel=0.01)


def test_success_wins_the_pace_back_evenly_in_time_and_never_more_than_it_was() -> None:
    pacer, clock = paced()
    pacer.throttled("A")
    for seconds, share in ((RECOVERY_SECONDS / 4, 0.75), (RECOVERY_SECONDS / 8, 0.875), (RECOVERY_SECONDS, 1.0)):
        clock.sleep(seconds)
        assert pacer.share("A") < share, "without a call that went well nothing is won"
        pacer.succeeded("A")
        assert pacer.share("A") == pytest.approx(share)
    pacer.throttled("A")
    assert pacer.share("A") == 0.5


def test_an_operation_without_a_rate_has_none_to_halve() -> None:
    pacer, clock = paced()
    pacer.throttled("B")
    pacer.succeeded("B")
    pacer.wait("B")
    assert (pacer.share("B"), pacer.share("A"), clock.now()) == (1.0, 1.0, 0.0)


class Account:
    """What all tuners in an account may call together: so many per second, and a second's worth at once."""

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._tokens, self._at = per_second, 0.0

    def admits(self, now: float) -> bool:
        self._tokens = min(self._per_second, self._tokens + (now - self._at) * self._per_second)
        self._at = now
        admitted = self._tokens >= 1.0
        self._tokens -= admitted
        return admitted


def calls_of(
    n_tuners: int, think: float, operation: str = "ListTrainingJobs", per_second: float = 2.0
) -> tuple[Counter[int], int]:
    """Calls that went through by tuner, and throttles, in two hours without the first ten minutes.

    Each tuner has its own clock and no word of the others. ``think``: seconds from an answer to the next call; an
    answer takes a moment, as it does.
    """
    account, answers = Account(per_second), random.Random(7)
    clocks = [VirtualClock(0.37 * number) for number in range(n_tuners)]
    pacers = [Pacer(clock, {operation: RATES[operation]}) for clock in clocks]
    passed: Counter[int] = Counter()
    throttles = 0
    upcoming = [(clock.now(), number, False) for number, clock in enumerate(clocks)]
    while upcoming[0][0] < 7200:
        now, number, has_waited = heapq.heappop(upcoming)
        if not has_waited:
            pacers[number].wait(operation)
        else:
            admitted = account.admits(now)
            if admitted:
                pacers[number].succeeded(operation)
            else:
                pacers[number].throttled(operation)
            passed[number] += admitted and now > 600
            throttles += not admitted and now > 600
            clocks[number].sleep(think + answers.uniform(0.05, 0.25))
        heapq.heappush(upcoming, (clocks[number].now(), number, not has_waited))
    return passed, throttles


def fairness(calls: Counter[int]) -> float:
    """Jain's index: 1 if all have the same, 1/n if one has all."""
    return sum(calls.values()) ** 2 / (len(calls) * sum(count**2 for count in calls.values()))


@pytest.mark.parametrize(
    ("n_tuners", "think", "operation", "per_second", "most"),
    [
        (5, 0.0, "ListTrainingJobs", 2.0, 0.07),
        # in a bucket that holds one token, calls of strangers collide
        (5, 0.0, "CreateTrainingJob", 1.0, 0.3),
        (20, 5.0, "ListTrainingJobs", 2.0, 0.35),
    ],
    ids=["five that never rest", "five that launch", "twenty"],
)
def test_tuners_that_want_more_than_there_is_share_it_equally(
    n_tuners: int, think: float, operation: str, per_second: float, most: float
) -> None:
    passed, throttles = calls_of(n_tuners, think, operation, per_second)
    assert len(passed) == n_tuners
    assert fairness(passed) > 0.95
    assert throttles < most * passed.total()


def test_five_tuners_that_look_every_five_seconds_hardly_meet() -> None:
    passed, throttles = calls_of(5, think=5.0)
    assert fairness(passed) > 0.99
    assert throttles < 0.02 * passed.total()


def test_who_comes_later_is_not_kept_out_by_who_calls_as_often_as_it_may() -> None:
    passed, throttles = calls_of(2, think=0.0)
    assert fairness(passed) > 0.95
    assert throttles < 0.1 * passed.total()
