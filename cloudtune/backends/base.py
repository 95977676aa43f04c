"""The contract between the tuner and whatever runs trials."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from cloudtune.clock import Clock
from cloudtune.trial import Attempt, AttemptId, Config, Launch, Observation


@dataclass(frozen=True)
class Experiment:
    """What a backend may know about the experiment it works for.

    ``path`` is the experiment's own folder on this machine. ``config_space`` is the user's dictionary of domains
    and constants. ``resource_attr`` is the metric that counts units of work, for multi-fidelity schedulers.
    """

    tuner_name: str
    path: Path
    config_space: Config = field(default_factory=dict)
    metric_names: tuple[str, ...] = ()
    resource_attr: str | None = None
    max_resource_attr: str | None = None
    n_workers: int = 1
    """0: as many as ``workers_available`` says."""


@dataclass(frozen=True)
class Capabilities:
    """What an implementation can't do is declared here, and the contract suite asks no more of it."""

    can_stop: bool = True
    """``stop`` ends an attempt before its script does."""
    has_checkpoints: bool = True
    """A later attempt of a trial finds what an earlier one wrote; copies between trials work."""
    survives_tuner: bool = True
    """Attempts go on when the tuner's process dies, and another process can ``adopt`` them."""
    reports_lag: bool = False
    """``poll`` may show a report later than another attempt's that was made after it."""
    keeps_ready: bool = False
    """Something may stay ready after an attempt, and cost money: ``release`` lets go of it."""


class TrialBackend(Protocol):
    """Runs attempts of trials and says what became of them.

    Errors are those of ``cloudtune.errors`` and no others; what the tuner does follows from their class: a
    ``TransientError`` or ``CapacityError`` of ``start`` holds the trial, any other fails it.
    """

    @property
    def capabilities(self) -> Capabilities: ...

    @property
    def entry_point(self) -> Path | None:
        """The training script, where there is one: names experiments and result tables."""

    @property
    def delete_checkpoints(self) -> bool:
        """Whether the tuner is to delete the checkpoints of trials that can't be resumed: the user's wish."""

    def open(self, experiment: Experiment, clock: Clock) -> None:
        """Called once before anything else, on a fresh start and after a crash alike.

        Raises ``UserError`` for everything that can be known to be wrong before money is spent, and warns
        (``warnings.warn``) about what may go wrong.
        """

    def adopt(self, attempts: Sequence[Attempt]) -> None:
        """After a crash: these were launched, are not final, and must be polled from their beginning on.

        Their reports are delivered again from the first; the caller drops those it knows by their keys.
        """

    def launched(self, attempts: Sequence[Attempt]) -> Mapping[AttemptId, Launch]:
        """Those of ``attempts`` that exist, whichever process started them: one look, whatever their number.

        After a crash between an intent and its outcome this tells what became of it.
        """

    def start(self, attempt: Attempt) -> Launch:
        """Start it. Idempotent per attempt id: a second call for the same id starts nothing and returns the same."""

    def stop(self, attempt: AttemptId) -> None:
        """Ask it to end; returns at once. No error if it has ended, or was never started."""

    def poll(self) -> Sequence[Observation]:
        """Everything new since the last call, in the order to be processed.

        Per attempt: status changes in order; reports in the order the script made them; every report that can still
        be found comes before the final status. The cost grows with what is new, never with the number of trials.
        Observations lost to a crash of the caller come again after ``adopt``.
        """

    def copy_checkpoint(self, source_trial_id: int, target_trial_id: int) -> None:
        """Make the target's first attempt start from the source's newest checkpoint, or from nothing if there is none.

        Changes nothing once the target has been started: then it is a repeat after a crash.
        """

    def delete_checkpoint(self, trial_id: int) -> None:
        """Forget the trial's checkpoints. No error if there is none."""

    def logs(self, trial_id: int) -> Iterator[str]:
        """Lines the trial's attempts have printed so far, oldest first."""

    def workers_available(self) -> int | None:
        """How many trials the account has room for at the same time; None if nothing limits them, or nobody knows."""

    def start_no_more(self) -> None:
        """No attempt will be started any more, but for those that replace a lost one: keep nothing ready for others."""

    def summary_lines(self) -> Sequence[str]:
        """What is to be said about the experiment as a whole, such as what was saved; nothing, mostly. Calls nobody."""
        return ()

    def release(self) -> None:
        """The experiment is over and no attempt runs: let go of everything that would still cost money.

        Called at the end, and again by whoever opens a finished experiment: the first call may not have come through.
        """

    def close(self) -> None:
        """Release what this process holds. Ends no attempt: the tuner stops them first."""


@runtime_checkable
class TakesEntryPoint(Protocol):
    """A backend whose training script may lie elsewhere on another machine."""

    def set_entry_point(self, entry_point: str | Path) -> None:
        """The script lies there now: for a tuner that was moved. Before ``open``."""


@runtime_checkable
class TellsCheckpoints(Protocol):
    """A backend that knows how old a trial's checkpoint is."""

    def checkpoint_committed_at(self, trial_id: int) -> float | None:
        """When the trial's newest checkpoint was committed where its next attempt finds it (seconds since the epoch).

        None if there is none. Cheap: one call. Raises errors of ``cloudtune.errors``.
        """


@runtime_checkable
class BringsClock(Protocol):
    """A backend in whose world time passes otherwise than here: a tuner takes its clock, unless it is given one."""

    @property
    def clock(self) -> Clock: ...
