"""What becomes of throttles and lost answers, with the real botocore on a sandbox in virtual time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from cloudtune.aws import Aws
from cloudtune.aws.account import READ_TRIES
from cloudtune.clock import VirtualClock
from cloudtune.errors import ThrottledError, UnreachableError
from cloudtune.sandbox import Sandbox
from cloudtune.sandbox.faults.plan import CallRule, FaultPlan, Throttling, When
from cloudtune.sandbox.script import Run, Step


def nothing(run: Run) -> Iterator[Step]:
    return iter(())


@contextmanager
def account(plan: FaultPlan, attempts: int = 1) -> Iterator[tuple[Aws, VirtualClock]]:
    clock = VirtualClock()
    with Sandbox(jobs=nothing, clock=clock, faults=plan) as sandbox:
        yield Aws(session=sandbox.session(), clock=clock, attempts=attempts), clock


def throttled_calls(operation: str, *counts: int) -> FaultPlan:
    return FaultPlan(calls=(CallRule("throttled", f"sagemaker.{operation}", When(counts=counts)),))


def test_a_throttle_is_heard_at_once_and_botocore_does_not_repeat_it() -> None:
    with account(throttled_calls("StopTrainingJob", 1), attempts=4) as (aws, clock):
        began = clock.now()
        with pytest.raises(ThrottledError, match="Rate exceeded"):
            aws.call("sagemaker", "StopTrainingJob", TrainingJobName="any")
        assert aws.throttle_counts() == {"StopTrainingJob": 1}
        assert aws.call_counts() == {"StopTrainingJob": 1}
        assert clock.now() == began


def test_a_read_comes_again_at_a_slower_pace() -> None:
    with account(throttled_calls("ListTrainingJobs", 1, 2)) as (aws, clock):
        began = clock.now()
        assert aws.call("sagemaker", "ListTrainingJobs")["TrainingJobSummaries"] == []
        assert aws.throttle_counts() == {"ListTrainingJobs": 2}
        waited = clock.now() - began
        # at a half and at a quarter of 1.8 per second, more or less
        assert waited == pytest.approx((2 + 4) / 1.8, rel=0.25)
        aws.call("sagemaker", "ListTrainingJobs")
        assert clock.now() - began - waited > 1.5, "who was throttled looks less often"


def test_a_read_that_is_throttled_for_long_is_left_to_the_next_look() -> None:
    with account(throttled_calls("ListTrainingJobs", *range(1, 100))) as (aws, _):
        with pytest.raises(ThrottledError):
            aws.call("sagemaker", "ListTrainingJobs")
        assert aws.call_counts() == {"ListTrainingJobs": READ_TRIES}


def test_faults_and_lost_connections_are_botocore_s_affair() -> None:
    rules = [CallRule(kind, "sagemaker.ListTrainingJobs", When(counts=(1,))) for kind in ("reset", "internal-error")]
    for rule in rules:
        with account(FaultPlan(calls=(rule,)), attempts=2) as (aws, _):
            aws.call("sagemaker", "ListTrainingJobs")
            assert aws.throttle_counts() == {}
        with account(FaultPlan(calls=(rule,)), attempts=1) as (aws, _), pytest.raises(UnreachableError):
            aws.call("sagemaker", "ListTrainingJobs")


def test_one_tuner_alone_is_never_throttled_at_the_documented_rates() -> None:
    with account(FaultPlan(throttling=Throttling())) as (aws, _):
        for _ in range(40):
            aws.call("sagemaker", "ListTrainingJobs")
            aws.call("service-quotas", "ListServiceQuotas", ServiceCode="sagemaker")
        assert aws.throttle_counts() == {}
