"""Errors of botocore and boto3 become ours, here and nowhere else."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

_THROTTLED = frozenset(
    [
        "ThrottlingException",
        "Throttling",
        "ThrottledException",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "BandwidthLimitExceeded",
        "SlowDown",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "TransactionInProgressException",
        "ProvisionedThroughputExceededException",
    ]
)
_DENIED = frozenset(
    [
        "AccessDenied",
        "AccessDeniedException",
        "UnauthorizedOperation",
        "UnauthorizedException",
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidClientTokenId",
        "UnrecognizedClientException",
        "SignatureDoesNotMatch",
        "InvalidAccessKeyId",
        "MissingAuthenticationToken",
        "OptInRequired",
        "NotAuthorized",
        "RequestExpired",
        "AllAccessDisabled",
        "InvalidToken",
        "401",
        "403",
    ]
)
_EXPIRED = frozenset(["ExpiredToken", "ExpiredTokenException", "RequestExpired", "InvalidToken"])
_NO_CAPACITY = frozenset(
    ["CapacityError", "InsufficientCapacity", "InsufficientInstanceCapacity", "InsufficientCapacityError"]
)
_NOT_FOUND = frozenset(
    ["ResourceNotFound", "ResourceNotFoundException", "NoSuchKey", "NoSuchBucket", "NoSuchEntity", "NotFound", "404"]
)
_EXISTS = frozenset(
    [
        "ResourceInUse",
        "ResourceInUseException",
        "ConflictException",
        "ResourceAlreadyExistsException",
        "EntityAlreadyExists",
        "BucketAlreadyOwnedByYou",
        "BucketAlreadyExists",
        "PreconditionFailed",
        "ConditionalRequestConflict",
        "409",
        "412",
    ]
)
_QUOTA = frozenset(["ResourceLimitExceeded", "ServiceQuotaExceededException"])

_NOT_FOUND_TEXT = re.compile(r"not find|not found|does not exist|no such", re.IGNORECASE)
_QUOTA_TEXT = re.compile(
    r"service limit '(?P<name>[^']+)' is (?P<limit>[\d.]+)[^,]*"
    r"(?:, with current utilization of (?P<used>[\d.]+)(?: Instances?)?)?"
    r"(?: and a request delta of (?P<wanted>[\d.]+))?"
)
_TRAINING_QUOTA = re.compile(r"(?P<type>ml\.\S+) for (?P<spot>spot )?training job usage")

NO_CREDENTIALS = (
    "log in: `aws configure`, `aws sso login` or AWS_PROFILE; or work without an account: "
    '`cloudtune sandbox start --detach`, then `eval "$(cloudtune sandbox env)"`'
)


@contextmanager
def translated(operation: str, subject: str = "") -> Iterator[None]:
    """Inside, errors of botocore and boto3 turn into those of ``cloudtune.errors``.

    ``operation`` as AWS spells it, ``subject``: what it is about, for the message (a name, a bucket).
    """
    from boto3.exceptions import Boto3Error
    from botocore import exceptions as foreign

    what = f"{operation} {subject}".rstrip()
    try:
        yield
    except foreign.ClientError as error:
        raise _of_response(error, operation, what) from error
    except foreign.NoRegionError as error:
        raise InvalidRequestError(
            f"{what}: no region is configured", "set AWS_DEFAULT_REGION, or a region in ~/.aws/config"
        ) from error
    except (
        foreign.NoCredentialsError,
        foreign.PartialCredentialsError,
        foreign.CredentialRetrievalError,
        foreign.TokenRetrievalError,
        foreign.SSOError,
    ) as error:
        raise AccessDeniedError(f"{what}: {error}", NO_CREDENTIALS) from error
    except foreign.ProfileNotFound as error:
        raise AccessDeniedError(f"{what}: {error}", _missing_profile()) from error
    except foreign.ParamValidationError as error:
        raise InvalidRequestError(f"{what}: {error}", "the request doesn't fit boto3's model of the service") from error
    except (foreign.ConnectionError, foreign.HTTPClientError) as error:  # time-outs, refused and reset connections
        raise UnreachableError(
            f"{what}: {error}", "is the network up, and the region (or AWS_ENDPOINT_URL, if that is set) right?"
        ) from error
    except foreign.IncompleteReadError as error:
        raise UnreachableError(f"{what}: {error}") from error
    except (foreign.BotoCoreError, Boto3Error) as error:
        cause = error.__cause__ or error.__context__
        if isinstance(cause, foreign.ClientError):
            raise _of_response(cause, operation, what) from error
        raise InvalidRequestError(f"{what}: {error}") from error


def _missing_profile() -> str:
    file = os.environ.get("AWS_CONFIG_FILE")
    if file and not Path(file).exists():
        return f"AWS_CONFIG_FILE={file!r} doesn't exist: if a sandbox's environment is set, that sandbox has ended"
    return "`aws configure list-profiles` shows which there are; AWS_PROFILE chooses one"


def is_throttle(response: Mapping[str, Any]) -> bool:
    """Whether an answer, as botocore parses it, says that the rate of an operation is used up."""
    details = response.get("Error", {})
    http = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return details.get("Code") in _THROTTLED or http == 429 or "Rate exceeded" in str(details.get("Message", ""))


def _of_response(error: ClientError, operation: str, what: str) -> CloudtuneError:
    details = error.response.get("Error", {})
    code, text = str(details.get("Code", "")), str(details.get("Message", "") or error)
    http = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) or 0)
    message = f"{what}: {code}: {text}"
    if is_throttle(error.response):
        return ThrottledError(message)
    if code in _QUOTA:
        return _quota(what, text)
    if code in _NO_CAPACITY:
        return NoCapacityError(message, "another instance type or region may have room")
    if code in _DENIED:
        return AccessDeniedError(message, _way_in(code, operation, text))
    if code in _EXISTS:
        return AlreadyExistsError(message)
    if code in _NOT_FOUND or (code == "ValidationException" and _NOT_FOUND_TEXT.search(text)):
        return NotFoundError(message)
    if http >= 500:
        return UnreachableError(message)
    return InvalidRequestError(message)


def _quota(what: str, text: str) -> CloudtuneError:
    match = _QUOTA_TEXT.search(text)
    if match is None:
        return QuotaReachedError(f"{what}: {text}", "ask for more in the Service Quotas console")
    name, limit, used = match["name"], match["limit"], match["used"]
    hint = f"ask for more of {name!r} in the Service Quotas console, or use fewer workers"
    instances = _TRAINING_QUOTA.fullmatch(name)
    if instances is None:
        in_use = f", {used} in use" if used else ""
        return QuotaReachedError(f"{what}: the account's limit {name!r} is {limit}{in_use}", hint, name)
    waiting = f"waiting for {_instances(instances, match['wanted'])}"
    if float(limit) == 0:
        # waiting will not help, but a person may
        return QuotaReachedError(
            f"{waiting}: the account's quota {name!r} is 0, ask for more in Service Quotas", "", name
        )
    return QuotaReachedError(f"{waiting}: {used or limit} of {limit} in use", hint, name)


def _instances(quota: re.Match[str], wanted: str | None) -> str:
    count = f"{wanted} " if wanted and float(wanted) > 1 else ""
    return f"{count}{quota['spot'] or ''}{quota['type']}"


def _way_in(code: str, operation: str, text: str) -> str:
    if code in _EXPIRED:
        return "the credentials have expired: log in again"
    match = re.search(r"(?:User|Role|Principal): (?P<who>\S+)", text)
    action = re.search(r"not authorized to perform: (?P<action>[\w-]+:\w+)", text)
    who = f" to {match['who']}" if match else " to the credentials in use"
    wanted = action["action"] if action else operation
    return f"allow {wanted}{who} in IAM (`aws sts get-caller-identity` shows who that is)"
