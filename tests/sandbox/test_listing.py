"""ListTrainingJobs: filters, order, pages."""

from __future__ import annotations

import pytest

from cloudtune.sandbox.aws_error import AwsError
from cloudtune.sandbox.training.job import Job, WarmPool
from cloudtune.sandbox.training.listing import list_jobs


def make(name: str, created: float, status: str = "InProgress", modified: float | None = None) -> Job:
    return Job(name, f"arn:{name}", {}, created, created if modified is None else modified, status=status)


JOBS = [
    make("b-1", 10.0, "Completed", 50.0),
    make("a-1", 20.0, "InProgress", 40.0),
    make("a-10", 30.0, "Completed", 30.0),
    make("c-1", 40.0, "Failed", 60.0),
]


def names(**request: object) -> list[str]:
    return [job.name for job in list_jobs(request, JOBS)[0]]


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ({}, ["c-1", "a-10", "a-1", "b-1"]),
        ({"SortOrder": "Ascending"}, ["b-1", "a-1", "a-10", "c-1"]),
        ({"SortBy": "CreationTime"}, ["b-1", "a-1", "a-10", "c-1"]),
        ({"SortBy": "Name"}, ["a-1", "a-10", "b-1", "c-1"]),
        ({"SortBy": "Name", "SortOrder": "Descending"}, ["c-1", "b-1", "a-10", "a-1"]),
        ({"SortBy": "Status", "SortOrder": "Ascending"}, ["a-10", "b-1", "c-1", "a-1"]),
        ({"NameContains": "a-1"}, ["a-10", "a-1"]),
        ({"NameContains": "a-1-"}, []),
        ({"StatusEquals": "Completed"}, ["a-10", "b-1"]),
        ({"CreationTimeAfter": 20.0}, ["c-1", "a-10"]),
        ({"CreationTimeBefore": 20.0}, ["b-1"]),
        ({"LastModifiedTimeAfter": 45.0}, ["c-1", "b-1"]),
        ({"LastModifiedTimeBefore": 45.0}, ["a-10", "a-1"]),
        ({"LastModifiedTimeAfter": 30.0, "LastModifiedTimeBefore": 50.0}, ["a-1"]),
        ({"WarmPoolStatusEquals": "Available"}, []),
    ],
)
def test_filters_and_order(request_: dict[str, object], expected: list[str]) -> None:
    assert names(**request_) == expected


def test_jobs_by_warm_pool_and_training_plan() -> None:
    pooled = make("pooled", 1.0)
    pooled.warm_pool = WarmPool("Available", available_from=1.0)
    planned = Job("planned", "arn", {"ResourceConfig": {"TrainingPlanArn": "plan"}}, 2.0, 2.0)
    jobs = [*JOBS, pooled, planned]
    assert list_jobs({"WarmPoolStatusEquals": "Available"}, jobs)[0] == [pooled]
    assert list_jobs({"TrainingPlanArnEquals": "plan"}, jobs)[0] == [planned]


def test_a_page_has_ten_jobs_unless_asked_otherwise() -> None:
    many = [make(f"j-{number}", float(number)) for number in range(25)]
    page, token = list_jobs({}, many)
    assert len(page) == 10
    assert token is not None


@pytest.mark.parametrize("sort_by", ["Name", "CreationTime", "Status"])
@pytest.mark.parametrize("order", ["Ascending", "Descending"])
def test_pages_join_to_the_whole_list(sort_by: str, order: str) -> None:
    many = [make(f"j-{number % 7}-{number}", float(number % 5), f"S{number % 3}") for number in range(25)]
    request: dict[str, object] = {"SortBy": sort_by, "SortOrder": order, "MaxResults": 4}
    seen: list[str] = []
    while True:
        page, token = list_jobs(request, many)
        seen += [job.name for job in page]
        if token is None:
            break
        request["NextToken"] = token
    assert len(seen) == 25
    whole, _ = list_jobs({"SortBy": sort_by, "SortOrder": order, "MaxResults": 100}, many)
    assert seen == [job.name for job in whole]


def test_jobs_created_meanwhile_do_not_shift_the_next_page() -> None:
    many = [make(f"j-{number}", float(number)) for number in range(6)]
    first, token = list_jobs({"MaxResults": 3}, many)
    second, _ = list_jobs({"MaxResults": 3, "NextToken": token}, [*many, make("new", 99.0)])
    assert [job.name for job in first + second] == ["j-5", "j-4", "j-3", "j-2", "j-1", "j-0"]


def test_with_a_status_the_page_is_cut_before_it_is_filtered() -> None:
    many = [make(f"j-{number}", float(number), "InProgress" if number < 2 else "Completed") for number in range(6)]
    request = {"StatusEquals": "InProgress", "MaxResults": 3}
    page, token = list_jobs(request, many)
    assert page == []
    assert token is not None
    page, token = list_jobs({**request, "NextToken": token}, many)
    assert [job.name for job in page] == ["j-1", "j-0"]
    assert token is None


@pytest.mark.parametrize("token", ["nonsense", "bm9uc2Vuc2U=", "WzFd"])
def test_a_foreign_token_is_refused(token: str) -> None:
    with pytest.raises(AwsError, match="ValidationException: The token"):
        list_jobs({"NextToken": token}, JOBS)


def test_a_token_of_another_order_is_refused() -> None:
    _, token = list_jobs({"MaxResults": 1, "SortBy": "Name"}, JOBS)
    with pytest.raises(AwsError, match="of a listing by Name"):
        list_jobs({"NextToken": token}, JOBS)
