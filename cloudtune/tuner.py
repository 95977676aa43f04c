"""The tuner: what a launcher script makes and runs."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from cloudtune.backends.base import BringsClock, Experiment, TrialBackend
from cloudtune.callbacks.base import CallbackList, TunerCallback
from cloudtune.callbacks.progress import ProgressCallback
from cloudtune.callbacks.removal import check_retention, removal_callbacks
from cloudtune.callbacks.remove_checkpoints import RemoveCheckpointsCallback
from cloudtune.callbacks.stop_requests import StopRequestsCallback
from cloudtune.callbacks.store_results import StoreResultsCallback
from cloudtune.clock import Clock, SystemClock
from cloudtune.engine.engine import Engine, EngineOptions
from cloudtune.engine.ledger import Ledger
from cloudtune.engine.policies import Policies, WithoutMetric
from cloudtune.engine.status import TuningStatus, best_report
from cloudtune.errors import JournalConflictError, MetricError, OptionError
from cloudtune.interrupts import asked_to_stop
from cloudtune.journal.events import ExperimentStarted
from cloudtune.names import check_tuner_name, default_base, suffixed
from cloudtune.options import named_options
from cloudtune.paths import METADATA_FILE, TUNER_FILE, experiment_path
from cloudtune.schedulers.base import TrialScheduler
from cloudtune.session.actions import release
from cloudtune.session.patience import patiently
from cloudtune.session.session import Session, SessionOptions
from cloudtune.storage import ExperimentStorage, LocalStorage, MemoryStorage
from cloudtune.trial import Config
from cloudtune.tuner_arguments import (
    check_flags,
    check_numbers,
    check_parts,
    check_seams,
    checked_callbacks,
    checked_metadata,
)
from cloudtune.tuner_files import keep, metadata_of, serialized
from cloudtune.version import __version__

logger = logging.getLogger("cloudtune.tuner")

DEFAULT_SLEEP_TIME = 5.0


@named_options({"store_logs_localbackend": "it is an argument of RemoteLauncher"})
class Tuner:
    """Runs an experiment: starts trials on the backend as the scheduler suggests, until the criterion is met.

    ``stop_criterion``: ``StoppingCriterion``, or any callable of a ``TuningStatus`` that can be serialized.
    ``n_workers``: so many trials run at the same time; "auto": as many as the account has room for (quotas).
    ``sleep_time``: seconds between two looks at the backend.
    ``results_update_interval``: seconds between two writings of ``results.csv.zip``.
    ``print_update_interval``: seconds between two progress reports; of simulations, too, those on your clock.
    ``max_failures``: so many trials may fail; one more ends the experiment with ``ExperimentFailedError``.
    ``max_retries_per_trial``: so often is a trial launched again after its script failed, before it counts as failed.
    What the cloud loses (no capacity, a failure of its own) is launched again in any case, and counts for nothing.
    ``trial_without_metric``: "failed" or "completed", what a trial counts as that ends without its objective.
    ``tuner_name``: letters, digits and inner dashes; default: the training script's name. Unless
    ``suffix_tuner_name`` is False, the moment is appended (the name is cut to 40 characters with it).
    Under a name that exists, ``run`` continues that experiment.
    ``asynchronous_scheduling``: if False, trials start in batches of ``n_workers`` once all of the last batch ended.
    ``wait_trial_completion_when_stopping``: let running trials finish at the end, instead of stopping them.
    ``callbacks``: results are stored whether or not a ``StoreResultsCallback`` is among them.
    ``metadata``: JSON, for ``metadata.json``.
    ``save_tuner``: keep the tuner in ``tuner.dill``, so that ``cloudtune resume`` needs no script.
    ``start_jobs_without_delay``: if False, a job that was asked to stop occupies its worker until it has stopped:
    never more than ``n_workers`` jobs at a time, as quotas and warm pools want it.
    ``trial_backend_path``: folder for the trials' own files; default: the experiment's.
    ``clock``, ``storage``: the seams (``cloudtune.clock``, ``cloudtune.storage``). A simulator brings its own clock,
    and its journal is written at the end.

    Raises ``OptionError`` for arguments that make no sense.
    """

    def __init__(
        self,
        trial_backend: TrialBackend,
        scheduler: TrialScheduler,
        stop_criterion: Callable[[TuningStatus], bool],
        n_workers: int | Literal["auto"],
        sleep_time: float = DEFAULT_SLEEP_TIME,
        results_update_interval: float = 10.0,
        print_update_interval: float = 30.0,
        max_failures: int = 1,
        tuner_name: str | None = None,
        asynchronous_scheduling: bool = True,
        wait_trial_completion_when_stopping: bool = False,
        callbacks: Sequence[TunerCallback] | None = None,
        metadata: Mapping[str, Any] | None = None,
        suffix_tuner_name: bool = True,
        save_tuner: bool = True,
        start_jobs_without_delay: bool = True,
        trial_backend_path: str | Path | None = None,
        clock: Clock | None = None,
        storage: ExperimentStorage | None = None,
        max_retries_per_trial: int = 0,
        trial_without_metric: WithoutMetric = "failed",
    ) -> None:
        check_parts(trial_backend, scheduler, stop_criterion)
        check_numbers(n_workers, max_failures, sleep_time, results_update_interval, print_update_interval)
        check_flags(
            asynchronous_scheduling=asynchronous_scheduling,
            wait_trial_completion_when_stopping=wait_trial_completion_when_stopping,
            suffix_tuner_name=suffix_tuner_name,
            save_tuner=save_tuner,
            start_jobs_without_delay=start_jobs_without_delay,
        )
        check_seams(clock, storage)
        self.trial_backend = trial_backend
        self.scheduler = scheduler
        self.stop_criterion = stop_criterion
        self.n_workers = n_workers
        self.sleep_time = sleep_time
        self.max_failures = max_failures
        self.policies = Policies(max_retries_per_trial, trial_without_metric)
        self.asynchronous_scheduling = asynchronous_scheduling
        self.wait_trial_completion_when_stopping = wait_trial_completion_when_stopping
        self.metadata = checked_metadata(metadata)
        self.save_tuner = save_tuner
        self.start_jobs_without_delay = start_jobs_without_delay
        self.trial_backend_path = None if trial_backend_path is None else Path(trial_backend_path)
        simulated = isinstance(trial_backend, BringsClock)
        self.clock = clock or (trial_backend.clock if isinstance(trial_backend, BringsClock) else SystemClock())
        # the same seed gives a simulation again: it need not be written before its end
        self.storage = storage or (MemoryStorage() if simulated else LocalStorage())
        # simulated time begins anew each day: it can't tell one experiment from the next
        self.name = self._named(tuner_name, suffix_tuner_name, (clock or SystemClock()).now())
        self.callbacks = _with_storing(checked_callbacks(callbacks), results_update_interval)
        if not any(isinstance(callback, ProgressCallback) for callback in self.callbacks):
            self.callbacks.append(ProgressCallback(print_update_interval))
        self.callbacks.append(StopRequestsCallback())
        self._removal: list[TunerCallback] = []
        self._session: Session | None = None
        self._stop_wanted: str | None = None

    def _named(self, tuner_name: str | None, suffix: bool, now: float) -> str:
        script = self.trial_backend.entry_point
        base = default_base(script.stem if script else None) if tuner_name is None else check_tuner_name(tuner_name)
        return check_tuner_name(suffixed(base, now) if suffix else base)

    @property
    def tuner_path(self) -> Path:
        """The experiment's folder on this machine."""
        return experiment_path(self.name)

    # -- running -----------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Run the experiment to its end; or continue it, if one of this name has begun.

        Ctrl-C ends it in order: running trials are stopped, results written; ``cloudtune resume`` goes on from there.
        Raises ``ExperimentFailedError`` if too many trials failed, ``MetricError`` if reports lack what the scheduler
        needs, ``JournalConflictError`` if another process runs it.
        """
        self._stop_wanted = None
        self._install_removal()
        session = self._begin()
        callbacks = CallbackList(self.callbacks)
        session.callbacks = callbacks
        session.stop_requested = self._stop_wanted  # since the backend was opened
        callbacks.call("on_tuning_start", self)
        try:
            with asked_to_stop(self.request_stop):
                while not session.is_over():
                    session.iterate()
                callbacks.call("on_tuning_end")
                session.wind_down()
                session.release()
                session.let_go()
        except JournalConflictError:
            # the other one's results are not ours to write
            callbacks.callbacks = [each for each in self.callbacks if not isinstance(each, StoreResultsCallback)]
            logger.error("another tuner goes on with %s, and with its trials; this one has ended", self.name)
            raise
        except Exception:
            logger.error(
                "the tuner failed. Its trials go on: `cloudtune stop %s` ends them, `resume` goes on", self.name
            )
            raise
        finally:
            callbacks.call("on_tuning_closed")
            session.close()
            self.trial_backend.close()
            self.storage.let_go(self.tuner_path)
        if callbacks.errors:
            failed = ", ".join(f"{name} ({count} times)" for name, count in callbacks.errors.items())
            logger.error("callbacks failed: %s; see the tracebacks above", failed)
        if error := session.failure():
            raise error

    def _install_removal(self) -> None:
        """What lets go of checkpoints early comes last among the callbacks; made anew, for the criterion may change."""
        self.callbacks = [callback for callback in self.callbacks if callback not in self._removal]
        check_retention(self.callbacks, self.trial_backend)
        given = any(isinstance(callback, RemoveCheckpointsCallback) for callback in self.callbacks)
        self._removal = removal_callbacks(
            self.scheduler, self.trial_backend, self.stop_criterion, self.n_workers, with_safe=not given
        )
        self.callbacks += self._removal

    def stop(self, why: str = "asked to stop") -> None:
        """End an experiment that no process runs any more: stop what still runs, take in what it says.

        Raises ``JournalConflictError`` if a process does run it.
        """
        session = self._begin()
        session.stop_requested = why
        session.finish()
        session.wind_down()
        session.release()
        session.close()
        self.trial_backend.close()
        self.storage.let_go(self.tuner_path)

    def release(self) -> None:
        """Of an experiment that has ended: let go of what its tuner could not, such as warm instances; nothing else."""
        if self.trial_backend.capabilities.keeps_ready:
            release(self.open_backend(), self.clock, max(self.sleep_time, 1.0))
            self.trial_backend.close()

    def delete_checkpoints(self, trial_ids: Iterable[int], why: str) -> list[int]:
        """For callbacks: let go of checkpoints of trials that don't run; those among ``trial_ids`` that had some.

        They are deleted with the next actions, also if this process dies before. A trial that is resumed without its
        checkpoint starts from scratch.
        """
        return self._session.delete_checkpoints(trial_ids, why) if self._session else []

    def warn_about(self, trial_id: int, text: str) -> None:
        """For callbacks: what somebody should look at in a running trial, for all who ask how it is; "": no longer."""
        if self._session is not None:
            self._session.warn_about(trial_id, text)

    @property
    def ended_by_itself(self) -> bool:
        """Whether the experiment is over because of its criterion or its space; not if it was asked to stop."""
        return self._session is not None and self._session.ended_by_itself

    def request_stop(self, why: str) -> None:
        """End the experiment after the current iteration. For signal handlers and other threads."""
        self._stop_wanted = why
        if self._session is not None:
            self._session.stop_requested = why

    def open_backend(self) -> TrialBackend:
        """The backend, knowing this experiment, for looking at it without running it."""
        patiently("looking at the account", lambda: self.trial_backend.open(self._experiment(), self.clock), self.clock)
        return self.trial_backend

    def _begin(self) -> Session:
        """The session, as the experiment's one writer. What the backend finds wrong leaves no file behind."""
        payload = serialized(self) if self.save_tuner and self._session is None else None
        patiently("asking who runs it", lambda: self.storage.claim(self.tuner_path), self.clock)
        session: Session | None = None
        try:
            self.open_backend()
            options = self._engine_options()
            session = self._session or self._new_session(payload, options)
            session.engine.options, session.stop_criterion = options, self.stop_criterion
            metadata = metadata_of(self, options.n_workers)
            session.take_over(ExperimentStarted(self.clock.now(), self.name, __version__, metadata))
        except BaseException:
            if session is not None:
                session.close()
            self.trial_backend.close()
            self.storage.let_go(self.tuner_path)
            raise
        self._session = session
        if session.ledger.trials:
            logger.info("continuing %s: %s", self.name, session.view())
        if not (self.tuner_path / METADATA_FILE).exists():
            content = json.dumps(metadata, indent=2, default=str).encode()
            keep(self.storage, self.tuner_path / METADATA_FILE, content)
        return session

    def _engine_options(self) -> EngineOptions:
        """Of this run: all of them may change when an experiment is continued."""
        capabilities = self.trial_backend.capabilities
        return EngineOptions(
            n_workers=self._workers(),
            asynchronous_scheduling=self.asynchronous_scheduling,
            wait_trial_completion_when_stopping=self.wait_trial_completion_when_stopping,
            start_jobs_without_delay=self.start_jobs_without_delay,
            delete_checkpoints=self.trial_backend.delete_checkpoints,
            can_stop=capabilities.can_stop,
            reports_lag=capabilities.reports_lag,
            policies=self.policies,
        )

    def _workers(self) -> int:
        if self.n_workers != "auto":
            return self.n_workers
        workers = self.trial_backend.workers_available()
        if workers is None:
            raise OptionError(
                f"n_workers='auto', but {type(self.trial_backend).__name__} does not know how many it has room for",
                "give a number",
            )
        if workers < 1:
            raise OptionError(
                "n_workers='auto', and the account has no room for any trial now",
                "ask for a larger quota, or give a number: trials then wait until there is room",
            )
        logger.info("n_workers='auto': room for %d trials at the same time", workers)
        return workers

    def _new_session(self, payload: bytes | None, options: EngineOptions) -> Session:
        self.tuner_path.mkdir(parents=True, exist_ok=True)
        engine = Engine(self.scheduler, options)
        session = Session(
            engine,
            self.storage.journal(self.tuner_path),
            self.trial_backend,
            self.clock,
            CallbackList([]),
            self.stop_criterion,
            SessionOptions(self.sleep_time, self.max_failures),
        )
        if not session.replay() and payload is not None:
            # a tuner as it was before its first event: a resume replays the journal into it
            keep(self.storage, self.tuner_path / TUNER_FILE, payload)
        return session

    def _experiment(self) -> Experiment:
        return Experiment(
            tuner_name=self.name,
            path=self.trial_backend_path or self.tuner_path,
            config_space=self.scheduler.config_space,
            metric_names=tuple(self.scheduler.metric_names()),
            resource_attr=self.scheduler.resource_attr,
            max_resource_attr=self.scheduler.max_resource_attr,
            n_workers=0 if self.n_workers == "auto" else self.n_workers,
        )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_session": None}

    # -- looking at it -------------------------------------------------------------------------------------------------

    @property
    def ledger(self) -> Ledger:
        """All that is known of the experiment. Empty before ``run``."""
        if self._session is None:
            return Ledger(self.scheduler)
        return self._session.ledger

    @property
    def tuning_status(self) -> TuningStatus:
        """Where the tuning stands now."""
        return self._session.view() if self._session else TuningStatus(self.ledger, self.clock.now())

    def best_config(self, metric: int | str = 0) -> tuple[int, Config]:
        """(trial, configuration) with the best value of a metric, given by name or by its number at the scheduler.

        Raises ``MetricError`` if nothing has been reported for it.
        """
        names = self.scheduler.metric_names()
        if isinstance(metric, int) and not -len(names) <= metric < len(names):
            raise MetricError(f"there is no metric number {metric}", f"the scheduler's metrics are {list(names)}")
        name = names[metric] if isinstance(metric, int) else metric
        best = best_report(self.ledger, name)
        if best is None:
            raise MetricError(
                f"no report carries {name!r} as a finite number yet", f"the scheduler's metrics are {list(names)}"
            )
        trial_id, _ = best
        return trial_id, self.ledger.trials[trial_id].trial.config


def _with_storing(callbacks: Sequence[TunerCallback], interval: float) -> list[TunerCallback]:
    if any(isinstance(callback, StoreResultsCallback) for callback in callbacks):
        return list(callbacks)
    return [StoreResultsCallback(results_update_interval=interval), *callbacks]
