"""Listings, the index and descriptions that lag, each in its own way: absence is no end, and no step is taken back."""

from __future__ import annotations

from collections import defaultdict

import pytest

from cloudtune.sagemaker.following import _ORDER
from cloudtune.sandbox import Delays
from cloudtune.sandbox.faults.plan import FaultPlan, Lag, Views
from cloudtune.trial import AttemptId, AttemptStatus, Cause, StatusChange
from tests.sagemaker.support import attempt, in_virtual_time
from tests.virtual import Training

ALL_STALE = Views(describe=Lag(30.0, 20.0, 0.7), list=Lag(40.0, 60.0, 0.7), search=Lag(60.0, 90.0, 0.9))


@pytest.mark.parametrize(
    "views",
    [
        Views(list=Lag(created=100.0)),
        Views(list=Lag(changed=120.0, probability=0.5)),
        Views(search=Lag(200.0, 200.0)),
        Views(describe=Lag(100.0, 60.0)),
        ALL_STALE,
    ],
    ids=["new jobs", "changes", "the index", "descriptions", "all"],
)
def test_no_attempt_fails_and_none_ends_early_because_a_view_is_old(views: Views) -> None:
    plan = FaultPlan(seed=1, views=views)
    with in_virtual_time(Training(seconds=60.0), Delays.realistic(), faults=plan) as (_, backend, clock, seen):
        began = clock.now()
        trials = [attempt(number, x=0.5, epochs=1 + number % 4) for number in range(12)]
        for trial in trials:
            backend.start(trial)
        seen.finish(*trials)
        for trial in trials:
            end = seen.end(trial)
            assert end is not None
            assert (end.status, end.cause) == (AttemptStatus.COMPLETED, Cause.NONE)
            assert len(seen.reports(trial)) == trial.config["epochs"]
        told: dict[AttemptId, list[int]] = defaultdict(list)
        for each in seen.all:
            if isinstance(each, StatusChange):
                told[each.attempt].append(_ORDER[each.status])
        assert all(orders == sorted(orders) for orders in told.values())
        assert clock.now() - began < 1500


def test_a_job_that_is_unknown_at_first_costs_few_calls() -> None:
    plan = FaultPlan(views=Views(describe=Lag(created=150.0), list=Lag(created=150.0), search=Lag(created=150.0)))
    with in_virtual_time(Training(seconds=60.0), faults=plan) as (sandbox, backend, _, seen):
        trial = attempt(0, x=0.5, epochs=5)
        backend.start(trial)
        seen.finish(trial)
        assert seen.end(trial).status is AttemptStatus.COMPLETED  # type: ignore[union-attr]
        assert sandbox.call_counts()["sagemaker.DescribeTrainingJob"] <= 5


def test_a_stop_of_what_has_ended_is_done_though_its_description_is_old() -> None:
    plan = FaultPlan(views=Views(describe=Lag(changed=600.0)))
    with in_virtual_time(Training(seconds=60.0), faults=plan) as (sandbox, backend, clock, _):
        trial = attempt(0, x=0.5, epochs=1)
        name = backend.start(trial).name
        clock.sleep(200)
        described = sandbox.client("sagemaker").describe_training_job(TrainingJobName=name)
        assert described["TrainingJobStatus"] == "InProgress"
        backend.stop(trial.id)


def test_a_deleted_job_is_gone_and_the_trial_is_not_to_blame() -> None:
    with in_virtual_time(Training(seconds=600.0)) as (sandbox, backend, _, seen):
        trial = attempt(0, x=0.5, epochs=5)
        name = backend.start(trial).name
        seen.wait(60)
        client = sandbox.client("sagemaker")
        client.stop_training_job(TrainingJobName=name)
        client.describe_training_job(TrainingJobName=name)
        client.delete_training_job(TrainingJobName=name)
        seen.finish(trial)
        end = seen.end(trial)
        assert end is not None
        assert (end.status, end.cause) == (AttemptStatus.FAILED, Cause.OUTSIDE)
        assert end.reason.startswith("Gone")
