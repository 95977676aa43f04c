"""The best so far as metrics of the tuner's own training job: seen in the console and in CloudWatch."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeGuard

from cloudtune.callbacks.base import TunerCallback
from cloudtune.schedulers.base import Decision
from cloudtune.space import non_constant_hyperparameter_keys
from cloudtune.trial import Config, Metrics, Mode, Status, Trial

if TYPE_CHECKING:
    from cloudtune.tuner import Tuner

BEST_METRIC_VALUE = "best_metric_value"
BEST_TRIAL_ID = "best_trial_id"
BEST_RESOURCE_VALUE = "best_resource_value"
BEST_HP_PREFIX = "best_hp_"

MAX_METRICS_SUPPORTED_BY_SAGEMAKER = 40

_NUMBER = r"([-+]?(?:[0-9][0-9.]*(?:[eE][-+]?[0-9]+)?|inf))"


class RemoteTuningMetricsCallback(TunerCallback):
    """Prints a line for each new best: value, trial, resource, and the numbers of its configuration.

    ``metric_definitions`` are what the tuner's job must carry for these lines to become metrics. Hyperparameters
    that aren't numbers have none.
    """

    def __init__(
        self,
        metric: str,
        mode: Mode,
        config_space: Mapping[str, Any] | None = None,
        resource_attr: str | None = None,
    ) -> None:
        self.metric = metric
        self.mode = mode
        self.resource_attr = resource_attr
        self._names = list(non_constant_hyperparameter_keys(config_space or {}))
        self._best = math.inf

    def metric_definitions(self) -> list[dict[str, str]]:
        """``MetricDefinitions`` of a training job; those beyond the service's 40 are left out."""
        names = [BEST_METRIC_VALUE, BEST_TRIAL_ID]
        if self.resource_attr is not None:
            names.append(BEST_RESOURCE_VALUE)
        names.extend(BEST_HP_PREFIX + name for name in self._names)
        definitions = [{"Name": name, "Regex": rf"\b{re.escape(name)}={_NUMBER}"} for name in names]
        return definitions[:MAX_METRICS_SUPPORTED_BY_SAGEMAKER]

    def register_metrics_with_estimator(self, estimator: Any) -> None:
        """Add them to an estimator of the SageMaker SDK 2, as far as its 40 reach."""
        definitions = [*(estimator.metric_definitions or []), *self.metric_definitions()]
        estimator.metric_definitions = definitions[:MAX_METRICS_SUPPORTED_BY_SAGEMAKER]

    def on_tuning_start(self, tuner: Tuner) -> None:
        for row in tuner.ledger.rows:
            self._is_best(row.metrics)

    def on_trial_result(self, trial: Trial, status: Status, result: Metrics, decision: Decision) -> None:
        if self._is_best(result):
            values = self._values(trial.trial_id, trial.config, result)
            print(" ".join(f"{name}={value}" for name, value in values), flush=True)

    def _is_best(self, result: Metrics) -> bool:
        value = result.get(self.metric)
        if not _is_number(value):
            return False
        loss = float(value) if self.mode == "min" else -float(value)
        if not loss < self._best:
            return False
        self._best = loss
        return True

    def _values(self, trial_id: int, config: Config, result: Metrics) -> Sequence[tuple[str, float]]:
        found: list[tuple[str, object]] = [(BEST_METRIC_VALUE, result[self.metric]), (BEST_TRIAL_ID, trial_id)]
        if self.resource_attr is not None:
            found.append((BEST_RESOURCE_VALUE, result.get(self.resource_attr)))
        found.extend((BEST_HP_PREFIX + name, config.get(name)) for name in self._names)
        return [(name, value) for name, value in found if _is_number(value)]


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and not math.isnan(value)
