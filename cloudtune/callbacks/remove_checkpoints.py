"""Lets go of checkpoints that no trial will need any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloudtune.callbacks.base import TunerCallback

if TYPE_CHECKING:
    from cloudtune.tuner import Tuner

WILL_NOT_BE_RESUMED = "it will not be resumed"


class RemoveCheckpointsCallback(TunerCallback):
    """Deletes checkpoints of the paused trials that the scheduler names: those it will not resume.

    A Tuner has one by itself if its backend has ``delete_checkpoints=True``. Schedulers name trials in
    ``trials_checkpoints_can_be_removed``.
    """

    def __init__(self) -> None:
        self._tuner: Tuner | None = None
        self._named: list[int] = []

    def on_tuning_start(self, tuner: Tuner) -> None:
        self._tuner = tuner

    def on_loop_end(self) -> None:
        tuner = self._tuner
        if tuner is None:
            return
        self._named += tuner.scheduler.trials_checkpoints_can_be_removed()
        # one whose last job is still at work on its checkpoint has to wait
        at_work = {attempt.trial_id for attempt in tuner.ledger.open}
        tuner.delete_checkpoints([each for each in self._named if each not in at_work], WILL_NOT_BE_RESUMED)
        self._named = [each for each in self._named if each in at_work]

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_tuner": None}
