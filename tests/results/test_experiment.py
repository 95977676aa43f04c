"""An experiment that was run, loaded from its folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloudtune.clock import VirtualClock
from cloudtune.errors import ExperimentNotFoundError, MetricError
from cloudtune.journal import events as ev
from cloudtune.journal.file import FileJournal
from cloudtune.paths import JOURNAL_FOLDER
from cloudtune.results import load_experiment

NAME = "bench-2026-01-31-12-00-00-000"
START = VirtualClock().now()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two trials: one completed at loss 0.5, accuracy 0.8; one still running at loss 0.25, accuracy 0.7."""
    metadata = {"metric_names": ["loss", "accuracy"], "metric_mode": ["min", "max"], "resource_attr": "epoch"}
    rows = [(0, 1, 1.0, 0.6), (0, 2, 0.5, 0.8), (1, 1, 0.25, 0.7)]
    events: list[ev.Event] = [
        ev.ExperimentStarted(START, NAME, "0", metadata),
        ev.SessionStarted(START, "here", 1, 0.0),
        *(ev.LaunchIntended(START, trial, 0, {"lr": 0.1 * (trial + 1), "units": "16"}) for trial in (0, 1)),
        *(ev.Launched(START, trial, 0, f"job-{trial}", 3.6) for trial in (0, 1)),
        *(ev.StatusObserved(START, trial, 0, "Running") for trial in (0, 1)),
    ]
    for trial, epoch, loss, accuracy in rows:
        metrics = {"epoch": epoch, "loss": loss, "accuracy": accuracy}
        events.append(ev.ReportObserved(START + 10, trial, 0, str(epoch), metrics, START + 9, 10.0))
        events.append(ev.DecisionMade(START + 10, trial, 0, str(epoch), "CONTINUE"))
    events.append(ev.StatusObserved(START + 20, 0, 0, "Completed", "", 0.5))
    journal = FileJournal(tmp_path / NAME / JOURNAL_FOLDER)
    journal.append(0, events)
    journal.close()
    return tmp_path


def test_best_config_per_metric(folder: Path) -> None:
    experiment = load_experiment(NAME, local_path=folder)
    assert experiment.best_config() == {"trial_id": 1, "loss": 0.25, "lr": 0.2, "units": "16"}
    assert experiment.best_config("accuracy") == {"trial_id": 0, "accuracy": 0.8, "lr": 0.1, "units": "16"}
    assert experiment.best_config(1) == experiment.best_config("accuracy")
    with pytest.raises(MetricError, match="'f1'"):
        experiment.best_config("f1")


def test_running_experiments_can_be_read_too(folder: Path) -> None:
    experiment = load_experiment(NAME, local_path=folder)
    assert list(experiment.results["st_status"]) == ["InProgress", "Completed", "InProgress"]
    assert experiment.dollars == pytest.approx(0.5 + 20 * 0.001)
    assert str(experiment) == f"{NAME}: 2 trials, 3 reports, 0.52 $, in {folder / NAME}"


@pytest.mark.parametrize("plot", ["plot", "plot_trials_over_time", "plot_overview"])
def test_plots_are_pictures(folder: Path, tmp_path: Path, plot: str) -> None:
    picture = tmp_path / "figures" / "picture.png"
    getattr(load_experiment(NAME, local_path=folder), plot)(figure_path=picture)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_an_unknown_name_says_where_it_was_looked_for(folder: Path) -> None:
    with pytest.raises(ExperimentNotFoundError, match="no experiment 'other' in") as caught:
        load_experiment("other", download_if_not_found=False, local_path=folder)
    assert "suffix" in caught.value.hint
