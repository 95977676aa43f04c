"""What a session does in the world: each action idempotent, its outcome an event."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from cloudtune.backends.base import TrialBackend
from cloudtune.clock import Clock
from cloudtune.engine.intents import DeleteCheckpoint, Intent, LaunchAttempt, StopAttempt
from cloudtune.engine.ledger import Ledger
from cloudtune.engine.state import AttemptState
from cloudtune.errors import CapacityError, CloudtuneError, TransientError
from cloudtune.journal import events as ev
from cloudtune.session.retries import Retries
from cloudtune.trial import AttemptId, Launch

logger = logging.getLogger("cloudtune.tuner")

RELEASE_TRIES = 5


class Actions:
    """Carries out what the ledger intends. The events it returns are applied; they must be recorded before all else.

    ``round_time``: seconds after which a round ends although more could be done: news want to be looked at.
    """

    def __init__(self, ledger: Ledger, backend: TrialBackend, clock: Clock, round_time: float) -> None:
        self._ledger = ledger
        self._backend = backend
        self._clock = clock
        self._round_time = round_time
        self._retries = Retries(round_time)
        self._outcomes: list[ev.Event] = []
        # attempts that may have been launched although nobody said so
        self._uncertain: set[AttemptId] = set()
        self._sought: set[AttemptId] = set()
        self._refused_stops: set[AttemptId] = set()
        # stops and deletions that didn't work at first, which was said
        self._postponed: set[StopAttempt | DeleteCheckpoint] = set()
        self.more_is_due = False
        """Whether the last round ended before everything was tried."""

    def round(self) -> list[ev.Event]:
        """Try what is due, stops before launches."""
        if not self._ledger.intents:
            self.more_is_due = False
            return self._recordable()
        began = self._clock.now()
        due = self._retries.due(self._ledger.intents.values(), began)
        for done, intent in enumerate(due, 1):
            self._try(intent)
            self.more_is_due = done < len(due)
            if self._clock.now() - began >= self._round_time:
                break
        else:
            self.more_is_due = False
        return self._recordable()

    def stops_wait(self) -> bool:
        """Whether some attempt is yet to be asked to stop, and that was not refused for good."""
        stops = (intent.attempt for intent in self._ledger.intents.values() if isinstance(intent, StopAttempt))
        return any(attempt not in self._refused_stops for attempt in stops)

    def find_launched(self, attempts: Sequence[AttemptState]) -> list[ev.Event]:
        """What was launched, but whose outcome never reached the journal."""
        self._find(attempts)
        # a listing may lack what was made a moment ago
        self._uncertain.update(attempt.id for attempt in attempts if not attempt.launched)
        return self._recordable()

    def _recordable(self) -> list[ev.Event]:
        outcomes = self._outcomes
        if outcomes:
            self._outcomes = []
        return outcomes

    def _note(self, event: ev.Event) -> None:
        self._ledger.apply(event)
        self._outcomes.append(event)

    def _find(self, attempts: Sequence[AttemptState]) -> None:
        if not attempts:
            return
        found = self._backend.launched([attempt.attempt for attempt in attempts])
        for attempt, launch in found.items():
            self._launched(attempt, launch)

    def _launched(self, attempt: AttemptId, launch: Launch) -> None:
        now = self._clock.now()
        self._note(ev.Launched(now, attempt.trial_id, attempt.number, launch.name, launch.dollars_per_hour))

    def _try(self, intent: Intent) -> None:
        if isinstance(intent, DeleteCheckpoint) and self._is_to_be_copied(intent.trial_id):
            return
        try:
            self._do(intent)
        except (TransientError, CapacityError) as error:
            if isinstance(intent, LaunchAttempt) and isinstance(error, TransientError):
                self._uncertain.add(intent.attempt.id)
                self._sought.discard(intent.attempt.id)
            self._retries.postpone(intent, self._clock.now(), error)
            self._held(intent, error.message)
        except CloudtuneError as error:
            self._refused(intent, error)
        else:
            self._retries.forget(intent)
            if not isinstance(intent, LaunchAttempt):
                self._postponed.discard(intent)

    def _is_to_be_copied(self, trial_id: int) -> bool:
        """Whether a trial that is not launched yet starts from the checkpoint of this one."""
        launches = (intent for intent in self._ledger.intents.values() if isinstance(intent, LaunchAttempt))
        return any(launch.checkpoint_trial_id == trial_id for launch in launches)

    def _do(self, intent: Intent) -> None:
        if isinstance(intent, LaunchAttempt):
            attempt = intent.attempt
            if intent.checkpoint_trial_id is not None:
                self._backend.copy_checkpoint(intent.checkpoint_trial_id, attempt.id.trial_id)
            launch = self._backend.start(attempt)
            if intent.checkpoint_trial_id is not None:
                copied = ev.CheckpointCopied(self._clock.now(), intent.checkpoint_trial_id, attempt.id.trial_id)
                self._note(copied)
            self._launched(attempt.id, launch)
        elif isinstance(intent, StopAttempt):
            if self._may_run(intent.attempt):
                self._backend.stop(intent.attempt)
            self._note(ev.StopIssued(self._clock.now(), intent.attempt.trial_id, intent.attempt.number))
        else:
            self._backend.delete_checkpoint(intent.trial_id)
            self._note(ev.CheckpointDeleted(self._clock.now(), intent.trial_id))

    def _may_run(self, id: AttemptId) -> bool:
        """Whether there may be something to stop: nothing of an attempt whose launch was never tried."""
        if id in self._uncertain - self._sought:
            self._find_lost_launches()
        attempt = self._ledger.attempt(id)
        return attempt is None or attempt.launched or id in self._uncertain

    def _find_lost_launches(self) -> None:
        """Attempts may run although their launch was answered by an error: then they are followed to their end."""
        known = (self._ledger.attempt(id) for id in sorted(self._uncertain - self._sought))
        lost = [attempt for attempt in known if attempt is not None and not attempt.launched]
        self._find(lost)
        self._sought = set(self._uncertain)
        self._backend.adopt([attempt.attempt for attempt in lost if attempt.name is not None])

    def _held(self, intent: Intent, why: str) -> None:
        if not isinstance(intent, LaunchAttempt):
            if intent not in self._postponed:
                what = "stop of" if isinstance(intent, StopAttempt) else "deletion of the checkpoint of"
                trial_id = intent.attempt.trial_id if isinstance(intent, StopAttempt) else intent.trial_id
                logger.warning("%s trial %d is tried until it works: %s", what, trial_id, why)
            self._postponed.add(intent)
            return
        attempt = self._ledger.attempt(intent.attempt.id)
        if attempt is not None and attempt.held != why:
            logger.info("trial %d waits: %s", intent.attempt.id.trial_id, why.removeprefix("waiting for "))
            self._note(ev.LaunchHeld(self._clock.now(), attempt.id.trial_id, attempt.id.number, why))

    def _refused(self, intent: Intent, error: CloudtuneError) -> None:
        now = self._clock.now()
        if isinstance(intent, LaunchAttempt):
            logger.error("trial %s can't be launched: %s", intent.attempt.id, error)
            self._note(ev.LaunchFailed(now, intent.attempt.id.trial_id, intent.attempt.id.number, str(error)))
        elif isinstance(intent, DeleteCheckpoint):
            logger.error("checkpoint of trial %d stays: %s", intent.trial_id, error)
            self._note(ev.CheckpointDeleted(now, intent.trial_id, str(error)))
        else:
            self._refused_stops.add(intent.attempt)
            logger.error("attempt %s can't be stopped and may go on costing money: %s", intent.attempt, error)
            self._retries.postpone(intent, now, error)


def release(backend: TrialBackend, clock: Clock, first_pause: float) -> None:
    """Let go of what costs money although nothing runs any more. What can't be released is said, never raised."""
    pause, failure = first_pause, CloudtuneError("")
    for _ in range(RELEASE_TRIES):
        try:
            backend.release()
            return
        except TransientError as error:
            failure = error
            clock.sleep(pause)
            pause *= 2
        except CloudtuneError as error:
            failure = error
            break
    logger.error(
        "not everything could be released that this experiment keeps ready, such as warm instances: it goes on costing "
        "money until its time is over. `cloudtune stop` tries again. %s",
        failure,
    )
