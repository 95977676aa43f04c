"""What one training job prints, as it prints it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cloudtune.aws import Aws
from cloudtune.errors import NotFoundError
from cloudtune.sagemaker.cursors import LOG_OVERLAP, Window, log_request
from cloudtune.sagemaker.lines import LogLine


class JobLog:
    """The log of training job ``name``, from its first line on."""

    def __init__(self, aws: Aws, name: str) -> None:
        self._aws = aws
        self._name = name
        self._window = Window(LOG_OVERLAP)
        self._since: float | None = None
        self._newest: float | None = None

    def new_lines(self) -> Iterator[str]:
        """Lines that have come since the last call. None as long as there is no log."""
        request = log_request(f"{self._name}/", since=self._since)
        try:
            for page in self._aws.pages("logs", "FilterLogEvents", **request):
                yield from self._news(page.get("events") or ())
        except NotFoundError:
            return
        if self._newest is not None:
            self._since = self._newest - LOG_OVERLAP

    def _news(self, events: Iterable[Mapping[str, Any]]) -> Iterator[str]:
        for event in events:
            line = LogLine(str(event["eventId"]), event["timestamp"] / 1000, event["message"])
            self._newest = line.at if self._newest is None else max(self._newest, line.at)
            if self._window.is_new(line):
                yield line.text
