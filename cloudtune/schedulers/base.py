"""The contract between the engine and whatever decides about trials."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import field
from enum import Enum
from typing import Any, ClassVar, Literal, TypeAlias

from cloudtune.errors import MetricError, OptionError
from cloudtune.records import record
from cloudtune.trial import Config, Metrics, Mode, Trial


class Action(str, Enum):
    CONTINUE = "CONTINUE"
    PAUSE = "PAUSE"
    """May be resumed later; the newest checkpoint is kept."""
    STOP = "STOP"
    """Final; checkpoints may be deleted."""


@record
class Reason:
    """Why, as data: the rule, the numbers it looked at and the threshold. Formatted only when somebody asks."""

    rule: str
    numbers: Mapping[str, float] = field(default_factory=dict)
    threshold: float | None = None

    def __str__(self) -> str:
        numbers = ", ".join(f"{name} {value:g}" for name, value in self.numbers.items())
        against = "" if self.threshold is None else f" against {self.threshold:g}"
        return f"{self.rule}: {numbers}{against}" if numbers else f"{self.rule}{against}"


@record
class Decision:
    """What becomes of a trial after a report. Equal to any other of the same action, and to the action's own text."""

    action: Action
    reason: Reason | None = None

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Decision):
            return self.action is other.action
        return self.action == other if isinstance(other, str) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.action)

    @classmethod
    def of(cls, made: object) -> Decision:
        """What a scheduler returned: a decision, or the text of one. Raises ``OptionError`` for anything else."""
        if isinstance(made, Decision):
            return made
        if isinstance(made, str) and made in {action.value for action in Action}:
            return cls(Action(made))
        raise OptionError(
            f"the scheduler's on_trial_result returned {made!r}", "return SchedulerDecision.CONTINUE, PAUSE or STOP"
        )


class SchedulerDecision:
    """The three decisions without a reason, for schedulers that users write."""

    CONTINUE: ClassVar = Decision(Action.CONTINUE)
    PAUSE: ClassVar = Decision(Action.PAUSE)
    STOP: ClassVar = Decision(Action.STOP)


@record
class Start:
    """Start a new trial, from the checkpoint of ``checkpoint_trial_id`` if given.

    ``carried``: JSON that is journaled with the launch and comes back in ``on_trial_add`` as ``trial.carried``, live
    and in replay alike: what a model hands from one fit to the next, such as fitted hyperparameters.
    """

    config: Config
    checkpoint_trial_id: int | None = None
    carried: Mapping[str, Any] | None = None


@record
class Resume:
    """Resume a paused trial; with a new configuration if given (same hyperparameters, new limits).

    ``reason``: why this one, and why now; journaled with the launch.
    """

    trial_id: int
    config: Config | None = None
    reason: Reason | None = field(default=None, compare=False)


class TrialSuggestion:
    """The two suggestions under the names that schedulers of Syne Tune's users know."""

    @staticmethod
    def start_suggestion(config: Config, checkpoint_trial_id: int | None = None) -> Start:
        return Start(config, checkpoint_trial_id)

    @staticmethod
    def resume_suggestion(trial_id: int, config: Config | None = None) -> Resume:
        return Resume(trial_id, config)


class NotNow(Enum):
    """Nothing to start right now, though there may be later."""

    NOT_NOW = "not now"


NOT_NOW: Literal[NotNow.NOT_NOW] = NotNow.NOT_NOW

Suggestion: TypeAlias = Start | Resume


class TrialScheduler(ABC):
    """Decides when trials start, stop, pause and resume. Never blocks, does no I/O, reads no clock.

    ``suggest`` has no side effect: what was really launched is told back by ``on_trial_add`` and
    ``on_trial_resume``, live and in replay alike, so a proposal that never reached the journal never happened.
    Same seed and same calls of the ``on_…`` methods give the same suggestions and decisions.
    """

    def __init__(self, config_space: Mapping[str, Any]) -> None:
        self.config_space = dict(config_space)

    def suggest(self, trial_id: int) -> Suggestion | NotNow | None:
        """What a free worker should do; ``trial_id`` is the number a new trial would get. None: exhausted, for good."""
        return self._suggest(trial_id)

    def _suggest(self, trial_id: int) -> Suggestion | NotNow | None:
        """What schedulers written for Syne Tune override instead of ``suggest``."""
        raise NotImplementedError(f"{type(self).__name__} has no suggest()")

    @abstractmethod
    def on_trial_result(self, trial: Trial, result: Metrics) -> Decision:
        """A running trial reports. Called once per report, in the report's own order within the trial."""

    @abstractmethod
    def metric_names(self) -> Sequence[str]:
        """The metrics that reports must carry; the first is the objective."""

    def metric_mode(self) -> Mode | Sequence[Mode]:
        """'min' or 'max', or one per metric."""
        return "min"

    @property
    def resource_attr(self) -> str | None:
        """The metric that counts units of work done (a positive integer), if the scheduler needs one."""
        return None

    def needed_metrics(self) -> Sequence[str]:
        """All that reports must carry: others are kept, and this scheduler never hears of them."""
        resource = self.resource_attr
        return [*self.metric_names(), *([] if resource is None else [resource])]

    def complaint(self) -> MetricError | None:
        """What the reports so far lack, if that makes it pointless to go on: the experiment ends in order."""
        return None

    @property
    def max_resource_attr(self) -> str | None:
        """The entry of the configuration that tells a script when to end, if the scheduler sets it."""
        return None

    def on_trial_add(self, trial: Trial) -> None:
        """A new trial was launched with this configuration."""

    def on_trial_resume(self, trial: Trial) -> None:
        """A paused trial was launched again, with ``trial.config``. Attempts that follow lost ones are not told."""

    def on_late_result(self, trial: Trial, result: Metrics) -> None:
        """A report that arrived after the trial was stopped, paused or ended: data, but nothing is left to decide."""

    def on_repeated_result(self, trial: Trial, result: Metrics) -> None:
        """A report of work that its trial had done before, and does once more: nothing to learn, nothing to decide."""

    def on_trial_complete(self, trial: Trial, result: Metrics) -> None:
        """The script ended by itself; ``result`` is its last report, which ``on_trial_result`` has had before."""

    def on_trial_error(self, trial: Trial) -> None:
        """The trial failed, or ended without its objective."""

    def on_trial_remove(self, trial: Trial) -> None:
        """The trial is no longer running because this scheduler stopped or paused it."""

    def trials_checkpoints_can_be_removed(self) -> Sequence[int]:
        """Paused trials that will never be resumed; each named once."""
        return ()

    def callback_for_checkpoint_removal(self, stop_criterion: object) -> Any:
        """A callback that lets go of checkpoints of paused trials, besides those named above; None for none.

        Asked for when a Tuner with this criterion starts, if its backend has ``delete_checkpoints=True``.
        """
        return None

    def metadata(self) -> dict[str, Any]:
        """What ``metadata.json`` says about this scheduler."""
        mode = self.metric_mode()
        return {
            "metric_names": list(self.metric_names()),
            "metric_mode": mode if isinstance(mode, str) else list(mode),
            "scheduler_name": type(self).__name__,
        }
