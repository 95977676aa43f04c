"""When an action that had to wait is due again."""

from __future__ import annotations

from collections.abc import Iterable

from cloudtune.engine.intents import Intent, LaunchAttempt, StopAttempt
from cloudtune.errors import CloudtuneError, NotYetError
from cloudtune.trial import AttemptId

LONGEST_PAUSE = 300.0
"""Seconds between two tries of what has no room."""
LONGEST_STOP_PAUSE = 60.0
"""The same for stops: what runs on costs money."""


class Retries:
    """Pauses double from try to try, up to a limit; whoever says when to ask again is asked again just then."""

    def __init__(self, first_pause: float) -> None:
        self._first = first_pause
        self._due: dict[AttemptId | int, tuple[float, float]] = {}
        self._tried: dict[AttemptId | int, int] = {}
        self._tries = 0

    def due(self, intents: Iterable[Intent], now: float) -> list[Intent]:
        """What can be done now: stops first; within a kind, what has waited longest for its turn."""
        due = [intent for intent in intents if now >= self._due_at(intent)]
        if len(due) < 2:
            return due
        return sorted(due, key=lambda intent: (isinstance(intent, LaunchAttempt), self._tried.get(_key(intent), 0)))

    def _due_at(self, intent: Intent) -> float:
        due, _ = self._due.get(_key(intent), (0.0, 0.0))
        return max(due, intent.not_before) if isinstance(intent, LaunchAttempt) else due

    def postpone(self, intent: Intent, now: float, error: CloudtuneError) -> None:
        key = _key(intent)
        self._tries += 1
        self._tried[key] = self._tries
        _, pause = self._due.get(key, (0.0, 0.0))
        if isinstance(error, NotYetError):
            self._due[key] = (now + error.retry_after, pause)
            return
        longest = LONGEST_STOP_PAUSE if isinstance(intent, StopAttempt) else LONGEST_PAUSE
        pause = min(longest, 2 * pause) if pause else self._first
        self._due[key] = (now + pause, pause)

    def forget(self, intent: Intent) -> None:
        if self._tried:
            self._due.pop(_key(intent), None)
            self._tried.pop(_key(intent), None)


def _key(intent: Intent) -> AttemptId | int:
    if isinstance(intent, LaunchAttempt):
        return intent.attempt.id
    return intent.attempt if isinstance(intent, StopAttempt) else intent.trial_id
