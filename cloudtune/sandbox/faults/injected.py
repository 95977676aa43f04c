"""What was injected so far: a test of a fault that never happened proves nothing."""

from __future__ import annotations

import threading
from collections import Counter


class Injected:
    """Counts by kind, from many threads."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def note(self, kind: str) -> None:
        with self._lock:
            self._counts[kind] += 1

    def counts(self) -> Counter[str]:
        with self._lock:
            return Counter(self._counts)

    def clear(self) -> None:
        with self._lock:
            self._counts.clear()
