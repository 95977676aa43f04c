"""Trials in the order of proposal, each to its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cloudtune.errors import MetricError, OptionError
from cloudtune.options import named_options
from cloudtune.schedulers.base import Action, Decision, NotNow, Reason, Suggestion, TrialScheduler
from cloudtune.schedulers.max_resource import infer_max_resource
from cloudtune.schedulers.objective import checked_mode, checked_name, missing
from cloudtune.schedulers.setup import NOT_HERE, searcher_name, start, tell_of_new_trial
from cloudtune.searchers.base import Searcher
from cloudtune.searchers.factory import searcher_for
from cloudtune.searchers.problem import SearchProblem
from cloudtune.searchers.seeding import checked_seed
from cloudtune.space import validate_config_space
from cloudtune.trial import Metrics, Mode, Trial

_GO_ON = Decision(Action.CONTINUE, Reason("every trial runs to its end"))


@named_options(NOT_HERE)
class FIFOScheduler(TrialScheduler):
    """Starts what its searcher proposes, and neither stops nor pauses anything.

    What stops trials early can be put around it: ``EarlyTermination``, ``MedianStoppingRule``.

    :param metric: what reports call the objective; several names for a searcher with several objectives.
    :param mode: "min" or "max"; one for all metrics, or one per metric.
    :param searcher: a name ("random") or a ``Searcher``, which then has its own points_to_evaluate and options.
    :param search_options: of a searcher given by name; an unknown one is an error.
    :param points_to_evaluate: configurations tried first, partial ones completed (None: one of middles; ``[]``: none).
    :param random_seed: an integer of at least 0; if None, one is drawn now and can be read from ``random_seed``.
    :param max_resource_attr: the entry of the configuration that tells a script how long to run.
    :param max_t: the largest resource, for searchers that use it; default: the entry ``max_resource_attr``.

    A searcher learns the last report of a trial that ran to its end, and that of a trial that was stopped before: of
    what it never heard, it would propose the neighbourhood again. Raises OptionError and ConfigSpaceError.
    """

    def __init__(
        self,
        config_space: Mapping[str, Any],
        metric: str | Sequence[str],
        *,
        mode: Mode | Sequence[Mode] = "min",
        searcher: str | Searcher = "random",
        search_options: Mapping[str, Any] | None = None,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        random_seed: int | None = None,
        max_resource_attr: str | None = None,
        max_t: int | None = None,
    ) -> None:
        validate_config_space(config_space)
        super().__init__(config_space)
        self._metrics = _names(metric)
        self._mode = _modes(mode, len(self._metrics))
        self.random_seed = checked_seed(random_seed)
        self._limit = infer_max_resource(config_space, max_t, max_resource_attr)
        self._max_resource_attr = max_resource_attr
        modes = (self._mode,) * len(self._metrics) if isinstance(self._mode, str) else tuple(self._mode)
        problem = SearchProblem(
            config_space,
            points_to_evaluate,
            self.random_seed,
            tuple(self._metrics),
            modes,
            max_t=self.max_resource_level,
        )
        self.searcher = searcher_for(searcher, problem, search_options)
        self._known: set[int] = set()
        self._ended: set[int] = set()
        """Trials whose last report the searcher has among its data: a later one takes its place."""
        self._last: dict[int, Metrics] = {}
        """The last report of each trial at work."""

    def suggest(self, trial_id: int) -> Suggestion | NotNow | None:
        config = self.searcher.suggest(trial_id)
        return None if config is None else start(self.searcher, trial_id, config)

    def on_trial_add(self, trial: Trial) -> None:
        if trial.trial_id not in self._known:
            self._known.add(trial.trial_id)
            tell_of_new_trial(self.searcher, trial)
            self.searcher.register_pending(trial.trial_id)

    def on_trial_result(self, trial: Trial, result: Metrics) -> Decision:
        self.on_trial_add(trial)
        for name in self._metrics:
            if name not in result:
                raise missing(name, result, trial.trial_id)
        self._last[trial.trial_id] = result
        self.searcher.on_result(trial.trial_id, trial.config, result, update=False)
        return _GO_ON

    def on_late_result(self, trial: Trial, result: Metrics) -> None:
        self.on_trial_add(trial)
        ended = trial.trial_id in self._ended
        if not ended:
            self._last[trial.trial_id] = result
        self.searcher.on_result(trial.trial_id, trial.config, result, update=ended)

    def on_trial_complete(self, trial: Trial, result: Metrics) -> None:
        self.on_trial_add(trial)
        self._learn(trial, result)

    def on_trial_error(self, trial: Trial) -> None:
        self.on_trial_add(trial)
        self._last.pop(trial.trial_id, None)
        self.searcher.on_trial_error(trial.trial_id)

    def on_trial_remove(self, trial: Trial) -> None:
        self.on_trial_add(trial)
        self._learn(trial, self._last.get(trial.trial_id))

    def _learn(self, trial: Trial, result: Metrics | None) -> None:
        """The trial has ended with this report; None if it never made one."""
        self._ended.add(trial.trial_id)
        self._last.pop(trial.trial_id, None)
        if result is not None:
            self.searcher.on_result(trial.trial_id, trial.config, result, update=True)
        self.searcher.cleanup_pending(trial.trial_id)

    def metric_names(self) -> Sequence[str]:
        return self._metrics

    def metric_mode(self) -> Mode | Sequence[Mode]:
        return self._mode

    @property
    def max_resource_attr(self) -> str | None:
        return self._max_resource_attr

    @property
    def max_resource_level(self) -> int | None:
        return None if self._limit is None else self._limit.max_t

    def complaint(self) -> MetricError | None:
        return self.searcher.complaint()

    def metadata(self) -> dict[str, Any]:
        return {
            **super().metadata(),
            "searcher": searcher_name(self.searcher),
            "random_seed": self.random_seed,
            "max_resource_attr": self._max_resource_attr,
            "max_resource_level": self.max_resource_level,
        }


def _names(metric: object) -> list[str]:
    names = [metric] if isinstance(metric, str) else metric
    if not isinstance(names, (list, tuple)) or not names:
        raise OptionError(f"metric is {metric!r}", "give the name under which the training script reports it")
    return [checked_name(name, "metric") for name in names]


def _modes(mode: object, count: int) -> Mode | list[Mode]:
    if not isinstance(mode, (list, tuple)):
        return checked_mode(mode)
    modes = [checked_mode(each) for each in mode]
    if len(modes) != count:
        raise OptionError(f"{len(modes)} modes for {count} metrics", "give one for all, or one per metric")
    return modes[0] if count == 1 else modes
