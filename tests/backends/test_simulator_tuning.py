"""The tuner in simulated time: the same tuner, another clock."""

from __future__ import annotations

import dataclasses
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from cloudtune.baselines import ASHA, RandomSearch
from cloudtune.benchmarks import UserBlackboxBackend, from_function, load_blackbox
from cloudtune.callbacks import ExtraResultsComposer, SimulatorCallback, StoreResultsCallback, TunerCallback
from cloudtune.clock import SystemClock
from cloudtune.engine.plateau import PlateauStopper
from cloudtune.engine.stopping import AnyOf, Criterion, StoppingCriterion
from cloudtune.journal import events as ev
from cloudtune.paths import JOURNAL_FOLDER
from cloudtune.results import load_experiment
from cloudtune.schedulers.base import Decision, TrialScheduler
from cloudtune.space import randint, uniform
from cloudtune.testing import FakeBackend, FakeCloud
from cloudtune.trial import Status, Trial
from cloudtune.tuner import Tuner
from tests.tuning import KeptJournal, Quiet

SPACE = {"x": uniform(0.0, 1.0)}


def tuned(
    backend: UserBlackboxBackend,
    scheduler: TrialScheduler,
    criterion: Criterion,
    n_workers: int = 4,
    sleep_time: float = 0.0,
    callbacks: Sequence[TunerCallback] = (),
    **options: Any,
) -> tuple[Tuner, Sequence[ev.Event]]:
    storage = KeptJournal()
    tuner = Tuner(
        backend,
        scheduler,
        criterion,
        n_workers,
        sleep_time=sleep_time,
        storage=storage,
        save_tuner=False,
        callbacks=[Quiet(1e9), *callbacks],
        tuner_name="simulated",
        suffix_tuner_name=options.pop("suffix_tuner_name", False),
        **options,
    )
    tuner.run()
    return tuner, list(storage.kept.read(0))


def crossing(**options: Any) -> UserBlackboxBackend:
    return UserBlackboxBackend(load_blackbox("curves")["noisy"], "elapsed_time", **options)


def asha(kind: str = "stopping", seed: int = 0) -> ASHA:
    space = {**load_blackbox("curves")["noisy"].configuration_space, "epochs": 27}
    return ASHA(space, "loss", resource_attr="epoch", max_resource_attr="epochs", type=kind, random_seed=seed)


def steady(config: Any, epoch: float | None, seed: int) -> dict[str, float]:
    assert epoch is not None
    return {"loss": config["x"], "seconds": 10.0 * epoch}


def lines_of(events: Sequence[ev.Event]) -> list[str]:
    """Which process it was is all that may differ."""
    return [ev.to_line(dataclasses.replace(e, pid=0) if isinstance(e, ev.SessionStarted) else e) for e in events]


class EachLoop(TunerCallback):
    """Wants to hear of each iteration."""

    def __init__(self) -> None:
        self.loops = 0

    def on_loop_end(self) -> None:
        self.loops += 1


class Now(ExtraResultsComposer):
    """What is known when a report comes."""

    def __call__(self, tuner: Tuner) -> dict[str, Any]:
        status = tuner.tuning_status
        return {"now": tuner.clock.now(), "reports": status.num_evaluations, "running": status.num_trials_running}

    def keys(self) -> Sequence[str]:
        return ["now", "reports", "running"]


@pytest.mark.parametrize(
    "limit",
    [
        StoppingCriterion(max_num_trials_started=40),
        StoppingCriterion(max_wallclock_time=300.0),
        StoppingCriterion(max_num_evaluations=77),
        AnyOf(
            StoppingCriterion(max_num_trials_started=40, min_metric_value={"loss": 0.57}),
            PlateauStopper("loss", std=0.01, num_trials=4),
        ),
    ],
)
@pytest.mark.parametrize("kind", ["stopping", "promotion", "random"])
@pytest.mark.parametrize("sleep_time", [0.0, 7.0])
def test_several_looks_in_one_iteration_are_the_same_as_one_by_one(
    kind: str, limit: Criterion, sleep_time: float
) -> None:
    def run(*callbacks: TunerCallback) -> tuple[list[str], bytes]:
        space = {**load_blackbox("curves")["noisy"].configuration_space, "epochs": 27}
        scheduler = RandomSearch(space, "loss", random_seed=0) if kind == "random" else asha(kind)
        extra = StoreResultsCallback(extra_results_composer=Now(), results_update_interval=1e9)
        backend = crossing(max_resource_attr="epochs")
        tuner, events = tuned(backend, scheduler, limit, sleep_time=sleep_time, callbacks=[extra, *callbacks])
        table = zipfile.ZipFile(tuner.tuner_path / "results.csv.zip").read("results.csv")
        shutil.rmtree(tuner.tuner_path)
        return lines_of(events), table

    assert run() == run(EachLoop())


def test_callbacks_of_the_loop_hear_of_each_look() -> None:
    each = EachLoop()
    _, events = tuned(crossing(), asha(), StoppingCriterion(max_num_trials_started=20), callbacks=[each])
    assert each.loops >= len({event.at for event in events if isinstance(event, ev.ReportObserved)})


def test_what_a_callback_does_to_a_report_stays_with_it() -> None:
    class Spoils(TunerCallback):
        def on_trial_result(self, trial: Trial, status: Status, result: Any, decision: Decision) -> None:
            result.clear()

    tuner, events = tuned(crossing(), asha(), StoppingCriterion(max_num_trials_started=3), callbacks=[Spoils()])
    assert all(row.metrics["loss"] > 0.0 for row in tuner.ledger.rows)
    assert all(event.metrics for event in events if isinstance(event, ev.ReportObserved))


def test_the_journal_is_written_at_the_end_and_found_like_any_other() -> None:
    class Looks(TunerCallback):
        written = True

        def on_tuning_end(self) -> None:
            self.written = (tuner.tuner_path / JOURNAL_FOLDER).exists()

    looks, criterion = Looks(), StoppingCriterion(max_num_trials_started=5)
    options: dict[str, Any] = {"sleep_time": 0.0, "suffix_tuner_name": False, "save_tuner": False}
    tuner = Tuner(crossing(), asha(), criterion, 2, tuner_name="kept", callbacks=[looks, Quiet(1e9)], **options)
    tuner.run()
    assert not looks.written
    found = load_experiment("kept", download_if_not_found=False)
    assert found.num_trials == len(tuner.ledger.trials) == 6


def test_progress_is_told_by_the_machines_time(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "cloudtune.tuner"):
        criterion = StoppingCriterion(max_wallclock_time=3600.0)
        options: dict[str, Any] = {"sleep_time": 0.0, "save_tuner": False, "print_update_interval": 3600.0}
        Tuner(crossing(), asha(), criterion, 2, **options).run()
    assert [each for each in caplog.messages if " reports" in each] == []


@pytest.mark.parametrize("kind", ["stopping", "promotion"])
def test_the_same_seed_gives_the_same_run_byte_for_byte(kind: str) -> None:
    def journal(seed: int) -> list[str]:
        criterion = StoppingCriterion(max_num_trials_started=60)
        backend = crossing(max_resource_attr="epochs", random_seed=seed)
        _, events = tuned(backend, asha(kind, seed), criterion, sleep_time=5.0)
        return lines_of(events)

    first = journal(1)
    assert journal(1) == first
    assert journal(2) != first


def test_minutes_of_tuning_are_minutes_of_simulated_time() -> None:
    backend = crossing(max_resource_attr="epochs")
    tuner, events = tuned(backend, asha(), StoppingCriterion(max_wallclock_time=600.0), n_workers=2)
    reports = [event for event in events if isinstance(event, ev.ReportObserved)]
    assert max(report.tuner_time for report in reports) == pytest.approx(600.0, abs=60.0)
    assert tuner.tuning_status.wallclock_time >= 600.0


def test_without_delays_workers_are_never_idle() -> None:
    from cloudtune.backends.simulator import SimulatorConfig

    blackbox = from_function(SPACE, steady, {"epoch": randint(1, 3)})
    backend = UserBlackboxBackend(blackbox, "seconds", simulator_config=SimulatorConfig.without_delays())
    scheduler = RandomSearch(SPACE, "loss", random_seed=0)
    _, events = tuned(backend, scheduler, StoppingCriterion(max_num_trials_completed=5), n_workers=2)
    began = next(event.at for event in events if isinstance(event, ev.LaunchIntended))
    launches = [event.at - began for event in events if isinstance(event, ev.LaunchIntended)]
    assert launches[:6] == [0.0, 0.0, 30.0, 30.0, 60.0, 60.0]
    ends = [
        event.at - began for event in events if isinstance(event, ev.StatusObserved) and event.status == "Completed"
    ]
    assert ends == [30.0, 30.0, 60.0, 60.0, 90.0, 90.0]


def test_a_tuner_that_looks_seldom_reacts_late() -> None:
    blackbox = from_function(SPACE, steady, {"epoch": randint(1, 3)})
    scheduler = RandomSearch(SPACE, "loss", random_seed=0)
    criterion = StoppingCriterion(max_num_trials_started=2)
    _, events = tuned(UserBlackboxBackend(blackbox, "seconds"), scheduler, criterion, n_workers=1, sleep_time=20.0)
    first, second, *_ = [event.at for event in events if isinstance(event, ev.LaunchIntended)]
    assert second - first == pytest.approx(40.0, abs=0.1)


def test_a_promoted_trial_goes_on_from_its_rung_and_reports_no_epoch_twice() -> None:
    tuner, events = tuned(
        crossing(max_resource_attr="epochs"), asha("promotion"), StoppingCriterion(max_num_trials_started=40)
    )
    by_trial: dict[int, list[int]] = {}
    for event in events:
        if isinstance(event, ev.ReportObserved):
            by_trial.setdefault(event.trial_id, []).append(event.metrics["epoch"])
    assert any(len(trial.attempts) > 1 for trial in tuner.ledger.trials)
    for epochs in by_trial.values():
        assert epochs == list(range(1, len(epochs) + 1))


def test_names_of_experiments_come_from_the_real_day() -> None:
    scheduler = RandomSearch(SPACE, "loss", random_seed=0)
    blackbox = from_function(SPACE, steady, {"epoch": randint(1, 3)})
    criterion = StoppingCriterion(max_num_trials_started=1)
    tuner, _ = tuned(UserBlackboxBackend(blackbox, "seconds"), scheduler, criterion, suffix_tuner_name=True)
    from time import gmtime, strftime

    assert f"simulated-{strftime('%Y', gmtime(SystemClock().now()))}" in tuner.name


def test_what_the_table_does_not_have_fails_its_trial_with_the_way_out() -> None:
    import numpy as np
    import pandas as pd

    from cloudtune.benchmarks import BlackboxTabular
    from cloudtune.errors import ExperimentFailedError

    frame = pd.DataFrame({"x": [0.25, 0.75]})
    table = BlackboxTabular(frame, SPACE, None, np.ones((2, 1, 1, 2)), objectives_names=["loss", "seconds"])
    scheduler = RandomSearch(SPACE, "loss", random_seed=0)
    with pytest.raises(ExperimentFailedError, match="restrict_configurations"):
        tuned(UserBlackboxBackend(table, "seconds"), scheduler, StoppingCriterion(max_num_trials_started=9))
    kept = RandomSearch(
        SPACE, "loss", random_seed=0, search_options={"restrict_configurations": table.all_configurations()}
    )
    tuner, _ = tuned(UserBlackboxBackend(table, "seconds"), kept, StoppingCriterion(max_num_trials_started=9))
    assert sorted(trial.trial.config["x"] for trial in tuner.ledger.trials) == [0.25, 0.75]


def test_a_saved_tuner_goes_on_in_simulated_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cloudtune.benchmarks import BlackboxRepositoryBackend
    from cloudtune.results import load_experiment

    monkeypatch.setenv("CLOUDTUNE_FOLDER", str(tmp_path))
    backend = BlackboxRepositoryBackend("curves", "elapsed_time", "epochs", dataset="crossing")
    tuner = Tuner(
        backend,
        asha(),
        StoppingCriterion(max_num_trials_started=5),
        n_workers=2,
        callbacks=[Quiet(1e9)],
        tuner_name="saved",
    )
    tuner.run()
    again = load_experiment(tuner.name, load_tuner=True).tuner
    assert again is not None
    again.stop_criterion = StoppingCriterion(max_num_trials_started=9)
    again.run()
    assert len(again.ledger.trials) == 10


def test_a_simulation_does_not_wait_for_the_disk_and_everything_else_does(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    options: dict[str, Any] = {"callbacks": [Quiet(1e9)], "save_tuner": False, "results_update_interval": 1e9}
    criterion = StoppingCriterion(max_num_trials_started=2)
    blackbox = from_function(SPACE, steady, {"epoch": randint(1, 3)})
    scheduler = RandomSearch(SPACE, "loss", random_seed=0)
    Tuner(UserBlackboxBackend(blackbox, "seconds"), scheduler, criterion, 1, **options).run()
    assert synced == []
    cloud = FakeCloud(lambda config, epoch: {"loss": config["x"]})
    scheduler = RandomSearch(SPACE, "loss", random_seed=0)
    Tuner(FakeBackend(cloud), scheduler, criterion, 1, clock=cloud.clock, **options).run()
    assert synced


def test_the_callback_of_other_simulators_is_welcome_and_not_needed() -> None:
    scheduler = RandomSearch(SPACE, "loss", random_seed=0)
    blackbox = from_function(SPACE, steady, {"epoch": randint(1, 3)})
    storage = KeptJournal()
    tuner = Tuner(
        UserBlackboxBackend(blackbox, "seconds"),
        scheduler,
        StoppingCriterion(max_num_trials_started=2),
        n_workers=2,
        sleep_time=0,
        callbacks=[SimulatorCallback(), Quiet(1e9)],
        storage=storage,
        save_tuner=False,
    )
    tuner.run()
    assert [trial.status for trial in tuner.ledger.trials][:2] == [Status.completed] * 2
    assert (tuner.tuner_path / "results.csv.zip").exists()
