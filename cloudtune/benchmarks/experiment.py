"""Finished experiments as blackboxes: what was trained once need not be trained again."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cloudtune.backends.base import Experiment
from cloudtune.backends.simulator import Curve, CurveSource
from cloudtune.backends.simulator.recorded import RecordedAttempt
from cloudtune.benchmarks.blackbox import Array, Blackbox
from cloudtune.benchmarks.simulated import BlackboxCurves
from cloudtune.benchmarks.tabular import BlackboxTabular
from cloudtune.benchmarks.timeline import Timeline
from cloudtune.engine.ledger import Ledger
from cloudtune.engine.reading import read_ledger
from cloudtune.engine.state import AttemptState, TrialState
from cloudtune.errors import OptionError
from cloudtune.journal.events import Event
from cloudtune.results.loading import find_experiment
from cloudtune.space import Domain, choice, config_space_from_json_dict, randint, uniform
from cloudtune.trial import Attempt, AttemptId, Config, Metrics

ELAPSED = "st_elapsed_time"
"""The objective that an experiment's blackbox adds: seconds of work on the trial until each report."""


class ExperimentBlackbox(Blackbox):
    """What an experiment has found out about each of its configurations.

    A configuration that was stopped early is known up to there: in the simulator it ends as completed then. Trials of
    equal configurations are seeds. In the simulator, an attempt that the experiment had, too (the same number, the same
    configuration), goes exactly as it went; ``sleep_time=0``, the same scheduler, seed and number of workers make the
    same decisions. Anything else takes curves and times from the table.

    ``resource_attr``: the metric that counts units of work; default: its scheduler's. Without one, only the last report
    of each trial is in the table.
    """

    def __init__(self, events: Iterable[Event], resource_attr: str | None = None) -> None:
        journal = list(events)
        ledger, started = read_ledger(journal)
        space = config_space_from_json_dict(started.metadata["config_space"])
        self.table = _table(ledger, space, resource_attr or ledger.resource_attr)
        super().__init__(
            space,
            self.table.fidelity_space,
            self.table.objectives_names,
            self.table.fidelity_values,
            self.table.num_seeds,
        )
        self._attempts = Timeline(journal).attempts()

    def curves(self, configuration: Config, seed: int = 0) -> Array:
        return self.table.curves(configuration, seed)

    def all_configurations(self) -> list[dict[str, Any]]:
        return self.table.all_configurations()

    def curve_source(self, elapsed_time_attr: str) -> CurveSource:
        return _Replay(BlackboxCurves(self.table, elapsed_time_attr), self._attempts)


class _Replay:
    """Attempts as they were, and curves of a table for all others."""

    def __init__(
        self, curves: BlackboxCurves, attempts: Mapping[AttemptId, tuple[Mapping[str, Any], RecordedAttempt]]
    ) -> None:
        self._curves = curves
        self._attempts = attempts

    @property
    def num_seeds(self) -> int:
        return self._curves.num_seeds

    def check(self, experiment: Experiment) -> None:
        self._curves.check(experiment)

    def curve(self, attempt: Attempt, seed: int) -> Curve:
        return self._curves.curve(attempt, seed)

    def recorded(self, attempt: Attempt) -> RecordedAttempt | None:
        config, record = self._attempts.get(attempt.id, (None, None))
        return record if config == attempt.config else None


def blackbox_from_experiment(
    tuner_name: str,
    download_if_not_found: bool = True,
    local_path: str | Path | None = None,
    s3_path: str | None = None,
    resource_attr: str | None = None,
) -> ExperimentBlackbox:
    """A blackbox out of the journal of a finished experiment, from this machine or else from S3.

    For ``UserBlackboxBackend(blackbox, elapsed_time_attr="st_elapsed_time")``. ``resource_attr`` as of
    ``ExperimentBlackbox``, the rest as of ``load_experiment``.
    Raises ``ExperimentNotFoundError``, and ``OptionError`` if it has no reports.
    """
    files = find_experiment(tuner_name, download_if_not_found, local_path, s3_path)
    return ExperimentBlackbox(files.journal().read(), resource_attr)


@dataclass(frozen=True)
class _Point:
    """One report, with the seconds of work on its trial until then."""

    resource: float
    elapsed: float
    metrics: Metrics


def _table(ledger: Ledger, space: Mapping[str, Any], resource_attr: str | None) -> BlackboxTabular:
    import pandas as pd

    reports = defaultdict(list)
    for row in ledger.rows:
        if not row.repeated:
            reports[row.trial_id].append(row)
    domains = [name for name, domain in space.items() if isinstance(domain, Domain)]
    groups: dict[tuple[Any, ...], list[list[_Point]]] = {}
    for trial_id, rows in reports.items():
        trial = ledger.trials[trial_id]
        points = _points(trial, [(row.attempt, row.emitted_at, row.metrics) for row in rows], resource_attr)
        if points:
            groups.setdefault(tuple(trial.trial.config[name] for name in domains), []).append(points)
    if not groups:
        raise OptionError("the experiment has no reports", "it can't be played again")
    names = _numbers(point.metrics for trials in groups.values() for points in trials for point in points)
    names = [name for name in names if name != resource_attr]
    fidelities = sorted({point.resource for trials in groups.values() for points in trials for point in points})
    places = {resource: place for place, resource in enumerate(fidelities)}
    seeds = max(map(len, groups.values()))
    values = np.full((len(groups), seeds, len(fidelities), len(names) + 1), math.nan)
    for row_number, trials in enumerate(groups.values()):
        for seed in range(seeds):
            for point in trials[seed % len(trials)]:
                values[row_number, seed, places[point.resource]] = [
                    point.elapsed,
                    *(_number(point.metrics.get(name)) for name in names),
                ]
    fidelity_space = None if resource_attr is None else {resource_attr: _range(fidelities)}
    frame = pd.DataFrame(list(groups), columns=domains)
    return BlackboxTabular(frame, space, fidelity_space, values, fidelities, [ELAPSED, *names])


def _range(fidelities: Sequence[float]) -> Domain:
    """From the least to the most that was reported."""
    low, high = fidelities[0], fidelities[-1]
    if low == high:
        return choice([low])
    return randint(int(low), int(high)) if low == int(low) and high == int(high) else uniform(low, high)


def _points(
    trial: TrialState, reports: Sequence[tuple[int, float, Metrics]], resource_attr: str | None
) -> list[_Point]:
    """In the order of the resource; without one, the last report alone."""
    points: dict[float, _Point] = {}
    done = 0.0
    """Seconds of work in the checkpoint that the present attempt began from."""
    current = -1
    for number, emitted_at, metrics in reports:
        resource = 1.0 if resource_attr is None else _number(metrics.get(resource_attr))
        if math.isnan(resource):
            continue
        if number != current:
            current = number
            done = max((point.elapsed for point in points.values() if point.resource < resource), default=0.0)
        elapsed = done + max(emitted_at - _began(trial.attempts[number], emitted_at), 0.0)
        points[resource] = _Point(resource, elapsed, metrics)
    return [points[resource] for resource in sorted(points)]


def _began(attempt: AttemptState, otherwise: float) -> float:
    return otherwise if attempt.running_since is None else attempt.running_since


def _numbers(all_metrics: Iterable[Metrics]) -> list[str]:
    """Names of metrics that are numbers, in the order in which they were first reported; not those of the reporter."""
    names: dict[str, None] = {}
    for metrics in all_metrics:
        for name, value in metrics.items():
            if not name.startswith("st_") and not math.isnan(_number(value)):
                names.setdefault(name)
    return list(names)


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else math.nan
