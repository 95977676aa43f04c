from __future__ import annotations

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

LIMIT = (
    "The account-level service limit 'ml.g5.2xlarge for training job usage' is 4 Instances, with current utilization "
    "of 3 Instances and a request delta of 2 Instances."
)


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
    assert "CreateTrainingJob my-job" in caught.value.message
    assert caught.value.__cause__ is error


def test_a_quota_error_names_the_quota_and_its_limit() -> None:
    with pytest.raises(QuotaReachedError) as caught, translated("CreateTrainingJob"):
        raise answer("ResourceLimitExceeded", LIMIT)
    assert "'ml.g5.2xlarge for training job usage' is 4, 3 in use" in caught.value.message
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
