"""HTTP answers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Reply:
    """An HTTP answer."""

    body: bytes
    content_type: str
    status: int = 200


def json_reply(value: Any, status: int = 200) -> Reply:
    return Reply(json.dumps(value).encode(), "application/x-amz-json-1.1", status)
