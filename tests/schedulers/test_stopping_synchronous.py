"""Stopping rules around synchronous schedulers: a trial that is taken out of its bracket leaves no gap."""

from __future__ import annotations

from typing import Any

import pytest

from cloudtune.schedulers import Action, Reason
from cloudtune.schedulers.dehb import GeometricDifferentialEvolutionHyperbandScheduler
from cloudtune.schedulers.early_termination import EarlyTermination
from cloudtune.schedulers.median_stopping import MedianStoppingRule
from cloudtune.schedulers.objective import Objective
from cloudtune.schedulers.sync_hyperband import SynchronousGeometricHyperbandScheduler, SynchronousHyperbandScheduler
from cloudtune.space import uniform
from cloudtune.testing.scheduler_contract import MakeScheduler, SchedulerContract
from tests.schedulers.told import Told


class TestMedianRuleAroundSynchronousHyperband(SchedulerContract):
    @pytest.fixture
    def make_scheduler(self) -> MakeScheduler:
        return lambda space, mode, seed: MedianStoppingRule(
            SynchronousGeometricHyperbandScheduler(
                space, "loss", mode=mode, random_seed=seed, max_resource_attr="epochs"
            ),
            "epoch",
        )


class TestMedianRuleAroundDEHB(SchedulerContract):
    @pytest.fixture
    def make_scheduler(self) -> MakeScheduler:
        return lambda space, mode, seed: MedianStoppingRule(
            GeometricDifferentialEvolutionHyperbandScheduler(
                space, "loss", mode=mode, random_seed=seed, max_resource_attr="epochs"
            ),
            "epoch",
        )


class StopsAtOne:
    """Stops what has come to exactly 1: policies may find the best hopeless, one that stands still say."""

    def judge(self, objective: Objective) -> StopsAtOne:
        return self

    def report(self, trial_id: int, resource: float, value: float) -> Reason | None:
        return Reason("is 1", {"loss": value}, 1.0) if value == 1 else None

    def ended(self, trial_id: int) -> None:
        pass


@pytest.mark.parametrize("last", [0, 1, 2])
def test_if_the_best_at_a_full_rung_is_stopped_the_next_best_goes_on(last: int) -> None:
    space: dict[str, Any] = {"x": uniform(0, 1), "epochs": 9}
    inside = SynchronousHyperbandScheduler(space, [[(3, 1), (1, 9)]], "loss", random_seed=0)
    bench = Told(EarlyTermination(inside, StopsAtOne()))
    bench.start(3)
    values = {trial_id: 6.0 - trial_id for trial_id in range(3)}
    values[last] = 1.0
    others = [trial_id for trial_id in range(3) if trial_id != last]
    for trial_id in (*others, last):
        bench.report(trial_id, 1, values[trial_id])
    assert list(bench.scheduler.trials_checkpoints_can_be_removed()) == [others[0]]
    assert bench.resume() == others[1]
    assert bench.report(others[1], 9, 0.5).action is not Action.PAUSE
    assert not inside.brackets_at_work()


def test_if_all_at_a_full_rung_are_stopped_nobody_goes_on() -> None:
    space: dict[str, Any] = {"x": uniform(0, 1), "epochs": 9}
    inside = SynchronousHyperbandScheduler(space, [[(2, 1), (1, 9)]], "loss", random_seed=0)
    bench = Told(EarlyTermination(inside, StopsAtOne()))
    bench.start(2)
    bench.report(0, 1, 1.0)
    bench.report(1, 1, 1.0)
    assert bench.resume() is None
    assert not inside.brackets_at_work()
