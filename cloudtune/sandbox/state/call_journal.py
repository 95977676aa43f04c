"""Everything that was done to moto other than to S3's objects, as the requests that did it."""

from __future__ import annotations

import base64
import json
import logging
from pathlib import Path

from cloudtune.sandbox.calls import Call
from cloudtune.sandbox.moto_world import MotoWorld
from cloudtune.sandbox.state.files import append_line, read_lines

_log = logging.getLogger(__name__)


class CallJournal:
    """One line of JSON per request, replayed in order. Identifiers that moto draws at random come out new."""

    def __init__(self, path: Path, world: MotoWorld) -> None:
        self._path = path
        self._world = world

    def append(self, call: Call) -> None:
        line = json.dumps(
            {
                "method": call.method,
                "path": call.path,
                "query": call.query_string,
                "headers": dict(call.headers),
                "body": base64.b64encode(call.body).decode(),
            }
        )
        append_line(self._path, line.encode())

    def replay(self) -> None:
        for line in read_lines(self._path):
            entry = json.loads(line)
            body = base64.b64decode(entry["body"])
            status = self._world.request(entry["method"], entry["path"], entry["query"], entry["headers"], body)
            if status >= 300:
                _log.warning("%s %s answered %s when replayed", entry["method"], entry["path"], status)
