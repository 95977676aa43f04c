"""Answers of S3 that a test asks for, given in the HTTP client itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from botocore.awsrequest import AWSResponse

from cloudtune.aws import Aws
from cloudtune.clock import VirtualClock


class Killed(BaseException):
    """The process dies here."""


class RawBody:
    """A body as urllib3 gives it."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self, *_: Any, **__: Any) -> list[bytes]:
        return [self._content]


def answer(request: Any, status: int, code: str) -> AWSResponse:
    body = f"<Error><Code>{code}</Code><Message>on request of the test</Message></Error>".encode()
    return AWSResponse(request.url, status, {"content-type": "application/xml"}, RawBody(body))


def unretried() -> Aws:
    """Hears of every fault at once, and waits in no time."""
    return Aws(clock=VirtualClock(), rates={}, attempts=1)


def tampered(aws: Aws, operation: str, handler: Callable[[Any], AWSResponse | None]) -> Counter[str]:
    """Let ``handler`` answer requests of this operation, or pass them on by None; counts those that it saw."""
    seen: Counter[str] = Counter()

    def on_request(request: Any, **_: Any) -> AWSResponse | None:
        seen[operation] += 1
        return handler(request)

    aws.client("s3").meta.events.register(f"before-send.s3.{operation}", on_request)
    return seen


def fails_first(times: int, status: int = 503, code: str = "SlowDown") -> Callable[[Any], AWSResponse | None]:
    left = [times]

    def handler(request: Any) -> AWSResponse | None:
        left[0] -= 1
        return answer(request, status, code) if left[0] >= 0 else None

    return handler
