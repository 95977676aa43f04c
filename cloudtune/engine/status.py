"""How far the tuning is: what stop criteria and progress displays look at."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from cloudtune.engine.ledger import Ledger
from cloudtune.trial import Config, Metrics, Mode, Status

if TYPE_CHECKING:
    import pandas as pd

_FINISHED = (Status.completed, Status.stopped, Status.stopping, Status.failed)


@dataclass
class MetricsStatistics:
    """Running minimum, maximum, sum and count per metric; numbers only, NaN left out."""

    count: int = 0
    """Reports seen, numeric or not."""
    min_metrics: dict[str, float] = field(default_factory=dict)
    max_metrics: dict[str, float] = field(default_factory=dict)
    sum_metrics: dict[str, float] = field(default_factory=dict)

    def add(self, metrics: Metrics) -> None:
        self.count += 1
        for name, value in metrics.items():
            if isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value):
                continue
            self.min_metrics[name] = min(value, self.min_metrics.get(name, math.inf))
            self.max_metrics[name] = max(value, self.max_metrics.get(name, -math.inf))
            self.sum_metrics[name] = value + self.sum_metrics.get(name, 0.0)


@dataclass(frozen=True)
class TrialView:
    """One trial as displays show it."""

    trial_id: int
    status: Status
    config: Config
    attempts: int
    reports: int
    last_result: Metrics | None
    seconds: float
    dollars: float
    reason: str


class TuningStatus:
    """A view of the ledger at one moment.

    Times are seconds, costs dollars. Cheap to make: what grows with the number of trials is computed on demand,
    except the statistics of reports, which are carried from one view to the next by ``StatusKeeper``.
    """

    def __init__(
        self,
        ledger: Ledger,
        now: float,
        overall: MetricsStatistics | None = None,
        per_trial: Mapping[int, int] | None = None,
    ) -> None:
        self._ledger = ledger
        self._now = now
        if overall is None or per_trial is None:
            keeper = StatusKeeper(ledger)
            keeper.update()
            overall, per_trial = keeper.overall, keeper.reports
        self.overall_metric_statistics = overall
        self._reports = per_trial

    @cached_property
    def _counts(self) -> Counter[Status]:
        return Counter(trial.status for trial in self._ledger.trials)

    @property
    def metric_names(self) -> Sequence[str]:
        return tuple(self._ledger.scheduler.metric_names())

    @property
    def num_trials_started(self) -> int:
        return len(self._ledger.trials)

    @property
    def num_trials_completed(self) -> int:
        return self._counts[Status.completed]

    @property
    def num_trials_failed(self) -> int:
        return self._counts[Status.failed]

    @property
    def num_trials_finished(self) -> int:
        """Completed, failed, stopped or stopping."""
        return sum(self._counts[status] for status in _FINISHED)

    @property
    def num_trials_running(self) -> int:
        return self._counts[Status.in_progress]

    @property
    def num_trials_paused(self) -> int:
        return self._counts[Status.paused]

    @property
    def num_evaluations(self) -> int:
        """Reports received."""
        return self.overall_metric_statistics.count

    @property
    def wallclock_time(self) -> float:
        """Seconds the tuner has run, over all its sessions."""
        return self._ledger.wallclock_time(self._now)

    @property
    def user_time(self) -> float:
        """Seconds that workers have spent on trials, in total."""
        return sum(attempt.seconds(self._now) for trial in self._ledger.trials for attempt in trial.attempts)

    @property
    def cost(self) -> float:
        """Dollars that trials have cost so far, as far as prices are known."""
        return sum(trial.cost(self._now) for trial in self._ledger.trials)

    def trials(self) -> list[TrialView]:
        """All trials in the order of their numbers."""
        return [
            TrialView(
                trial_id=state.trial.trial_id,
                status=state.status,
                config=state.trial.config,
                attempts=len(state.attempts),
                reports=self._reports.get(state.trial.trial_id, 0),
                last_result=state.last_result,
                seconds=sum(attempt.seconds(self._now) for attempt in state.attempts),
                dollars=state.cost(self._now),
                reason=state.current.held or state.reason,
            )
            for state in self._ledger.trials
        ]

    def best(self, metric: str | None = None, mode: Mode | None = None) -> tuple[int, Metrics] | None:
        """(trial, report) with the best value of ``metric`` (default: the objective), late reports included."""
        return best_report(self._ledger, metric, mode)

    def get_dataframe(self) -> pd.DataFrame:
        """One row per trial: trial_id, status, iterations, hyperparameters, last metrics, worker-time, worker-cost."""
        import pandas as pd

        return pd.DataFrame(
            [
                {
                    "trial_id": view.trial_id,
                    "status": view.status.value,
                    "iter": view.reports,
                    **view.config,
                    **(view.last_result or {}),
                    "worker-time": view.seconds,
                    "worker-cost": view.dollars,
                }
                for view in self.trials()
            ]
        )

    def __str__(self) -> str:
        counts = ", ".join(f"{count} {status.value}" for status, count in sorted(self._counts.items()))
        return (
            f"{self.num_trials_started} trials ({counts or 'none yet'}), {self.num_evaluations} reports, "
            f"{self.wallclock_time:.0f} s, {self.cost:.2f} $"
        )


class StatusKeeper:
    """Carries report statistics from one view to the next, so that a view costs what is new."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._rows = 0
        self.overall = MetricsStatistics()
        self.reports: Counter[int] = Counter()

    def update(self) -> None:
        for row in self._ledger.rows[self._rows :]:
            self.overall.add(row.metrics)
            self.reports[row.trial_id] += 1
        self._rows = len(self._ledger.rows)

    def view(self, now: float) -> TuningStatus:
        self.update()
        return TuningStatus(self._ledger, now, self.overall, self.reports)


def best_report(ledger: Ledger, metric: str | None = None, mode: Mode | None = None) -> tuple[int, Metrics] | None:
    """(trial, report) with the best value of ``metric``; None as long as nobody has reported a number for it."""
    metric = metric or ledger.objective
    sign = 1.0 if (mode or mode_of(ledger, metric)) == "min" else -1.0
    best: tuple[int, Metrics] | None = None
    best_value = math.inf
    for row in ledger.rows:
        value = row.metrics.get(metric)
        if isinstance(value, (int, float)) and sign * value < best_value:
            best, best_value = (row.trial_id, row.metrics), sign * value
    return best


def mode_of(ledger: Ledger, metric: str) -> Mode:
    """'min' or 'max' for this metric of the scheduler; 'min' for others."""
    mode = ledger.scheduler.metric_mode()
    if mode == "min" or mode == "max":
        return mode
    modes = dict(zip(ledger.scheduler.metric_names(), mode, strict=False))
    return "max" if modes.get(metric) == "max" else "min"


def print_best_metric_found(
    tuning_status: TuningStatus, metric_names: Sequence[str], mode: Mode | None = None
) -> tuple[int, float] | None:
    """Print where the tuning stands and the best value of the first metric; returns (trial, value)."""
    print(f"{tuning_status}")
    best = tuning_status.best(metric_names[0], mode)
    if best is None:
        return None
    trial_id, metrics = best
    print(f"best {metric_names[0]}: {metrics[metric_names[0]]} (trial {trial_id})")
    return trial_id, float(metrics[metric_names[0]])
