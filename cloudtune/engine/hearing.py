"""What a report changes: who hears of it, and what counts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from cloudtune.engine.repetition import counts_anew, heard, place_of
from cloudtune.engine.state import ResultRow
from cloudtune.journal.events import ReportObserved
from cloudtune.schedulers.base import Action, Decision
from cloudtune.trial import LARGEST, Metrics

if TYPE_CHECKING:
    from cloudtune.engine.ledger import Ledger

_WORKER_COST = "st_worker_cost"


def hear(ledger: Ledger, event: ReportObserved) -> None:
    """Part of the fold: a report."""
    attempt = ledger.known(event.trial_id, event.attempt)
    state = ledger.trials[event.trial_id]
    current = state.attempts[-1]
    metrics = ledger.own_names(event.metrics)
    attempt.report_keys.add(event.key)
    late = state.decided is not Action.CONTINUE or attempt.status.is_final or attempt is not current
    resource = _resource(ledger, metrics)
    repeated, started_over = place_of(state, attempt, resource, event.emitted_at)
    if ledger.resource_attr is None:
        started_over = counts_anew(state, attempt, metrics, event.emitted_at)
    if started_over and not (attempt.from_scratch and not attempt.interruptions):
        ledger.started_over.append(attempt.id)
    ledger.rows.append(
        ResultRow(
            event.trial_id,
            event.attempt,
            metrics,
            Action.CONTINUE,
            late,
            repeated,
            event.emitted_at,
            event.at,
            event.tuner_time,
        )
    )
    ledger.evaluations += not repeated
    cost = metrics.get(_WORKER_COST)
    if cost is not None and attempt is current and isinstance(cost, (int, float)) and abs(cost) <= LARGEST:
        state.reported_dollars = float(cost)
    if repeated:
        ledger.scheduler.on_repeated_result(state.trial, metrics)
        return
    if not _carries_what_is_needed(ledger, metrics):
        return
    heard(state, attempt, resource)
    if late:
        ledger.scheduler.on_late_result(state.trial, metrics)
        if attempt is current:
            state.late_result = metrics
    else:
        state.last_result = metrics
        decision = Decision.of(ledger.scheduler.on_trial_result(state.trial, metrics))
        ledger.undecided[attempt.id, event.key] = (decision, len(ledger.rows) - 1)


def _resource(ledger: Ledger, metrics: Metrics) -> float:
    """NaN where there is none."""
    name = ledger.resource_attr
    value = metrics.get(name) if name is not None else None
    if not isinstance(value, (int, float)):
        return math.nan
    if abs(value) > LARGEST:
        return math.copysign(math.inf, 1 if value > 0 else -1)
    return float(value)


def _carries_what_is_needed(ledger: Ledger, metrics: Metrics) -> bool:
    if ledger.needed <= metrics.keys():
        ledger.reports_with_objective += 1
        return True
    if ledger.reports_with_objective == 0:
        ledger.reports_without_objective.append(metrics)
    return False
