"""One process's run of an experiment: the loop that joins engine, journal, backend and clock."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from cloudtune.backends.base import BringsClock, TrialBackend
from cloudtune.callbacks.base import CallbackList
from cloudtune.clock import Clock
from cloudtune.engine.engine import Engine
from cloudtune.engine.intents import DeleteCheckpoint
from cloudtune.engine.status import StatusKeeper, TuningStatus
from cloudtune.engine.stopping import reason_of
from cloudtune.errors import CloudtuneError, TransientError
from cloudtune.journal import events as ev
from cloudtune.journal.store import JournalStore
from cloudtune.session.actions import Actions, release
from cloudtune.session.checks import missing_metric, not_as_asked, too_many_failures
from cloudtune.session.notices import Notices, tell_of_the_wait
from cloudtune.session.patience import patiently
from cloudtune.session.recording import Recorder
from cloudtune.session.telling import tell_launches, tell_news
from cloudtune.trial import Status

logger = logging.getLogger("cloudtune.tuner")

SUMMARY_INTERVAL = 120.0
"""Seconds between two looks at what the backend says about the experiment as a whole."""

LOOKS_IN_A_ROW = 200
"""In simulated time, where nobody wants to hear of each."""

STOP_PATIENCE = 6 * 3600.0
"""Seconds to go on trying, at the end, to stop trials through a service that doesn't answer."""
WIND_DOWN_LIMIT = 900.0
"""Seconds to wait at the end for trials that were asked to stop."""


@dataclass(frozen=True)
class SessionOptions:
    """``sleep_time`` in seconds; the rest is documented at ``Tuner``."""

    sleep_time: float
    max_failures: int

    @property
    def first_pause(self) -> float:
        """Seconds before the first repetition of what had to wait."""
        return max(self.sleep_time, 1.0)


class Session:
    """Runs an experiment to its end, or until its process dies; then another session goes on from the journal."""

    def __init__(
        self,
        engine: Engine,
        journal: JournalStore,
        backend: TrialBackend,
        clock: Clock,
        callbacks: CallbackList,
        stop_criterion: Callable[[TuningStatus], bool],
        options: SessionOptions,
    ) -> None:
        self.engine = engine
        self.ledger = engine.ledger
        self.status = StatusKeeper(engine.ledger)
        self.stop_requested: str | None = None
        """Set from outside (a signal handler, another thread) to end the experiment, with the reason."""
        self._backend = backend
        self._simulated = isinstance(backend, BringsClock)
        self._clock = clock
        self.callbacks = callbacks
        self.stop_criterion = stop_criterion
        self._options = options
        self._recorder = Recorder(journal, engine.ledger, clock, options.first_pause)
        self._elapsed = 0.0
        self._failure: CloudtuneError | None = None
        self._actions = Actions(self.ledger, backend, clock, options.first_pause)
        self._notices = Notices(self.ledger)
        self._told_to_start_no_more = False
        self._summarized_at = clock.now()

    # -- life ----------------------------------------------------------------------------------------------------

    def replay(self) -> bool:
        """Rebuild the state from the journal; False if there is none. For an engine that has seen nothing."""
        latest = self._recorder.replay()
        if not self._recorder.begun:
            return False
        self._elapsed = self.ledger.wallclock_time(latest)
        self._notices.skip()
        return True

    def take_over(self, started: ev.ExperimentStarted) -> None:
        """Become the one writer of this experiment, new or not.

        Raises ``JournalConflictError``, having changed nothing, if another process is.
        """
        now = self._clock.now()
        self._told_to_start_no_more = False
        session = ev.SessionStarted(now, socket.gethostname(), os.getpid(), self._elapsed)
        self._recorder.apply(*([session] if self._recorder.begun else [started, session]))
        self._recorder.record(list(self.engine.decide(now)))
        if self.ledger.divergent:
            logger.warning(
                "%d recorded decisions differ from what this scheduler decides: it is not the one that started the "
                "experiment. The recorded ones stand.",
                len(self.ledger.divergent),
            )
        if (self.ledger.finished or self.ledger.finishing) and not self._reason_to_stop():
            self._recorder.apply(ev.ExperimentReopened(now))
        unknown = [attempt for attempt in self.ledger.open.values() if not attempt.launched]
        found = patiently("looking for trials", lambda: self._actions.find_launched(unknown), self._clock)
        self._recorder.record(found)
        launched = [attempt.attempt for attempt in self.ledger.open.values() if attempt.launched]
        patiently("looking for trials", lambda: self._backend.adopt(launched), self._clock)

    def iterate(self) -> None:
        """One iteration of the tuning loop: one look at the backend, or in simulated time several.

        Each look is the same either way; only callbacks that do something now and then are called less often.
        """
        self.callbacks.call("on_loop_start")
        self._look()
        if self._simulated and not self.callbacks.want_each_look():
            for _ in range(LOOKS_IN_A_ROW - 1):
                self._finish_if_due()
                if self.stop_requested or self.is_over():
                    break
                self._look()
        self.callbacks.call("on_loop_end")
        self._finish_if_due()
        if self.stop_requested:
            self._wait_for_nobody()

    def _look(self) -> None:
        self._take_in()
        self._plan()
        self._act()
        if not self.ledger.finished:
            self._sleep()
        if self._clock.now() - self._summarized_at >= SUMMARY_INTERVAL:
            self._summarize()

    def _finish_if_due(self) -> None:
        if not self.ledger.finishing and (why := self._reason_to_stop()):
            logger.info("stopping: %s", why)
            self._recorder.record(list(self.engine.finish(self._clock.now(), why, failed=self._failed())))

    def is_over(self) -> bool:
        """Whether the tuning loop ends here; what still runs is then wound down."""
        if self.ledger.finished:
            return True
        return bool(self.ledger.finishing) and not self.engine.options.wait_trial_completion_when_stopping

    def wind_down(self) -> None:
        """Stop what runs and take in what it still says, until all has ended or the wait is over."""
        began = told = self._clock.now()
        deadline = began + WIND_DOWN_LIMIT
        while not self.ledger.finished:
            self._take_in()
            self._plan()
            self._act()
            if self.ledger.finished:
                return
            if self._actions.stops_wait() and self._clock.now() < began + STOP_PATIENCE:
                # there are many, or nobody answers: each has its time from when it was asked
                deadline = self._clock.now() + WIND_DOWN_LIMIT
            if self._clock.now() > deadline:
                names = ", ".join(attempt.name or str(attempt.id) for attempt in self.ledger.open.values())
                logger.warning("still not ended %.0f s after being asked to: %s", WIND_DOWN_LIMIT, names)
                return
            told = tell_of_the_wait(told, self._clock.now(), len(self.ledger.open))
            self._clock.sleep(self._options.sleep_time)

    def finish(self) -> None:
        """Start no more trials, for the reason that was requested."""
        self._recorder.record(list(self.engine.finish(self._clock.now(), self.stop_requested or "asked to stop")))
        self._wait_for_nobody()

    def _wait_for_nobody(self) -> None:
        """Whoever asks for the end doesn't want to wait until the last trial is done."""
        self.engine.options = replace(self.engine.options, wait_trial_completion_when_stopping=False)

    def delete_checkpoints(self, trial_ids: Iterable[int], why: str) -> list[int]:
        """Delete checkpoints of trials that don't run, with the next actions; those of ``trial_ids`` that had some."""
        events = list(self.engine.delete_checkpoints(trial_ids, why, self._clock.now()))
        self._recorder.record(events)
        return [event.trial_id for event in events if isinstance(event, ev.CheckpointDeletionIntended)]

    def warn_about(self, trial_id: int, text: str) -> None:
        """Remember a warning about a trial that runs, unless it stands already."""
        current = self.ledger.trials[trial_id].current
        if current.warning != text and not current.status.is_final:
            self._recorder.apply(ev.TrialWarned(self._clock.now(), trial_id, current.id.number, text))

    @property
    def ended_by_itself(self) -> bool:
        """Over because of its criterion or its space, rather than because somebody asked or too much failed."""
        finishing = self.ledger.finishing
        over = self.ledger.finished is not None or finishing is not None
        return over and not self.stop_requested and not (finishing and finishing.failed)

    def let_go(self) -> None:
        """At the end: delete all checkpoints that are left, if they are to be deleted, and wait until they are.

        Those of an experiment that was asked to stop, or failed, stay: somebody may go on with it.
        """
        if self.engine.options.delete_checkpoints and self.ended_by_itself:
            self.delete_checkpoints(range(len(self.ledger.trials)), "the experiment has ended")
        deadline = self._clock.now() + WIND_DOWN_LIMIT
        while self._deletions():
            self._act()
            if not self._deletions():
                return
            if self._clock.now() > deadline:
                logger.warning(
                    "checkpoints not deleted within %.0f s: of trials %s", WIND_DOWN_LIMIT, self._deletions()
                )
                return
            self._clock.sleep(self._options.first_pause)

    def release(self) -> None:
        """Nothing runs any more: let go of what would still cost money. Nothing as long as something may run."""
        if self.ledger.finished:
            release(self._backend, self._clock, self._options.first_pause)
            self._summarize()

    def _deletions(self) -> list[int]:
        return [intent.trial_id for intent in self.ledger.intents.values() if isinstance(intent, DeleteCheckpoint)]

    def close(self) -> None:
        """Let another process go on with the experiment."""
        self._recorder.close()

    def view(self) -> TuningStatus:
        return self.status.view(self._clock.now())

    # -- why to stop -----------------------------------------------------------------------------------------------

    def _reason_to_stop(self, now: float | None = None) -> str | None:
        if self.stop_requested:
            return self.stop_requested
        if failure := self.failure():
            return str(failure)
        return reason_of(self.stop_criterion)(self.status.view(self._clock.now() if now is None else now))

    def failure(self) -> CloudtuneError | None:
        """What makes it pointless to go on, if anything does: as it was when it was found."""
        ledger = self.ledger
        if self._failure is None:
            self._failure = ledger.scheduler.complaint()
        if self._failure is None and (ledger.mismatch or ledger.reports_without_objective or ledger.failures):
            self._failure = (
                not_as_asked(ledger) or missing_metric(ledger) or too_many_failures(ledger, self._options.max_failures)
            )
        return self._failure

    def _failed(self) -> bool:
        return not self.stop_requested and self.failure() is not None

    # -- what comes in -----------------------------------------------------------------------------------------------

    def _take_in(self) -> None:
        try:
            observations = self._backend.poll()
        except TransientError as error:
            logger.warning("no news this time: %s", error)
            return
        news: list[ev.News] = []
        statuses: list[Status] = []
        told, trials = self.callbacks.want_news(), self.ledger.trials
        for event in self.engine.observe(observations, self._clock.now()):
            news.append(event)
            if told:
                statuses.append(trials[event.trial_id].status)
        if news:
            self._recorder.record(news)
            self._notices.speak(news)
        if not self._notices.thresholds_are_checked:
            self._notices.check_thresholds(self.stop_criterion, self.view())
        if told:
            tell_news(self.callbacks, self.ledger, news, statuses)

    # -- what goes out -------------------------------------------------------------------------------------------------

    def _plan(self) -> None:
        if not self.engine.has_plans():
            return
        now = self._clock.now()
        if not self.ledger.finishing and self._reason_to_stop(now):
            return
        planned: list[ev.Event] = []
        for event in self.engine.plan(now):
            planned.append(event)
            if isinstance(event, ev.LaunchIntended) and self._reason_to_stop(now):
                break  # a limit on the number of trials is a limit, however many workers are free
        self._recorder.record(planned)

    def _act(self) -> None:
        if self.ledger.finishing and not self._told_to_start_no_more:
            self._told_to_start_no_more = True
            self._backend.start_no_more()
        outcomes = self._actions.round()
        if outcomes:
            self._recorder.record(outcomes)
            tell_launches(self.callbacks, self.ledger, outcomes)

    def _summarize(self) -> None:
        now = self._summarized_at = self._clock.now()
        lines = tuple(self._backend.summary_lines())
        if lines and lines != self.ledger.summary:
            self._recorder.apply(ev.SummaryChanged(now, lines))

    def _sleep(self) -> None:
        if self._actions.more_is_due:
            return
        self._clock.sleep(self._options.sleep_time)
        self.callbacks.call("on_tuning_sleep", self._options.sleep_time)
