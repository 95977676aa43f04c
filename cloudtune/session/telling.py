"""What callbacks are told, in the order in which it happened."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cloudtune.callbacks.base import CallbackList
from cloudtune.engine.ledger import Ledger
from cloudtune.journal import events as ev
from cloudtune.schedulers.base import Action, Decision, Reason
from cloudtune.trial import Metrics, Status


def status_behind(ledger: Ledger, event: ev.Event) -> Status:
    """The status of the trial that the event is about, at this moment."""
    if isinstance(event, (ev.ReportObserved, ev.StatusObserved)):
        return ledger.trials[event.trial_id].status
    return Status.in_progress


def tell_news(callbacks: CallbackList, ledger: Ledger, news: Sequence[ev.Event], statuses: Sequence[Status]) -> None:
    """``statuses``: for each event, ``status_behind`` it at its moment: later events may have changed it."""
    observed = [event for event in news if isinstance(event, (ev.ReportObserved, ev.StatusObserved))]
    current = {
        trial_id: (ledger.trials[trial_id].trial, ledger.trials[trial_id].status)
        for trial_id in sorted({event.trial_id for event in observed})
    }
    results = [(event.trial_id, event.metrics) for event in news if isinstance(event, ev.ReportObserved)]
    callbacks.call("on_fetch_status_results", current, results)
    decisions = {
        (event.trial_id, event.attempt, event.key): event for event in news if isinstance(event, ev.DecisionMade)
    }
    for event, status in zip(news, statuses, strict=True):
        if isinstance(event, ev.ReportObserved):
            decision = _decision(decisions.get((event.trial_id, event.attempt, event.key)))
            callbacks.call("on_trial_result", ledger.trials[event.trial_id].trial, status, event.metrics, decision)
        elif isinstance(event, ev.StatusObserved) and status is Status.completed:
            last: Metrics = ledger.trials[event.trial_id].last_result or {}
            callbacks.call("on_trial_complete", ledger.trials[event.trial_id].trial, last)


def tell_launches(callbacks: CallbackList, ledger: Ledger, outcomes: Iterable[ev.Event]) -> None:
    for outcome in outcomes:
        if isinstance(outcome, ev.Launched):
            hook = "on_start_trial" if outcome.attempt == 0 else "on_resume_trial"
            callbacks.call(hook, ledger.trials[outcome.trial_id].trial)


def _decision(made: ev.DecisionMade | None) -> Decision:
    if made is None:
        return Decision(Action.CONTINUE)
    return Decision(Action(made.action), Reason(made.rule, made.numbers, made.threshold) if made.rule else None)
