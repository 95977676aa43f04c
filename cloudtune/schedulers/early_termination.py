"""Policies that stop trials, around any scheduler."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from typing import Any

from cloudtune.errors import MetricError, OptionError
from cloudtune.options import named_options, nearest_name
from cloudtune.schedulers.base import Action, Decision, NotNow, Reason, Suggestion, TrialScheduler
from cloudtune.schedulers.objective import Objective, checked_name, resource_of
from cloudtune.schedulers.termination_policies import StoppingPolicy
from cloudtune.trial import Metrics, Mode, Trial


@named_options()
class EarlyTermination(TrialScheduler):
    """What ``scheduler`` does, and trials that a policy finds hopeless are stopped on top of it.

    :param scheduler: proposes, pauses, resumes and stops as it does alone; any.
    :param policies: a ``StoppingPolicy`` such as ``BanditPolicy(slack_factor=0.1)``, or several: the first that finds
        a trial hopeless stops it, and says why.
    :param resource_attr: what reports call the units of work done; default: the scheduler's. It tells a new report from
        one that is repeated by a script which starts again from scratch: that counts once.
    :param metric: the metric the policies look at, in the scheduler's mode; default: its first.

    A report by which a policy stops a trial reaches ``scheduler`` as a late one, and right after it that the trial has
    gone; so a searcher learns it, and a scheduler that pauses never resumes the trial. At the scheduler's maximum
    policies stop nothing. Late reports of a trial that goes on count too, and what follows from one does with the next.
    Raises ``OptionError`` for arguments that don't fit the scheduler.
    """

    def __init__(
        self,
        scheduler: TrialScheduler,
        policies: StoppingPolicy | Sequence[StoppingPolicy],
        resource_attr: str | None = None,
        metric: str | None = None,
    ) -> None:
        if not isinstance(scheduler, TrialScheduler):
            raise OptionError(
                f"scheduler={scheduler!r} is no scheduler", 'write RandomSearch(space, "loss") for example'
            )
        super().__init__(scheduler.config_space)
        self.scheduler = scheduler
        """The one inside."""
        self.policies = _checked_policies(policies)
        self._resource_attr = _checked_resource(scheduler, resource_attr)
        self._objective = _objective(scheduler, metric)
        self._judges = [policy.judge(self._objective) for policy in self.policies]
        self._furthest: dict[int, float] = {}
        self._overdue: dict[int, Reason] = {}
        """Why trials should be stopped, by a late report: with their next one, if there is one."""
        self._pausing: set[int] = set()
        self._stopped: set[int] = set()
        """By a policy: the scheduler inside has been told that they are gone."""
        self._ended: set[int] = set()
        """Policies hear no more of them: how much does come depends on how late their logs are."""

    def suggest(self, trial_id: int) -> Suggestion | NotNow | None:
        return self.scheduler.suggest(trial_id)

    # -- what has happened -----------------------------------------------------------------------------------------

    def on_trial_add(self, trial: Trial) -> None:
        self.scheduler.on_trial_add(trial)

    def on_trial_resume(self, trial: Trial) -> None:
        self._pausing.discard(trial.trial_id)
        self.scheduler.on_trial_resume(trial)

    def on_trial_result(self, trial: Trial, result: Metrics) -> Decision:
        reason = self._overdue.pop(trial.trial_id, None) or self._judged(trial, result)
        if reason is None:
            decision = Decision.of(self.scheduler.on_trial_result(trial, result))
            if decision.action is Action.PAUSE:
                self._pausing.add(trial.trial_id)
            return decision
        self._stopped.add(trial.trial_id)
        self.scheduler.on_late_result(trial, result)
        self.scheduler.on_trial_remove(trial)
        self._end(trial)
        return Decision(Action.STOP, reason)

    def on_late_result(self, trial: Trial, result: Metrics) -> None:
        reason = self._judged(trial, result)
        if reason is not None:
            self._overdue[trial.trial_id] = reason
        self.scheduler.on_late_result(trial, result)

    def on_repeated_result(self, trial: Trial, result: Metrics) -> None:
        self.scheduler.on_repeated_result(trial, result)

    def on_trial_complete(self, trial: Trial, result: Metrics) -> None:
        self.scheduler.on_trial_complete(trial, result)
        self._end(trial)

    def on_trial_error(self, trial: Trial) -> None:
        self.scheduler.on_trial_error(trial)
        self._end(trial)

    def on_trial_remove(self, trial: Trial) -> None:
        if trial.trial_id in self._stopped:
            return  # told before
        self.scheduler.on_trial_remove(trial)
        if trial.trial_id not in self._pausing:
            self._end(trial)

    def _judged(self, trial: Trial, result: Metrics) -> Reason | None:
        """Why a policy would stop the trial. All policies take in the report, if it is new."""
        if trial.trial_id in self._ended:
            return None
        value = self._objective.value(result, trial.trial_id)
        resource = resource_of(result, self._resource_attr, trial.trial_id)
        if resource is None or resource <= self._furthest.get(trial.trial_id, -math.inf):
            return None
        self._furthest[trial.trial_id] = resource
        reasons = [judge.report(trial.trial_id, resource, value) for judge in self._judges]
        reason = next((each for each in reasons if each is not None), None)
        limit = self.max_resource_level
        if reason is None or (limit is not None and resource >= limit):
            return None
        return Reason(reason.rule, {self._resource_attr: resource, **reason.numbers}, reason.threshold)

    def _end(self, trial: Trial) -> None:
        self._ended.add(trial.trial_id)
        self._overdue.pop(trial.trial_id, None)
        self._furthest.pop(trial.trial_id, None)
        for judge in self._judges:
            judge.ended(trial.trial_id)

    # -- what the scheduler inside says ----------------------------------------------------------------------------

    def metric_names(self) -> Sequence[str]:
        return self.scheduler.metric_names()

    def metric_mode(self) -> Mode | Sequence[Mode]:
        return self.scheduler.metric_mode()

    def needed_metrics(self) -> Sequence[str]:
        return list(dict.fromkeys([*self.scheduler.needed_metrics(), self._resource_attr]))

    def complaint(self) -> MetricError | None:
        return self.scheduler.complaint()

    @property
    def resource_attr(self) -> str:
        return self._resource_attr

    @property
    def max_resource_attr(self) -> str | None:
        return self.scheduler.max_resource_attr

    @property
    def max_resource_level(self) -> int | None:
        """The most a trial may use, if the scheduler inside knows it."""
        level = getattr(self.scheduler, "max_resource_level", None)
        return level if isinstance(level, int) else None

    @property
    def early_checkpoint_removal(self) -> object | None:
        """As asked of the scheduler inside."""
        return getattr(self.scheduler, "early_checkpoint_removal", None)

    def trials_checkpoints_can_be_removed(self) -> Sequence[int]:
        return self.scheduler.trials_checkpoints_can_be_removed()

    def callback_for_checkpoint_removal(self, stop_criterion: object) -> Any:
        return self.scheduler.callback_for_checkpoint_removal(stop_criterion)

    def metadata(self) -> dict[str, Any]:
        inside: Mapping[str, Any] = self.scheduler.metadata()
        return {
            **inside,
            "scheduler_name": type(self).__name__,
            "resource_attr": self._resource_attr,
            "policies": [str(each) if is_dataclass(each) else type(each).__name__ for each in self.policies],
            "policy_metric": self._objective.metric,
            "scheduler_inside": inside.get("scheduler_name", type(self.scheduler).__name__),
        }


def unwrapped(scheduler: TrialScheduler) -> TrialScheduler:
    """The scheduler inside all policies."""
    while isinstance(scheduler, EarlyTermination):
        scheduler = scheduler.scheduler
    return scheduler


def _checked_policies(policies: object) -> tuple[StoppingPolicy, ...]:
    given = policies if isinstance(policies, (list, tuple)) else (policies,)
    if not given:
        raise OptionError("policies is empty", "give at least one, or use the scheduler alone")
    return tuple(_checked_policy(policy) for policy in given)


def _checked_policy(policy: object) -> StoppingPolicy:
    if isinstance(policy, type) or not isinstance(policy, StoppingPolicy):
        raise OptionError(f"{policy!r} is no policy", "give BanditPolicy(slack_factor=0.1) for example")
    return policy


def _checked_resource(scheduler: TrialScheduler, resource_attr: str | None) -> str:
    name = scheduler.resource_attr if resource_attr is None else checked_name(resource_attr, "resource_attr")
    if name is None:
        raise OptionError(
            f"{type(scheduler).__name__} has no resource_attr",
            'give one: the metric that counts units of work, "epoch" for example',
        )
    if scheduler.resource_attr not in (None, name):
        raise OptionError(
            f"resource_attr={name!r}, but the scheduler's is {scheduler.resource_attr!r}",
            "give both the same, or leave it out",
        )
    if name in scheduler.metric_names():
        raise OptionError(f"resource_attr={name!r} is a metric of the scheduler", "give what counts units of work")
    return name


def _objective(scheduler: TrialScheduler, metric: str | None) -> Objective:
    names = list(scheduler.metric_names())
    name = names[0] if metric is None else checked_name(metric, "metric")
    if name not in names:
        raise OptionError(f"metric={name!r} is none of the scheduler's", nearest_name(name, names))
    modes = scheduler.metric_mode()
    return Objective(name, modes if modes == "min" or modes == "max" else modes[names.index(name)])
