"""Search: every operator on every kind of property."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cloudtune.sandbox import Delays, Sandbox
from cloudtune.sandbox.aws_error import AwsError
from cloudtune.sandbox.training.search import modified_from, search_jobs
from tests.sandbox.support import client, create, wait_for_end


def record(name: str, created: float, **members: Any) -> dict[str, Any]:
    return {"TrainingJobName": name, "CreationTime": created, "LastModifiedTime": created, **members}


RECORDS = [
    record(
        "one",
        1000.0,
        TrainingJobStatus="Completed",
        HyperParameters={"lr": "0.1", "a.b": "x"},
        Tags=[{"Key": "team", "Value": "red"}, {"Key": "dotted.key", "Value": "1"}],
        FinalMetricDataList=[{"MetricName": "validation:loss", "Value": 0.25, "Timestamp": 1.0}],
        BillableTimeInSeconds=30,
        EnableManagedSpotTraining=True,
        InputDataConfig=[
            {"ChannelName": "train", "DataSource": {"S3DataSource": {"S3Uri": "s3://b/cats"}}},
            {"ChannelName": "test", "DataSource": {"S3DataSource": {"S3Uri": "s3://b/dogs"}}},
        ],
    ),
    record(
        "two",
        2000.0,
        TrainingJobStatus="InProgress",
        HyperParameters={"lr": "0.5"},
        Tags=[{"Key": "team", "Value": "blue"}],
        EnableManagedSpotTraining=False,
        InputDataConfig=[{"ChannelName": "train", "DataSource": {"S3DataSource": {"S3Uri": "s3://b/dogs"}}}],
    ),
    record("three", 3000.0, TrainingJobStatus="Failed", FailureReason="AlgorithmError: no", BillableTimeInSeconds=5),
]


def condition(name: str, operator: str | None = None, value: str | None = None) -> dict[str, str]:
    parts = {"Name": name, "Operator": operator, "Value": value}
    return {key: part for key, part in parts.items() if part is not None}


def found(expression: dict[str, Any]) -> list[str]:
    page, _, _ = search_jobs({"SearchExpression": expression, "SortOrder": "Ascending"}, RECORDS)
    return [entry["TrainingJobName"] for entry in page]


@pytest.mark.parametrize(
    ("name", "operator", "value", "expected"),
    [
        ("TrainingJobName", None, "two", ["two"]),
        ("TrainingJobName", "Equals", "two", ["two"]),
        ("TrainingJobName", "NotEquals", "two", ["one", "three"]),
        ("TrainingJobName", "Contains", "o", ["one", "two"]),
        ("TrainingJobName", "In", "one, three,nine", ["one", "three"]),
        ("TrainingJobStatus", "Equals", "Failed", ["three"]),
        ("FailureReason", "Exists", None, ["three"]),
        ("FailureReason", "NotExists", None, ["one", "two"]),
        ("Tags.team", "Equals", "red", ["one"]),
        ("Tags.dotted.key", "Equals", "1", ["one"]),
        ("Tags.team", "Exists", None, ["one", "two"]),
        ("Tags.team", "NotEquals", "red", ["two", "three"]),
        ("HyperParameters.lr", "LessThan", "0.2", ["one"]),
        ("HyperParameters.lr", "Equals", "0.5", ["two"]),
        ("HyperParameters.a.b", "Equals", "x", ["one"]),
        ("Metrics.validation:loss", "LessThanOrEqualTo", "0.25", ["one"]),
        ("BillableTimeInSeconds", "GreaterThan", "5", ["one"]),
        ("BillableTimeInSeconds", "GreaterThanOrEqualTo", "5", ["one", "three"]),
        ("EnableManagedSpotTraining", "Equals", "true", ["one"]),
        ("CreationTime", "GreaterThanOrEqualTo", "1970-01-01T00:33:20", ["two", "three"]),
        ("CreationTime", "LessThan", "1970-01-01T00:33:20Z", ["one"]),
        ("InputDataConfig.DataSource.S3DataSource.S3Uri", "Contains", "dogs", ["one", "two"]),
    ],
)
def test_a_filter(name: str, operator: str | None, value: str | None, expected: list[str]) -> None:
    assert found({"Filters": [condition(name, operator, value)]}) == expected


def test_filters_are_joined_by_and_unless_by_or() -> None:
    filters = [condition("Tags.team", "Equals", "red"), condition("TrainingJobName", "Equals", "three")]
    assert found({"Filters": filters}) == []
    assert found({"Filters": filters, "Operator": "Or"}) == ["one", "three"]


def test_a_tag_filter_does_not_hide_the_ones_behind_it() -> None:
    filters = [condition("Tags.team", "Exists"), condition("TrainingJobStatus", "Equals", "InProgress")]
    assert found({"Filters": filters}) == ["two"]


def test_a_nested_filter_wants_one_object_that_satisfies_all() -> None:
    def nested(channel: str, data: str) -> dict[str, Any]:
        return {
            "NestedFilters": [
                {
                    "NestedPropertyName": "InputDataConfig",
                    "Filters": [
                        condition("InputDataConfig.ChannelName", "Equals", channel),
                        condition("InputDataConfig.DataSource.S3DataSource.S3Uri", "Contains", data),
                    ],
                }
            ]
        }

    assert found(nested("train", "dogs")) == ["two"]
    assert found(nested("test", "dogs")) == ["one"]


def test_expressions_nest() -> None:
    red_or_failed = {
        "Filters": [condition("Tags.team", "Equals", "red"), condition("TrainingJobStatus", "Equals", "Failed")],
        "Operator": "Or",
    }
    cheap = {"Filters": [condition("BillableTimeInSeconds", "LessThan", "10")]}
    assert found({"SubExpressions": [red_or_failed, cheap]}) == ["three"]


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ({}, "at least one"),
        ({"Filters": [condition("NoSuchThing", "Exists")]}, "'NoSuchThing' is not a searchable property"),
        ({"Filters": [condition("TrainingJobName", "Equals")]}, "needs a Value"),
        ({"Filters": [condition("TrainingJobName", "GreaterThan", "a")]}, "not supported for text"),
        ({"Filters": [condition("BillableTimeInSeconds", "Contains", "1")]}, "only supported for text"),
        ({"Filters": [condition("BillableTimeInSeconds", "Equals", "soon")]}, "'soon' .* is no integer"),
        ({"Filters": [condition("CreationTime", "Equals", "yesterday")]}, "is no timestamp"),
        (
            {"Filters": [condition("TrainingJobName", "Contains", part) for part in "ab"]},
            "'CONTAINS' operator usage limit of 1 exceeded",
        ),
        (
            {"SubExpressions": [{"Filters": [condition("Tags.x", "Exists")] * 17}] * 3},
            "at most 50 conditions, not 51",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(expression: dict[str, Any], message: str) -> None:
    with pytest.raises(AwsError, match=message) as caught:
        found(expression)
    assert caught.value.code == "ValidationException"


def test_order_and_pages() -> None:
    newest_first, token, total = search_jobs({"MaxResults": 2}, RECORDS)
    assert [entry["TrainingJobName"] for entry in newest_first] == ["three", "two"]
    assert total == 3
    rest, end, _ = search_jobs({"MaxResults": 2, "NextToken": token}, RECORDS)
    assert [entry["TrainingJobName"] for entry in rest] == ["one"]
    assert end is None
    by_cost, _, _ = search_jobs({"SortBy": "BillableTimeInSeconds", "SortOrder": "Ascending"}, RECORDS)
    assert [entry["TrainingJobName"] for entry in by_cost] == ["three", "one", "two"]


def test_over_http_a_record_is_the_description_with_tags(shared: Sandbox) -> None:
    tags = [{"Key": "search", "Value": json.dumps(1)}]
    for name in ("search-1", "search-2", "search-3"):
        create(shared, name, Tags=tags)
        wait_for_end(shared, name)
    answer = client(shared, "sagemaker").search(
        Resource="TrainingJob",
        SearchExpression={
            "Operator": "Or",
            "Filters": [
                condition("TrainingJobName", "Equals", "search-1"),
                condition("TrainingJobName", "Equals", "search-3"),
            ],
        },
        SortBy="TrainingJobName",
        SortOrder="Ascending",
    )
    jobs = [entry["TrainingJob"] for entry in answer["Results"]]
    assert [job["TrainingJobName"] for job in jobs] == ["search-1", "search-3"]
    assert jobs[0]["TrainingJobStatus"] == "Completed"
    assert jobs[0]["Tags"] == tags
    assert answer["TotalHits"]["Value"] == 2


def test_search_does_not_know_a_job_younger_than_the_index_lag() -> None:
    with Sandbox(delays=Delays(search_index=600)) as sandbox:
        create(sandbox, "fresh")
        wait_for_end(sandbox, "fresh")
        assert client(sandbox, "sagemaker").search(Resource="TrainingJob")["Results"] == []


def test_other_resources_are_searched_by_moto(shared: Sandbox) -> None:
    sagemaker = client(shared, "sagemaker")
    sagemaker.create_model_package_group(ModelPackageGroupName="group")
    assert "Results" in sagemaker.search(Resource="ModelPackageGroup")


@pytest.mark.parametrize("operator", ["GreaterThan", "GreaterThanOrEqualTo", "LessThan", "Equals", "NotEquals"])
@pytest.mark.parametrize("together", ["And", "Or"])
def test_what_is_not_looked_at_would_not_be_found(operator: str, together: str) -> None:
    moment = condition("LastModifiedTime", operator, "1970-01-01T00:33:20Z")
    expression = {"Filters": [moment, condition("TrainingJobName", "Contains", "o")], "Operator": together}
    hidden = [entry["TrainingJobName"] for entry in RECORDS if entry["LastModifiedTime"] < modified_from(expression)]
    assert not set(hidden) & set(found(expression))
    assert bool(hidden) == (operator.startswith("Greater") and together == "And"), "and what can be is left out"
