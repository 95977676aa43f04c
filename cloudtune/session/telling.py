"""What callbacks are told, in the order in which it happened."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cloudtune.callbacks.base import CallbackList
from cloudtune.engine.ledger import Ledger
from cloudtune.journal import events as ev
from cloudtune.schedulers.base import Action, Decision, Reason, SchedulerDecision
from cloudtune.trial import Status, Trial

_ACTIONS = {action.value: action for action in Action}


def tell_news(callbacks: CallbackList, ledger: Ledger, news: Sequence[ev.News], statuses: Sequence[Status]) -> None:
    """``statuses``: for each event, that of its trial just after it: later events may have changed it.

    Callbacks get metrics of their own: what they do with them changes nothing.
    """
    if callbacks.listen("on_fetch_status_results"):
        reports = [(each.trial_id, dict(each.metrics)) for each in news if isinstance(each, ev.ReportObserved)]
        callbacks.call("on_fetch_status_results", _trials_with_news(ledger, news), reports)
    trials = ledger.trials
    for number, event in enumerate(news):
        status = statuses[number]
        if isinstance(event, ev.ReportObserved):
            following = news[number + 1] if number + 1 < len(news) else None
            trial, decision = trials[event.trial_id].trial, _decision_on(event, following)
            callbacks.call("on_trial_result", trial, status, dict(event.metrics), decision)
        elif isinstance(event, ev.StatusObserved) and status is Status.completed:
            state = trials[event.trial_id]
            callbacks.call("on_trial_complete", state.trial, state.last_result or {})


def _trials_with_news(ledger: Ledger, news: Sequence[ev.News]) -> dict[int, tuple[Trial, Status]]:
    ids = {event.trial_id for event in news if isinstance(event, (ev.ReportObserved, ev.StatusObserved))}
    return {trial_id: (ledger.trials[trial_id].trial, ledger.trials[trial_id].status) for trial_id in sorted(ids)}


def _decision_on(report: ev.ReportObserved, made: ev.Event | None) -> Decision:
    """``made``: what came after the report: its decision, if there is one."""
    if (
        isinstance(made, ev.DecisionMade)
        and made.key == report.key
        and made.trial_id == report.trial_id
        and made.attempt == report.attempt
    ):
        return _decision(made)
    return SchedulerDecision.CONTINUE


def tell_launches(callbacks: CallbackList, ledger: Ledger, outcomes: Iterable[ev.Event]) -> None:
    for outcome in outcomes:
        if isinstance(outcome, ev.Launched):
            hook = "on_start_trial" if outcome.attempt == 0 else "on_resume_trial"
            callbacks.call(hook, ledger.trials[outcome.trial_id].trial)


def _decision(made: ev.DecisionMade) -> Decision:
    if not made.rule:
        return SchedulerDecision.CONTINUE if made.action == "CONTINUE" else Decision(_ACTIONS[made.action])
    global _latest
    latest, reason = _latest, _latest.reason
    if (
        reason is not None
        and made.numbers is reason.numbers  # the same object: most reports are decided on as the one before
        and made.rule == reason.rule
        and made.threshold == reason.threshold
        and made.action == latest.action._value_
    ):
        return latest
    _latest = Decision(_ACTIONS[made.action], Reason(made.rule, made.numbers, made.threshold))
    return _latest


_latest: Decision = SchedulerDecision.CONTINUE
