"""What the sandbox's applications have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

Wsgi: TypeAlias = Callable[[dict[str, Any], Any], Iterable[bytes]]


def drained(answered: Iterable[bytes]) -> bytes:
    """The whole body of an answer, which is closed as WSGI wants it."""
    body = b"".join(answered)
    if hasattr(answered, "close"):
        answered.close()
    return body
