"""Notices that a running trial's checkpoints don't arrive."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from cloudtune.backends.base import TellsCheckpoints
from cloudtune.callbacks.base import TunerCallback
from cloudtune.engine.state import AttemptState
from cloudtune.errors import CloudtuneError, OptionError
from cloudtune.options import named_options
from cloudtune.trial import AttemptId, Metrics, Status, Trial

if TYPE_CHECKING:
    from cloudtune.tuner import Tuner

logger = logging.getLogger("cloudtune.tuner")


@named_options()
class CheckpointWatchdogCallback(TunerCallback):
    """Warns, in the log and in the trial's status, if a trial reports but its newest committed checkpoint is too old.

    Then the script writes none, or they don't get to where the next attempt would look for them (SageMaker has been
    seen to stop copying): an interruption or a pause loses all work since. ``max_age_seconds``: older is too old.
    At most ``max_calls`` trials are looked at every ``check_interval`` seconds, one call to S3 each, and each trial
    only when its checkpoint may have become too old: about once in ``max_age_seconds``.
    Raises ``OptionError``.
    """

    def __init__(self, max_age_seconds: float = 3600.0, check_interval: float = 60.0, max_calls: int = 5) -> None:
        for name, value in (("max_age_seconds", max_age_seconds), ("check_interval", check_interval)):
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
                raise OptionError(f"{name}={value!r} is no number of seconds", "give a positive one")
        if isinstance(max_calls, bool) or not isinstance(max_calls, int) or max_calls < 1:
            raise OptionError(f"max_calls={max_calls!r} looks at nothing", "give at least 1")
        self.max_age_seconds = max_age_seconds
        self.check_interval = check_interval
        self.max_calls = max_calls
        self._tuner: Tuner | None = None
        self._forget()

    def _forget(self) -> None:
        self._due: dict[AttemptId, float] = {}
        """When to look at an attempt next, seconds since the epoch."""
        self._reported: dict[int, float] = {}
        self._checked_at = 0.0

    def on_tuning_start(self, tuner: Tuner) -> None:
        self._tuner = tuner
        self._forget()
        if not isinstance(tuner.trial_backend, TellsCheckpoints):
            logger.warning("nobody watches checkpoints: %s can't tell their age", type(tuner.trial_backend).__name__)
            self._tuner = None

    def on_fetch_status_results(
        self, trial_status_dict: Mapping[int, tuple[Trial, Status]], new_results: Sequence[tuple[int, Metrics]]
    ) -> None:
        if self._tuner is not None:
            now = self._tuner.clock.now()
            self._reported.update((trial_id, now) for trial_id, _ in new_results)

    def on_loop_end(self) -> None:
        tuner = self._tuner
        if tuner is None or tuner.clock.now() - self._checked_at < self.check_interval:
            return
        now = self._checked_at = tuner.clock.now()
        running = {each.id: each for each in tuner.ledger.open.values() if each.running_since is not None}
        age = self.max_age_seconds
        self._due = {id: self._due.get(id, (each.running_since or now) + age) for id, each in running.items()}
        self._reported = {id.trial_id: self._reported.get(id.trial_id, 0.0) for id in running}
        due = sorted((at, id) for id, at in self._due.items() if at <= now)
        for _, id in due[: self.max_calls]:
            self._look(tuner, running[id], now)

    def _look(self, tuner: Tuner, attempt: AttemptState, now: float) -> None:
        backend = tuner.trial_backend
        assert isinstance(backend, TellsCheckpoints)
        trial_id = attempt.id.trial_id
        try:
            committed = backend.checkpoint_committed_at(trial_id)
        except CloudtuneError as error:
            logger.debug("no look at the checkpoint of trial %d: %s", trial_id, error)
            return
        since = max(committed or 0.0, attempt.running_since or 0.0)
        old = now - since > self.max_age_seconds
        self._due[attempt.id] = now + self.max_age_seconds / 4 if old else since + self.max_age_seconds
        if old and self._reported[trial_id] > since:
            self._warn(tuner, attempt, committed, now - since)
        elif attempt.warning and not old:
            logger.info("trial %d has a new checkpoint", trial_id)
            tuner.warn_about(trial_id, "")

    def _warn(self, tuner: Tuner, attempt: AttemptState, committed: float | None, age: float) -> None:
        what = "no checkpoint" if committed is None else "no new checkpoint"
        text = f"{what} for {_minutes(age)}"
        if not attempt.warning:
            logger.warning(
                "trial %d (%s) reports, but has committed %s: what it did since is lost if it is interrupted or "
                "paused. Does its script save after each unit of work (checkpoint_model_at_rung_level)? Are "
                "checkpoints too large to be copied from one to the next, or is the disk full? If it saves and none "
                "arrives, copying has stopped: the sooner that job is stopped, the less is lost. "
                "Allowed: max_age_seconds=%g",
                *(attempt.id.trial_id, attempt.name, text, self.max_age_seconds),
            )
        tuner.warn_about(attempt.id.trial_id, text)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_tuner": None}


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"
