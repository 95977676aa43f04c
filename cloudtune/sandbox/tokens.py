"""Page tokens: opaque to clients, a position to us."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any


def encode(position: Any) -> str:
    """A token that ``decode`` turns back into ``position`` (anything JSON can hold)."""
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode()


def decode(token: str) -> Any:
    """What ``encode`` was given; ValueError if it wasn't us who made this token."""
    try:
        return json.loads(base64.urlsafe_b64decode(token.encode()))
    except (binascii.Error, UnicodeError, json.JSONDecodeError) as error:
        raise ValueError(f"not a page token: {token!r}") from error


def offset(token: str | None) -> int:
    """Where the page of ``token`` begins, 0 without one; ValueError if it wasn't us who made it of a number."""
    position = 0 if token is None else decode(token)
    if not isinstance(position, int):
        raise ValueError(f"not a page token: {token!r}")
    return position
