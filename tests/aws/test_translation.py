from __future__ import annotations

import pickle

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    ReadTimeoutError,
)

from cloudtune.aws.translation import translated
from cloudtune.errors import (
    AccessDeniedError,
    AlreadyExistsError,
    CloudtuneError,
    InvalidRequestError,
    NoCapacityError,
    NotFoundError,
    QuotaReachedError,
    ThrottledError,
    UnreachableError,
)

LIMIT = "The account-level service limit 'ml.g5.2xlarge for training job usage' is 4 Instances"


def answer(code: str, message: str = "no", status: int = 400) -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}},
        "CreateTrainingJob",
    )


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (answer("ThrottlingException", "Rate exceeded"), ThrottledError),
        (answer("SlowDown", status=503), ThrottledError),
        (answer("ResourceLimitExceeded", LIMIT), QuotaReachedError),
        (answer("CapacityError"), NoCapacityError),
        (answer("AccessDeniedException"), AccessDeniedError),
        (answer("ExpiredTokenException"), AccessDeniedError),
        (answer("ResourceInUse"), AlreadyExistsError),
        (answer("PreconditionFailed", status=412), AlreadyExistsError),
        (answer("ResourceNotFound"), NotFoundError),
        (answer("404", status=404), NotFoundError),
        (answer("ValidationException", "Could not find training job"), NotFoundError),
        (answer("ValidationException", "Requested resource not found."), NotFoundError),
        (answer("ValidationException", "1 validation error detected"), InvalidRequestError),
        (answer("InternalFailure", status=500), UnreachableError),
        (answer("ServiceUnavailable", status=503), UnreachableError),
        (EndpointConnectionError(endpoint_url="http://nowhere"), UnreachableError),
        (ConnectTimeoutError(endpoint_url="http://nowhere"), UnreachableError),
        (ReadTimeoutError(endpoint_url="http://nowhere"), UnreachableError),
        (NoCredentialsError(), AccessDeniedError),
        (NoRegionError(), InvalidRequestError),
        (ParamValidationError(report="x"), InvalidRequestError),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)[:40]),
)
def test_every_foreign_error_becomes_the_class_that_says_what_to_do(
    error: Exception, kind: type[CloudtuneError]
) -> None:
    with pytest.raises(CloudtuneError) as caught, translated("CreateTrainingJob", "my-job"):
        raise error
    assert type(caught.value) is kind
    assert caught.value.__cause__ is error
    # a full quota isn't about the job that happens to ask
    assert "CreateTrainingJob my-job" in caught.value.message or kind is QuotaReachedError


def limit_text(quota: str, limit: int, used: int, wanted: int = 1) -> str:
    return (
        f"The account-level service limit '{quota}' is {limit} Instances, with current utilization of {used} Instances "
        f"and a request delta of {wanted} Instances. Please use AWS Service Quotas to request an increase."
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (limit_text("ml.g5.2xlarge for training job usage", 4, 4), "waiting for ml.g5.2xlarge: 4 of 4 in use"),
        (limit_text("ml.g5.2xlarge for training job usage", 4, 3, 2), "waiting for 2 ml.g5.2xlarge: 3 of 4 in use"),
        (
            limit_text("ml.g5.2xlarge for spot training job usage", 8, 8),
            "waiting for spot ml.g5.2xlarge: 8 of 8 in use",
        ),
        (
            limit_text("ml.g5.2xlarge for training job usage", 0, 0),
            "waiting for ml.g5.2xlarge: the account's quota 'ml.g5.2xlarge for training job usage' is 0, "
            "ask for more in Service Quotas",
        ),
    ],
    ids=["full", "not enough left", "spot", "none at all"],
)
def test_a_quota_error_says_what_is_waited_for(text: str, says: str) -> None:
    with pytest.raises(QuotaReachedError) as caught, translated("CreateTrainingJob", "my-job"):
        raise answer("ResourceLimitExceeded", text)
    assert caught.value.message == says
    assert caught.value.quota.endswith("training job usage")
    assert pickle.loads(pickle.dumps(caught.value)).quota == caught.value.quota


def test_another_quota_is_named_with_its_limit() -> None:
    text = limit_text("Number of instances across training jobs", 20, 19, 2)
    with pytest.raises(QuotaReachedError) as caught, translated("CreateTrainingJob", "my-job"):
        raise answer("ResourceLimitExceeded", text)
    assert "'Number of instances across training jobs' is 20, 19 in use" in caught.value.message
    assert "Service Quotas" in caught.value.hint


def test_a_denied_call_says_what_to_allow_to_whom() -> None:
    text = (
        "User: arn:aws:iam::111122223333:role/tuner is not authorized to perform: sagemaker:CreateTrainingJob on "
        "resource: *"
    )
    with pytest.raises(AccessDeniedError) as caught, translated("CreateTrainingJob"):
        raise answer("AccessDeniedException", text)
    assert "allow sagemaker:CreateTrainingJob to arn:aws:iam::111122223333:role/tuner" in caught.value.hint


def test_our_own_errors_pass_through() -> None:
    ours = NotFoundError("gone")
    with pytest.raises(NotFoundError) as caught, translated("HeadObject"):
        raise ours
    assert caught.value is ours
