"""Promotion by cost, worked by hand, and its sums against naive ones."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudtune.engine.stopping import StoppingCriterion
from cloudtune.errors import MetricError
from cloudtune.schedulers import Action, HyperbandScheduler, Resume
from cloudtune.schedulers.cost_promotion import CostShare, TotalCosts
from cloudtune.space import uniform
from cloudtune.testing.fake_cloud import FakeCloud, FakeFaults
from tests.schedulers.bench import Bench
from tests.tuning import tuner_on

SPACE: dict[str, Any] = {"x": uniform(0, 1), "epochs": 9}


class CostBench(Bench):
    def __init__(self, **options: Any) -> None:
        options = {"max_resource_attr": "epochs", "cost_attr": "seconds", "random_seed": 0, **options}
        super().__init__(HyperbandScheduler(SPACE, "loss", type="cost_promotion", **options))
        self._on_their_way = iter([self.start() for _ in range(7)])

    def reports(self, trial_id: int, epoch: int, loss: float, seconds: Any) -> Action:
        trial = self.trials[trial_id]
        result = {"loss": loss, "epoch": epoch, "seconds": seconds}
        decision = self.scheduler.on_trial_result(trial, result)
        if decision.action is Action.PAUSE:
            self.scheduler.on_trial_remove(trial)
        return decision.action

    def begins(self, loss: float, seconds: float) -> None:
        """The next trial comes to rung 1."""
        assert self.reports(next(self._on_their_way), 1, loss, seconds) is Action.PAUSE

    def next_up(self) -> int | None:
        suggestion = self.scheduler.suggest(len(self.trials))
        return suggestion.trial_id if isinstance(suggestion, Resume) else None


def test_a_worked_table() -> None:
    bench = CostBench()
    # the fraction of rung 1 is a third; C(k): what the best k have cost, seconds
    bench.begins(5.0, 6)
    assert bench.next_up() is None  # alone
    # loss 5  8
    # C    6 18    at most 18 / 3 = 6: the first one
    bench.begins(8.0, 12)
    assert bench.next_up() == 0
    # loss 4  5  8
    # C    9 15 27    at most 9: only the newcomer
    bench.begins(4.0, 9)
    assert bench.resume() == 2
    assert bench.next_up() is None
    # loss 4  5  8  9
    # C    9 15 27 57    at most 19: the first two
    bench.begins(9.0, 30)
    assert bench.resume() == 0
    assert bench.next_up() is None


def test_a_good_trial_that_has_cost_most_of_all_waits_until_others_have_cost_as_much() -> None:
    bench = CostBench()
    for loss, seconds in ((1.0, 10), (2.0, 1), (3.0, 1)):
        bench.begins(loss, seconds)
    assert bench.next_up() is None  # 10 > 12 / 3
    bench.begins(4.0, 18)
    assert bench.next_up() == 0  # 10 = 30 / 3
    suggestion = bench.scheduler.suggest(4)
    assert isinstance(suggestion, Resume)
    assert str(suggestion.reason) == "among the best by their share of the cost: loss 1, rung 1, recorded 4"


def test_the_top_rung_comes_first_and_costs_are_those_of_all_attempts() -> None:
    bench = CostBench()
    for loss, seconds in ((1.0, 3), (1.1, 3), (9.0, 4), (9.0, 4), (9.0, 4)):
        bench.begins(loss, seconds)  # 3 + 3 = 18 / 3
    assert [bench.resume(), bench.resume()] == [0, 1]
    # rung 3: trial 0 has cost 3 + 1 seconds, trial 1 has cost 3 + 6: 4 <= 13 / 3
    assert bench.reports(0, 2, 0.9, 0.5) is Action.CONTINUE
    assert bench.reports(0, 3, 0.9, 1) is Action.PAUSE
    assert bench.reports(1, 3, 1.0, 6) is Action.PAUSE
    assert bench.next_up() == 0
    assert bench.resume() == 0
    assert bench.trials[0].config["epochs"] == 9


def test_a_trial_that_starts_again_from_scratch_costs_what_the_last_attempt_has_cost() -> None:
    bench = CostBench()
    for loss, seconds in ((1.0, 3), (1.1, 3), (9.0, 4), (9.0, 4), (9.0, 4)):
        bench.begins(loss, seconds)
    assert [bench.resume(), bench.resume()] == [0, 1]
    for epoch in (1, 2, 3):
        bench.reports(0, epoch, 0.9, 3.5 + epoch)
    bench.reports(1, 3, 1.0, 6)  # 3 + 6
    assert bench.next_up() is None  # 6.5 > (6.5 + 9) / 3
    bench.begins(8.0, 1)


@pytest.mark.parametrize("odd", [math.nan, math.inf, -5, None, "much"])
def test_odd_costs_count_as_none(odd: Any) -> None:
    bench = CostBench()
    bench.begins(1.0, odd)
    bench.begins(2.0, 4)
    assert bench.next_up() == 0


def test_a_report_without_its_cost_is_an_error_that_says_so() -> None:
    bench = CostBench()
    bench.start()
    with pytest.raises(MetricError, match="carries no 'seconds'"):
        bench.report(0, 1, 1.0)


def test_diverged_trials_have_cost_something_but_never_go_on() -> None:
    bench = CostBench()
    bench.begins(math.nan, 0)
    bench.begins(math.nan, 4)
    assert bench.next_up() is None
    bench.begins(2.0, 2)
    assert bench.next_up() == 2  # 2 = 6 / 3


# -- totals -----------------------------------------------------------------------------------------------------------


def heard(costs: TotalCosts, resource: float, cost: float) -> float:
    costs.hear(0, resource, 0.0, {"cost": cost})
    return costs.total(0)


def test_an_attempt_builds_on_what_it_does_not_repeat() -> None:
    costs = TotalCosts("cost")
    assert [heard(costs, 1, 4.0), heard(costs, 2, 5.0), heard(costs, 3, 7.0)] == [4, 5, 7]
    costs.relaunched(0)
    assert [heard(costs, 4, 1.0), heard(costs, 5, 2.0)] == [8, 9]
    costs.relaunched(0)  # its newest checkpoint was of epoch 2
    assert [heard(costs, 3, 1.5), heard(costs, 4, 3.0)] == [6.5, 8]
    costs.relaunched(0)  # none was left
    assert heard(costs, 1, 4.5) == 4.5


def test_costs_that_fall_are_those_of_another_machine() -> None:
    costs = TotalCosts("cost")
    assert [heard(costs, 1, 4.0), heard(costs, 2, 5.0)] == [4, 5]
    assert [heard(costs, 3, 1.0), heard(costs, 4, math.nan), heard(costs, 5, 3.0)] == [6, 5, 8]
    assert [heard(costs, 1, 2.0), heard(costs, 2, 3.0)] == [2, 3]  # and this one began from scratch


def test_nothing_reported_nothing_spent() -> None:
    costs = TotalCosts("cost")
    costs.relaunched(0)
    assert costs.total(0) == costs.total(1) == 0


@pytest.mark.parametrize("keeps_nothing", [False, True])
def test_whole_experiments_know_what_their_trials_have_cost(keeps_nothing: bool) -> None:
    faults = FakeFaults(keeps_nothing=keeps_nothing)
    cloud = FakeCloud(lambda config, epoch: {"loss": config["x"]}, "epochs", faults=lambda attempt: faults)
    options: dict[str, Any] = {"max_resource_attr": "epochs", "cost_attr": "st_worker_time", "random_seed": 1}
    scheduler = HyperbandScheduler(SPACE, "loss", type="cost_promotion", **options)
    tuner = tuner_on(cloud, scheduler, StoppingCriterion(max_num_trials_started=20))
    tuner.run()
    listener = scheduler.rung_rule().listener
    assert isinstance(listener, TotalCosts)
    for state in tuner.ledger.trials:
        # a second per epoch, with a checkpoint or all over again
        assert listener.total(state.trial.trial_id) == state.furthest
    assert max(len(state.attempts) for state in tuner.ledger.trials) == 3


# -- shares -----------------------------------------------------------------------------------------------------------

TRIALS = st.lists(st.tuples(st.integers(0, 6), st.one_of(st.floats(0, 10), st.integers(0, 3))), max_size=25)


@given(TRIALS, st.integers(1, 4), st.integers(1, 5))
def test_the_best_are_as_many_as_a_naive_sum_says(trials: list[tuple[int, float]], level: int, more: int) -> None:
    share = CostShare(level, level + more)
    known: list[tuple[int, int, Fraction]] = []
    for trial_id, (key, cost) in enumerate(trials):
        share.add(key, trial_id, cost)
        known.append((key, trial_id, Fraction(cost)))
        most = sum(each[2] for each in known) * level / (level + more)
        within, spent = [], Fraction(0)
        for each in sorted(known):
            spent += each[2]
            if spent > most:
                break
            within.append(each[1])
        expected = within if len(known) > 1 else []
        assert [number for key, number, _ in sorted(known) if share.has(key, number)] == expected
