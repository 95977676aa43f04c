"""What an attempt's end means for its trial: whose fault it was, and whether the trial gets another attempt."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal

from cloudtune.engine.state import AttemptState, TrialState
from cloudtune.errors import OptionError
from cloudtune.schedulers.base import Action
from cloudtune.trial import AttemptStatus, Cause

SERVICE_FAILURES_IN_A_ROW = 5
"""So many failures of the service without a new report in between are the script's doing."""

CAPACITY_LOSSES_IN_A_ROW = 50
"""So many losses of the machine without a new report in between, and a trial costs without getting anywhere."""

FIRST_PAUSE = 30.0
LONGEST_PAUSE = 300.0
"""Seconds before a trial whose machine was lost is launched again: they double from loss to loss."""

WithoutMetric = Literal["failed", "completed"]


class Outcome(str, Enum):
    """What becomes of a trial whose attempt has ended, where the end alone does not tell."""

    USUAL = ""
    RELAUNCH = "Relaunch"
    """It goes on with another attempt, as if nothing had happened: its scheduler hears nothing."""
    COMPLETED_WITHOUT_METRIC = "CompletedWithoutMetric"
    """Its script ended in order and never reported the objective, which is no failure here."""


@dataclass(frozen=True)
class Policies:
    """What users decide about failures. Frozen into the journal with each end: they may differ from session to session.

    ``max_retries_per_trial``: so often is a trial launched again after its own script failed, before it counts
    as failed. ``trial_without_metric``: what a trial counts as whose script ends in order without its objective; one
    that started from another's checkpoint, where nothing may have been left to do, always counts as completed.
    """

    max_retries_per_trial: int = 0
    trial_without_metric: WithoutMetric = "failed"

    def __post_init__(self) -> None:
        retries = self.max_retries_per_trial
        if isinstance(retries, bool) or not isinstance(retries, int) or retries < 0:
            raise OptionError(f"max_retries_per_trial={retries!r} is not a number of at least 0", "0: no second try")
        if self.trial_without_metric not in ("failed", "completed"):
            raise OptionError(
                f"trial_without_metric={self.trial_without_metric!r} is not known", 'give "failed" or "completed"'
            )

    def outcome(self, trial: TrialState, attempt: AttemptState, status: AttemptStatus, cause: Cause) -> Outcome:
        """Of a trial that is told to end, to pause, or whose attempt was told to stop, the end is always the usual."""
        if trial.decided is not Action.CONTINUE or attempt.stop_wanted or attempt is not trial.current:
            return Outcome.USUAL
        if status is AttemptStatus.COMPLETED:
            # from another's checkpoint: that one had done everything, and its last reports were still on their way
            excused = self.trial_without_metric == "completed" or trial.began_from is not None
            return Outcome.COMPLETED_WITHOUT_METRIC if excused and trial.last_result is None else Outcome.USUAL
        if cause is Cause.CAPACITY:
            again = trial.capacity_losses + 1 < CAPACITY_LOSSES_IN_A_ROW
        elif cause is Cause.SERVICE:
            again = trial.service_failures + 1 < SERVICE_FAILURES_IN_A_ROW
        else:
            own_fault = status is AttemptStatus.FAILED and cause in (Cause.NONE, Cause.SCRIPT)
            again = own_fault and trial.retries < self.max_retries_per_trial
        return Outcome.RELAUNCH if again else Outcome.USUAL


def is_nobodys_fault(cause: Cause) -> bool:
    """Whether neither the trial nor its user has anything to do with it."""
    return cause in (Cause.CAPACITY, Cause.SERVICE)


def why_given_up(trial: TrialState, cause: Cause) -> str:
    """What to add to the reason of a trial that got another attempt often enough; nothing for all others."""
    in_a_row = {Cause.CAPACITY: trial.capacity_losses, Cause.SERVICE: trial.service_failures}.get(cause, 0)
    if in_a_row:
        return f" (for the {in_a_row + 1}th time in a row without a new report: not tried again)"
    retries = "1 retry" if trial.retries == 1 else f"{trial.retries} retries"
    return f" (and so did {retries})" if trial.retries and cause in (Cause.NONE, Cause.SCRIPT) else ""


def pause_before_relaunch(trial: TrialState, cause: Cause) -> float:
    """Seconds; none if the script failed by itself."""
    if not is_nobodys_fault(cause):
        return 0.0
    losses = trial.capacity_losses + trial.service_failures
    return float(min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (losses - 1)))
