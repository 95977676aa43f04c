"""A finished experiment's journal replays as a blackbox, and its scheduler decides the same again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cloudtune.backends import PythonBackend
from cloudtune.backends.base import TrialBackend
from cloudtune.baselines import ASHA, RandomSearch
from cloudtune.benchmarks.backends import UserBlackboxBackend
from cloudtune.benchmarks.blackbox import from_function
from cloudtune.benchmarks.experiment import ELAPSED, ExperimentBlackbox, blackbox_from_experiment
from cloudtune.engine.stopping import StoppingCriterion
from cloudtune.journal import events as ev
from cloudtune.schedulers.base import TrialScheduler
from cloudtune.space import randint, uniform
from cloudtune.testing import FakeBackend, FakeCloud, FakeTiming
from cloudtune.trial import Config
from cloudtune.tuner import Tuner
from tests.tuning import KeptJournal, Quiet

SPACE = {"x": uniform(0.0, 1.0), "n": randint(1, 100)}


def irregular(config: Config, epoch: float | None, seed: int) -> dict[str, float]:
    """Curves that cross; seconds that differ from configuration to configuration, and from epoch to epoch."""
    assert epoch is not None
    wave = np.sin(37.0 * config["x"] + 5.0 * epoch + seed)
    seconds = sum(1.0 + config["x"] * config["n"] % 7 + abs(np.sin(config["n"] * e)) for e in range(1, int(epoch) + 1))
    return {"loss": config["x"] + config["n"] / (100.0 * epoch) + 0.05 * wave, "seconds": seconds}


def asha(kind: str, seed: int = 3) -> ASHA:
    return ASHA(
        {**SPACE, "epochs": 9}, "loss", resource_attr="epoch", max_resource_attr="epochs", type=kind, random_seed=seed
    )


def run(
    backend: TrialBackend,
    scheduler: TrialScheduler,
    trials: int = 40,
    workers: int = 4,
    sleep_time: float = 0.0,
    **options: Any,
) -> Sequence[ev.Event]:
    """The journal of an experiment."""
    storage = KeptJournal()
    tuner = Tuner(
        backend,
        scheduler,
        StoppingCriterion(max_num_trials_started=trials),
        n_workers=workers,
        sleep_time=sleep_time,
        storage=storage,
        callbacks=[Quiet(1e9)],
        save_tuner=False,
        tuner_name="original",
        **options,
    )
    tuner.run()
    return list(storage.kept.read(0))


def decisions(journal: Sequence[ev.Event]) -> list[tuple[Any, ...]]:
    """What was launched and decided, in order, with the reasons."""
    told: list[tuple[Any, ...]] = []
    for event in journal:
        if isinstance(event, ev.LaunchIntended):
            told.append((event.trial_id, event.attempt, dict(event.config)))
        elif isinstance(event, ev.DecisionMade):
            told.append(
                (event.trial_id, event.attempt, event.key, event.action, event.rule, event.numbers, event.threshold)
            )
    return told


def replay(journal: Sequence[ev.Event], scheduler: TrialScheduler, **options: Any) -> Sequence[ev.Event]:
    blackbox = ExperimentBlackbox(journal)
    backend = UserBlackboxBackend(blackbox, ELAPSED, max_resource_attr="epochs")
    return run(backend, scheduler, **options)


def simulated(**options: Any) -> UserBlackboxBackend:
    blackbox = from_function(SPACE, irregular, {"epoch": randint(1, 9)}, num_seeds=3)
    return UserBlackboxBackend(blackbox, "seconds", max_resource_attr="epochs", **options)


@pytest.mark.parametrize("kind", ["stopping", "promotion"])
@pytest.mark.parametrize("sleep_time", [0.0, 5.0])
def test_an_experiment_of_the_simulator_decides_the_same_again(kind: str, sleep_time: float) -> None:
    original = run(simulated(), asha(kind), sleep_time=sleep_time)
    assert decisions(replay(original, asha(kind))) == decisions(original)


@pytest.mark.parametrize("kind", ["stopping", "promotion"])
@pytest.mark.parametrize("delays", [(0.0, 0.0, 0.0), (3.7, 2.9, 0.0)])
def test_so_does_one_of_a_slow_cloud(kind: str, delays: tuple[float, float, float]) -> None:
    def curve(config: Config, epoch: int) -> dict[str, float]:
        return {"loss": irregular(config, epoch, 0)["loss"]}

    start, stop, lag = delays
    timing = FakeTiming(lambda config: 1.0 + config["n"] % 13 / 3, start_delay=start, stop_delay=stop, log_lag=lag)
    cloud = FakeCloud(curve, "epochs", timing=timing)
    original = run(FakeBackend(cloud), asha(kind), sleep_time=1.3, clock=cloud.clock)
    assert decisions(replay(original, asha(kind))) == decisions(original)


def test_so_does_one_of_real_processes_with_their_own_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def train(x: float, n: int, epochs: int) -> None:
        import time

        from cloudtune import Reporter

        report = Reporter()
        for epoch in range(1, epochs + 1):
            time.sleep(0.002 * (n % 7))
            report(epoch=epoch, loss=x + n / (100.0 * epoch))

    monkeypatch.setenv("CLOUDTUNE_FOLDER", str(tmp_path))
    space = {**SPACE, "epochs": 9}
    original = run(PythonBackend(train, space), asha("stopping"), trials=10, sleep_time=0.02)
    assert any(isinstance(event, ev.DecisionMade) and event.action == "STOP" for event in original)
    assert decisions(replay(original, asha("stopping"), trials=10)) == decisions(original)


def test_a_replay_replays_itself() -> None:
    first = replay(run(simulated(), asha("promotion"), sleep_time=5.0), asha("promotion"))
    assert decisions(replay(first, asha("promotion"))) == decisions(first)


def test_a_limit_on_time_ends_the_replay_where_it_ended_the_experiment() -> None:
    def limited(backend: TrialBackend) -> Sequence[ev.Event]:
        storage = KeptJournal()
        tuner = Tuner(
            backend,
            asha("stopping"),
            StoppingCriterion(max_wallclock_time=100.0),
            n_workers=3,
            sleep_time=0.0,
            storage=storage,
            callbacks=[Quiet(1e9)],
            save_tuner=False,
            tuner_name="limited",
        )
        tuner.run()
        return list(storage.kept.read(0))

    original = limited(simulated())
    again = limited(UserBlackboxBackend(ExperimentBlackbox(original), ELAPSED, max_resource_attr="epochs"))
    assert decisions(again) == decisions(original)


def test_what_was_found_out_is_a_table_with_the_seconds_of_work() -> None:
    from cloudtune.backends.simulator import SimulatorConfig

    delays = SimulatorConfig(3.0, 1.0, 1.0, 60.0, 0.0)
    original = run(simulated(seed=0, simulator_config=delays), asha("promotion"))
    blackbox = ExperimentBlackbox(original)
    assert blackbox.fidelity_name() == "epoch"
    assert blackbox.objectives_names[0] == ELAPSED
    resumed = {event.trial_id for event in original if isinstance(event, ev.LaunchIntended) and event.attempt == 1}
    configs = {event.trial_id: event.config for event in original if isinstance(event, ev.LaunchIntended)}
    assert resumed
    for trial_id in resumed:
        config = configs[trial_id]
        found, truth = blackbox(config, fidelity=2), irregular(config, 2, 0)
        assert isinstance(found, dict)
        assert found["loss"] == truth["loss"]
        # neither the start of the machine nor the time in which it was paused is work
        assert found[ELAPSED] == pytest.approx(truth["seconds"], abs=1e-3)


def test_another_scheduler_gets_the_same_curves() -> None:
    original = run(simulated(seed=0), RandomSearch({**SPACE, "epochs": 9}, "loss", random_seed=1), trials=20)
    blackbox = ExperimentBlackbox(original, resource_attr="epoch")
    restricted = RandomSearch(
        {**SPACE, "epochs": 9},
        "loss",
        random_seed=2,
        search_options={"restrict_configurations": [{**each, "epochs": 9} for each in blackbox.all_configurations()]},
    )
    played = run(UserBlackboxBackend(blackbox, ELAPSED, max_resource_attr="epochs"), restricted, trials=10)
    reports = [event for event in played if isinstance(event, ev.ReportObserved)]
    configs = {event.trial_id: event.config for event in played if isinstance(event, ev.LaunchIntended)}
    assert len(reports) > 50
    for report in reports:
        truth = irregular(configs[report.trial_id], report.metrics["epoch"], 0)
        assert report.metrics["loss"] == truth["loss"]


def test_a_trial_that_is_stopped_sooner_than_it_was_ends_then() -> None:
    original = run(simulated(), asha("stopping", seed=3))
    other = asha("stopping", seed=3)
    played = replay(original, other, workers=2)
    assert decisions(played) != decisions(original)  # with two workers, others meet at the rungs
    assert any(isinstance(event, ev.ExperimentFinished) for event in played)


def test_an_experiment_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDTUNE_FOLDER", str(tmp_path))
    tuner = Tuner(
        simulated(),
        asha("stopping"),
        StoppingCriterion(max_num_trials_started=5),
        n_workers=2,
        callbacks=[Quiet(1e9)],
        save_tuner=False,
        tuner_name="on-disk",
    )
    tuner.run()
    blackbox = blackbox_from_experiment(tuner.name)
    assert blackbox.num_seeds == 1
    assert blackbox.configuration_space == {**SPACE, "epochs": 9}
    assert len(blackbox.all_configurations()) == len({row.trial_id for row in tuner.ledger.rows})


def test_an_experiment_without_reports_is_no_blackbox() -> None:
    from cloudtune.errors import OptionError

    original = run(simulated(), asha("stopping"), trials=3)
    silent = [event for event in original if not isinstance(event, (ev.ReportObserved, ev.DecisionMade))]
    with pytest.raises(OptionError, match="no reports"):
        ExperimentBlackbox(silent)
