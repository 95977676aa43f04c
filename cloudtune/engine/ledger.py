"""The fold of a journal: everything known about an experiment, event by event.

``Ledger.apply`` is what happens live and what happens in a replay, so a tuner that was killed anywhere is rebuilt by
reading its journal. Nothing here does I/O, reads a clock or draws a random number: time arrives inside events.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from operator import is_
from typing import Any

from cloudtune.engine.ending import End, close, ends_by_itself
from cloudtune.engine.hearing import hear
from cloudtune.engine.intents import DeleteCheckpoint, Intent, LaunchAttempt, StopAttempt
from cloudtune.engine.policies import Outcome
from cloudtune.engine.state import AttemptState, ResultRow, TrialState, new_trial
from cloudtune.errors import JournalError
from cloudtune.journal import events as ev
from cloudtune.schedulers.base import Action, Decision, TrialScheduler
from cloudtune.trial import LARGEST, Attempt, AttemptId, AttemptStatus, Cause, Metrics, Status


class Ledger:
    """The state of one experiment. Read it freely; only ``apply`` changes it.

    The scheduler is told of everything by ``apply`` too, and of nothing anywhere else. ``delete_checkpoints`` and
    ``can_stop`` are as at ``EngineOptions``.
    """

    def __init__(self, scheduler: TrialScheduler, delete_checkpoints: bool = False, can_stop: bool = True) -> None:
        self.scheduler = scheduler
        self.objective = scheduler.metric_names()[0]
        self.resource_attr = scheduler.resource_attr
        self.needed = frozenset(scheduler.needed_metrics())
        self.tuner_name: str | None = None
        self.trials: list[TrialState] = []
        self.rows: list[ResultRow] = []
        self.open: dict[AttemptId, AttemptState] = {}
        """Attempts that are not final."""
        self.intents: dict[tuple[str, AttemptId | int], Intent] = {}
        """What is intended and not yet known to be done, oldest first."""
        self.undecided: dict[tuple[AttemptId, str], tuple[Decision, int]] = {}
        """Decisions the scheduler has made that are not yet events, with the row of the report."""
        self.divergent: list[ev.DecisionMade] = []
        """Recorded decisions that this scheduler would not have made: it is not the one that wrote the journal."""
        self.counts: Counter[Status] = Counter()
        """Trials by status."""
        self.spent = self.worked = 0.0
        """Dollars and seconds of attempts that have ended."""
        self.relaunching: dict[int, Cause] = {}
        """Trials whose attempt was lost and whose next is not yet intended, with what became of it."""
        self.started_over: list[AttemptId] = []
        """Attempts that began from nothing although their trial had come further; once for each time. Not those whose
        checkpoint we had deleted."""
        self.interruptions = 0
        self.failures = 0
        self.reports_with_objective = 0
        self.reports_without_objective: list[Metrics] = []
        self.sessions = 0
        self.evaluations = 0
        """Reports, without those of work that was done once more."""
        self.busy = self.stopping = 0
        """Attempts that occupy workers; and those among them that were asked to stop."""
        self.exhausted = False
        self.mismatch = ""
        """In what an attempt of this session differed from what was asked for, if one did."""
        self.deletions_asked_for: Counter[str] = Counter()
        """Checkpoints that were to be deleted, by the reason given."""
        self.resumed_without_checkpoint: list[tuple[int, int]] = []
        """Trials resumed after their checkpoint was deleted, with the resource they had come to."""
        self.summary: tuple[str, ...] = ()
        """What the backend says about the experiment as a whole."""
        self.finishing: ev.FinishIntended | None = None
        self.finished: ev.ExperimentFinished | None = None
        self._earlier_sessions = 0.0
        self._session_began = 0.0
        self._names: tuple[str, ...] = ()
        self.delete_checkpoints = delete_checkpoints
        self._can_stop = can_stop

    def attempt(self, attempt: AttemptId) -> AttemptState | None:
        """None if no such attempt was ever intended."""
        trial_id, number = attempt
        if trial_id >= len(self.trials):
            return None
        attempts = self.trials[trial_id].attempts
        return attempts[number] if number < len(attempts) else None

    def own_names(self, metrics: Metrics) -> Metrics:
        """With names that all reports share: they come with every line that is parsed, and take most of it."""
        names = self._names
        if len(metrics) == len(names) and all(map(is_, metrics, names)):
            return metrics
        if tuple(metrics) != names:
            names = self._names = tuple(map(sys.intern, metrics))
            if all(map(is_, metrics, names)):
                return metrics
        return dict(zip(names, metrics.values(), strict=True))

    def wallclock_time(self, now: float) -> float:
        """Seconds the tuner has run until ``now``, over all sessions."""
        began = self._session_began
        return self._earlier_sessions + (now - began if now > began else 0.0)

    def apply(self, event: ev.Event) -> None:
        """Change the state by what happened. The only method that does."""
        try:
            fold = _FOLDS[type(event)]
        except KeyError:
            raise TypeError(f"not an event: {event!r}") from None
        fold(self, event)

    def _experiment_started(self, event: ev.ExperimentStarted) -> None:
        self.tuner_name = event.tuner_name

    def _session_started(self, event: ev.SessionStarted) -> None:
        self.sessions += 1
        self.mismatch = ""
        self._earlier_sessions = event.tuner_time
        self._session_began = event.at

    def _launch_intended(self, event: ev.LaunchIntended) -> None:
        attempt = AttemptState(Attempt(AttemptId(event.trial_id, event.attempt), event.config), held=event.why)
        self.open[attempt.id] = attempt
        self.busy += 1
        self.intents["launch", attempt.id] = LaunchAttempt(attempt.attempt, event.checkpoint_trial_id, event.not_before)
        if event.attempt == 0:
            state = new_trial(event.trial_id, event.config, event.at, event.carried)
            state.attempts.append(attempt)
            state.began_from = event.checkpoint_trial_id
            self.trials.append(state)
            self.counts[state.status] += 1
            self.scheduler.on_trial_add(state.trial)
            return
        state = self.trials[event.trial_id]
        self._comes_back(state, attempt)
        state.attempts.append(attempt)
        attempt.started_again_at = event.at
        if self.relaunching.pop(event.trial_id, None) is None:
            state.reconfigured(event.config)
            state.decided, state.late_result = Action.CONTINUE, None
            self.move(state, Status.in_progress)
            self.scheduler.on_trial_resume(state.trial)

    def _launched(self, event: ev.Launched) -> None:
        attempt = self.known(event.trial_id, event.attempt)
        attempt.name, attempt.dollars_per_hour, attempt.held = event.name, event.dollars_per_hour, ""
        self.intents.pop(("launch", attempt.id), None)

    def _launch_held(self, event: ev.LaunchHeld) -> None:
        self.known(event.trial_id, event.attempt).held = event.reason

    def _launch_failed(self, event: ev.LaunchFailed) -> None:
        attempt = self.known(event.trial_id, event.attempt)
        self.intents.pop(("launch", attempt.id), None)
        close(self, attempt, End(AttemptStatus.FAILED, event.at, event.reason))

    def _status_observed(self, event: ev.StatusObserved) -> None:
        attempt = self.known(event.trial_id, event.attempt)
        status = _STATUSES.get(event.status) or AttemptStatus(event.status)
        if event.cause == Cause.MISMATCH:
            self.mismatch = self.mismatch or event.reason
        if attempt.running_since is None and status is not AttemptStatus.PENDING:
            attempt.running_since = event.at
        if status.is_final:
            attempt.cause = Cause(event.cause) if event.cause else Cause.NONE
            outcome = Outcome(event.outcome) if event.outcome else Outcome.USUAL
            close(self, attempt, End(status, event.at, event.reason, event.dollars, outcome))
            return
        self.turn(attempt, status)
        if status is AttemptStatus.DRAINING:
            attempt.ended_at = event.at

    def _attempt_interrupted(self, event: ev.AttemptInterrupted) -> None:
        attempt = self.known(event.trial_id, event.attempt)
        attempt.interruptions, attempt.started_again_at = event.number, event.at
        self.interruptions += 1

    def _decision_made(self, event: ev.DecisionMade) -> None:
        attempt = self.known(event.trial_id, event.attempt)
        action = _ACTIONS.get(event.action) or Action(event.action)
        ours, row = self.undecided.pop((attempt.attempt.id, event.key), _NOBODYS)
        if ours is None or ours.action is not action:
            self.divergent.append(event)
        if action is Action.CONTINUE:
            return
        state = self.trials[event.trial_id]
        state.decided = action
        self.move(state, Status.stopping if action is Action.STOP else Status.paused)
        if row is not None:
            self.rows[row] = self.rows[row].decided(action)
        if attempt.status.is_busy and self._can_stop and not ends_by_itself(self.scheduler, state):
            self._want_stop(attempt)

    def _stop_intended(self, event: ev.StopIntended) -> None:
        self._want_stop(self.known(event.trial_id, event.attempt))

    def _want_stop(self, attempt: AttemptState) -> None:
        self.turn(attempt, attempt.status, stop_wanted=True)
        self.intents.pop(("launch", attempt.id), None)
        self.intents["stop", attempt.id] = StopAttempt(attempt.id)

    def _stop_issued(self, event: ev.StopIssued) -> None:
        attempt = self.known(event.trial_id, event.attempt)
        self.intents.pop(("stop", attempt.id), None)
        if not attempt.launched:
            close(self, attempt, End(AttemptStatus.STOPPED, event.at, "never launched"))

    def _checkpoint_copied(self, event: ev.CheckpointCopied) -> None:
        pass

    def _checkpoint_deletion_intended(self, event: ev.CheckpointDeletionIntended) -> None:
        self.intents["delete", event.trial_id] = DeleteCheckpoint(event.trial_id)
        self.deletions_asked_for[event.why] += 1

    def _checkpoint_deleted(self, event: ev.CheckpointDeleted) -> None:
        self.intents.pop(("delete", event.trial_id), None)
        self.trials[event.trial_id].checkpoint_deleted = not event.refused

    def _trial_warned(self, event: ev.TrialWarned) -> None:
        self.known(event.trial_id, event.attempt).warning = event.text

    def _summary_changed(self, event: ev.SummaryChanged) -> None:
        self.summary = tuple(event.lines)

    def _comes_back(self, state: TrialState, attempt: AttemptState) -> None:
        """A trial is launched again: its checkpoint, if it still has one, is its own from here on."""
        self.intents.pop(("delete", state.trial.trial_id), None)
        if state.checkpoint_deleted:
            attempt.from_scratch, state.checkpoint_deleted = True, False
            done = (state.last_result or {}).get(self.scheduler.resource_attr or "")
            level = int(done) if isinstance(done, (int, float)) and -LARGEST <= done <= LARGEST else 0
            self.resumed_without_checkpoint.append((state.trial.trial_id, level))

    def _space_exhausted(self, event: ev.SpaceExhausted) -> None:
        self.exhausted = True

    def _finish_intended(self, event: ev.FinishIntended) -> None:
        self.finishing = event

    def _experiment_finished(self, event: ev.ExperimentFinished) -> None:
        self.finished = event

    def _experiment_reopened(self, event: ev.ExperimentReopened) -> None:
        self.finished = self.finishing = None

    def known(self, trial_id: int, number: int) -> AttemptState:
        """Raises ``JournalError`` if no such attempt was ever intended."""
        try:
            return self.trials[trial_id].attempts[number]
        except IndexError:
            raise JournalError(
                f"the journal speaks of attempt {trial_id}-{number}, which was never intended",
                "the journal was written by another version or edited; restore it from a copy",
            ) from None

    def turn(self, attempt: AttemptState, status: AttemptStatus, stop_wanted: bool = False) -> None:
        """For folds only: an attempt's status is now ``status``; once asked to stop, it stays so."""
        if attempt.status.is_busy:
            self.busy -= 1
            self.stopping -= attempt.stop_wanted
        attempt.status, attempt.stop_wanted = status, stop_wanted or attempt.stop_wanted
        if status.is_busy:
            self.busy += 1
            self.stopping += attempt.stop_wanted

    def move(self, state: TrialState, status: Status) -> None:
        """For folds only: a trial's status is now ``status``."""
        self.counts[state.status] -= 1
        self.counts[status] += 1
        state.status = status


_NOBODYS: tuple[None, None] = (None, None)
_ACTIONS = {action.value: action for action in Action}
_STATUSES = {status.value: status for status in AttemptStatus}

_FOLDS: dict[type[Any], Callable[[Ledger, Any], None]] = {
    ev.ExperimentStarted: Ledger._experiment_started,
    ev.SessionStarted: Ledger._session_started,
    ev.LaunchIntended: Ledger._launch_intended,
    ev.Launched: Ledger._launched,
    ev.LaunchHeld: Ledger._launch_held,
    ev.LaunchFailed: Ledger._launch_failed,
    ev.StatusObserved: Ledger._status_observed,
    ev.AttemptInterrupted: Ledger._attempt_interrupted,
    ev.ReportObserved: hear,
    ev.DecisionMade: Ledger._decision_made,
    ev.StopIntended: Ledger._stop_intended,
    ev.StopIssued: Ledger._stop_issued,
    ev.CheckpointCopied: Ledger._checkpoint_copied,
    ev.CheckpointDeletionIntended: Ledger._checkpoint_deletion_intended,
    ev.CheckpointDeleted: Ledger._checkpoint_deleted,
    ev.TrialWarned: Ledger._trial_warned,
    ev.SummaryChanged: Ledger._summary_changed,
    ev.SpaceExhausted: Ledger._space_exhausted,
    ev.FinishIntended: Ledger._finish_intended,
    ev.ExperimentFinished: Ledger._experiment_finished,
    ev.ExperimentReopened: Ledger._experiment_reopened,
}
