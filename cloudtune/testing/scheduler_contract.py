"""What every scheduler must keep. Subclass ``SchedulerContract`` and say how yours is made."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import dill
import pytest

from cloudtune.schedulers.base import Action, Decision, NotNow, Reason, Resume, Start, Suggestion, TrialScheduler
from cloudtune.space import Domain
from cloudtune.testing.mini_tuner import Curve, Events, MiniTuner, Record, replay
from cloudtune.testing.searcher_contract import FINITE, FINITE_SIZE, SPACE
from cloudtune.trial import Config, Mode

MakeScheduler = Callable[[Mapping[str, Any], Mode, int], TrialScheduler]

TRIALS = 40


def curve(trial_id: int, config: Config, resource: int) -> float:
    """Falls with the resource, towards something that depends on the configuration."""
    level = abs(math.log10(config["lr"]) + 3) + config["momentum"] if "lr" in config else config["a"] / 3
    return float(level + 1 / resource)


class SchedulerContract:
    """Override ``make_scheduler``.

    Spaces carry ``epochs``: 9, the most a trial may use; schedulers with a resource take it from there.
    """

    exhausts_finite_spaces = True
    """Whether no configuration is launched twice, and None marks the end of a finite space."""

    @pytest.fixture
    def make_scheduler(self) -> MakeScheduler:
        """A function of (space, mode, seed) that gives a fresh scheduler for one metric of any name."""
        raise NotImplementedError

    def run(
        self, scheduler: TrialScheduler, objective: Curve = curve, events: Events | None = None, trials: int = TRIALS
    ) -> Record:
        return MiniTuner(scheduler, objective, events=events).run(trials)

    # -- proposals -----------------------------------------------------------------------------------------------

    def test_configurations_are_complete_and_inside_the_space(self, make_scheduler: MakeScheduler) -> None:
        scheduler = make_scheduler(SPACE, "min", 0)
        free = scheduler.max_resource_attr
        for suggestion in self.run(scheduler).suggestions:
            if isinstance(suggestion, Start):
                assert set(suggestion.config) >= set(SPACE)
                for name, entry in SPACE.items():
                    value = suggestion.config[name]
                    if isinstance(entry, Domain):
                        assert entry.is_valid(value)
                    elif name != free:
                        assert value == entry
                    else:
                        assert 1 <= value <= entry

    def test_suggest_changes_nothing(self, make_scheduler: MakeScheduler) -> None:
        quiet = make_scheduler(SPACE, "min", 1)
        asked = _AskedTooOften(make_scheduler(SPACE, "min", 1))
        _same(self.run(quiet), self.run(asked))

    # -- determinism -----------------------------------------------------------------------------------------------

    def test_same_seed_and_calls_give_the_same_answers(self, make_scheduler: MakeScheduler) -> None:
        _same(self.run(make_scheduler(SPACE, "min", 2)), self.run(make_scheduler(SPACE, "min", 2)))

    def test_a_replay_decides_the_same_and_then_goes_on_the_same(self, make_scheduler: MakeScheduler) -> None:
        live, fresh = make_scheduler(SPACE, "min", 3), make_scheduler(SPACE, "min", 3)
        tuner = MiniTuner(live, curve)
        before = tuner.run(TRIALS, max_units=60)
        decisions = replay(before.calls, fresh)
        assert decisions == before.decisions
        assert [str(one.reason) for one in decisions] == [str(one.reason) for one in before.decisions]
        _go_on_the_same(tuner, live, fresh)

    def test_pickled_midway_it_goes_on_the_same(self, make_scheduler: MakeScheduler) -> None:
        scheduler = make_scheduler(SPACE, "min", 4)
        tuner = MiniTuner(scheduler, curve)
        tuner.run(TRIALS, max_units=60)
        _go_on_the_same(tuner, scheduler, dill.loads(dill.dumps(scheduler)))

    def test_maximizing_mirrors_minimizing(self, make_scheduler: MakeScheduler) -> None:
        def mirrored(trial_id: int, config: Config, resource: int) -> float:
            return -curve(trial_id, config, resource)

        least = self.run(make_scheduler(SPACE, "min", 5))
        most = self.run(make_scheduler(SPACE, "max", 5), mirrored)
        assert most.suggestions == least.suggestions
        assert most.decisions == least.decisions

    # -- reasons ---------------------------------------------------------------------------------------------------

    def test_what_is_taken_from_a_trial_has_a_reason(self, make_scheduler: MakeScheduler) -> None:
        for decision in self.run(make_scheduler(SPACE, "min", 6)).decisions:
            _check_reason(decision)

    def test_what_goes_on_after_a_pause_has_a_reason(self, make_scheduler: MakeScheduler) -> None:
        for suggestion in self.run(make_scheduler(SPACE, "max", 6)).suggestions:
            if isinstance(suggestion, Resume):
                assert isinstance(suggestion.reason, Reason)
                assert suggestion.reason.rule
                assert suggestion.reason.numbers

    # -- what happens in the world -----------------------------------------------------------------------------------

    @pytest.mark.parametrize("mode", ["min", "max"])
    @pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf, 0.0, 1e308, -1e308])
    def test_odd_objectives_are_survived(self, make_scheduler: MakeScheduler, mode: Mode, odd: float) -> None:
        def sometimes(trial_id: int, config: Config, resource: int) -> float:
            return odd if trial_id % 3 == 1 else curve(trial_id, config, resource)

        def always(trial_id: int, config: Config, resource: int) -> float:
            return odd

        for objective in (sometimes, always):
            record = self.run(make_scheduler(SPACE, mode, 7), objective)
            assert _launched(record) == TRIALS
            for decision in record.decisions:
                _check_reason(decision)

    def test_failed_removed_late_and_short_trials_are_survived(self, make_scheduler: MakeScheduler) -> None:
        events = Events(
            fails={trial_id: 1 + trial_id % 4 for trial_id in range(0, TRIALS, 4)},
            removed=dict.fromkeys(range(1, TRIALS, 8), 2),
            ends_early={trial_id: 1 + trial_id % 5 for trial_id in range(2, TRIALS, 8)},
            late={trial_id: 1 + trial_id % 9 for trial_id in range(3, TRIALS, 2)},
        )
        first = self.run(make_scheduler(SPACE, "min", 8), events=events)
        assert _launched(first) == TRIALS
        _same(first, self.run(make_scheduler(SPACE, "min", 8), events=events))

    def test_a_failed_configuration_is_not_launched_again(self, make_scheduler: MakeScheduler) -> None:
        scheduler = make_scheduler(FINITE, "min", 9)
        tuner = MiniTuner(scheduler, curve, events=Events(fails=dict.fromkeys(range(5), 1)))
        tuner.run(20)
        tuned = [tuple(trial.config[name] for name in ("a", "b", "c")) for trial in tuner.trials]
        assert not set(tuned[:5]) & set(tuned[5:])

    def test_a_finite_space_ends_cleanly(self, make_scheduler: MakeScheduler) -> None:
        if not self.exhausts_finite_spaces:
            pytest.skip("this scheduler declares that it may repeat configurations")
        tuner = MiniTuner(make_scheduler(FINITE, "min", 10), curve)
        tuner.run(FINITE_SIZE + 100)
        assert len({tuple(trial.config[name] for name in ("a", "b", "c")) for trial in tuner.trials}) == FINITE_SIZE
        assert len(tuner.trials) == FINITE_SIZE
        assert tuner.exhausted

    def test_it_says_what_it_is(self, make_scheduler: MakeScheduler) -> None:
        scheduler = make_scheduler(SPACE, "max", 11)
        said = scheduler.metadata()
        assert said["metric_names"] == list(scheduler.metric_names())
        assert said["metric_mode"] == "max"
        assert said["scheduler_name"]


class _AskedTooOften(TrialScheduler):
    """Passes everything on, and asks for every suggestion several times."""

    def __init__(self, scheduler: TrialScheduler) -> None:
        super().__init__(scheduler.config_space)
        self._scheduler = scheduler
        for name in (
            "on_trial_add",
            "on_trial_resume",
            "on_trial_complete",
            "on_trial_error",
            "on_trial_remove",
            "on_late_result",
        ):
            setattr(self, name, getattr(scheduler, name))

    def suggest(self, trial_id: int) -> Suggestion | NotNow | None:
        for other in (trial_id, trial_id + 500, trial_id + 1):
            self._scheduler.suggest(other)
        return self._scheduler.suggest(trial_id)

    def on_trial_result(self, trial: Any, result: Any) -> Decision:
        return self._scheduler.on_trial_result(trial, result)

    def metric_names(self) -> Any:
        return self._scheduler.metric_names()

    @property
    def resource_attr(self) -> str | None:
        return self._scheduler.resource_attr

    @property
    def max_resource_attr(self) -> str | None:
        return self._scheduler.max_resource_attr


def _same(first: Record, second: Record) -> None:
    assert first.suggestions == second.suggestions
    assert first.decisions == second.decisions
    assert first.calls == second.calls


def _go_on_the_same(tuner: MiniTuner, live: TrialScheduler, other: TrialScheduler) -> None:
    """``tuner`` goes on with ``live``; ``other`` is asked and told the same."""
    asked, told, decided = len(tuner.record.suggestions), len(tuner.record.calls), len(tuner.record.decisions)
    for trial_id in range(len(tuner.trials), len(tuner.trials) + 5):
        assert other.suggest(trial_id) == live.suggest(trial_id)
    record = tuner.run(2 * TRIALS)
    assert len(record.suggestions) > asked
    assert replay(record.calls[told:], other) == record.decisions[decided:]
    for trial_id in range(len(tuner.trials), len(tuner.trials) + 5):
        assert other.suggest(trial_id) == live.suggest(trial_id)


def _check_reason(decision: Decision) -> None:
    reason = decision.reason
    if decision.action is not Action.CONTINUE:
        assert isinstance(reason, Reason)
        assert reason.rule
        assert reason.numbers
        assert reason.threshold is not None
        assert reason.rule in str(reason)


def _launched(record: Record) -> int:
    return sum(isinstance(suggestion, Start) for suggestion in record.suggestions)
