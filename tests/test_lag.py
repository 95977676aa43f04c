"""Logs that come late, by a different time for each trial: no decision is another because of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from cloudtune.backends.base import Capabilities
from cloudtune.baselines import ASHA, RandomSearch
from cloudtune.callbacks.results_table import results_frame
from cloudtune.engine.arrival import LONGEST_HOLD, LagGauge
from cloudtune.engine.stopping import StoppingCriterion
from cloudtune.journal import events as ev
from cloudtune.schedulers import HyperbandScheduler
from cloudtune.space import choice, uniform
from cloudtune.testing.fake_backend import FakeBackend
from cloudtune.testing.fake_cloud import FakeCloud, FakeTiming
from cloudtune.trial import AttemptId, Config, Status
from cloudtune.tuner import Tuner
from tests.tuning import asha, curve, tuner_on

TRIALS = 14
SPACE = {"x": uniform(0.0, 1.0), "slowness": uniform(0.0, 1.0), "epochs": 9}


def lag_of(seed: int) -> Callable[[AttemptId], float]:
    """0 to 180 s, another for each attempt."""
    return lambda attempt: (7919 * (seed + 1) * (attempt.trial_id + 3 * attempt.number + 1)) % 181


def crossing(config: Config, epoch: int) -> dict[str, float]:
    """Curves that cross: who is best at one rung need not be at the next."""
    return {"loss": config["x"] * epoch + (1.0 - config["x"]) * 3.0 / epoch}


def run(
    lag: Callable[[AttemptId], float] | float,
    *,
    kind: str = "stopping",
    seconds: float = 300.0,
    trials: int = TRIALS,
    seed: int = 0,
) -> Tuner:
    """All trials start at once; one unit of work takes ``seconds`` to twice as long."""
    cloud = FakeCloud(
        crossing,
        "epochs",
        timing=FakeTiming(lambda config: seconds * (1 + config["slowness"]), log_lag=lag),
    )
    scheduler = HyperbandScheduler(SPACE, "loss", type=kind, max_resource_attr="epochs", random_seed=seed)
    criterion = StoppingCriterion(max_num_trials_started=trials - 1)
    tuner = tuner_on(
        cloud,
        scheduler,
        criterion,
        n_workers=trials,
        sleep_time=5.0,
        wait_trial_completion_when_stopping=True,
        tuner_name=f"lag-{kind}-{seconds:.0f}-{seed}-{lag if isinstance(lag, float) else 'each'}".replace(".", "-"),
    )
    tuner.run()
    return tuner


def decisions(tuner: Tuner) -> Mapping[tuple[int, Any], tuple[str, str, Any]]:
    """By (trial, resource): what was decided, by which rule, against which threshold."""
    made = {(event.trial_id, event.key): event for event in events(tuner, ev.DecisionMade)}
    return {
        (event.trial_id, event.metrics["epoch"]): (decision.action, decision.rule, decision.threshold)
        for event in events(tuner, ev.ReportObserved)
        if (decision := made.get((event.trial_id, event.key)))
    }


def events(tuner: Tuner, kind: type[Any]) -> list[Any]:
    return [event for event in tuner.storage.journal(tuner.tuner_path).read() if isinstance(event, kind)]


# -- decisions ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_decisions_are_those_of_a_run_without_lag(seed: int) -> None:
    prompt, late = run(0.0, seed=seed), run(lag_of(seed), seed=seed)
    assert decisions(late) == decisions(prompt)
    assert {action for action, _, _ in decisions(late).values()} == {"CONTINUE", "STOP"}


def test_in_the_order_of_arrival_they_would_be_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LagGauge, "expected", lambda self: 0.0)
    changed = [seed for seed in range(6) if decisions(run(lag_of(seed), seed=seed)) != decisions(run(0.0, seed=seed))]
    assert len(changed) >= 3


def test_of_two_paused_trials_the_one_is_promoted_that_came_first_and_not_the_one_that_was_seen_first() -> None:
    """They come to the first rung in the order of their numbers, with losses 0.5, 0.3, 0.4: trial 2 does not go on."""
    space = {"x": choice([0.5, 0.3, 0.4]), "epochs": 3}
    seconds = {0.5: 300.0, 0.3: 310.0, 0.4: 320.0}

    def resumed(lag: float) -> list[int]:
        timing = FakeTiming(lambda config: seconds[config["x"]], log_lag=lambda id: lag if id.trial_id == 1 else 0.0)
        cloud = FakeCloud(lambda config, epoch: {"loss": config["x"]}, "epochs", timing=timing)
        points = [{"x": x} for x in seconds]
        scheduler = ASHA(
            space,
            metric="loss",
            resource_attr="epoch",
            max_resource_attr="epochs",
            type="promotion",
            points_to_evaluate=points,
            random_seed=0,
        )
        tuner = tuner_on(
            cloud, scheduler, StoppingCriterion(max_wallclock_time=1e5), 3, sleep_time=5.0, tuner_name=f"lag-{lag:.0f}"
        )
        tuner.run()
        return [event.trial_id for event in events(tuner, ev.LaunchIntended) if event.attempt > 0]

    assert resumed(0.0) == resumed(180.0) == [1]


# -- what it costs -----------------------------------------------------------------------------------------------------


def held(tuner: Tuner) -> list[float]:
    """Seconds between each report and the decision about it."""
    made = {(event.trial_id, event.attempt, event.key): event.at for event in events(tuner, ev.DecisionMade)}
    return [
        made[event.trial_id, event.attempt, event.key] - event.emitted_at
        for event in events(tuner, ev.ReportObserved)
        if (event.trial_id, event.attempt, event.key) in made
    ]


def test_without_lag_nothing_waits() -> None:
    assert max(held(run(0.0, seed=1))) <= 5.0


def test_once_it_is_known_that_nothing_lags_nothing_waits_though_it_might() -> None:
    cloud = FakeCloud(curve, "epochs", timing=FakeTiming(lambda config: 10.0 + config["n"]))
    backend = FakeBackend(cloud, Capabilities(reports_lag=True))
    tuner = tuner_on(cloud, asha(), StoppingCriterion(max_num_trials_started=19), 4, sleep_time=5.0, backend=backend)
    tuner.run()
    waits = held(tuner)
    assert max(waits) <= LONGEST_HOLD
    # four attempts have been watched by now: each of the first has had its first report
    assert max(waits[20:]) <= 5.0


def test_no_report_waits_longer_than_the_limit_even_for_a_script_that_says_nothing() -> None:
    def silent_at_times(config: Config, epoch: int) -> dict[str, float] | None:
        return None if config["n"] % 3 == 0 else curve(config, epoch)

    cloud = FakeCloud(
        silent_at_times, "epochs", timing=FakeTiming(200.0, log_lag=lambda attempt: 40.0 * (attempt.trial_id % 4))
    )
    tuner = tuner_on(cloud, asha(), StoppingCriterion(max_num_trials_started=11), 6, sleep_time=5.0, max_failures=20)
    tuner.run()
    assert max(held(tuner)) <= LONGEST_HOLD + 5.0
    assert max(held(tuner)) > 120.0


# -- late reports ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("searcher_only", [True, False], ids=["fifo", "hyperband"])
def test_a_report_after_a_stop_is_marked_late_and_counts_for_the_best_value(searcher_only: bool) -> None:
    cloud = FakeCloud(
        curve,
        "epochs",
        timing=FakeTiming(30.0, stop_delay=100.0, log_lag=lambda attempt: 60.0 * (attempt.trial_id % 3)),
    )
    space = {"x": uniform(0.0, 1.0), "n": 1, "epochs": 9}
    scheduler = RandomSearch(space, metric="loss", random_seed=3) if searcher_only else asha()
    tuner = tuner_on(cloud, scheduler, StoppingCriterion(max_wallclock_time=700), 4, sleep_time=5.0)
    tuner.run()
    rows = tuner.ledger.rows
    late = [row for row in rows if row.late]
    assert len(rows) == sum(job.reports for job in cloud.jobs.values())
    if not searcher_only:
        assert late
    best = tuner.tuning_status.best()
    assert best is not None
    assert best[1]["loss"] == min(row.metrics["loss"] for row in rows)


def test_work_done_after_a_pause_is_neither_lost_nor_hidden_and_the_resume_goes_on_behind_it() -> None:
    """Paused at 1, the job goes on to 2 or 3 until it stops; its resume continues there: no gap, nothing twice."""
    cloud = FakeCloud(
        curve, 27, timing=FakeTiming(20.0, stop_delay=25.0, log_lag=lambda attempt: 10.0 * (attempt.trial_id % 3))
    )
    scheduler = HyperbandScheduler({"x": uniform(0.0, 1.0), "n": 1}, "loss", type="promotion", max_t=27, random_seed=2)
    tuner = tuner_on(cloud, scheduler, StoppingCriterion(max_num_trials_started=8), 3, sleep_time=5.0)
    tuner.run()
    resumed = [trial for trial in tuner.ledger.trials if len(trial.attempts) > 1]
    assert resumed
    for trial in tuner.ledger.trials:
        rows = [row for row in tuner.ledger.rows if row.trial_id == trial.trial.trial_id]
        epochs = [row.metrics["epoch"] for row in rows]
        assert epochs == list(range(1, len(epochs) + 1))
        assert not any(row.repeated for row in rows)
        assert tuner.tuning_status.trials([trial.trial.trial_id])[0].last_result == rows[-1].metrics
    assert any(row.late and row.metrics["epoch"] > 1 for row in tuner.ledger.rows)
    for rung in scheduler.rungs():
        reached = {row.trial_id for row in tuner.ledger.rows if row.metrics["epoch"] >= rung.level}
        assert set(rung.keys) == reached
    assert {trial.status for trial in tuner.ledger.trials} <= {Status.completed, Status.paused, Status.stopped}


def test_every_report_says_when_it_was_made_and_when_it_was_seen() -> None:
    tuner = run(lag_of(0))
    frame = results_frame(tuner.ledger)
    lag = frame["st_seen_at"] - frame["st_emitted_at"]
    for trial_id, least in lag.groupby(frame["trial_id"]).min().items():
        assert least >= lag_of(0)(AttemptId(int(str(trial_id)), 0))
