"""Whole experiments on a cloud in memory: nothing is left over, whatever the cloud's delays."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from cloudtune.engine.ledger import Ledger
from cloudtune.engine.stopping import StoppingCriterion
from cloudtune.schedulers import HyperbandScheduler
from cloudtune.space import choice, randint
from cloudtune.testing.fake_cloud import FakeCloud, FakeTiming
from cloudtune.trial import Config, Status
from tests.tuning import tuner_on

SPACE: dict[str, Any] = {"x": randint(0, 8), "c": choice(["a", "b", "c"]), "epochs": 9}
SIZE = 27


def curve(config: Config, epoch: int) -> dict[str, float]:
    return {"loss": config["x"] + "abc".index(config["c"]) / 10 + 1.0 / epoch}


def experiment(
    kind: str, timing: FakeTiming, units: str | int = "epochs", **options: Any
) -> tuple[Ledger, HyperbandScheduler]:
    """Until every configuration has been tried."""
    cloud = FakeCloud(curve, units, timing=timing)
    scheduler = HyperbandScheduler(SPACE, "loss", type=kind, random_seed=1, **options)
    tuner = tuner_on(cloud, scheduler, StoppingCriterion(max_wallclock_time=1e6), n_workers=3, sleep_time=5.0)
    tuner.run()
    return tuner.ledger, scheduler


TIMINGS = {
    "prompt": FakeTiming(),
    "late logs": FakeTiming(seconds_per_unit=10, log_lag=25),
    "slow stops": FakeTiming(seconds_per_unit=10, stop_delay=35, start_delay=5),
    "late and slow": FakeTiming(seconds_per_unit=10, stop_delay=45, log_lag=61, start_delay=5),
}


@pytest.mark.parametrize("timing", TIMINGS.values(), ids=TIMINGS)
@pytest.mark.parametrize("kind", ["stopping", "promotion"])
@pytest.mark.parametrize("told", [True, False], ids=["told", "untold"])
def test_every_configuration_is_tried_and_the_best_goes_to_the_end(kind: str, timing: FakeTiming, told: bool) -> None:
    options: dict[str, Any] = {"max_resource_attr": "epochs"} if told else {"max_t": 9}
    ledger, scheduler = experiment(kind, timing, "epochs" if told else 9, **options)
    assert ledger.finished is not None
    assert not ledger.open
    assert len({(state.trial.config["x"], state.trial.config["c"]) for state in ledger.trials}) == SIZE
    assert len(ledger.trials) == SIZE
    reached: Counter[int] = Counter()
    for row in ledger.rows:
        reached[row.trial_id] = max(reached[row.trial_id], row.metrics["epoch"])
    # what a stopped trial still did takes no place at a rung from those that go on; what a paused one did moves it up
    counted = [row for row in ledger.rows if kind == "promotion" or not row.late]
    for rung in scheduler.rungs():
        assert set(rung.keys) == {row.trial_id for row in counted if row.metrics["epoch"] >= rung.level}
    best = next(s for s in ledger.trials if (s.trial.config["x"], s.trial.config["c"]) == (0, "a"))
    assert reached[best.trial.trial_id] == 9
    if kind == "promotion" and told:  # untold, a slow job may have done everything before it is stopped
        assert any(len(state.attempts) > 1 for state in ledger.trials)
    assert {state.status for state in ledger.trials} <= {Status.completed, Status.stopped, Status.paused}
