"""The rules of synchronous successive halving, one by one."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from cloudtune.schedulers.base import Action, Resume
from cloudtune.schedulers.sync_hyperband import SynchronousHyperbandScheduler
from cloudtune.searchers.base import Searcher
from cloudtune.searchers.problem import SearchProblem
from cloudtune.space import choice, uniform
from cloudtune.trial import Config, Metrics, Trial
from tests.schedulers.sync_bench import NOW, SyncBench

SPACE: dict[str, Any] = {"x": uniform(0, 1), "epochs": 9}
HALVING = [(9, 1), (3, 3), (1, 9)]


def bench(*rungs: Sequence[tuple[int, int]], told: bool = True, **options: Any) -> SyncBench:
    make: Callable[..., SynchronousHyperbandScheduler] = SynchronousHyperbandScheduler
    limit = {"max_resource_attr": "epochs"} if told else {}
    space = options.pop("space", SPACE if told else {"x": uniform(0, 1)})
    return SyncBench(make(space, rungs, "loss", random_seed=1, **limit, **options))


def at_work(bench: SyncBench) -> dict[int, tuple[int, int]]:
    """Number of each bracket that is under way: the level of its present rung, and how many places are taken there."""
    scheduler = bench.scheduler
    assert isinstance(scheduler, SynchronousHyperbandScheduler)
    return {bracket.number: (bracket.rung.level, bracket.occupied) for bracket in scheduler.brackets_at_work()}


# -- one bracket, by hand ------------------------------------------------------------------------------------------


def test_a_bracket_of_nine_trials() -> None:
    tried = bench(HALVING)
    tried.run(1, 0.9, 0.2, 0.8, 0.1, 0.7, 0.5, 0.3, 0.6, 0.4)
    assert set(tried.told.values()) == {1}
    assert sorted(tried.removable()) == [0, 2, 4, 5, 7, 8]
    # the three best, best first
    suggestion = tried.scheduler.suggest(9)
    assert isinstance(suggestion, Resume)
    assert str(suggestion.reason) == "among the best of its rung: loss 0.1, rung 1, places 3"
    assert [tried.go() for _ in range(3)] == ["resume 3", "resume 1", "resume 6"]
    assert [tried.told[trial_id] for trial_id in (3, 1, 6)] == [3, 3, 3]
    assert tried.report(3, 2, 0.05) == Action.CONTINUE
    for trial_id, loss in ((3, 0.15), (1, 0.12), (6, 0.2)):
        assert tried.report(trial_id, 3, loss) == Action.PAUSE
    assert sorted(tried.removable()) == [3, 6]
    assert tried.go() == "resume 1"
    assert tried.told[1] == 9
    last = tried.report(1, 9, 0.1)
    assert last == Action.CONTINUE
    assert "ends by itself" in str(last.reason)
    tried.completes(1, 9, 0.1)
    assert at_work(tried) == {}
    assert tried.removable() == []
    assert tried.go() == "new 9"


def test_reasons_have_numbers_and_what_they_are_compared_with() -> None:
    tried = bench(HALVING)
    tried.start(1)
    assert str(tried.report(0, 1, 0.5).reason) == "pauses at its rung: loss 0.5, epoch 1, bracket 0 against 1"


def test_maximizing_resumes_the_largest() -> None:
    tried = bench([(3, 1), (1, 9)], mode="max")
    tried.run(1, 0.5, 0.9, 0.7)
    assert tried.go() == "resume 1"


def test_of_equal_results_that_of_the_earlier_trial_counts() -> None:
    tried = bench([(3, 1), (1, 9)])
    tried.start(3)
    for trial_id in (2, 1, 0):
        tried.report(trial_id, 1, 0.5)
    assert tried.go() == "resume 0"


# -- nobody waits ----------------------------------------------------------------------------------------------------


def test_while_a_rung_is_pending_the_next_bracket_begins() -> None:
    tried = bench([(3, 1), (1, 9)], [(2, 3), (1, 9)])
    tried.start(5)
    assert [tried.told[trial_id] for trial_id in range(5)] == [1, 1, 1, 3, 3]
    assert at_work(tried) == {0: (1, 0), 1: (3, 0)}
    tried.start(1)  # the cycle begins anew
    assert tried.told[5] == 1
    for trial_id, loss in ((0, 0.3), (1, 0.1), (2, 0.2)):
        tried.report(trial_id, 1, loss)
    assert tried.go() == "resume 1"  # the oldest bracket first
    assert tried.go() == "new 6"
    assert at_work(tried) == {0: (9, 0), 1: (3, 0), 2: (1, 0)}


def test_a_job_that_is_still_stopping_is_not_resumed_and_nobody_waits_for_it() -> None:
    tried = bench([(2, 1), (1, 9)])
    tried.start(2)
    tried.report(0, 1, 0.5)
    tried.report(1, 1, 0.1, its_job_ends=False)
    assert tried.go() == "new 2"
    tried.ends(1)
    assert tried.go() == "resume 1"


def test_a_trial_that_is_left_may_still_be_stopping() -> None:
    tried = bench([(2, 1), (1, 9)])
    tried.start(2)
    tried.report(0, 1, 0.1)
    tried.report(1, 1, 0.5, its_job_ends=False)
    assert tried.removable() == []
    tried.ends(1)
    assert tried.removable() == [1]


def test_a_new_trial_belongs_where_its_script_was_told_to_end() -> None:
    tried = bench([(2, 1), (1, 9)], [(2, 3), (1, 9)])
    tried.start(1)
    tried.trials.append(Trial(1, {"x": 0.5, "epochs": 3}, NOW))
    tried.scheduler.on_trial_add(tried.trials[1])
    assert at_work(tried) == {0: (1, 0), 1: (3, 0)}
    assert tried.report(1, 2, 0.5) == Action.CONTINUE
    assert tried.report(1, 3, 0.5) == Action.PAUSE
    assert at_work(tried) == {0: (1, 0), 1: (3, 1)}


# -- what goes wrong -------------------------------------------------------------------------------------------------


def test_a_failed_trial_is_the_worst_of_its_rung() -> None:
    tried = bench([(3, 1), (2, 3), (1, 9)])
    tried.start(3)
    tried.fails(1)
    tried.report(0, 1, 7.0)
    tried.report(2, 1, 5.0)
    assert [tried.go(), tried.go()] == ["resume 2", "resume 0"]
    tried.fails(2)
    tried.report(0, 3, 9.0)
    assert tried.go() == "resume 0"
    tried.fails(0)
    assert at_work(tried) == {}
    assert tried.go() == "new 3"


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf, None])
def test_a_diverged_trial_never_goes_on_and_its_place_above_counts_as_taken(odd: Any) -> None:
    tried = bench([(3, 1), (2, 3), (1, 9)])
    tried.run(1, odd, 0.5, odd)
    assert tried.go() == "resume 1"
    assert tried.go() == "new 3"
    tried.report(1, 3, 0.4)
    assert tried.go() == "resume 1"
    assert tried.told[1] == 9
    assert sorted(tried.removable()) == [0, 2]


def test_a_bracket_of_failed_trials_is_over() -> None:
    tried = bench([(2, 1), (1, 9)])
    tried.start(2)
    tried.fails(0)
    tried.fails(1)
    assert at_work(tried) == {}


def test_a_trial_that_ended_before_its_rung_counts_as_the_worst() -> None:
    tried = bench([(2, 3), (1, 9)])
    tried.start(2)
    tried.report(0, 1, 0.0)
    tried.completes(0, 1, 0.0)
    tried.report(1, 3, 0.9)
    assert tried.go() == "resume 1"


def test_one_that_was_removed_from_outside_counts_as_the_worst() -> None:
    tried = bench([(2, 3), (1, 9)])
    tried.start(2)
    tried.report(0, 1, 0.0)
    tried.ends(0)
    tried.report(1, 3, 0.9)
    assert tried.go() == "resume 1"


def test_in_place_of_one_that_can_not_go_on_the_next_best_does() -> None:
    tried = bench([(3, 1), (1, 9)])
    tried.start(3)
    tried.report(0, 1, 0.1, its_job_ends=False)
    tried.completes(0, 1, 0.1)  # its script has ended, and there is nothing to resume
    tried.report(1, 1, 0.3)
    tried.report(2, 1, 0.2)
    assert tried.go() == "resume 2"


# -- reports in other orders -----------------------------------------------------------------------------------------


def test_a_late_report_above_the_rung_fills_the_next_without_a_resume() -> None:
    tried = bench([(3, 1), (2, 3), (1, 9)], told=False)
    tried.run(1, 0.1, 0.5, 0.2)
    tried.late(0, 3, 0.05)
    assert tried.go() == "resume 2"
    tried.report(2, 3, 0.15)
    assert tried.go() == "resume 0"


def test_a_late_report_before_the_rung_is_full_counts_when_it_is() -> None:
    tried = bench([(2, 1), (1, 3)], told=False)
    tried.start(2)
    tried.report(0, 1, 0.1)
    tried.late(0, 3, 0.05)
    tried.report(1, 1, 0.5)
    assert at_work(tried) == {}  # the only place of the last rung has been filled
    assert tried.go() == "new 2"


def test_a_paused_trial_that_has_done_everything_is_not_resumed() -> None:
    tried = bench([(2, 1), (1, 9)], [(1, 9)], told=False)
    tried.run(1, 0.1, 0.5)
    tried.late(0, 9, 0.05)
    assert at_work(tried) == {}
    assert sorted(tried.removable()) == [0, 1]


def test_a_resource_that_jumps_over_its_rung_counts_for_it() -> None:
    tried = bench([(2, 1), (1, 9)], told=False)
    tried.start(2)
    assert tried.report(0, 4, 0.1) == Action.PAUSE
    assert tried.report(1, 2, 0.2) == Action.PAUSE
    assert tried.go() == "resume 0"
    assert tried.report(0, 5, 0.05) == Action.CONTINUE
    assert tried.report(0, 9, 0.05) == Action.STOP


def test_a_script_that_starts_again_from_scratch_changes_nothing_until_it_is_where_it_was() -> None:
    tried = bench([(3, 1), (2, 3), (1, 9)])
    tried.run(1, 0.3, 0.2, 0.9)
    assert tried.go() == "resume 1"
    assert tried.report(1, 1, 99.0) == Action.CONTINUE
    assert tried.report(1, 2, 0.2) == Action.CONTINUE
    assert tried.report(1, 3, 0.15) == Action.PAUSE
    assert at_work(tried) == {0: (3, 1)}


def test_a_report_of_the_attempt_before_that_comes_while_the_next_one_runs() -> None:
    tried = bench([(2, 1), (1, 3)], told=False)
    tried.run(1, 0.1, 0.5)
    assert tried.go() == "resume 0"
    tried.late(0, 2, 0.1)
    tried.late(0, 3, 0.05)
    assert at_work(tried) == {}
    assert tried.report(0, 3, 0.06) == Action.STOP


def test_a_resource_that_is_no_number_says_nothing() -> None:
    tried = bench([(2, 1), (1, 9)])
    tried.start(2)
    assert tried.report(0, math.nan, 0.1) == Action.CONTINUE
    assert at_work(tried) == {0: (1, 0)}


def test_untold_scripts_are_stopped_at_their_last_rung() -> None:
    tried = bench([(2, 2), (1, 4)], told=False)
    tried.run(2, 0.1, 0.2)
    assert tried.go() == "resume 0"
    assert tried.report(0, 4, 0.1) == Action.STOP


def test_brackets_may_end_below_the_maximum() -> None:
    tried = bench([(2, 1), (1, 3)], max_resource_level=9)
    tried.run(1, 0.1, 0.2)
    assert tried.go() == "resume 0"
    assert tried.told[0] == 3
    assert tried.report(0, 3, 0.1) == Action.STOP


# -- the end of a finite space ---------------------------------------------------------------------------------------


def test_a_rung_that_nothing_new_can_fill_is_closed_and_those_above_shrink() -> None:
    space = {"c": choice(list("abcdef")), "epochs": 9}
    tried = bench([(18, 1), (9, 3), (3, 9)], space=space)
    tried.run(1, 0.6, 0.5, 0.4, 0.3, 0.2)
    tried.start(1)
    assert tried.go() == "NotNow.NOT_NOW"  # trial 5 belongs to the rung, too
    tried.report(5, 1, 0.1)
    assert [tried.go() for _ in range(4)] == ["resume 5", "resume 4", "resume 3", "NotNow.NOT_NOW"]  # 9 · 6 / 18
    assert sorted(tried.removable()) == [0, 1, 2]
    for trial_id in (5, 4, 3):
        tried.report(trial_id, 3, 0.1 * trial_id)
    assert [tried.go(), tried.go()] == ["resume 3", "NotNow.NOT_NOW"]
    tried.report(3, 9, 0.1)
    tried.completes(3, 9, 0.1)
    assert tried.go() == "None"


def test_asking_at_the_end_of_a_finite_space_closes_nothing() -> None:
    space = {"c": choice(list("abc")), "epochs": 9}
    tried = bench([(9, 1), (3, 9)], space=space)
    tried.run(1, 0.3, 0.1, 0.2)
    for _ in range(3):
        tried.scheduler.suggest(3)
    assert at_work(tried) == {0: (1, 3)}
    assert tried.go() == "resume 1"
    assert at_work(tried) == {0: (9, 0)}


# -- searchers -------------------------------------------------------------------------------------------------------


class Listening(Searcher):
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.heard: list[tuple[Any, ...]] = []
        self.problem: SearchProblem | None = None

    def suggest(self, trial_id: int) -> Config | None:
        return {"x": 1 / (1 + trial_id), "epochs": 9}

    def carried(self, trial_id: int) -> Mapping[str, Any] | None:
        return {"fit": trial_id}

    def check_fits(self, problem: SearchProblem) -> None:
        self.problem = problem

    def on_carried(self, trial_id: int, carried: Mapping[str, Any]) -> None:
        self.heard.append(("carried", trial_id, carried["fit"]))

    def on_trial_add(self, trial_id: int, config: Config) -> None:
        self.heard.append(("add", trial_id, config["epochs"]))

    def register_pending(self, trial_id: int, resource: int | None = None) -> None:
        self.heard.append(("pending", trial_id, resource))

    def on_result(self, trial_id: int, config: Config, result: Metrics, update: bool) -> None:
        self.heard.append(("result", trial_id, result["epoch"], update))

    def cleanup_pending(self, trial_id: int) -> None:
        self.heard.append(("cleanup", trial_id))

    def on_trial_error(self, trial_id: int) -> None:
        self.heard.append(("error", trial_id))


def test_what_a_searcher_hears() -> None:
    searcher = Listening()
    tried = bench([(2, 2), (1, 9)], searcher=searcher)
    assert searcher.problem is not None
    assert (searcher.problem.resource_attr, searcher.problem.max_t) == ("epoch", 9)
    tried.start(1)
    tried.report(0, 1, 0.5)
    tried.report(0, 2, 0.4)
    assert searcher.heard == [
        ("carried", 0, 0),
        ("add", 0, 2),
        ("pending", 0, 2),
        ("result", 0, 1, False),
        ("result", 0, 2, True),
        ("cleanup", 0),
    ]
    searcher.heard.clear()
    tried.start(1)
    tried.fails(1)
    assert searcher.heard[3:] == [("cleanup", 1), ("error", 1)]
    searcher.heard.clear()
    assert tried.go() == "resume 0"
    tried.late(0, 2, 0.4)
    assert searcher.heard == [("pending", 0, 9), ("result", 0, 2, False)]


def test_a_searcher_may_hear_of_every_report() -> None:
    searcher = Listening()
    tried = bench([(2, 2), (1, 4)], searcher=searcher, searcher_data="all")
    tried.start(1)
    tried.report(0, 1, 0.5)
    assert searcher.heard[2:] == [("pending", 0, 1), ("pending", 0, 2), ("result", 0, 1, True)]
    tried.report(0, 2, 0.4)
    tried.start(1)
    tried.report(1, 2, 0.9)
    searcher.heard.clear()
    assert tried.go() == "resume 0"
    assert searcher.heard == [("pending", 0, 3), ("pending", 0, 4)]
    searcher.heard.clear()
    for epoch in (1, 2, 3):  # from scratch
        tried.report(0, epoch, 0.3)
    assert searcher.heard == [("result", 0, 1, False), ("result", 0, 2, False), ("result", 0, 3, True)]
