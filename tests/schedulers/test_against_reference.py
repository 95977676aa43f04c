"""Decisions against a naive reference that sorts everything anew, in exact arithmetic."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from cloudtune.schedulers import Action, HyperbandScheduler, Resume, Start
from cloudtune.space import uniform
from cloudtune.testing.mini_tuner import Events, MiniTuner, Record
from cloudtune.trial import Config

LEVELS, MAX_T = [1, 2, 5], 9
SPACE: dict[str, Any] = {"x": uniform(0, 1), "epochs": MAX_T}
FRACTION = {level: Fraction(level, following) for level, following in pairwise([*LEVELS, MAX_T])}


def within_quantile(value: int, values: list[int], level: int) -> bool | None:
    """None with fewer than two values."""
    if len(values) < 2:
        return None
    ordered = sorted(values)
    place = FRACTION[level] * (len(values) - 1)
    below = int(place)
    cutoff = Fraction(ordered[below])
    if place != below:
        cutoff += (place - below) * (ordered[below + 1] - ordered[below])
    return value <= cutoff


class Reference:
    """Values by rung and trial, and where each trial is paused."""

    def __init__(self) -> None:
        self.rungs: dict[int, dict[int, int]] = {level: {} for level in LEVELS}
        self.paused: dict[int, int] = {}

    def promotion(self) -> int | None:
        for level in reversed(LEVELS):
            values = self.rungs[level]
            waiting = sorted((values[trial], trial) for trial, where in self.paused.items() if where == level)
            if waiting and within_quantile(waiting[0][0], list(values.values()), level):
                return waiting[0][1]
        return None

    def record(self, trial_id: int, epoch: int, value: int) -> bool:
        """Whether the trial is good enough, if it is at a rung."""
        if epoch not in self.rungs:
            return True
        values = self.rungs[epoch]
        values[trial_id] = value
        return within_quantile(value, list(values.values()), epoch) is not False


# numbers with few distinct values, so that ties are common; whole, so that floats are exact
VALUES = st.lists(st.integers(-20, 20), min_size=MAX_T, max_size=MAX_T)
CURVES = st.lists(VALUES, min_size=12, max_size=12)
IDS = st.integers(0, 11)
WHEN = st.integers(1, 8)
EVENTS = st.builds(
    Events,
    fails=st.dictionaries(IDS, WHEN, max_size=3),
    removed=st.dictionaries(IDS, WHEN, max_size=3),
    ends_early=st.dictionaries(IDS, WHEN, max_size=3),
    late=st.dictionaries(IDS, WHEN, max_size=6),
)


def run(kind: str, curves: list[list[int]], events: Events, workers: int) -> Record:
    def curve(trial_id: int, config: Config, epoch: int) -> float:
        return float(curves[trial_id][epoch - 1])

    scheduler = HyperbandScheduler(
        SPACE, "loss", type=kind, rung_levels=LEVELS, max_resource_attr="epochs", random_seed=0
    )
    return MiniTuner(scheduler, curve, max_resource=MAX_T, n_workers=workers, events=events).run(len(curves))


@settings(max_examples=150, deadline=None)
@given(CURVES, EVENTS, st.integers(1, 5))
def test_stopping(curves: list[list[int]], events: Events, workers: int) -> None:
    record, reference = run("stopping", curves, events, workers), Reference()
    decisions, stopped = iter(record.decisions), set()
    for call in record.calls:
        if call.result is None or call.method == "on_trial_complete" or call.trial.trial_id in stopped:
            continue
        good = reference.record(call.trial.trial_id, call.result["epoch"], int(call.result["loss"]))
        if call.method == "on_trial_result":
            decision = next(decisions)
            assert decision.action is (Action.CONTINUE if good else Action.STOP)
            if decision.action is Action.STOP:
                stopped.add(call.trial.trial_id)


@settings(max_examples=150, deadline=None)
@given(CURVES, EVENTS, st.integers(1, 5))
def test_promotion(curves: list[list[int]], events: Events, workers: int) -> None:
    record, reference = run("promotion", curves, events, workers), Reference()
    decisions, suggestions = iter(record.decisions), iter(record.suggestions)
    for call in record.calls:
        trial_id = call.trial.trial_id
        if call.method == "on_trial_add":
            assert reference.promotion() is None
            suggestion = next(suggestions)
            assert isinstance(suggestion, Start) and suggestion.config["epochs"] == LEVELS[0]
        elif call.method == "on_trial_resume":
            suggestion = next(suggestions)
            assert isinstance(suggestion, Resume) and suggestion.config is not None
            assert suggestion.trial_id == reference.promotion()
            level = reference.paused.pop(trial_id)
            assert suggestion.config["epochs"] == [*LEVELS, MAX_T][LEVELS.index(level) + 1]
        elif call.result is not None and call.method != "on_trial_complete":
            epoch = call.result["epoch"]
            reference.record(trial_id, epoch, int(call.result["loss"]))
            if call.method == "on_trial_result":
                action = next(decisions).action
                assert action is (Action.PAUSE if epoch in LEVELS else Action.CONTINUE)
                if action is Action.PAUSE:
                    reference.paused[trial_id] = epoch
            elif epoch in LEVELS:
                reference.paused[trial_id] = epoch
            elif epoch == MAX_T:
                reference.paused.pop(trial_id, None)
