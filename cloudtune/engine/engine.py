"""The pure step of a tuner: observations in, events out; what they ask of the world is in ``ledger.intents``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from cloudtune.engine.arrival import Arrivals
from cloudtune.engine.ledger import Ledger
from cloudtune.engine.policies import Outcome, Policies, pause_before_relaunch, why_given_up
from cloudtune.engine.state import AttemptState
from cloudtune.errors import JournalError
from cloudtune.journal import events as ev
from cloudtune.schedulers.base import Action, NotNow, Reason, Start, Suggestion, TrialScheduler
from cloudtune.trial import AttemptId, AttemptStatus, Interruption, Observation, Report, Status, StatusChange


@dataclass(frozen=True)
class EngineOptions:
    """How trials are scheduled; the meaning of each is documented at ``Tuner``."""

    n_workers: int
    asynchronous_scheduling: bool = True
    wait_trial_completion_when_stopping: bool = False
    start_jobs_without_delay: bool = True
    delete_checkpoints: bool = False
    can_stop: bool = True
    reports_lag: bool = False
    policies: Policies = field(default_factory=Policies)


class Engine:
    """What follows from what is known: which events come next.

    All methods yield events that are already applied. Before anything is acted on, they must be in the journal.
    """

    def __init__(self, scheduler: TrialScheduler, options: EngineOptions) -> None:
        self.scheduler = scheduler
        self.options = options
        self.ledger = Ledger(scheduler, options.delete_checkpoints, options.can_stop)
        # without a resource nothing is compared while trials run
        compared = scheduler.resource_attr is not None
        self._arrivals = Arrivals(self._is_undecided, self._is_known, options.reports_lag and compared)

    # -- what follows from observations ------------------------------------------------------------------------

    def observe(self, observations: Sequence[Observation], now: float) -> Iterator[ev.News]:
        """Take in what a backend saw: what was new in it, and what was decided about it.

        Known reports and stale statuses yield nothing. Where reports lag, younger ones wait for older ones, bounded.
        """
        ledger = self.ledger
        for observation in self._arrivals.take(observations, now, hold=not self._is_winding_down()):
            event = self._news(observation)
            if event is None:
                continue
            ledger.apply(event)
            yield event
            if ledger.undecided:
                yield from self.decide(now)

    def decide(self, now: float) -> list[ev.DecisionMade]:
        """Decisions that follow from applied reports and were not yet applied themselves."""
        made = []
        for ((trial_id, number), key), (decision, _) in [*self.ledger.undecided.items()]:
            reason, action = decision.reason or _NO_REASON, decision.action._value_
            event = ev.DecisionMade(now, trial_id, number, key, action, reason.rule, reason.numbers, reason.threshold)
            self.ledger.apply(event)
            made.append(event)
        return made

    def _news(self, seen: Observation) -> ev.News | None:
        attempt = self.ledger.attempt(seen.attempt)
        if attempt is None:
            return None
        if isinstance(seen, Report):
            key, at = seen.key, seen.seen_at
            if key in attempt.report_keys:
                return None
            trial_id, number = seen.attempt
            tuner_time = self.ledger.wallclock_time(at)
            return ev.ReportObserved(at, trial_id, number, key, seen.metrics, seen.emitted_at, tuner_time)
        if isinstance(seen, Interruption):
            if attempt.status.is_final or seen.number <= attempt.interruptions:
                return None
            return ev.AttemptInterrupted(seen.at, seen.attempt.trial_id, seen.attempt.number, seen.number, seen.reason)
        if attempt.status.is_final or _ORDER[seen.status] <= _ORDER[attempt.status]:
            return None
        return self._status_news(seen, attempt)

    def _status_news(self, seen: StatusChange, attempt: AttemptState) -> ev.StatusObserved:
        outcome, given_up = Outcome.USUAL, ""
        if seen.status.is_final:
            trial = self.ledger.trials[seen.attempt.trial_id]
            outcome = self.options.policies.outcome(trial, attempt, seen.status, seen.cause)
            if seen.status is AttemptStatus.FAILED and outcome is Outcome.USUAL:
                given_up = why_given_up(trial, seen.cause)
        return ev.StatusObserved(
            seen.at,
            seen.attempt.trial_id,
            seen.attempt.number,
            seen.status._value_,
            seen.reason + given_up,
            seen.dollars,
            seen.cause._value_,
            outcome._value_,
        )

    def _is_known(self, report: Report) -> bool:
        attempt = self.ledger.attempt(report.attempt)
        return attempt is not None and report.key in attempt.report_keys

    def _is_undecided(self, id: AttemptId) -> bool:
        attempt = self.ledger.attempt(id)
        if attempt is None or attempt.status.is_final:
            return False
        return self.ledger.trials[id.trial_id].decided is Action.CONTINUE

    # -- what follows from the state -----------------------------------------------------------------------------

    def has_plans(self) -> bool:
        """Whether ``plan`` may have anything to say."""
        ledger = self.ledger
        if ledger.finished:
            return False
        if ledger.relaunching or ledger.finishing or not ledger.open:
            return True
        if ledger.exhausted or ledger.busy - ledger.stopping >= self.options.n_workers:
            return False
        return self._free_workers() > 0

    def plan(self, now: float) -> Iterator[ev.Event]:
        """What should happen next: launches, stops, the end."""
        if self.ledger.finished:
            return
        if self.ledger.relaunching:
            yield from self._applied(self._relaunches(now))
        if self.ledger.finishing and self._is_winding_down() and self.options.can_stop:
            yield from self._applied(self._stops(now, self.ledger.finishing.why))
        free = 0 if self.ledger.finishing else self._free_workers()
        while free > 0 and not self.ledger.exhausted:
            event = self._next_launch(now)
            if event is None:
                break
            self.ledger.apply(event)
            yield event
            free -= 1
        if not self.ledger.open:
            yield from self._applied(self._end(now))

    def _is_winding_down(self) -> bool:
        """Whether what runs is to be stopped."""
        return self.ledger.finishing is not None and not self.options.wait_trial_completion_when_stopping

    def _relaunches(self, now: float) -> Iterator[ev.LaunchIntended]:
        """The next attempts of trials that have lost one; they keep their workers, however long they have to wait."""
        for trial_id, cause in list(self.ledger.relaunching.items()):
            trial = self.ledger.trials[trial_id]
            not_before = now + pause_before_relaunch(trial, cause)
            yield ev.LaunchIntended(
                now, trial_id, len(trial.attempts), trial.trial.config, None, not_before, f"again after: {trial.reason}"
            )

    def finish(self, now: float, why: str, failed: bool = False) -> Iterator[ev.Event]:
        """Start no more trials. Nothing if that is decided already."""
        if not self.ledger.finishing:
            yield from self._applied(iter([ev.FinishIntended(now, why, failed)]))

    def delete_checkpoints(self, trial_ids: Iterable[int], why: str, now: float) -> Iterator[ev.Event]:
        """Let go of the checkpoints of trials none of whose attempts is at work; nothing about all others."""
        for trial_id in trial_ids:
            trial = self.ledger.trials[trial_id]
            known = trial.checkpoint_deleted or ("delete", trial_id) in self.ledger.intents
            if trial.current.status.is_final and not known:
                yield from self._applied(iter([ev.CheckpointDeletionIntended(now, trial_id, why)]))

    def busy(self) -> int:
        """Workers in use. An attempt that was asked to stop counts only if the options say so."""
        stopping_counts = not self.options.start_jobs_without_delay
        return self.ledger.busy if stopping_counts else self.ledger.busy - self.ledger.stopping

    def _free_workers(self) -> int:
        busy = self.busy()
        if not self.options.asynchronous_scheduling and busy and not self._filling_batch():
            return 0
        return self.options.n_workers - busy

    def _filling_batch(self) -> bool:
        """Synchronous scheduling: none of the open attempts has been launched yet, so their batch may still grow."""
        return not any(attempt.launched for attempt in self.ledger.open.values())

    def _next_launch(self, now: float) -> ev.Event | None:
        suggestion = self.scheduler.suggest(len(self.ledger.trials))
        if suggestion is None:
            return ev.SpaceExhausted(now)
        if isinstance(suggestion, NotNow):
            return None
        return self._launch(suggestion, now)

    def _launch(self, suggestion: Suggestion, now: float) -> ev.LaunchIntended | None:
        if isinstance(suggestion, Start):
            return ev.LaunchIntended(
                now,
                len(self.ledger.trials),
                0,
                dict(suggestion.config),
                suggestion.checkpoint_trial_id,
                carried=suggestion.carried,
            )
        trial = self.ledger.trials[suggestion.trial_id]
        if trial.status is not Status.paused:
            raise JournalError(
                f"the scheduler resumes trial {suggestion.trial_id}, which is {trial.status}",
                "only paused trials can be resumed: this is a defect of the scheduler",
            )
        if not trial.current.status.is_final:
            return None  # its last job still writes the checkpoint
        config = trial.trial.config if suggestion.config is None else dict(suggestion.config)
        why = suggestion.reason or _NO_REASON
        return ev.LaunchIntended(
            now,
            suggestion.trial_id,
            len(trial.attempts),
            config,
            rule=why.rule,
            numbers=why.numbers,
            threshold=why.threshold,
        )

    def _stops(self, now: float, why: str) -> Iterator[ev.Event]:
        for attempt in list(self.ledger.open.values()):
            if attempt.status.is_busy and not attempt.stop_wanted:
                yield ev.StopIntended(now, attempt.id.trial_id, attempt.id.number, why)

    def _end(self, now: float) -> Iterator[ev.Event]:
        if self.ledger.finishing:
            yield ev.ExperimentFinished(now, self.ledger.finishing.why)
        elif self.ledger.exhausted:
            yield ev.ExperimentFinished(now, "every configuration has been tried")
        else:
            yield ev.ExperimentFinished(now, "nothing is running and the scheduler has nothing to start")

    def _applied(self, events: Iterator[ev.Event]) -> Iterator[ev.Event]:
        for event in events:
            self.ledger.apply(event)
            yield event


_NO_REASON = Reason("")
_ORDER = {status: order for order, status in enumerate(AttemptStatus)}
