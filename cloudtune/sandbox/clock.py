"""The sandbox's own time: the one place in it that reads a clock or waits."""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """Where the sandbox's time comes from."""

    def now(self) -> float:
        """Seconds since the epoch."""

    def wait(self, wake: threading.Event, seconds: float) -> bool:
        """Wait until ``wake`` is set or ``seconds`` have passed; whether it is set."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        return time.time()

    def wait(self, wake: threading.Event, seconds: float) -> bool:
        return wake.wait(seconds) if seconds > 0 else wake.is_set()


class TimeSource(Protocol):
    """A clock that a sandbox shares with whoever uses it; it may jump."""

    def now(self) -> float:
        """Seconds since the epoch."""

    def sleep(self, seconds: float) -> None:
        """Return ``seconds`` later."""


class SharedClock:
    """Somebody else's clock as the sandbox's."""

    def __init__(self, source: TimeSource) -> None:
        self._source = source

    def now(self) -> float:
        return self._source.now()

    def wait(self, wake: threading.Event, seconds: float) -> bool:
        if not wake.is_set():
            self._source.sleep(seconds)
        return wake.is_set()
