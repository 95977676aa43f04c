"""The end of an attempt, and what becomes of its trial."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloudtune.engine.intents import DeleteCheckpoint
from cloudtune.engine.policies import Outcome, is_nobodys_fault
from cloudtune.engine.state import AttemptState, TrialState
from cloudtune.records import record
from cloudtune.schedulers.base import Action, TrialScheduler
from cloudtune.trial import AttemptStatus, Cause, Status

if TYPE_CHECKING:
    from cloudtune.engine.ledger import Ledger


@record
class End:
    """How an attempt ended, at ``at`` (seconds since the epoch). ``dollars``: its bill, where there is one."""

    status: AttemptStatus
    at: float
    reason: str
    dollars: float | None = None
    outcome: Outcome = Outcome.USUAL


def close(ledger: Ledger, attempt: AttemptState, end: End) -> None:
    """Part of the fold: the attempt is over."""
    ledger.turn(attempt, end.status)
    attempt.reason, attempt.dollars = end.reason, end.dollars
    attempt.ended_at = attempt.ended_at or end.at
    ledger.open.pop(attempt.id, None)
    ledger.intents.pop(("stop", attempt.id), None)
    ledger.intents.pop(("launch", attempt.id), None)
    trial_id = attempt.id.trial_id
    trial = ledger.trials[trial_id]
    if attempt is trial.current:
        if end.dollars is None and trial.reported_dollars is not None:
            attempt.dollars = trial.reported_dollars
        trial.reported_dollars = None
        trial.reason = end.reason
        _end_trial(ledger, trial, attempt, end.outcome)
    ledger.spent += attempt.cost(end.at, None)
    ledger.worked += attempt.seconds(end.at)
    if ledger.delete_checkpoints and trial.status in (Status.stopped, Status.completed):
        ledger.intents["delete", trial_id] = DeleteCheckpoint(trial_id)


def ends_by_itself(scheduler: TrialScheduler, trial: TrialState) -> bool:
    """Whether the script was told, in its configuration, to end at the resource that was decided on last.

    Stopping such a job would race its own end, cost a call, and on some backends the last checkpoint.
    """
    limit, resource = scheduler.max_resource_attr, scheduler.resource_attr
    if limit is None or resource is None or trial.last_result is None:
        return False
    told, done = trial.trial.config.get(limit), trial.last_result.get(resource)
    return isinstance(told, (int, float)) and isinstance(done, (int, float)) and done >= told


def _end_trial(ledger: Ledger, state: TrialState, attempt: AttemptState, outcome: Outcome) -> None:
    trial, status, scheduler = state.trial, attempt.status, ledger.scheduler
    if outcome is Outcome.RELAUNCH:
        _lose(ledger, state, attempt.cause)
    elif state.decided is Action.PAUSE and status is AttemptStatus.COMPLETED and not ends_by_itself(scheduler, state):
        # told to pause, but quicker than the wish: all its work is done, and nothing is left to resume
        ledger.move(state, Status.completed)
        scheduler.on_trial_complete(trial, state.late_result or state.last_result or {})
    elif state.decided is Action.PAUSE:
        ledger.move(state, Status.paused)
        scheduler.on_trial_remove(trial)
    elif (
        state.decided is Action.STOP
        or status is AttemptStatus.STOPPED
        or (attempt.stop_wanted and is_nobodys_fault(attempt.cause))
    ):
        ledger.move(state, Status.stopped)
        scheduler.on_trial_remove(trial)
    elif status is AttemptStatus.COMPLETED and state.last_result is not None:
        ledger.move(state, Status.completed)
        scheduler.on_trial_complete(trial, state.last_result)
    elif outcome is Outcome.COMPLETED_WITHOUT_METRIC:
        ledger.move(state, Status.completed)
        scheduler.on_trial_remove(trial)  # it has nothing to learn from
    else:
        ledger.move(state, Status.failed)
        state.reason = state.reason or f"ended without reporting {ledger.objective!r}"
        ledger.failures += 1
        scheduler.on_trial_error(trial)


def _lose(ledger: Ledger, state: TrialState, cause: Cause) -> None:
    """The attempt is lost, the trial is not."""
    ledger.relaunching[state.trial.trial_id] = cause
    if cause is Cause.CAPACITY:
        state.capacity_losses += 1
    elif cause is Cause.SERVICE:
        state.service_failures += 1
    else:
        state.retries += 1
