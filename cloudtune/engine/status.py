"""How far the tuning is: what stop criteria and progress displays look at."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from cloudtune.engine.ledger import Ledger
from cloudtune.engine.state import ResultRow, TrialState
from cloudtune.trial import LARGEST, Config, Metrics, Mode, Status

if TYPE_CHECKING:
    import pandas as pd

_COMPLETED, _STOPPED, _STOPPING, _FAILED = Status.completed, Status.stopped, Status.stopping, Status.failed


@dataclass
class MetricsStatistics:
    """Running minimum, maximum, sum and count per metric; finite numbers only."""

    count: int = 0
    """Reports seen, numeric or not; repetitions left out."""
    min_metrics: dict[str, float] = field(default_factory=dict)
    max_metrics: dict[str, float] = field(default_factory=dict)
    sum_metrics: dict[str, float] = field(default_factory=dict)

    def add(self, metrics: Metrics) -> None:
        self.count += 1
        low, high, total = self.min_metrics, self.max_metrics, self.sum_metrics
        for name, value in metrics.items():
            if type(value) is not float and (isinstance(value, bool) or not isinstance(value, (int, float))):
                continue
            if not -LARGEST <= value <= LARGEST:
                continue
            if name not in total:
                low[name], high[name], total[name] = value, value, value + 0.0
                continue
            if value < low[name]:
                low[name] = value
            elif value > high[name]:
                high[name] = value
            total[name] += value


@dataclass(frozen=True)
class TrialView:
    """One trial as displays show it."""

    trial_id: int
    status: Status
    config: Config
    attempts: int
    reports: int
    last_result: Metrics | None
    """Also if it came after its trial's fate was decided."""
    seconds: float
    dollars: float
    reason: str
    waits_for: str = ""
    """Why it is not launched yet, as long as it is not."""
    warning: str = ""
    """Why somebody should look at it, while it runs."""
    interruptions: int = 0


class TuningStatus:
    """A view of the ledger at one moment.

    Times are seconds, costs dollars. Cheap to make: what grows with the number of trials is computed on demand, and
    what is known of reports is carried from one view to the next by a ``StatusKeeper``.
    """

    def __init__(self, ledger: Ledger, now: float, keeper: StatusKeeper | None = None) -> None:
        self._ledger = ledger
        self._now = now
        self._keeper = keeper or StatusKeeper(ledger)

    @property
    def overall_metric_statistics(self) -> MetricsStatistics:
        """Over all reports of all trials."""
        self._keeper.update()
        return self._keeper.overall

    @property
    def rows(self) -> Sequence[ResultRow]:
        """All reports in the order of arrival, repetitions among them. The same list at each moment, which grows."""
        return self._ledger.rows

    @property
    def metric_names(self) -> Sequence[str]:
        return tuple(self._ledger.scheduler.metric_names())

    @property
    def num_trials_started(self) -> int:
        return len(self._ledger.trials)

    @property
    def num_trials_completed(self) -> int:
        return self._ledger.counts[Status.completed]

    @property
    def num_trials_failed(self) -> int:
        return self._ledger.counts[Status.failed]

    @property
    def num_trials_finished(self) -> int:
        """Completed, failed, stopped or stopping."""
        counts = self._ledger.counts
        return counts[_COMPLETED] + counts[_STOPPED] + counts[_STOPPING] + counts[_FAILED]

    @property
    def num_trials_running(self) -> int:
        return self._ledger.counts[Status.in_progress]

    @property
    def num_trials_paused(self) -> int:
        return self._ledger.counts[Status.paused]

    @property
    def num_evaluations(self) -> int:
        """Reports received; work that was done once more not counted."""
        return self._ledger.evaluations

    @property
    def wallclock_time(self) -> float:
        """Seconds the tuner has run, over all its sessions."""
        return self._ledger.wallclock_time(self._now)

    @property
    def user_time(self) -> float:
        """Seconds that workers have spent on trials, in total."""
        return self._ledger.worked + sum(attempt.seconds(self._now) for attempt in self._ledger.open.values())

    @property
    def cost(self) -> float:
        """Dollars that trials have cost so far, as far as prices are known."""
        return self._keeper.cost(self._now)

    @property
    def num_interruptions(self) -> int:
        """How often the cloud took a machine away from an attempt that then went on by itself."""
        return self._ledger.interruptions

    @property
    def num_started_over(self) -> int:
        """How often an attempt began from nothing although its trial had come further: work that is paid twice."""
        return len(self._ledger.started_over)

    @property
    def summary(self) -> Sequence[str]:
        """What the backend says about the experiment as a whole, such as what warm instances saved; may be empty."""
        return self._ledger.summary

    def waiting(self) -> Counter[str]:
        """Reasons why trials wait for their launch, with the number of trials."""
        return Counter(attempt.held for attempt in self._ledger.open.values() if attempt.held and not attempt.launched)

    def trials(self, trial_ids: Iterable[int] | None = None) -> list[TrialView]:
        """These trials; by default all, in the order of their numbers."""
        self._keeper.update()
        states = self._ledger.trials
        return [self._view(states[trial_id]) for trial_id in (range(len(states)) if trial_ids is None else trial_ids)]

    def most_interesting(self, count: int) -> list[int]:
        """The best trial, those that run, and the newest of the others, in the order of their numbers."""
        best = self.best()
        ids = [best[0]] if best else []
        running = sorted({attempt.trial_id for attempt in self._ledger.open}, reverse=True)
        newest = range(len(self._ledger.trials) - 1, max(-1, len(self._ledger.trials) - 1 - count), -1)
        chosen = dict.fromkeys([*ids, *running, *newest])
        return sorted(list(chosen)[:count])

    def _view(self, state: TrialState) -> TrialView:
        waits_for = "" if state.current.launched or state.current.status.is_final else state.current.held
        return TrialView(
            trial_id=state.trial.trial_id,
            status=state.status,
            config=state.trial.config,
            attempts=len(state.attempts),
            reports=self._keeper.reports[state.trial.trial_id],
            last_result=state.late_result or state.last_result,
            seconds=sum(attempt.seconds(self._now) for attempt in state.attempts),
            dollars=state.cost(self._now),
            reason=state.current.held or state.reason,
            waits_for=waits_for,
            warning="" if state.current.status.is_final else state.current.warning,
            interruptions=sum(attempt.interruptions for attempt in state.attempts),
        )

    def best(self, metric: str | None = None, mode: Mode | None = None) -> tuple[int, Metrics] | None:
        """(trial, report) with the best value of ``metric`` (default: the objective), late reports included.

        Values that are no finite numbers are never the best.
        """
        if metric in (None, self._ledger.objective) and mode is None:
            self._keeper.update()
            return self._keeper.best
        return best_report(self._ledger, metric, mode)

    def get_dataframe(self) -> pd.DataFrame:
        """One row per trial: its status, hyperparameters and last metrics, what it has cost, its interruptions."""
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
                    "interruptions": view.interruptions,
                }
                for view in self.trials()
            ]
        )

    def __str__(self) -> str:
        counts = ", ".join(f"{count} {status.value}" for status, count in sorted(self._ledger.counts.items()) if count)
        lost = f", interrupted {self.num_interruptions} times" if self.num_interruptions else ""
        lost += f", {self.num_started_over} starts from scratch" if self.num_started_over else ""
        done = f"{self.num_trials_started} trials ({counts or 'none yet'}), {self.num_evaluations} reports{lost}"
        return f"{done}, {self.wallclock_time:.0f} s, {self.cost:.2f} $"


class StatusKeeper:
    """Carries what views say about reports from one to the next: it costs what is new, and only if somebody asks."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._rows = 0
        self.overall = MetricsStatistics()
        self.reports: Counter[int] = Counter()
        self.best: tuple[int, Metrics] | None = None
        """(trial, report) with the best objective."""
        self._best = _Best(ledger.objective, mode_of(ledger, ledger.objective))
        self._cost: tuple[tuple[float, float, int], float] | None = None

    def update(self) -> None:
        """Take in the reports that have come since."""
        rows = self._ledger.rows
        if len(rows) == self._rows:
            return
        for row in islice(rows, self._rows, None):
            if not row.repeated:
                self.overall.add(row.metrics)
                self.reports[row.trial_id] += 1
                self._best.look_at(row)
        self._rows = len(rows)
        self.best = self._best.found

    def cost(self, now: float) -> float:
        """Dollars, computed once per moment: a criterion asks for it after each of many launches."""
        moment = (now, self._ledger.spent, len(self._ledger.rows))
        if self._cost is None or self._cost[0] != moment:
            trials = self._ledger.trials
            running = sum(
                attempt.cost(now, trials[id.trial_id].reported_dollars) for id, attempt in self._ledger.open.items()
            )
            self._cost = (moment, self._ledger.spent + running)
        return self._cost[1]

    def view(self, now: float) -> TuningStatus:
        return TuningStatus(self._ledger, now, self)


class _Best:
    """The best of the rows it was shown: the first of equal ones."""

    def __init__(self, metric: str, mode: Mode) -> None:
        self.found: tuple[int, Metrics] | None = None
        self._metric = metric
        self._sign = 1.0 if mode == "min" else -1.0
        self._value = math.inf

    def look_at(self, row: ResultRow) -> None:
        value = row.metrics.get(self._metric)
        if isinstance(value, (int, float)) and -LARGEST <= value <= LARGEST and self._sign * value < self._value:
            self.found, self._value = (row.trial_id, row.metrics), self._sign * value


def best_report(ledger: Ledger, metric: str | None = None, mode: Mode | None = None) -> tuple[int, Metrics] | None:
    """(trial, report) with the best value of ``metric``; None as long as nobody has reported a finite number for it."""
    metric = metric or ledger.objective
    best = _Best(metric, mode or mode_of(ledger, metric))
    for row in ledger.rows:
        if not row.repeated:
            best.look_at(row)
    return best.found


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
