"""An experiment ends when its best trial can't be far from the optimum, and not before."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import dill
import numpy as np
import pytest

import cloudtune.engine.regret_threshold as module
from cloudtune.engine.ledger import Ledger
from cloudtune.engine.regret_threshold import RegretThreshold, regret_bound
from cloudtune.engine.status import TuningStatus
from cloudtune.errors import OptionError
from cloudtune.journal import events as ev
from cloudtune.schedulers.fifo import FIFOScheduler
from cloudtune.space import choice, uniform
from cloudtune.testing.fake_cloud import FakeCloud
from cloudtune.trial import Config, Mode
from tests.engine.scripted import Scripted
from tests.tuning import tuner_on

SPACE: dict[str, Any] = {"x": uniform(-1, 1), "y": uniform(-1, 1), "epochs": 1}


def bowl(config: Config) -> float:
    """Least at (0.2, -0.3), where it is 1."""
    return float(1 + (config["x"] - 0.2) ** 2 + (config["y"] + 0.3) ** 2)


def status_of(trials: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]], end: str = "Completed") -> TuningStatus:
    """Trials with their configurations and last reports, all ended."""
    ledger = Ledger(Scripted())
    ledger.apply(ev.ExperimentStarted(0.0, "name", "0"))
    ledger.apply(ev.SessionStarted(0.0, "here", 1, 0.0))
    for trial_id, (config, metrics) in enumerate(trials):
        ledger.apply(ev.LaunchIntended(0.0, trial_id, 0, config))
        ledger.apply(ev.Launched(0.0, trial_id, 0, f"job-{trial_id}"))
        ledger.apply(ev.ReportObserved(5.0, trial_id, 0, "a", metrics, 5.0, 5.0))
        ledger.apply(ev.DecisionMade(5.0, trial_id, 0, "a", "CONTINUE"))
        ledger.apply(ev.StatusObserved(6.0, trial_id, 0, end, "", 0.1))
    return TuningStatus(ledger, 10.0)


def drawn(n: int, seed: int = 0) -> list[Config]:
    return [{"x": x, "y": y, "epochs": 1} for x, y in np.random.default_rng(seed).uniform(-1, 1, (n, 2)).tolist()]


def trials(n: int, **more: float) -> list[tuple[Config, dict[str, Any]]]:
    return [(config, {"loss": bowl(config), **more}) for config in drawn(n)]


# -- whole experiments -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("seed", [0, 1])
def test_optimization_ends_early_and_near_the_optimum(mode: Mode, seed: int) -> None:
    sign = 1.0 if mode == "min" else -1.0
    tuner = tuner_on(
        FakeCloud(lambda config, _: {"loss": sign * bowl(config)}),
        FIFOScheduler(SPACE, "loss", mode=mode, searcher="bayesopt", random_seed=seed, max_resource_attr="epochs"),
        RegretThreshold(SPACE, "loss", mode, threshold=0.02, min_evaluations=8),
    )
    tuner.run()
    best = tuner.tuning_status.best()
    assert best is not None
    assert sign * best[1]["loss"] - 1.0 < 0.02
    assert 8 <= tuner.tuning_status.num_trials_completed < 30


# -- the bound ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_the_bound_holds_and_comes_down(seed: int) -> None:
    configs = drawn(40, seed)
    values = np.array([bowl(config) for config in configs])
    bounds = [regret_bound(SPACE, configs[:n], values[:n]) for n in (12, 40)]
    for n, bound in zip((12, 40), bounds, strict=True):
        assert bound >= values[:n].min() - 1.0
    assert bounds[1] < bounds[0]


def test_more_confidence_takes_a_wider_bound() -> None:
    configs = drawn(15)
    values = np.array([math.sin(9 * config["x"]) + math.cos(7 * config["y"]) for config in configs])
    assert regret_bound(SPACE, configs, values, 1.0) > 1.5 * regret_bound(SPACE, configs, values)


def test_it_is_in_units_of_the_metric() -> None:
    configs = drawn(15)
    values = np.array([bowl(config) for config in configs])
    bound = regret_bound(SPACE, configs, values)
    assert regret_bound(SPACE, configs, 1000 * values + 5) == pytest.approx(1000 * bound, rel=0.05)


def test_a_sparsely_known_categorical_is_not_taken_for_known() -> None:
    """All trials had one of two categories: nobody knows how good the other is."""
    space = {**SPACE, "kind": choice(["a", "b", "c"])}
    configs = drawn(30)
    values = np.array([bowl(config) for config in configs])
    known = regret_bound(SPACE, configs, values)
    assert regret_bound(space, [{**config, "kind": "a"} for config in configs], values) > 10 * known


@pytest.mark.parametrize("value", [0.0, 5.0, -1e6])
def test_constant_objectives_are_survived(value: float) -> None:
    criterion = RegretThreshold(SPACE, "loss", threshold=max(abs(value), 1.0), min_evaluations=5)
    status = status_of([(config, {"loss": value}) for config in drawn(25)])
    assert criterion(status)
    assert math.isfinite(regret_bound(SPACE, drawn(25), np.full(25, value)))


# -- when it is met ----------------------------------------------------------------------------------------------------


def test_it_says_both_numbers() -> None:
    reason = RegretThreshold(SPACE, "loss", threshold=0.5).reason(status_of(trials(30)))
    assert reason is not None
    assert "the best loss of 30 trials is at most" in reason
    assert "not above 0.5" in reason


def test_never_before_so_many_evaluations() -> None:
    criterion = RegretThreshold(SPACE, "loss", threshold=1e9)
    assert not criterion(status_of(trials(19)))
    assert criterion(status_of(trials(20)))


def test_only_trials_that_ran_to_their_end_count() -> None:
    criterion = RegretThreshold(SPACE, "loss", threshold=1e9, min_evaluations=5)
    assert not criterion(status_of(trials(30), end="Stopped"))
    assert not criterion(status_of([(config, {"other": 1.0}) for config in drawn(30)]))
    assert not criterion(status_of([(config, {"loss": math.nan}) for config in drawn(30)]))


def test_odd_values_count_as_the_worst() -> None:
    some = [
        (config, {"loss": value}) for config, value in zip(drawn(4, 1), (math.nan, math.inf, None, "x"), strict=True)
    ]
    assert RegretThreshold(SPACE, "loss", threshold=1e9)(status_of([*some, *trials(20)]))


def test_a_threshold_from_the_noise_of_cross_validation() -> None:
    """With 10 folds: sqrt(1/10 + 1/9) of the best trial's standard deviation."""
    factor = math.sqrt(1 / 10 + 1 / 9)
    configs = drawn(30)
    bound = regret_bound(SPACE, configs, np.array([bowl(config) for config in configs]))
    criterion = RegretThreshold(SPACE, "loss", std_attr="std")
    assert not criterion(status_of(trials(30, std=0.9 * bound / factor)))
    assert criterion(status_of(trials(30, std=1.1 * bound / factor)))
    assert not criterion(status_of(trials(30))), "nobody reports it"


def test_nothing_is_computed_as_long_as_no_trial_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    computed = []

    def bound(*arguments: Any) -> float:
        computed.append(arguments)
        return 2.0

    monkeypatch.setattr(module, "regret_bound", bound)
    criterion = RegretThreshold(SPACE, "loss", threshold=1.0)
    for n in (20, 21):
        status = status_of(trials(n))
        assert not any(criterion(status) for _ in range(3))
    assert len(computed) == 2


def test_it_travels_and_answers_the_same() -> None:
    criterion = RegretThreshold(SPACE, "loss", threshold=0.5)
    status = status_of(trials(30))
    reason = criterion.reason(status)
    assert dill.loads(dill.dumps(criterion)).reason(status) == reason


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "threshold=None and std_attr=None"),
        ({"threshold": 1.0, "std_attr": "std"}, "give one of them"),
        ({"threshold": 0.0}, "no number above 0"),
        ({"threshold": "1"}, "no number above 0"),
        ({"threshold": 1.0, "beta_scale": 0}, "beta_scale=0 is no number above 0"),
        ({"threshold": 1.0, "mode": "least"}, "mode is 'least'"),
        ({"threshold": 1.0, "min_evaluation": 3}, "did you mean 'min_evaluations'"),
        ({"threshold": 1.0, "min_evaluations": 0}, "min_evaluations=0"),
        ({"std_attr": ""}, "std_attr=''"),
        ({"std_attr": "std", "num_folds": 1}, "num_folds=1"),
    ],
)
def test_mistakes_are_said(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        RegretThreshold(SPACE, "loss", **options)
