"""What an operation answers when it refuses, and what becomes of a client that is not answered at all."""

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


class ConnectionLostError(ConnectionError):
    """The client gets no answer, whatever became of its request; where there is a socket, it is closed.

    ``timed_out``: it waited for one until it gave up.
    """

    def __init__(self, timed_out: bool = False) -> None:
        super().__init__("the connection was lost")
        self.timed_out = timed_out
