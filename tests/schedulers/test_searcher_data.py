"""What a searcher is told: which results are data, and what is pending."""

from __future__ import annotations

from typing import Any

import pytest

from cloudtune.errors import MetricError
from cloudtune.schedulers import FIFOScheduler, HyperbandScheduler, Start, TrialScheduler
from cloudtune.searchers import Searcher
from cloudtune.space import uniform
from cloudtune.trial import Config, Metrics, Trial
from tests.schedulers.bench import NOW, Bench

SPACE: dict[str, Any] = {"x": uniform(0, 1), "epochs": 9}


class Listener(Searcher):
    """Proposes one configuration over and over, and writes down what it hears."""

    def __init__(self) -> None:
        self.heard: list[tuple[Any, ...]] = []

    def suggest(self, trial_id: int) -> Config | None:
        return {"x": 0.5, "epochs": 9}

    def on_trial_add(self, trial_id: int, config: Config) -> None:
        self.heard.append(("add", trial_id))

    def register_pending(self, trial_id: int, resource: int | None = None) -> None:
        self.heard.append(("pending", trial_id, resource))

    def on_result(self, trial_id: int, config: Config, result: Metrics, update: bool) -> None:
        self.heard.append(("data" if update else "result", trial_id, result["epoch"]))

    def cleanup_pending(self, trial_id: int) -> None:
        self.heard.append(("clean", trial_id))

    def on_trial_error(self, trial_id: int) -> None:
        self.heard.append(("error", trial_id))

    def new(self) -> list[tuple[Any, ...]]:
        heard, self.heard = self.heard, []
        return heard


def hyperband(listener: Listener, **options: Any) -> Bench:
    return Bench(HyperbandScheduler(SPACE, "loss", searcher=listener, max_resource_attr="epochs", **options))


def test_stopping_with_data_at_rungs() -> None:
    listener = Listener()
    bench = hyperband(listener)
    bench.start()
    assert listener.new() == [("add", 0), ("pending", 0, 1)]
    bench.action(0, 1, 1.0)
    assert listener.new() == [("data", 0, 1), ("pending", 0, 3)]
    bench.action(0, 2, 1.0)
    assert listener.new() == [("result", 0, 2)]
    bench.action(0, 3, 1.0)
    assert listener.new() == [("data", 0, 3), ("pending", 0, 9)]
    bench.action(0, 9, 1.0)
    assert listener.new() == [("data", 0, 9)]
    bench.scheduler.on_trial_complete(bench.trials[0], {"loss": 1.0, "epoch": 9})
    assert listener.new() == [("result", 0, 9), ("clean", 0)]
    bench.start()
    bench.action(1, 1, 5.0)
    assert listener.new()[2:] == [("data", 1, 1), ("clean", 1)]
    bench.scheduler.on_trial_remove(bench.trials[1])
    assert listener.new() == []


def test_stopping_with_all_data() -> None:
    listener = Listener()
    bench = hyperband(listener, searcher_data="all")
    bench.start()
    for epoch in (1, 2, 2):
        bench.action(0, epoch, 1.0)
    assert listener.new() == [
        ("add", 0),
        ("pending", 0, 1),
        ("data", 0, 1),
        ("pending", 0, 2),
        ("pending", 0, 3),
        ("data", 0, 2),
        ("result", 0, 2),
    ]


def test_promotion_and_work_repeated_from_scratch() -> None:
    listener = Listener()
    bench = hyperband(listener, type="promotion")
    bench.run(1, 1.0, 2.0)
    listener.new()
    bench.resume()
    assert listener.new() == [("pending", 0, 3)]
    for epoch in (1, 2, 3):
        bench.action(0, epoch, 1.0)
    assert listener.new() == [("result", 0, 1), ("result", 0, 2), ("data", 0, 3), ("clean", 0)]


def test_the_last_result_of_a_trial_that_ends_early_is_data() -> None:
    listener = Listener()
    bench = hyperband(listener)
    bench.start()
    bench.action(0, 1, 1.0)
    bench.action(0, 2, 1.0)
    listener.new()
    bench.scheduler.on_trial_complete(bench.trials[0], {"loss": 1.0, "epoch": 2})
    assert listener.new() == [("data", 0, 2), ("clean", 0)]


def test_failures_removals_and_late_reports() -> None:
    listener = Listener()
    bench = hyperband(listener)
    for _ in range(2):
        bench.start()
    listener.new()
    bench.scheduler.on_trial_error(bench.trials[0])
    assert listener.new()[-1] == ("error", 0)
    bench.scheduler.on_trial_remove(bench.trials[1])
    assert listener.new() == [("clean", 1)]
    bench.late(1, 3, 1.0)
    assert listener.new() == [("data", 1, 3)]


def test_fifo_gives_the_last_result_of_trials_that_ended() -> None:
    listener = Listener()
    scheduler: TrialScheduler = FIFOScheduler(SPACE, "loss", searcher=listener)
    suggestion = scheduler.suggest(0)
    assert isinstance(suggestion, Start)
    trials = [Trial(trial_id, suggestion.config, NOW) for trial_id in range(3)]
    for trial in trials:
        scheduler.on_trial_add(trial)
    assert listener.new() == [each for n in range(3) for each in (("add", n), ("pending", n, None))]
    scheduler.on_trial_result(trials[0], {"loss": 1.0, "epoch": 1})
    scheduler.on_trial_complete(trials[0], {"loss": 1.0, "epoch": 1})
    scheduler.on_late_result(trials[0], {"loss": 0.9, "epoch": 2})
    assert listener.new() == [("result", 0, 1), ("data", 0, 1), ("clean", 0), ("data", 0, 2)]
    scheduler.on_trial_error(trials[1])
    scheduler.on_trial_remove(trials[2])
    scheduler.on_late_result(trials[2], {"loss": 0.9, "epoch": 2})
    assert listener.new() == [("error", 1), ("clean", 2), ("data", 2, 2)]
    with pytest.raises(MetricError, match="carries no 'loss'; seen: 'los'"):
        scheduler.on_trial_result(trials[0], {"los": 1.0})


def test_fifo_gives_the_last_result_of_trials_that_were_stopped() -> None:
    listener = Listener()
    scheduler = FIFOScheduler(SPACE, "loss", searcher=listener)
    trial = Trial(0, {"x": 0.5, "epochs": 9}, NOW)
    scheduler.on_trial_add(trial)
    scheduler.on_trial_result(trial, {"loss": 3.0, "epoch": 1})
    scheduler.on_trial_result(trial, {"loss": 2.0, "epoch": 2})
    scheduler.on_late_result(trial, {"loss": 1.5, "epoch": 3})  # its job has not ended yet
    listener.new()
    scheduler.on_trial_remove(trial)
    assert listener.new() == [("data", 0, 3), ("clean", 0)]
    scheduler.on_late_result(trial, {"loss": 1.2, "epoch": 4})
    assert listener.new() == [("data", 0, 4)]


def test_reports_of_a_trial_that_somebody_stopped_take_no_place_at_rungs() -> None:
    listener = Listener()
    bench = hyperband(listener)
    bench.start()
    bench.action(0, 1, 1.0)
    bench.scheduler.on_trial_remove(bench.trials[0])
    bench.late(0, 3, 0.5)
    assert listener.new()[-1] == ("data", 0, 3)
    assert [len(rung) for rung in bench.scheduler.rungs()] == [1, 0]
