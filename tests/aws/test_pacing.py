from __future__ import annotations

import pytest

from cloudtune.aws.pacing import RATES, RATES_VARIABLE, Pacer, Rate, rates_of_environment
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
