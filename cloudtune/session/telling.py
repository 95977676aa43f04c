"""What callbacks are told, in the order in which it happened."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice

from cloudtune.callbacks.base import CallbackList
from cloudtune.engine.ledger import Ledger
from cloudtune.journal import events as ev
from cloudtune.schedulers.base import Action, Decision, Reason, SchedulerDecision
from cloudtune.trial import Metrics, Status, Trial


_ACTIONS = {action.value: action for action in Action}


def status_behind(ledger: Ledger, event: ev.Event) -> Status:
    """The status of the trial that the event is about, at this moment."""
    if isinstance(event, (ev.ReportObserved, ev.StatusObserved)):
        return ledger.trials[event.trial_id].status
    return Status.in_progress


def tell_news(callbacks: CallbackList, ledger: Ledger, news: Sequence[ev.Event], statuses: Sequence[Status]) -> None:
    """``statuses``: for each event, ``status_behind`` it at its moment: later events may have changed it."""
    if callbacks.listen("on_fetch_status_results"):
        current: dict[int, tuple[Trial, Status]] = {}
        results: list[tuple[int, Metrics]] = []
        for event in news:
            if isinstance(event, ev.ReportObserved):
                results.append((event.trial_id, event.metrics))
            elif not isinstance(event, ev.StatusObserved):
                continue
            if event.trial_id not in current:
                state = ledger.trials[event.trial_id]
                current[event.trial_id] = (state.trial, state.status)
        if len(current) > 1:
            current = {trial_id: current[trial_id] for trial_id in sorted(current)}
        callbacks.call("on_fetch_status_results", current, results)
    if not callbacks.listen("on_trial_result") and not callbacks.listen("on_trial_complete"):
        return
    for number, (event, status) in enumerate(zip(news, statuses, strict=True), 1):
        if isinstance(event, ev.ReportObserved):
            decision = _decision(_decided(event, news, number))
            callbacks.call("on_trial_result", ledger.trials[event.trial_id].trial, status, event.metrics, decision)
        elif isinstance(event, ev.StatusObserved) and status is Status.completed:
            last: Metrics = ledger.trials[event.trial_id].last_result or {}
            callbacks.call("on_trial_complete", ledger.trials[event.trial_id].trial, last)


def tell_launches(callbacks: CallbackList, ledger: Ledger, outcomes: Iterable[ev.Event]) -> None:
    for outcome in outcomes:
        if isinstance(outcome, ev.Launched):
            hook = "on_start_trial" if outcome.attempt == 0 else "on_resume_trial"
            callbacks.call(hook, ledger.trials[outcome.trial_id].trial)


def _decided(report: ev.ReportObserved, news: Sequence[ev.Event], number: int) -> ev.DecisionMade | None:
    """What was decided about a report is among the decisions that follow it, from place ``number`` on."""
    for event in islice(news, number, None):
        if not isinstance(event, ev.DecisionMade):
            return None
        if (event.trial_id, event.attempt, event.key) == (report.trial_id, report.attempt, report.key):
            return event
    return None


def _decision(made: ev.DecisionMade | None) -> Decision:
    if made is None or (made.action == "CONTINUE" and not made.rule):
        return SchedulerDecision.CONTINUE
    return Decision(_ACTIONS[made.action], Reason(made.rule, made.numbers, made.threshold) if made.rule else None)
