"""Asynchronous successive halving, worked by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudtune.errors import MetricError
from cloudtune.schedulers import NOT_NOW, Action, HyperbandScheduler, Resume, Start
from cloudtune.space import randint, uniform
from cloudtune.trial import Metrics, Mode, Trial
from tests.schedulers.bench import NOW, Bench

SPACE: dict[str, Any] = {"x": uniform(0, 1), "epochs": 9}
CONTINUE, PAUSE, STOP = Action.CONTINUE, Action.PAUSE, Action.STOP


def stopping(**options: Any) -> Bench:
    options = {"max_resource_attr": "epochs", **options}
    return Bench(HyperbandScheduler(SPACE, "loss", random_seed=0, **options))


def promotion(**options: Any) -> Bench:
    return stopping(type="promotion", **options)


# -- stopping ------------------------------------------------------------------------------------------------------


def test_a_worked_sequence_of_stopping() -> None:
    bench = stopping()
    # rung 1; its cutoff lies a third of the way through the sorted results, the newcomer's among them
    assert bench.run(1, 5.0) == [CONTINUE]  # alone
    assert bench.run(1, 8.0) == [STOP]  # [5 8]: 6
    assert bench.run(1, 4.0) == [CONTINUE]  # [4 5 8]: 4.667
    assert bench.run(1, 5.0) == [CONTINUE]  # [4 5 5 8]: exactly 5
    assert bench.run(1, 5.1) == [STOP]  # [4 5 5 5.1 8]: 5
    # rung 3
    assert bench.action(0, 2, 3.0) is CONTINUE
    assert bench.action(0, 3, 3.0) is CONTINUE  # alone
    assert bench.action(2, 3, 3.5) is STOP  # [3 3.5]: 3.167
    assert bench.action(3, 3, 2.0) is CONTINUE  # [2 3 3.5]: 2.667
    # the maximum is no rung: the script was told, and ends by itself
    assert bench.action(0, 9, 99.0) is CONTINUE


def test_the_reason_of_a_stop_is_its_rule_numbers_and_threshold() -> None:
    bench = stopping()
    bench.run(1, 5.0)
    decision = bench.report(bench.start(), 1, 8.0)
    assert decision.reason is not None
    assert decision.reason.rule == "not among the best"
    assert decision.reason.numbers == {"loss": 8.0, "epoch": 1, "rung": 1, "recorded": 2}
    assert decision.reason.threshold == pytest.approx(6.0)


def test_what_goes_on_says_why_too() -> None:
    bench = stopping()
    first = bench.report(bench.start(), 1, 5.0)
    assert str(first.reason) == "first at its rung: loss 5, epoch 1, rung 1, recorded 1"
    assert str(bench.report(0, 2, 5.0).reason) == "between rungs: next rung 3"
    better = bench.report(bench.start(), 1, 4.0)
    assert str(better.reason) == "within the best: loss 4, epoch 1, rung 1, recorded 2 against 4.33333"


def test_maximizing_shows_thresholds_in_the_users_sign() -> None:
    bench = stopping(mode="max")
    assert bench.run(1, 0.5) == [CONTINUE]
    decision = bench.report(bench.start(), 1, 0.2)  # [0.5 0.2]: a third of the way from 0.5 to 0.2
    assert decision.action is STOP
    assert decision.reason is not None
    assert decision.reason.threshold == pytest.approx(0.4)


def test_the_last_fraction_refers_to_the_maximum() -> None:
    bench = Bench(HyperbandScheduler({"x": uniform(0, 1)}, "loss", max_t=4, rung_levels=[1, 3], random_seed=0))
    assert [bench.action(bench.start(), 3, loss) for loss in (1.0, 2.0)] == [CONTINUE, STOP]
    # rung 3 of 4: three quarters go on. [1 1.5 2] at 1.5: index 1.5, cutoff 1.75
    assert bench.action(bench.start(), 1, 0.0) is CONTINUE
    assert bench.action(2, 3, 1.5) is CONTINUE


def test_a_script_that_was_told_no_limit_is_stopped_at_the_maximum() -> None:
    bench = Bench(HyperbandScheduler({"x": uniform(0, 1)}, "loss", max_t=4, random_seed=0))
    assert bench.run(1, 1.0) == [CONTINUE]
    decision = bench.report(0, 4, 1.0)
    assert decision.action is STOP
    assert str(decision.reason) == "has reached the maximum: epoch 4 against 4"


def test_a_script_that_was_told_more_than_the_maximum_is_stopped_there() -> None:
    bench = stopping(max_t=5)
    bench.run(1, 1.0)
    assert bench.action(0, 5, 1.0) is STOP


# -- promotion -----------------------------------------------------------------------------------------------------


def test_a_worked_sequence_of_promotion() -> None:
    bench = promotion()
    assert bench.run(1, 5.0, 8.0) == [PAUSE, PAUSE]
    assert bench.trials[0].config["epochs"] == 1
    # [5 8]: cutoff 6, so 5 deserves to go on
    assert bench.resume() == 0
    assert bench.trials[0].config["epochs"] == 3
    assert bench.resume() is None  # 8 does not
    assert bench.run(1, 4.0, 6.0) == [PAUSE, PAUSE]
    # [4 5 6 8]: cutoff 5; 5 is promoted already
    assert bench.resume() == 2
    assert bench.resume() is None
    assert bench.action(0, 2, 4.5) is CONTINUE
    assert bench.action(0, 3, 4.0) is PAUSE
    assert bench.resume() is None  # alone at rung 3; rung 1 has none within 5
    assert bench.start() == 4
    assert bench.action(2, 3, 3.0) is PAUSE
    assert bench.action(4, 1, 1.0) is PAUSE
    # rung 3: [3 4], cutoff 3.333; the top rung comes first
    assert bench.resume() == 2
    assert bench.trials[2].config["epochs"] == 9
    assert bench.resume() == 4  # rung 1: [1 4 5 6 8], cutoff 4.333
    assert bench.resume() is None
    assert bench.action(2, 8, 2.0) is CONTINUE
    assert bench.action(2, 9, 2.0) is CONTINUE  # the maximum: it completes


def test_the_best_goes_first_and_of_equals_the_oldest() -> None:
    bench = promotion()
    bench.run(1, *[3.0, 1.0, 1.0, 9.0, 9.0, 9.0, 9.0])
    assert [bench.resume(), bench.resume()] == [1, 2]
    assert bench.resume() == 0  # 7 results: the third lies on the quantile
    assert bench.resume() is None


def test_a_paused_trial_is_resumed_only_once_its_job_has_ended_and_blocks_nobody_until_then() -> None:
    bench = promotion()
    first, second, best = (bench.start() for _ in range(3))
    assert bench.report(best, 1, 1.0, its_job_ends=False).action is PAUSE
    assert bench.action(first, 1, 5.0) is bench.action(second, 1, 6.0) is PAUSE
    assert isinstance(bench.scheduler.suggest(3), Start)
    bench.scheduler.on_trial_remove(bench.trials[best])
    assert bench.resume() == best


def test_a_pause_says_where() -> None:
    bench = promotion()
    decision = bench.report(bench.start(), 1, 5.0)
    assert str(decision.reason) == "pauses at its rung: loss 5, epoch 1, rung 1 against 1"


def test_a_promotion_says_why() -> None:
    bench = promotion()
    bench.run(1, 5.0, 8.0)
    suggestion = bench.scheduler.suggest(2)
    assert isinstance(suggestion, Resume)
    assert str(suggestion.reason) == "within the best: loss 5, rung 1, recorded 2 against 6"


def test_without_max_resource_attr_configurations_stay() -> None:
    bench = Bench(HyperbandScheduler(SPACE, "loss", type="promotion", max_t=9, random_seed=0))
    assert bench.run(1, 1.0, 5.0) == [PAUSE, PAUSE]
    assert bench.scheduler.suggest(2) == Resume(0)
    assert bench.trials[0].config["epochs"] == 9


def test_work_repeated_from_scratch_is_ignored_until_it_is_new() -> None:
    bench = promotion()
    bench.run(1, 5.0, 8.0)
    assert bench.resume() == 0
    assert bench.action(0, 1, 1000.0) is CONTINUE
    assert bench.action(0, 2, 1000.0) is CONTINUE
    assert bench.scheduler.rungs()[0].keys[0] == 5.0
    assert bench.action(0, 3, 4.0) is PAUSE


def test_a_finite_space_waits_for_running_trials_and_then_ends() -> None:
    scheduler = HyperbandScheduler(
        {"a": randint(0, 1), "epochs": 9},
        "loss",
        type="promotion",
        max_resource_attr="epochs",
        points_to_evaluate=[],
        random_seed=0,
    )
    bench = Bench(scheduler)
    bench.start()
    bench.start()
    assert scheduler.suggest(2) is NOT_NOW
    bench.action(0, 1, 1.0)
    assert scheduler.suggest(2) is NOT_NOW
    bench.action(1, 1, 2.0)
    assert bench.resume() == 0
    assert scheduler.suggest(2) is NOT_NOW
    bench.action(0, 3, 1.0)
    assert scheduler.suggest(2) is None


def test_paused_trials_of_all_brackets_are_found_when_configurations_run_out() -> None:
    scheduler = HyperbandScheduler(
        {"a": randint(0, 29), "epochs": 9},
        "loss",
        type="promotion",
        max_resource_attr="epochs",
        brackets=3,
        rung_system_per_bracket=True,
        random_seed=1,
    )
    bench = Bench(scheduler)
    for _ in range(30):
        trial_id = bench.start()
        first = bench.trials[trial_id].config["epochs"]
        bench.action(trial_id, first, float(trial_id))
        while (resumed := bench.resume()) is not None:
            bench.action(resumed, bench.trials[resumed].config["epochs"], float(resumed))
    for bracket in range(2):
        rung = scheduler.rungs(bracket)[0]
        assert len(rung) > 3
        assert len(rung.waiting()) < len(rung)
    assert scheduler.suggest(30) is None or scheduler.suggest(30) is NOT_NOW


# -- brackets ------------------------------------------------------------------------------------------------------


def test_trials_of_higher_brackets_skip_the_lowest_rungs() -> None:
    bench = stopping(brackets=3)
    for _ in range(200):
        bench.start()
    skipping = [trial.trial_id for trial in bench.trials if "3" in str(bench.report(trial.trial_id, 0, 1.0).reason)]
    straight = [trial.trial_id for trial in bench.trials if "9" in str(bench.report(trial.trial_id, 0, 1.0).reason)]
    assert 30 < len(skipping) < 90  # 5 of 17: sizes 9, 5, 3
    assert 15 < len(straight) < 60  # 3 of 17
    assert bench.action(skipping[0], 1, 1.0) is CONTINUE
    assert len(bench.scheduler.rungs()[0]) == 0
    bench.action(skipping[0], 3, 1.0)
    assert len(bench.scheduler.rungs()[1]) == 1
    bench.action(straight[0], 8, 1.0)
    assert len(bench.scheduler.rungs()[1]) == 1


@pytest.mark.parametrize("separate", [False, True])
def test_brackets_share_rungs_unless_they_are_separate(separate: bool) -> None:
    bench = stopping(brackets=2, rung_system_per_bracket=separate)
    for _ in range(40):
        bench.action(bench.start(), 3, 1.0)
    at_three = [len(bench.scheduler.rungs(bracket)[-1]) for bracket in range(2)]
    assert (sum(at_three) == 40 and min(at_three) > 0) if separate else at_three == [40, 40]


def test_a_first_milestone_is_told_to_scripts() -> None:
    bench = promotion(brackets=2)
    for _ in range(40):
        bench.start()
    assert {trial.config["epochs"] for trial in bench.trials} == {1, 3}


# -- resources in any order ----------------------------------------------------------------------------------------


def test_a_jump_over_levels_counts_for_each_with_the_value_seen_first() -> None:
    bench = stopping()
    assert bench.run(5, 2.0) == [CONTINUE]
    assert [rung.keys for rung in bench.scheduler.rungs()] == [{0: 2.0}, {0: 2.0}]
    assert bench.action(0, 3, 7.0) is CONTINUE
    assert [rung.keys for rung in bench.scheduler.rungs()] == [{0: 2.0}, {0: 2.0}]


def test_a_jump_is_stopped_by_the_first_rung_that_objects() -> None:
    bench = stopping()
    bench.run(1, 1.0)
    decision = bench.report(bench.start(), 4, 5.0)
    assert decision.action is STOP
    assert decision.reason is not None
    assert decision.reason.numbers["rung"] == 1
    assert len(bench.scheduler.rungs()[1]) == 1


def test_a_jump_pauses_at_the_highest_level_reached() -> None:
    bench = promotion(max_t=81, max_resource_attr=None)
    assert bench.run(10, 1.0, 2.0) == [PAUSE, PAUSE]
    assert bench.resume() == 0
    assert bench.action(0, 26, 1.0) is CONTINUE
    assert bench.action(0, 27, 1.0) is PAUSE


def test_repeated_and_backward_resources_count_once() -> None:
    bench = stopping()
    bench.run(1, 1.0)
    for epoch in (1, 1, 0, -3, 2, 1):
        assert bench.action(0, epoch, 50.0) is CONTINUE
    assert bench.scheduler.rungs()[0].keys == {0: 1.0}


@pytest.mark.parametrize("epoch", [0, 0.5, -1])
def test_a_resource_below_the_first_level_is_tolerated(epoch: float) -> None:
    bench = stopping()
    assert bench.run(int(epoch), 1.0) == [CONTINUE]
    assert bench.action(0, epoch, 1.0) is CONTINUE
    assert len(bench.scheduler.rungs()[0]) == 0


def test_a_fraction_counts_from_the_level_on() -> None:
    bench = stopping()
    bench.start()
    bench.action(0, 2.5, 1.0)
    assert [len(rung) for rung in bench.scheduler.rungs()] == [1, 0]


@pytest.mark.parametrize("epoch", [None, "3", math.nan, math.inf])
def test_a_resource_that_is_no_number_is_data_for_nothing(epoch: Any) -> None:
    bench = stopping()
    decision = bench.report(bench.start(), epoch, 1.0)
    assert decision.action is CONTINUE
    assert str(decision.reason) == "the resource is no finite number"
    bench.scheduler.on_trial_complete(bench.trials[0], {"loss": 1.0, "epoch": epoch})


@pytest.mark.parametrize(
    ("result", "named"), [({"epoch": 1, "los": 2.0}, "'loss'"), ({"loss": 1.0, "step": 2}, "'epoch'")]
)
def test_a_report_without_metric_or_resource_is_an_error_naming_what_is_there(result: Metrics, named: str) -> None:
    bench = stopping()
    bench.start()
    with pytest.raises(MetricError, match=named) as caught:
        bench.scheduler.on_trial_result(bench.trials[0], result)
    for name in result:
        assert repr(name) in caught.value.message


# -- odd objectives ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf, None, "diverged", pytest.param(10**400, id="huge")])
def test_what_is_no_finite_number_ranks_last_in_both_modes(mode: Mode, odd: Any) -> None:
    bench = stopping(mode=mode)
    assert bench.run(1, 1.0, odd) == [CONTINUE, STOP]
    paused = promotion(mode=mode)
    paused.run(1, odd, 1.0, odd)
    assert [paused.resume(), paused.resume()] == [1, None]


def test_one_rung_of_nothing_but_nan_promotes_nobody() -> None:
    bench = promotion()
    bench.run(1, *[math.nan] * 6)
    assert bench.resume() is None


VALUES = st.one_of(st.floats(allow_nan=True, allow_infinity=True), st.integers(-3, 3).map(float))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 10), VALUES), max_size=60),
    st.sampled_from(["stopping", "promotion"]),
)
def test_maximizing_is_the_mirror_of_minimizing(reports: list[tuple[int, int, float]], kind: str) -> None:
    least, most = stopping(type=kind), stopping(type=kind, mode="max")
    for trial, epoch, value in reports:
        for bench in (least, most):
            if trial >= len(bench.trials) and bench.resume() is None:
                bench.start()
        trial = min(trial, len(least.trials) - 1)
        first, second = least.report(trial, epoch, value), most.report(trial, epoch, -value)
        assert first == second
        assert first.reason is not None and second.reason is not None
        assert first.reason.rule == second.reason.rule
        assert least.scheduler.suggest(99) == most.scheduler.suggest(99)


# -- ends and late reports -----------------------------------------------------------------------------------------


def test_a_failed_trial_is_never_resumed_but_its_results_count() -> None:
    bench = promotion()
    bench.run(1, 1.0, 5.0, 6.0, 7.0)
    bench.scheduler.on_trial_error(bench.trials[0])
    # [1 5 6 7]: cutoff 5
    assert [bench.resume(), bench.resume()] == [1, None]


def test_failure_and_removal_while_running() -> None:
    bench = promotion()
    for end in (bench.scheduler.on_trial_error, bench.scheduler.on_trial_remove):
        end(bench.trials[bench.start()])
    bench.run(1, 1.0, 2.0)
    assert [bench.resume(), bench.resume()] == [2, None]


def test_completion_before_a_milestone() -> None:
    bench = promotion()
    bench.start()
    bench.action(0, 0, 1.0)
    bench.scheduler.on_trial_complete(bench.trials[0], {"loss": 1.0, "epoch": 0})
    bench.run(1, 3.0, 9.0)
    assert [bench.resume(), bench.resume()] == [1, None]


def test_work_done_after_a_pause_was_asked_for_moves_the_trial_up() -> None:
    bench = promotion()
    bench.run(1, 1.0, 5.0, 9.0)
    bench.late(0, 2, 0.9)
    bench.late(0, 3, 0.8)
    # it waits at rung 3 now, alone, and counts at rung 1 as promoted
    assert bench.scheduler.rungs()[0].waiting() == [1, 2]
    assert bench.scheduler.rungs()[1].waiting() == [0]
    assert bench.resume() is None
    bench.run(1, 0.5, 0.6)
    assert [bench.resume(), bench.resume(), bench.resume()] == [3, 4, None]
    assert bench.action(3, 3, 0.9) is PAUSE
    # rung 3: [0.8 0.9]
    assert bench.resume() == 0
    assert bench.trials[0].config["epochs"] == 9


def test_a_paused_trial_whose_job_went_on_to_the_maximum_is_not_resumed() -> None:
    bench = promotion()
    bench.run(1, 1.0, 5.0, 2.0)
    for epoch in range(2, 10):
        bench.late(0, epoch, 0.5)
    assert bench.scheduler.rungs()[1].keys == {0: 0.5}
    # [1 2 5]: cutoff 1.667, and trial 0 has nothing left to do
    assert bench.resume() is None


@pytest.mark.parametrize("its_job_ends", [True, False], ids=["paused", "pausing"])
def test_the_checkpoint_of_a_trial_that_came_to_the_maximum_by_itself_is_let_go_once(its_job_ends: bool) -> None:
    bench = promotion()
    bench.run(1, 9.0)
    trial_id = bench.start()
    bench.report(trial_id, 1, 1.0, its_job_ends)
    bench.late(trial_id, 9, 0.1)
    if not its_job_ends:
        assert list(bench.scheduler.trials_checkpoints_can_be_removed()) == []  # its job may still write it
        bench.scheduler.on_trial_remove(bench.trials[trial_id])
    assert list(bench.scheduler.trials_checkpoints_can_be_removed()) == [trial_id]
    bench.late(trial_id, 10, 0.1)
    assert list(bench.scheduler.trials_checkpoints_can_be_removed()) == []
    assert bench.resume() is None


def test_the_checkpoint_of_a_trial_that_diverged_after_it_was_paused_is_let_go_once() -> None:
    bench = promotion()
    bench.run(1, 9.0, 1.0)
    assert list(bench.scheduler.trials_checkpoints_can_be_removed()) == []
    bench.late(1, 3, math.nan)
    bench.late(1, 4, math.nan)
    assert list(bench.scheduler.trials_checkpoints_can_be_removed()) == [1]
    assert list(bench.scheduler.trials_checkpoints_can_be_removed()) == []


def test_a_late_report_of_an_earlier_attempt_takes_no_rung_from_the_present_one() -> None:
    bench = promotion()
    bench.run(1, 1.0, 5.0)
    assert bench.resume() == 0
    bench.late(0, 3, 0.8)
    assert bench.scheduler.rungs()[1].waiting() == []
    # its script was told to end at 3: there it pauses, or it would count as finished
    assert bench.action(0, 2, 0.9) is CONTINUE
    assert bench.action(0, 3, 0.8) is PAUSE
    assert bench.scheduler.rungs()[1].waiting() == [0]


def test_work_done_after_a_stop_was_asked_for_stops_nobody_else() -> None:
    """How much of it there is depends on how late logs are."""
    bench = stopping()
    bench.run(1, 1.0, 5.0)
    bench.late(1, 3, 0.5)
    assert bench.scheduler.rungs()[1].keys == {}
    assert bench.action(0, 3, 0.8) is CONTINUE


def test_a_late_report_of_a_trial_that_has_ended_by_itself_is_data_for_the_rung() -> None:
    bench = stopping()
    bench.run(1, 1.0)
    bench.scheduler.on_trial_complete(bench.trials[0], {"loss": 1.0, "epoch": 1})
    bench.late(0, 3, 4.0)
    assert bench.scheduler.rungs()[1].keys == {0: 4.0}


def test_a_late_report_while_the_trial_runs_again_is_decided_on_at_the_next_one() -> None:
    bench = stopping()
    bench.run(1, 1.0)
    bench.action(0, 3, 1.0)
    bench.start()
    bench.scheduler.on_trial_resume(bench.trials[1])
    bench.late(1, 1, 5.0)
    decision = bench.report(1, 2, 4.0)
    assert decision.action is STOP
    assert decision.reason is not None
    assert decision.reason.numbers["loss"] == 5.0


def test_a_relaunch_after_an_interruption_goes_on() -> None:
    bench = promotion()
    bench.run(1, 1.0, 5.0)
    assert bench.resume() == 0
    bench.scheduler.on_trial_resume(bench.trials[0])
    assert bench.action(0, 3, 1.0) is PAUSE
    assert bench.scheduler.rungs()[1].waiting() == [0]


def test_a_trial_that_was_never_announced_counts_as_launched() -> None:
    bench = stopping()
    suggestion = bench.scheduler.suggest(0)
    assert isinstance(suggestion, Start)
    trial = Trial(0, suggestion.config, NOW)
    bench.scheduler.on_trial_result(trial, {"loss": 1.0, "epoch": 1})
    following = bench.scheduler.suggest(1)
    assert isinstance(following, Start)
    assert following.config != suggestion.config
