"""Calls that go wrong: refused, lost, or done without a word."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError

from cloudtune.clock import VirtualClock
from cloudtune.sandbox import FaultPlan, Sandbox
from cloudtune.sandbox.faults.calls import call_fault
from cloudtune.sandbox.faults.plan import CallRule, Pages, Throttling, When
from cloudtune.sandbox.script import Run, Step
from tests.sandbox.support import job_request

# retries off, and little patience
ONCE = Config(retries={"total_max_attempts": 1}, read_timeout=1.5, s3={"addressing_style": "path"})


def nothing(run: Run) -> Iterator[Step]:
    return iter(())


def by_http(sandbox: Sandbox, service: str) -> Any:
    session = boto3.Session("x", "x", region_name=sandbox.region)
    return session.client(service, endpoint_url=sandbox.endpoint_url, config=ONCE)


def in_process(sandbox: Sandbox, service: str) -> Any:
    return sandbox.session().client(service, config=ONCE)


@contextmanager
def virtual(plan: FaultPlan | None = None, **options: Any) -> Iterator[tuple[Sandbox, VirtualClock]]:
    clock = VirtualClock()
    with Sandbox(jobs=nothing, clock=clock, faults=plan, **options) as sandbox:
        yield sandbox, clock


@pytest.fixture(scope="module")
def real() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


def outcome(call: Callable[[], Any]) -> str:
    """The code of the error that ``call`` ends with, or its class; "" for none."""
    try:
        call()
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    except (ConnectionClosedError, ReadTimeoutError) as error:
        return type(error).__name__
    return ""


@pytest.mark.parametrize("reach", [by_http, in_process])
@pytest.mark.parametrize(
    ("service", "kind", "code", "status", "message"),
    [
        ("sagemaker", "throttled", "ThrottlingException", 400, "Rate exceeded"),
        ("sagemaker", "internal-error", "InternalServerError", 500, "internal error"),
        ("sagemaker", "internal-failure", "InternalFailure", 500, "unknown error"),
        ("sagemaker", "unavailable", "ServiceUnavailable", 503, "unavailable"),
        ("logs", "unavailable", "ServiceUnavailableException", 503, "unavailable"),
        ("s3", "throttled", "SlowDown", 503, "reduce your request rate"),
        ("s3", "unavailable", "ServiceUnavailable", 503, "unavailable"),
        ("cloudwatch", "throttled", "ThrottlingException", 400, "Rate exceeded"),
        ("iam", "throttled", "ThrottlingException", 400, "Rate exceeded"),
    ],
)
def test_a_refusal_is_in_the_words_of_its_service(
    real: Sandbox, reach: Any, service: str, kind: str, code: str, status: int, message: str
) -> None:
    operations = {
        "sagemaker": ("ListTrainingJobs", "list_training_jobs"),
        "logs": ("DescribeLogGroups", "describe_log_groups"),
        "s3": ("ListBuckets", "list_buckets"),
        "cloudwatch": ("ListMetrics", "list_metrics"),
        "iam": ("ListRoles", "list_roles"),
    }
    operation, method = operations[service]
    real.fail_next(f"{service}.{operation}", kind)
    asking = getattr(reach(real, service), method)
    with pytest.raises(ClientError, match=message) as caught:
        asking()
    assert caught.value.response["Error"]["Code"] == code
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    asking()


@pytest.mark.parametrize("reach", [by_http, in_process])
@pytest.mark.parametrize(
    ("kind", "error", "done"),
    [
        ("reset", ConnectionClosedError, False),
        ("reset-after", ConnectionClosedError, True),
        ("timeout", ReadTimeoutError, False),
        ("timeout-after", ReadTimeoutError, True),
    ],
)
def test_a_client_without_an_answer_can_not_know(
    real: Sandbox, reach: Any, kind: str, error: type[Exception], done: bool
) -> None:
    name = f"{kind}-{reach.__name__.replace('_', '-')}"
    before = real.faults_injected()[kind]
    sagemaker, s3 = reach(real, "sagemaker"), reach(real, "s3")
    real.fail_next("sagemaker.CreateTrainingJob", kind)
    real.fail_next("s3.PutObject", kind)
    with pytest.raises(error):
        sagemaker.create_training_job(**job_request(real, name))
    with pytest.raises(error):
        s3.put_object(Bucket=real.bucket, Key=name, Body=b"here")
    assert outcome(lambda: sagemaker.describe_training_job(TrainingJobName=name)) == (
        "" if done else "ValidationException"
    )
    assert outcome(lambda: s3.get_object(Bucket=real.bucket, Key=name)) == ("" if done else "NoSuchKey")
    assert real.faults_injected()[kind] == before + 2


def test_a_lost_head_request_leaves_a_connection_that_works(real: Sandbox) -> None:
    s3 = by_http(real, "s3")
    s3.put_object(Bucket=real.bucket, Key="head", Body=b"x")
    real.fail_next("s3.HeadObject", "unavailable")
    assert outcome(lambda: s3.head_object(Bucket=real.bucket, Key="head")) == "503"
    assert s3.head_object(Bucket=real.bucket, Key="head")["ContentLength"] == 1


# -- when --------------------------------------------------------------------------------------------------------------


def codes(sandbox: Sandbox, calls: int) -> list[str]:
    sagemaker = in_process(sandbox, "sagemaker")
    return [outcome(sagemaker.list_training_jobs) for _ in range(calls)]


def test_the_nth_call_of_an_operation() -> None:
    plan = FaultPlan(calls=(CallRule("throttled", "sagemaker.List*", When(counts=(2, 4))),))
    with virtual(plan) as (sandbox, _):
        in_process(sandbox, "logs").describe_log_groups()
        assert codes(sandbox, 5) == ["", "ThrottlingException", "", "ThrottlingException", ""]


def test_an_outage_lasts_from_one_second_to_another() -> None:
    plan = FaultPlan(calls=(CallRule("unavailable", "*", When(windows=((60.0, 90.0),))),))
    with virtual(plan) as (sandbox, clock):
        assert codes(sandbox, 1) == [""]
        clock.sleep(60.0)
        assert codes(sandbox, 2) == ["ServiceUnavailable"] * 2
        clock.sleep(30.0)
        assert codes(sandbox, 1) == [""]


PROBABLE = FaultPlan(calls=(CallRule("internal-error", "sagemaker.*", When(0.3)),))


def test_the_same_seed_hits_the_same_calls_and_another_one_others() -> None:
    found = []
    for plan in (PROBABLE, PROBABLE, FaultPlan(seed=1, calls=PROBABLE.calls)):
        with virtual(plan) as (sandbox, _):
            found.append(codes(sandbox, 60))
    assert found[0] == found[1] != found[2]
    assert 8 <= found[0].count("InternalServerError") <= 28


def test_the_order_of_threads_and_of_other_calls_changes_nothing() -> None:
    """Which of an operation's calls are hit, by their number, is a matter of the plan alone."""
    with virtual(PROBABLE) as (sandbox, _):
        alone = codes(sandbox, 60)
    with virtual(PROBABLE) as (sandbox, _):
        sagemaker = in_process(sandbox, "sagemaker")
        together: list[str] = []

        def work() -> None:
            for _ in range(15):
                outcome(lambda: sagemaker.search(Resource="TrainingJob"))
                together.append(outcome(sagemaker.list_training_jobs))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert sorted(together) == sorted(alone)


def test_what_is_decided_needs_only_operation_count_and_time() -> None:
    decided = [call_fault(PROBABLE, "sagemaker.Search", count, 0.0) for count in range(1, 200)]
    assert decided == [call_fault(PROBABLE, "sagemaker.Search", count, 9e9) for count in range(1, 200)]
    assert [call_fault(PROBABLE, "s3.PutObject", count, 0.0) for count in range(1, 200)] == [None] * 199


def test_a_reset_begins_the_plan_again() -> None:
    with virtual(PROBABLE) as (sandbox, _):
        first = codes(sandbox, 30)
        sandbox.reset()
        assert sandbox.faults_injected() == {}
        assert codes(sandbox, 30) == first


def test_without_a_plan_nothing_goes_wrong() -> None:
    with virtual() as (sandbox, _):
        assert codes(sandbox, 50) == [""] * 50
        assert sandbox.faults_injected() == {}


def test_what_is_ordered_happens_once_each_in_that_order() -> None:
    with virtual() as (sandbox, _):
        sandbox.fail_next("sagemaker.ListTrainingJobs", "throttled", times=2)
        sandbox.fail_next("sagemaker.ListTrainingJobs", "reset")
        assert codes(sandbox, 4) == ["ThrottlingException", "ThrottlingException", "ConnectionClosedError", ""]
        assert sandbox.faults_injected() == {"throttled": 2, "reset": 1}


@pytest.mark.parametrize(
    ("operation", "kind", "hint"),
    [
        ("sagemaker.CreateTrainingJobs", "reset", "did you mean 'sagemaker.CreateTrainingJob'"),
        ("CreateTrainingJob", "reset", "such as 'sagemaker.CreateTrainingJob'"),
        ("sagemker.CreateTrainingJob", "reset", "did you mean 'sagemaker'"),
        ("sagemaker.*", "reset", "unknown operation"),
        ("sagemaker.Search", "restet", "did you mean 'reset'"),
        ("sagemaker.Search", "no-capacity", "unknown kind"),
    ],
)
def test_what_is_ordered_must_exist(real: Sandbox, operation: str, kind: str, hint: str) -> None:
    with pytest.raises(ValueError, match=hint):
        real.fail_next(operation, kind)


def test_a_plan_about_operations_that_do_not_exist_is_refused() -> None:
    plan = FaultPlan(calls=(CallRule("reset", "sagemaker.DescribeTrainigJob"),))
    with pytest.raises(ValueError, match=r"did you mean 'sagemaker\.DescribeTrainingJob'"), Sandbox(faults=plan):
        pass


# -- rates -------------------------------------------------------------------------------------------------------------


def test_who_calls_more_often_than_the_documented_rate_is_throttled() -> None:
    with virtual(FaultPlan(throttling=Throttling())) as (sandbox, clock):
        assert codes(sandbox, 4) == ["", "", "ThrottlingException", "ThrottlingException"]
        clock.sleep(0.5)
        assert codes(sandbox, 2) == ["", "ThrottlingException"]
        clock.sleep(3600.0)
        assert codes(sandbox, 3) == ["", "", "ThrottlingException"]
        assert sandbox.faults_injected() == {"throttled": 4}


def test_who_keeps_to_the_rate_is_never_throttled() -> None:
    with virtual(FaultPlan(throttling=Throttling())) as (sandbox, clock):
        for _ in range(50):
            clock.sleep(1.0)
            assert codes(sandbox, 2) == ["", ""]


def test_rates_are_quotas_of_the_account() -> None:
    quotas = {"Rate of ListTrainingJobs requests": 5}
    with virtual(FaultPlan(throttling=Throttling()), quotas=quotas) as (sandbox, _):
        assert codes(sandbox, 6) == [""] * 5 + ["ThrottlingException"]


def test_logs_have_their_own_rate_and_s3_may_be_given_one() -> None:
    plan = FaultPlan(throttling=Throttling(rates={"s3.ListBuckets": 1.0}))
    with virtual(plan) as (sandbox, _):
        logs, s3 = in_process(sandbox, "logs"), in_process(sandbox, "s3")
        read = [outcome(lambda: logs.filter_log_events(logGroupName="/aws/sagemaker/TrainingJobs")) for _ in range(6)]
        assert read == [""] * 5 + ["ThrottlingException"]
        assert [outcome(s3.list_buckets) for _ in range(2)] == ["", "SlowDown"]


# -- listings ----------------------------------------------------------------------------------------------------------


def test_listings_of_objects_come_in_small_pages() -> None:
    with virtual(FaultPlan(pages=Pages(objects=3))) as (sandbox, _):
        s3 = in_process(sandbox, "s3")
        for number in range(7):
            s3.put_object(Bucket=sandbox.bucket, Key=f"a b/{number}", Body=b"")
        pages = [*s3.get_paginator("list_objects_v2").paginate(Bucket=sandbox.bucket, Prefix="a b/")]
        assert [len(page["Contents"]) for page in pages] == [3, 3, 1]
        assert sandbox.faults_injected() == {"small-page": 3}
        assert s3.list_objects_v2(Bucket=sandbox.bucket, MaxKeys=2)["KeyCount"] == 2
