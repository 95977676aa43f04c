"""What a session says aloud about what came in, because somebody should do something about it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from cloudtune.engine.ledger import Ledger
from cloudtune.engine.policies import Outcome
from cloudtune.engine.status import TuningStatus
from cloudtune.engine.stopping import limits_of
from cloudtune.journal import events as ev
from cloudtune.trial import Cause

logger = logging.getLogger("cloudtune.tuner")

ENOUGH_EVALUATIONS = 12
"""So many reports without a metric, and it is not going to come."""
STILL_WAITING = 60.0
"""Seconds after which a wait at the end is mentioned, each time."""

_ITS_SCRIPT = (Cause.NONE.value, Cause.SCRIPT.value)
_NOT_OURS = (Cause.OUTSIDE.value, Cause.RUNTIME_LIMIT.value)
_RELAUNCH = Outcome.RELAUNCH.value


class Notices:
    """Speaks about each event once; what a replay brings was spoken about before."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._started_over = 0
        self._thresholds_checked = False

    def skip(self) -> None:
        """All that is known so far was said by an earlier session."""
        self._started_over = len(self._ledger.started_over)

    def speak(self, news: Sequence[ev.Event]) -> None:
        for event in news:
            if isinstance(event, (ev.ReportObserved, ev.DecisionMade)):
                continue
            if isinstance(event, ev.StatusObserved):
                self._end(event)
            elif isinstance(event, ev.AttemptInterrupted):
                logger.info(
                    "trial %d was interrupted (for the %d. time in this attempt) and goes on by itself: %s",
                    *(event.trial_id, event.number, event.reason),
                )
        if len(self._ledger.started_over) == self._started_over:
            return
        for attempt in self._ledger.started_over[self._started_over :]:
            logger.warning(
                "trial %d starts again from scratch in attempt %d although it had %s: its script loads no "
                "checkpoint, and all it had done is paid twice. Write checkpoints to st_checkpoint_dir and load them "
                "(cloudtune.checkpointing does both)",
                *(attempt.trial_id, attempt.number, self._how_far(attempt.trial_id)),
            )
        self._started_over = len(self._ledger.started_over)

    def _how_far(self, trial_id: int) -> str:
        resource, furthest = self._ledger.resource_attr, self._ledger.trials[trial_id].furthest
        return "reported before" if resource is None else f"come to {resource} {furthest:g}"

    def _end(self, event: ev.StatusObserved) -> None:
        if event.outcome == _RELAUNCH:
            what = "its script failed" if event.cause in _ITS_SCRIPT else "its attempt was lost"
            logger.warning(
                "trial %d gets another attempt, %s: %s", event.trial_id, what, " ".join(event.reason.split())
            )
        elif event.cause in _NOT_OURS:
            logger.warning(
                "trial %d was ended, though not by this tuner: %s", event.trial_id, " ".join(event.reason.split())
            )

    @property
    def thresholds_are_checked(self) -> bool:
        return self._thresholds_checked

    def check_thresholds(self, criterion: Callable[[TuningStatus], bool], view: TuningStatus) -> None:
        """Say once if a threshold of the stop criterion waits for a metric that nobody reports."""
        if view.num_evaluations < ENOUGH_EVALUATIONS:
            return
        self._thresholds_checked = True
        limits = limits_of(criterion)
        wanted = {**(limits.min_metric_value or {}), **(limits.max_metric_value or {})}
        known = view.overall_metric_statistics.min_metrics
        for name in wanted:
            if name not in known:
                logger.warning(
                    "the stop criterion has a threshold for %r, which none of %d reports carries as a number; they "
                    "carry %s",
                    *(name, view.num_evaluations),
                    ", ".join(repr(each) for each in known if not each.startswith("st_")) or "none",
                )


def tell_of_the_wait(told: float, now: float, count: int) -> float:
    """Mention now and then that the end waits for ``count`` jobs; when that was done last, seconds since the epoch."""
    if now < told + STILL_WAITING:
        return told
    logger.info("waiting for %d job%s to end and for what their logs still say", count, "s" * (count > 1))
    return now
