"""What a look costs, and what becomes of limits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cloudtune.errors import NotYetError
from cloudtune.sagemaker import FeedOptions, SageMakerBackend
from cloudtune.sandbox import Sandbox
from cloudtune.sandbox.settings import Delays
from cloudtune.trial import AttemptId, AttemptStatus, StatusChange
from tests.sagemaker.support import Seen, attempt, in_virtual_time, opened
from tests.virtual import Training

QUOTA = 45


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    # a shell that is told to stop while it starts may not hear it
    with Sandbox(quotas={"ml.m5.xlarge": QUOTA, "ml.c5.xlarge": 1}, delays=Delays(stop_grace=0.5)) as running:
        yield running


def sleeper(account: Sandbox, instance_type: str = "ml.m5.xlarge") -> dict[str, Any]:
    """A container that needs no Python: many of them fit on a small machine."""
    return {
        "RoleArn": account.role_arn,
        "AlgorithmSpecification": {
            "TrainingImage": "any",
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["/bin/sh", "-c", "echo hello; echo '[tune-metric]: {\"acc\": 1}'; exec sleep 600"],
        },
        "ResourceConfig": {"InstanceType": instance_type, "InstanceCount": 1, "VolumeSizeInGB": 30},
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
    }


def running(seen: Seen) -> set[AttemptId]:
    return {
        each.attempt for each in seen.all if isinstance(each, StatusChange) and each.status is AttemptStatus.RUNNING
    }


def calls(account: Sandbox) -> dict[str, int]:
    """What the sandbox was asked, but for what its own jobs do in S3."""
    return {name: count for name, count in account.call_counts().items() if count and not name.startswith("s3.")}


@pytest.mark.parametrize("count", [1, 50, 150])
def test_a_look_at_many_running_trials_costs_what_one_costs(count: int) -> None:
    with in_virtual_time(Training(seconds=600.0)) as (sandbox, backend, _, seen):
        assert list(seen.poll()) == []
        assert "sagemaker.ListTrainingJobs" not in sandbox.call_counts(), "no attempt is open, so nothing is asked"

        trials = [attempt(number, x=0.5, epochs=9) for number in range(count)]
        sandbox.reset_call_counts()
        for trial in trials:
            backend.start(trial)
        assert calls(sandbox) == {"sagemaker.CreateTrainingJob": count}
        seen.until(lambda: len(running(seen)) == count and all(seen.reports(trial) for trial in trials), "start")
        seen.wait(60)

        sandbox.reset_call_counts()
        for _ in range(3):
            assert list(seen.poll()) == []
        assert calls(sandbox) == {"sagemaker.ListTrainingJobs": 3, "logs.FilterLogEvents": 3}

        for trial in trials:
            backend.stop(trial.id)
        sandbox.reset_call_counts()
        seen.finish(*trials)
        spent = calls(sandbox)
        assert spent.get("sagemaker.Search", 0) + spent.get("sagemaker.DescribeTrainingJob", 0) <= 1 + count // 50
        assert spent["logs.FilterLogEvents"] <= 6 + count // 50, "last readings of logs share calls, too"

        sandbox.reset_call_counts()
        assert list(seen.poll()) == []
        assert calls(sandbox) == {}


def test_jobs_that_were_launched_together_are_compared_with_their_requests_in_one_call_per_hundred() -> None:
    with in_virtual_time(Training(seconds=600.0)) as (sandbox, backend, _, seen):
        for number in range(250):
            backend.start(attempt(number, x=0.5, epochs=9))
        seen.wait(120)
        assert sandbox.call_counts()["sagemaker.Search"] <= 8
        assert sandbox.call_counts()["sagemaker.DescribeTrainingJob"] == 0


def test_a_full_quota_holds_a_trial_until_one_of_ours_ends(account: Sandbox, tmp_path: Path) -> None:
    backend = opened(sleeper(account, "ml.c5.xlarge"), "limited", tmp_path)
    seen = Seen(backend)
    first, second = attempt(0), attempt(1)
    backend.start(first)
    with pytest.raises(NotYetError, match=r"waiting for ml\.c5\.xlarge: 1 of 1 in use"):
        backend.start(second)
    backend.stop(first.id)
    seen.finish(first)
    backend.start(second)
    backend.stop(second.id)
    seen.finish(second)


def test_a_job_that_vanished_ends_its_attempt(account: Sandbox, tmp_path: Path) -> None:
    backend = opened(sleeper(account), "vanished", tmp_path, feed=FeedOptions(missing_seconds=0.0))
    seen = Seen(backend)
    never = attempt(0)
    backend.adopt([never])
    seen.finish(never)
    end = seen.end(never)
    assert end is not None
    assert end.status is AttemptStatus.FAILED
    assert end.reason.startswith("Gone")


def test_a_listing_of_everything_finds_what_a_listing_of_changes_missed(account: Sandbox, tmp_path: Path) -> None:
    backend = opened(sleeper(account), "recheck", tmp_path, feed=FeedOptions(0.2, recheck_seconds=0.0))
    seen = Seen(backend)
    trial = attempt(0)
    name = backend.start(trial).name
    seen.until(lambda: bool(seen.reports(trial)), "report")
    account.client("sagemaker").stop_training_job(TrainingJobName=name)
    seen.finish(trial)


def test_more_reports_than_a_page_holds_all_arrive(account: Sandbox, tmp_path: Path) -> None:
    request = sleeper(account)
    loop = "i=0; while [ $i -lt 12000 ]; do echo '[tune-metric]: {\"acc\": '$i'}'; i=$((i+1)); done"
    request["AlgorithmSpecification"]["ContainerEntrypoint"] = ["/bin/sh", "-c", loop]
    backend: SageMakerBackend = opened(request, "pages", tmp_path)
    trial = attempt(0)
    backend.start(trial)
    seen = Seen(backend)
    seen.finish(trial)
    assert [report.metrics["acc"] for report in seen.reports(trial)] == list(range(12_000))
