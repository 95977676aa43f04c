"""What synchronous schedulers are: brackets of trials, told what happens."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from cloudtune.errors import MetricError
from cloudtune.schedulers.base import Decision, TrialScheduler
from cloudtune.schedulers.hyperband_options import SearcherData
from cloudtune.schedulers.objective import Objective
from cloudtune.schedulers.setup import searcher_name
from cloudtune.schedulers.sync_options import SyncOptions
from cloudtune.schedulers.sync_trials import SyncTrials
from cloudtune.searchers.base import Searcher
from cloudtune.trial import Metrics, Mode, Trial


class SynchronousScheduler(TrialScheduler):
    """Its ``SyncTrials`` hear what happens, and answer. Subclasses make them and suggest."""

    searcher: Searcher
    random_seed: int
    max_resource_level: int
    """The most a trial may use."""
    _objective: Objective
    _options: SyncOptions
    _trials: SyncTrials

    def _heard(self, trial: Trial) -> Trial:
        """What the trials are told instead of ``trial``."""
        return trial

    def on_trial_add(self, trial: Trial) -> None:
        self._trials.on_trial_add(self._heard(trial))

    def on_trial_resume(self, trial: Trial) -> None:
        self._trials.on_trial_resume(self._heard(trial))

    def on_trial_result(self, trial: Trial, result: Metrics) -> Decision:
        return self._trials.on_trial_result(self._heard(trial), result)

    def on_late_result(self, trial: Trial, result: Metrics) -> None:
        self._trials.on_late_result(self._heard(trial), result)

    def on_repeated_result(self, trial: Trial, result: Metrics) -> None:
        self._trials.on_repeated_result(self._heard(trial), result)

    def on_trial_complete(self, trial: Trial, result: Metrics) -> None:
        self._trials.on_trial_complete(self._heard(trial), result)

    def on_trial_error(self, trial: Trial) -> None:
        self._trials.on_trial_error(self._heard(trial))

    def on_trial_remove(self, trial: Trial) -> None:
        self._trials.on_trial_remove(self._heard(trial))

    def trials_checkpoints_can_be_removed(self) -> Sequence[int]:
        """Paused trials that will never be resumed: others at their full rung were better. Each named once."""
        return self._trials.named_removable()

    def metric_names(self) -> Sequence[str]:
        return [self._objective.metric]

    def metric_mode(self) -> Mode:
        return self._objective.mode

    @property
    def resource_attr(self) -> str:
        return self._options.resource_attr

    @property
    def max_resource_attr(self) -> str | None:
        return self._options.max_resource_attr

    @property
    def searcher_data(self) -> SearcherData:
        return self._options.searcher_data

    def complaint(self) -> MetricError | None:
        return self.searcher.complaint()

    @abstractmethod
    def _own_metadata(self) -> dict[str, Any]:
        """What only this kind has."""

    def metadata(self) -> dict[str, Any]:
        return {
            **super().metadata(),
            "searcher": searcher_name(self.searcher),
            "random_seed": self.random_seed,
            "resource_attr": self.resource_attr,
            "max_resource_attr": self.max_resource_attr,
            "max_resource_level": self.max_resource_level,
            "searcher_data": self.searcher_data,
            **self._own_metadata(),
        }
