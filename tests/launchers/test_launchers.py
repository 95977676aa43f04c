"""The launchers, as a user runs them: small, but whole."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

import cloudtune
from cloudtune.journal.events import Launched
from cloudtune.journal.file import FileJournal
from cloudtune.names import job_name
from cloudtune.results import load_experiment
from cloudtune.sandbox import Sandbox

REPOSITORY = Path(cloudtune.__file__).parents[1]


def run(script: str, *arguments: str, environment: dict[str, str] | None = None) -> Sequence[str]:
    """What it prints, by lines."""
    done = subprocess.run(
        [sys.executable, str(REPOSITORY / "launchers" / script), *arguments],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "MPLBACKEND": "agg", **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout.splitlines()


def experiment_name(lines: Sequence[str]) -> str:
    [line] = [line for line in lines if line.startswith("results: ")]
    return Path(line.split()[1]).name


@pytest.mark.slow
def test_the_main_job_runs_on_the_sandbox(tmp_path: Path) -> None:
    picture = tmp_path / "picture.png"
    options = ["--sandbox", "--max_trials", "4", "--n_workers", "2", "--epochs", "9", "--output", str(picture)]
    lines = run("launch_remote.py", *options)
    name = experiment_name(lines)
    assert f"tuner-1-{name}: Completed" in lines
    assert any(line.startswith("4 trials") for line in lines)
    assert "best configuration:" in lines
    assert any(line.startswith("price of the time used") and "tuner" in line for line in lines)
    assert picture.read_bytes().startswith(b"\x89PNG")
    result = load_experiment(name)
    assert sorted(set(result.results["trial_id"])) == [0, 1, 2, 3]
    assert result.best_config()["accuracy"] > 0.5
    assert result.dollars > 0
    # each trial was a training job of its own
    assert result.path is not None
    launched = [event for event in FileJournal(result.path / "journal").read() if isinstance(event, Launched)]
    assert [event.name for event in launched] == [job_name(name, trial, 0) for trial in range(4)]


def test_the_same_script_runs_without_any_cloud(tmp_path: Path) -> None:
    options = ["--backend", "local", "--local-tuner", "--max_trials", "2", "--n_workers", "2", "--epochs", "4"]
    lines = run("launch_remote.py", *options, "--sleep_time", "0.2", "--output", str(tmp_path / "picture.png"))
    assert sorted(set(load_experiment(experiment_name(lines)).results["trial_id"])) == [0, 1]


def test_trials_on_this_machine() -> None:
    lines = run("launch_local.py", "--max_wallclock_time", "8", "--epochs", "3")
    assert any(line.startswith("best configuration: {'trial_id'") for line in lines)


@pytest.mark.slow
def test_the_tuner_here_and_trials_as_training_jobs() -> None:
    with Sandbox() as sandbox:
        options = ["--max_wallclock_time", "4", "--epochs", "4", "--n_workers", "2"]
        lines = run("launch_sagemaker.py", *options, environment=sandbox.environment())
        assert any(line.startswith("best configuration: {'trial_id'") for line in lines)
        jobs = sandbox.client("sagemaker").list_training_jobs()["TrainingJobSummaries"]
        assert {job["TrainingJobName"].rsplit("-", 2)[0] for job in jobs} == {experiment_name(lines)}
