"""What an operation answers when it refuses."""

from __future__ import annotations


class AwsError(Exception):
    """An AWS error: ``code`` as clients see it in ``Error.Code``, and its message."""

    def __init__(self, code: str, message: str, http_status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.http_status = http_status


def invalid(message: str) -> AwsError:
    """SageMaker's answer to a request it understands and does not accept."""
    return AwsError("ValidationException", message)
