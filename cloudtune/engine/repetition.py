"""Work that is done once more: after an interruption, a relaunch or a resume a script may report what it did before."""

from __future__ import annotations

import math
from typing import NamedTuple

from cloudtune.engine.state import AttemptState, TrialState
from cloudtune.trial import Metrics


class Place(NamedTuple):
    """Where a report stands among those of its trial."""

    repeated: bool
    """The trial had come so far before: the scheduler has heard it."""
    started_over: bool
    """The first news of an attempt that lost everything its trial had done."""


_STRAIGHT_ON = Place(repeated=False, started_over=False)


def place_of(trial: TrialState, attempt: AttemptState, resource: float, emitted_at: float) -> Place:
    """Takes note of it, too. ``resource`` is NaN where there is none: then every report counts as it comes."""
    if attempt.started_again_at is None and len(trial.attempts) == 1 and not attempt.interruptions:
        place = _STRAIGHT_ON
    else:
        place = _after_a_break(trial, attempt, resource, emitted_at)
    if resource < trial.first_resource:
        trial.first_resource = resource
    _note_progress(trial, attempt, resource)
    return place


def _after_a_break(trial: TrialState, attempt: AttemptState, resource: float, emitted_at: float) -> Place:
    goes_on = attempt is trial.current and (attempt.id.number > 0 or attempt.interruptions > 0)
    repeated = goes_on and resource <= trial.furthest
    started_over = False
    if attempt.started_again_at is not None and not math.isnan(resource):
        started_over = repeated and resource <= trial.first_resource
        if started_over or emitted_at >= attempt.started_again_at:
            attempt.started_again_at = None
    return Place(repeated, started_over)


def counts_anew(trial: TrialState, attempt: AttemptState, metrics: Metrics, emitted_at: float) -> bool:
    """Without a resource: whether an attempt that goes on is back at its trial's first epoch, step, or the like.

    Nobody says which metric counts. A whole number that has grown with every report does, and it begins again when it
    has its first value again. Takes note of it, too.
    """
    if trial.counters is None:
        now = {name: value for name, value in metrics.items() if type(value) is int and not name.startswith("st_")}
        trial.counters = {name: (value, value) for name, value in now.items()}
        return False
    if attempt.started_again_at is None or attempt is not trial.current:
        counters, others = trial.counters, []
        for name, (first, last) in counters.items():
            value = metrics.get(name)
            if type(value) is int and value > last:
                counters[name] = (first, value)
            else:
                others.append(name)
        for name in others:
            del counters[name]
        return False
    now = {name: metrics[name] for name in trial.counters if type(metrics.get(name)) is int}
    known = {name: trial.counters[name] for name in now}
    anew = any(now[name] == first < last for name, (first, last) in known.items())
    stepped_back = emitted_at >= attempt.started_again_at
    trial.counters = {
        name: (first, now[name]) for name, (first, last) in known.items() if anew or stepped_back or now[name] > last
    }
    if anew or stepped_back:
        attempt.started_again_at = None
    return anew


def _note_progress(trial: TrialState, attempt: AttemptState, resource: float) -> None:
    """A trial that gets on has not lost anything in a row."""
    count = len(attempt.report_keys)
    more = count > trial.most_reports
    if more:
        trial.most_reports = count
    if (trial.capacity_losses or trial.service_failures) and (
        more if math.isnan(resource) else resource > trial.furthest
    ):
        trial.capacity_losses = trial.service_failures = 0
