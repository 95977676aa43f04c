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
