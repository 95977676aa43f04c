"""Log events as files, one per stream."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import quote, unquote

from cloudtune.sandbox.logs.store import LogEvent
from cloudtune.sandbox.state.files import append_line, read_lines


class EventFiles:
    """``{directory}/{quoted stream name}.jsonl``; each line: timestamp, number, ingestion time, message."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def append(self, event: LogEvent) -> None:
        path = self._directory / f"{quote(event.stream, safe='')}.jsonl"
        line = json.dumps([event.timestamp, event.number, event.ingested, event.message])
        append_line(path, line.encode())

    def load(self) -> list[LogEvent]:
        """Of all streams, in the order of writing."""
        events = []
        for path in self._directory.glob("*.jsonl"):
            stream = unquote(path.name.removesuffix(".jsonl"))
            for line in read_lines(path):
                timestamp, number, ingested, message = json.loads(line)
                events.append(LogEvent(timestamp, number, stream, message, ingested))
        return sorted(events, key=lambda event: event.number)
