"""Logs that are up to three minutes late, on SageMaker: no decision at a rung is another because of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from cloudtune.baselines import ASHA
from cloudtune.engine.arrival import LagGauge
from cloudtune.engine.stopping import StoppingCriterion
from cloudtune.journal import events as ev
from cloudtune.sandbox import Delays
from cloudtune.sandbox.faults.plan import FaultPlan, LogRule
from cloudtune.space import choice, uniform
from cloudtune.trial import Config
from tests.tuning import KeptJournal
from tests.virtual import Training, virtual

TRIALS = 12
DELAYS = Delays(starting=40.0, stopping=10.0, log_ingestion=5.0)
SPACE = {"x": uniform(0.0, 1.0), "slowness": uniform(0.0, 1.0), "epochs": 9}
NEVER = LogRule()
STREAMS = LogRule(late=180.0, late_streams=0.5)
LINES = LogRule(late=180.0, late_streams=0.5, late_lines=0.2)
"""And single lines of the others, which are seen behind younger ones of their own script."""
SEEDS = range(3)


def crossing(config: Config, epoch: int) -> Mapping[str, float]:
    """Curves that cross: who is best at one rung need not be at the next."""
    return {"loss": config["x"] * epoch + (1.0 - config["x"]) * 3.0 / epoch}


def asha(space: Mapping[str, Any], kind: str, seed: int, **options: Any) -> ASHA:
    return ASHA(
        space,
        metric="loss",
        resource_attr="epoch",
        max_resource_attr="epochs",
        type=kind,
        random_seed=seed,
        **options,
    )


def told(logs: LogRule, seed: int, training: Training, scheduler: ASHA, workers: int, **options: Any) -> list[ev.Event]:
    """The journal of an experiment with one worker per trial."""
    journal = KeptJournal()
    faults = FaultPlan(seed=seed, logs=logs)
    with virtual(
        training,
        scheduler,
        n_workers=workers,
        delays=DELAYS,
        sandbox_options={"faults": faults},
        storage=journal,
        sleep_time=10.0,
        **options,
    ) as (sandbox, tuner, _):
        tuner.run()
        late = sandbox.faults_injected()["late-line"]
        assert (late > 0) is (logs is not NEVER)
    return list(journal.kept.read())


def decisions(logs: LogRule, seed: int) -> Mapping[tuple[int, Any], tuple[str, str, Any]]:
    """By (trial, epoch): what was decided, by which rule, against which threshold."""
    training = Training(crossing, seconds=lambda config, epoch: 60.0 * (1 + config["slowness"]))
    criterion = StoppingCriterion(max_num_trials_started=TRIALS - 1)
    options = {"stop_criterion": criterion, "wait_trial_completion_when_stopping": True}
    events = told(logs, seed, training, asha(SPACE, "stopping", seed), TRIALS, **options)
    made = {(event.trial_id, event.key): event for event in events if isinstance(event, ev.DecisionMade)}
    return {
        (event.trial_id, event.metrics["epoch"]): (decision.action, decision.rule, decision.threshold)
        for event in events
        if isinstance(event, ev.ReportObserved) and (decision := made.get((event.trial_id, event.key)))
    }


@pytest.mark.parametrize("logs", [STREAMS, LINES], ids=["streams", "lines"])
@pytest.mark.parametrize("seed", SEEDS)
def test_stops_are_those_of_a_run_without_lag(seed: int, logs: LogRule) -> None:
    prompt = decisions(NEVER, seed)
    assert {action for action, _, _ in prompt.values()} == {"CONTINUE", "STOP"}
    assert decisions(logs, seed) == prompt


def test_in_the_order_of_arrival_they_would_be_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LagGauge, "expected", lambda self: 0.0)
    assert all(decisions(STREAMS, seed) != decisions(NEVER, seed) for seed in SEEDS)


def promoted(logs: LogRule, seed: int) -> list[int]:
    """Three trials come to the first rung in the order of their numbers, with losses 0.5, 0.3, 0.4."""
    seconds = {0.5: 300.0, 0.3: 310.0, 0.4: 320.0}
    training = Training(lambda config, epoch: {"loss": config["x"]}, seconds=lambda config, epoch: seconds[config["x"]])
    points = [{"x": x} for x in seconds]
    scheduler = asha({"x": choice(list(seconds)), "epochs": 3}, "promotion", 0, points_to_evaluate=points)
    events = told(logs, seed, training, scheduler, 3, stop_criterion=StoppingCriterion(max_wallclock_time=3000.0))
    return [event.trial_id for event in events if isinstance(event, ev.LaunchIntended) and event.attempt > 0]


@pytest.mark.parametrize("seed", SEEDS)
def test_who_is_promoted_is_who_came_first(seed: int) -> None:
    assert promoted(STREAMS, seed) == promoted(NEVER, seed) == [1]
