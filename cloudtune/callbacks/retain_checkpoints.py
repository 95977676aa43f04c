"""Which checkpoints stay."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from cloudtune.callbacks.base import TunerCallback
from cloudtune.engine.status import mode_of
from cloudtune.errors import OptionError
from cloudtune.options import named_options
from cloudtune.trial import LARGEST, Metrics, Status, Trial

if TYPE_CHECKING:
    from cloudtune.tuner import Tuner

NOT_AMONG_THE_BEST = "not among the best"

_OVER = (Status.completed, Status.stopped, Status.failed)


@named_options()
class RetainCheckpointsCallback(TunerCallback):
    """Keeps the checkpoints of the ``keep_best`` best trials, and of those that run or may be resumed.

    The others go as soon as their trial is over; at the end of the experiment those of paused trials go, too, unless it
    was asked to stop or failed: then somebody may go on with it. Trials are compared by the best finite value of the
    objective that each has reported. ``keep_best=0`` keeps none.

    Use it instead of ``delete_checkpoints=True`` of the backend, which keeps none. Without either, all stay.
    Raises ``OptionError``.
    """

    def __init__(self, keep_best: int = 1) -> None:
        if isinstance(keep_best, bool) or not isinstance(keep_best, int) or keep_best < 0:
            raise OptionError(f"keep_best={keep_best!r} is no number of trials", "give 0 or more")
        self.keep_best = keep_best
        self._tuner: Tuner | None = None
        self._forget()

    def _forget(self) -> None:
        self._row = 0
        self._ending = False
        self._best: dict[int, float] = {}
        """The best trials with their values, smaller is better."""
        self._over: set[int] = set()
        """Trials that are over and whose checkpoint is there."""

    def on_tuning_start(self, tuner: Tuner) -> None:
        self._tuner = tuner
        self._forget()
        self._over = {state.trial.trial_id for state in tuner.ledger.trials if state.status in _OVER}

    def on_fetch_status_results(
        self, trial_status_dict: Mapping[int, tuple[Trial, Status]], new_results: Sequence[tuple[int, Metrics]]
    ) -> None:
        over = (*_OVER, Status.paused) if self._ending else _OVER
        self._over |= {trial_id for trial_id, (_, status) in trial_status_dict.items() if status in over}
        self._delete()

    def on_resume_trial(self, trial: Trial) -> None:
        self._over.discard(trial.trial_id)

    def on_tuning_end(self) -> None:
        tuner = self._tuner
        if tuner is not None and tuner.ended_by_itself:
            self._ending = True
            self._over |= {state.trial.trial_id for state in tuner.ledger.trials if state.status is Status.paused}
            self._delete()

    def _delete(self) -> None:
        tuner = self._tuner
        if tuner is None:
            return
        self._rank(tuner)
        at_work = {attempt.trial_id for attempt in tuner.ledger.open}
        doomed = sorted(trial_id for trial_id in self._over if trial_id not in self._best and trial_id not in at_work)
        tuner.delete_checkpoints(doomed, NOT_AMONG_THE_BEST)
        self._over.difference_update(doomed)

    def _rank(self, tuner: Tuner) -> None:
        """Look at new reports. A trial's best value only gets better, so who is not among the best was never."""
        ledger = tuner.ledger
        sign = 1.0 if mode_of(ledger, ledger.objective) == "min" else -1.0
        for row in ledger.rows[self._row :]:
            value = row.metrics.get(ledger.objective)
            if row.repeated or not isinstance(value, (int, float)) or not -LARGEST <= value <= LARGEST:
                continue
            self._best[row.trial_id] = min(sign * value, self._best.get(row.trial_id, math.inf))
            if len(self._best) > self.keep_best:
                # of equal ones the first stays
                worst = max(self._best, key=lambda trial_id: (self._best[trial_id], trial_id))
                del self._best[worst]
        self._row = len(ledger.rows)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_tuner": None}
