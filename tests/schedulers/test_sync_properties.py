"""Whatever happens to trials: rungs have their sizes, the best go on, and nobody ever waits."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudtune.schedulers.base import NotNow, Resume, TrialScheduler
from cloudtune.schedulers.dehb import DifferentialEvolutionHyperbandScheduler
from cloudtune.schedulers.sync_brackets import Bracket
from cloudtune.schedulers.sync_hyperband import SynchronousHyperbandScheduler
from cloudtune.space import uniform
from cloudtune.testing.mini_tuner import Events, MiniTuner
from cloudtune.trial import Config

SPACE: dict[str, Any] = {"x": uniform(0, 1), "epochs": 9}
TRIALS = 60

reports = st.dictionaries(st.integers(0, TRIALS - 1), st.integers(1, 9), max_size=20)
events = st.builds(Events, fails=reports, removed=reports, ends_early=reports, late=reports)
workers = st.integers(1, 12)


@st.composite
def brackets(draw: st.DrawFn) -> list[tuple[int, int]]:
    """Rungs of one bracket."""
    levels = sorted(draw(st.sets(st.integers(1, 9), min_size=1, max_size=4)))
    sizes = sorted(draw(st.sets(st.integers(1, 12), min_size=len(levels), max_size=len(levels))), reverse=True)
    return list(zip(sizes, levels, strict=True))


class Watched:
    """A scheduler at work, and every bracket it has had."""

    def __init__(self, scheduler: SynchronousHyperbandScheduler, n_workers: int, events: Events, odd: int = 0) -> None:
        self.scheduler = scheduler
        self.n_workers = n_workers
        self.brackets: dict[int, Bracket] = {}
        self.named: list[tuple[int, int]] = []
        """Trials that are not needed any more, and after how many suggestions that was said."""
        self.odd = odd
        self.tuner = MiniTuner(scheduler, self._curve, n_workers=n_workers, events=events)
        self.tuner.run(TRIALS)
        self._look()

    def _curve(self, trial_id: int, config: Config, resource: int) -> float:
        self._look()
        if self.odd and trial_id % self.odd == 0:
            return math.nan
        return float(np.sin(37.0 * trial_id) + 1 / resource)

    def _look(self) -> None:
        active = self.scheduler.brackets_at_work()
        self.brackets.update({bracket.number: bracket for bracket in active})
        # each but the last one has given all its places away, and waits for at least one worker
        assert len(active) <= self.n_workers + 1
        asked = len(self.tuner.record.suggestions) if hasattr(self, "tuner") else 0
        self.named += [(trial_id, asked) for trial_id in self.scheduler.trials_checkpoints_can_be_removed()]


def scheduler(rungs: list[list[tuple[int, int]]], told: bool, mode: Any = "min") -> SynchronousHyperbandScheduler:
    limit = {"max_resource_attr": "epochs"} if told else {}
    make: Callable[..., SynchronousHyperbandScheduler] = SynchronousHyperbandScheduler
    return make(SPACE, rungs, "loss", random_seed=3, mode=mode, **limit)


some_rungs = st.lists(brackets(), min_size=1, max_size=3)


@given(some_rungs, workers, events, st.booleans(), st.integers(0, 4))
@settings(max_examples=80, deadline=None)
def test_nothing_ever_blocks_a_rung(
    rungs: list[list[tuple[int, int]]], n_workers: int, events: Events, told: bool, odd: int
) -> None:
    seen = Watched(scheduler(rungs, told), n_workers, events, odd)
    assert len(seen.tuner.trials) == TRIALS
    assert not any(isinstance(each, NotNow) for each in seen.tuner.record.suggestions)
    for bracket in seen.brackets.values():
        sizes = [size for size, _ in rungs[bracket.number % len(rungs)]]
        assert [size for size, _ in bracket.rungs] == sizes
        for record, size in zip(bracket.records, sizes, strict=True):
            assert len(record) <= size
        if bracket.is_complete:
            assert len(bracket.records[0]) == sizes[0]
        for below, above in zip(bracket.records, bracket.records[1:], strict=False):
            assert all(math.isfinite(below[trial_id]) for trial_id in above)


@given(some_rungs, workers, events, st.booleans())
@settings(max_examples=50, deadline=None)
def test_a_trial_that_is_not_needed_any_more_is_named_once_and_never_resumed(
    rungs: list[list[tuple[int, int]]], n_workers: int, events: Events, told: bool
) -> None:
    seen = Watched(scheduler(rungs, told), n_workers, events)
    named = [trial_id for trial_id, _ in seen.named]
    assert len(named) == len(set(named))
    for number, suggestion in enumerate(seen.tuner.record.suggestions):
        if isinstance(suggestion, Resume):
            assert all(number < asked for trial_id, asked in seen.named if trial_id == suggestion.trial_id)


@given(some_rungs, workers, st.booleans())
@settings(max_examples=50, deadline=None)
def test_where_nothing_goes_wrong_rungs_are_full_of_the_best_of_those_below(
    rungs: list[list[tuple[int, int]]], n_workers: int, told: bool
) -> None:
    seen = Watched(scheduler(rungs, told), n_workers, Events())
    complete = [bracket for bracket in seen.brackets.values() if bracket.is_complete]
    for bracket in complete:
        assert [len(record) for record in bracket.records] == [size for size, _ in bracket.rungs]
        for below, above in zip(bracket.records, bracket.records[1:], strict=False):
            best = sorted(below, key=lambda trial_id: (below[trial_id], trial_id))
            assert set(above) == set(best[: len(above)])
    resumed = [each.trial_id for each in seen.tuner.record.suggestions if isinstance(each, Resume)]
    places = sum(size for bracket in seen.brackets.values() for size, _ in bracket.rungs[1:])
    assert len(resumed) <= places
    assert len(complete) >= len(seen.brackets) - n_workers - 1


@given(brackets(), workers, events, st.booleans(), st.booleans())
@settings(max_examples=50, deadline=None)
def test_nothing_ever_blocks_dehb(
    rungs: list[tuple[int, int]], n_workers: int, events: Events, told: bool, pauses: bool
) -> None:
    make: Callable[..., TrialScheduler] = DifferentialEvolutionHyperbandScheduler
    limit = {"max_resource_attr": "epochs"} if told else {}
    evolving = make(SPACE, rungs, "loss", random_seed=3, support_pause_resume=pauses, points_to_evaluate=[], **limit)
    tuner = MiniTuner(evolving, lambda trial_id, config, resource: config["x"], n_workers=n_workers, events=events)
    tuner.run(TRIALS)
    assert len(tuner.trials) == TRIALS
    resumed = [each.trial_id for each in tuner.record.suggestions if isinstance(each, Resume)]
    assert not any(isinstance(each, NotNow) for each in tuner.record.suggestions)
    assert len(resumed) <= (sum(size for size, _ in rungs[1:]) if pauses else 0)
    assert all(trial_id < rungs[0][0] + n_workers * 12 for trial_id in resumed)
