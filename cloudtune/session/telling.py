"""What callbacks are told, in the order in which it happened."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

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
    trials = ledger.trials
    current: dict[int, tuple[Trial, Status]] = {}
    reports: list[_Told] = []
    told: list[_Told | int] = []
    for event, status in zip(news, statuses):  # noqa: B905 (called for every look at the backend)
        if isinstance(event, ev.ReportObserved):
            report = _Told(event, status)
            reports.append(report)
            told.append(report)
        elif isinstance(event, ev.DecisionMade):
            _note_decision(reports, event)
            continue
        elif not isinstance(event, ev.StatusObserved):
            continue
        elif status is Status.completed:
            told.append(event.trial_id)
        if event.trial_id not in current:
            state = trials[event.trial_id]
            current[event.trial_id] = (state.trial, state.status)
    if len(current) > 1:
        current = {trial_id: current[trial_id] for trial_id in sorted(current)}
    callbacks.call("on_fetch_status_results", current, [(each.event.trial_id, each.event.metrics) for each in reports])
    for each in told:
        if isinstance(each, int):
            last: Metrics = trials[each].last_result or {}
            callbacks.call("on_trial_complete", trials[each].trial, last)
        elif callbacks.listen("on_trial_result"):
            event = each.event
            decision = _decision(each.made)
            callbacks.call("on_trial_result", trials[event.trial_id].trial, each.status, event.metrics, decision)


@dataclass(slots=True)
class _Told:
    """A report, the status of its trial at its moment, and what was decided about it."""

    event: ev.ReportObserved
    status: Status
    made: ev.DecisionMade | None = None


def _note_decision(reports: Sequence[_Told], made: ev.DecisionMade) -> None:
    for told in reversed(reports):  # it comes right after its report
        event = told.event
        if event.key == made.key and event.trial_id == made.trial_id and event.attempt == made.attempt:
            told.made = made
            return


def tell_launches(callbacks: CallbackList, ledger: Ledger, outcomes: Iterable[ev.Event]) -> None:
    for outcome in outcomes:
        if isinstance(outcome, ev.Launched):
            hook = "on_start_trial" if outcome.attempt == 0 else "on_resume_trial"
            callbacks.call(hook, ledger.trials[outcome.trial_id].trial)


def _decision(made: ev.DecisionMade | None) -> Decision:
    if made is None or (made.action == "CONTINUE" and not made.rule):
        return SchedulerDecision.CONTINUE
    return Decision(_ACTIONS[made.action], Reason(made.rule, made.numbers, made.threshold) if made.rule else None)
