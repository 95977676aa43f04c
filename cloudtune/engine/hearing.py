"""What a report changes: who hears of it, and what counts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from cloudtune.engine.repetition import counts_anew, place_of
from cloudtune.engine.state import ResultRow
from cloudtune.journal.events import ReportObserved
from cloudtune.schedulers.base import Action, Decision
from cloudtune.trial import LARGEST

if TYPE_CHECKING:
    from cloudtune.engine.ledger import Ledger

_WORKER_COST = "st_worker_cost"
_CONTINUE = Action.CONTINUE


def hear(ledger: Ledger, event: ReportObserved) -> None:
    """Part of the fold: a report. Nothing is done as often as this."""
    trial_id, number, key, emitted_at = event.trial_id, event.attempt, event.key, event.emitted_at
    attempt = ledger.known(trial_id, number)
    state = ledger.trials[trial_id]
    is_current = attempt is state.attempts[-1]
    metrics = ledger.own_names(event.metrics)
    attempt.report_keys.add(key)
    late = state.decided is not _CONTINUE or attempt.status.is_final or not is_current
    resource_attr, resource = ledger.resource_attr, math.nan
    if resource_attr is not None and isinstance(value := metrics.get(resource_attr), (int, float)):
        resource = value if not abs(value) > LARGEST else math.inf if value > 0 else -math.inf
    repeated, started_over = place_of(state, attempt, resource, emitted_at)
    if resource_attr is None:
        started_over = counts_anew(state, attempt, metrics, emitted_at)
    if started_over and not (attempt.from_scratch and not attempt.interruptions):
        ledger.started_over.append(attempt.id)
    rows = ledger.rows
    rows.append(ResultRow(trial_id, number, metrics, _CONTINUE, late, repeated, emitted_at, event.at, event.tuner_time))
    ledger.evaluations += not repeated
    cost = metrics.get(_WORKER_COST)
    if cost is not None and is_current and isinstance(cost, (int, float)) and abs(cost) <= LARGEST:
        state.reported_dollars = float(cost)
    if repeated:
        ledger.scheduler.on_repeated_result(state.trial, metrics)
        return
    if not metrics.keys() >= ledger.needed:
        if ledger.reports_with_objective == 0:
            ledger.reports_without_objective.append(metrics)
        return
    ledger.reports_with_objective += 1
    if is_current and resource > state.furthest:
        # what an earlier attempt says late leaves the present one its decisions
        state.furthest = resource
    if late:
        ledger.scheduler.on_late_result(state.trial, metrics)
        if is_current:
            state.late_result = metrics
    else:
        state.last_result = metrics
        made = ledger.scheduler.on_trial_result(state.trial, metrics)
        decision = made if type(made) is Decision else Decision.of(made)
        ledger.undecided[attempt.attempt.id, key] = (decision, len(rows) - 1)
