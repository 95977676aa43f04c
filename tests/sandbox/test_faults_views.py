"""Views that don't know yet, each in its own way; and pages smaller than asked for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError

from cloudtune.sandbox import Delays, FaultPlan, Sandbox
from cloudtune.sandbox.faults.plan import Lag, Pages, Views
from cloudtune.sandbox.script import Line, Run, Step
from tests.sandbox.here import Here, here_with
from tests.sandbox.support import client, create, path_of, wait_for_end

STALE = Views(describe=Lag(5.0, 20.0), list=Lag(10.0, 40.0), search=Lag(30.0, 80.0))


def minute(run: Run) -> Iterator[Step]:
    yield Line("loss=3", after=30.0)
    yield Line("loss=2", after=30.0)


METRIC = {"MetricDefinitions": [{"Name": "loss", "Regex": "loss=([0-9]+)"}]}


def statuses(here: Here) -> tuple[str, str, str]:
    """The job's secondary status as Describe, List and Search have it; "" for unknown."""
    try:
        described = here.described()["SecondaryStatus"]
    except ClientError as error:
        assert "Requested resource not found" in str(error)
        described = ""
    listed = here.sagemaker.list_training_jobs()["TrainingJobSummaries"]
    found = here.sagemaker.search(Resource="TrainingJob")["Results"]
    return (
        described,
        listed[0]["SecondaryStatus"] if listed else "",
        found[0]["TrainingJob"]["SecondaryStatus"] if found else "",
    )


@pytest.fixture
def stale() -> Iterator[Here]:
    yield from world(FaultPlan(views=STALE))


def world(plan: FaultPlan) -> Iterator[Here]:
    """A job that is created at second 0 runs from 100 to 160."""
    delays = Delays(starting=100.0, uploading=10.0, stopping=10.0)
    with here_with({"AlgorithmSpecification": METRIC}, jobs=minute, delays=delays, faults=plan) as here:
        yield here


def test_each_view_knows_a_new_job_in_its_own_time(stale: Here) -> None:
    stale.create()
    seen = []
    for second in (0.0, 4.0, 6.0, 11.0, 29.0, 31.0):
        stale.until(second)
        seen.append(statuses(stale))
    assert seen == [
        ("", "", ""),
        ("", "", ""),
        ("Starting", "", ""),
        ("Starting", "Starting", ""),
        ("Starting", "Starting", ""),
        ("Starting", "Starting", "Starting"),
    ]
    assert stale.sandbox.faults_injected() == {"stale-describe": 2, "stale-list": 3, "stale-search": 5}


def test_each_view_shows_a_change_in_its_own_time(stale: Here) -> None:
    stale.create()
    seen = []
    for second in (99.0, 119.0, 121.0, 139.0, 141.0, 179.0, 181.0, 252.0):
        stale.until(second)
        seen.append(statuses(stale))
    assert seen == [
        ("Starting", "Starting", "Starting"),
        ("Starting", "Starting", "Starting"),
        ("Training", "Starting", "Starting"),
        ("Training", "Starting", "Starting"),
        ("Training", "Training", "Starting"),
        ("Training", "Training", "Starting"),
        # the upload begins at 160 and ends at 170
        ("Uploading", "Training", "Training"),
        ("Completed", "Completed", "Completed"),
    ]


def test_an_earlier_view_is_consistent_in_itself(stale: Here) -> None:
    stale.create()
    stale.until(185.0)
    job = stale.described()
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("InProgress", "Uploading")
    assert path_of(job) == ["Starting", "Downloading", "Training", "Uploading"]
    assert "EndTime" not in job["SecondaryStatusTransitions"][-1]
    assert "TrainingEndTime" not in job
    assert "BillableTimeInSeconds" not in job
    assert job["ModelArtifacts"]["S3ModelArtifacts"] == ""
    assert job["LastModifiedTime"] == job["SecondaryStatusTransitions"][-1]["StartTime"]
    stale.until(191.0)
    assert stale.described()["TrainingJobStatus"] == "Completed"


def test_a_metric_is_not_seen_before_the_status_it_was_reported_in(stale: Here) -> None:
    stale.create()
    stale.until(119.0)
    assert "FinalMetricDataList" not in stale.described()
    stale.until(175.0)
    assert [metric["Value"] for metric in stale.described()["FinalMetricDataList"]] == [2.0]


def test_a_stop_is_accepted_before_anybody_sees_it(stale: Here) -> None:
    stale.create()
    stale.until(125.0)
    stale.sagemaker.stop_training_job(TrainingJobName="job")
    assert stale.described()["TrainingJobStatus"] == "InProgress"
    stale.until(146.0)
    assert stale.described()["TrainingJobStatus"] == "Stopping"
    stale.until(160.0)
    assert stale.described()["TrainingJobStatus"] == "Stopped"


def test_filters_are_held_against_what_the_view_shows(stale: Here) -> None:
    stale.create()
    stale.until(172.0)
    completed = stale.sagemaker.list_training_jobs(StatusEquals="Completed")
    assert completed["TrainingJobSummaries"] == []
    running = {"Filters": [{"Name": "TrainingJobStatus", "Operator": "Equals", "Value": "InProgress"}]}
    assert stale.sagemaker.search(Resource="TrainingJob", SearchExpression=running)["TotalHits"]["Value"] == 1


def test_what_a_name_is_taken_by_counts_even_if_no_view_knows_it(stale: Here) -> None:
    stale.create()
    with pytest.raises(ClientError, match="ResourceInUse"):
        stale.create()


def test_some_jobs_are_late_and_others_are_not() -> None:
    plan = FaultPlan(views=Views(list=Lag(created=60.0, probability=0.5)))
    seen = []
    for order in (range(20), reversed(range(20))):
        for here in world(plan):
            for number in order:
                here.create(f"job-{number}")
            listed = here.sagemaker.list_training_jobs(MaxResults=100)["TrainingJobSummaries"]
            seen.append({entry["TrainingJobName"] for entry in listed})
    assert seen[0] == seen[1]
    assert 4 <= len(seen[0]) <= 16


def test_pages_of_jobs_hold_less_than_was_asked_for() -> None:
    for here in world(FaultPlan(pages=Pages(jobs=3))):
        for number in range(8):
            here.create(f"job-{number}")
        listed = [*here.sagemaker.get_paginator("list_training_jobs").paginate(MaxResults=100)]
        found = [*here.sagemaker.get_paginator("search").paginate(Resource="TrainingJob")]
        assert [len(page["TrainingJobSummaries"]) for page in listed] == [3, 3, 2]
        assert [len(page["Results"]) for page in found] == [3, 3, 2]
        assert here.sandbox.faults_injected() == {"small-page": 6}


def test_stale_views_of_real_processes() -> None:
    plan = FaultPlan(views=Views(describe=Lag(changed=0.5), list=Lag(changed=600.0), search=Lag(created=600.0)))
    with Sandbox(faults=plan) as sandbox:
        create(sandbox, "real")
        assert wait_for_end(sandbox, "real")["TrainingJobStatus"] == "Completed"
        sagemaker = client(sandbox, "sagemaker")
        assert sagemaker.list_training_jobs()["TrainingJobSummaries"][0]["TrainingJobStatus"] == "InProgress"
        assert sagemaker.search(Resource="TrainingJob")["Results"] == []
