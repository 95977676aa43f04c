"""The script with the Reporter, as real processes: what it reports, what it keeps, and how it goes on."""

from __future__ import annotations

import json
import math
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sklearn.datasets import load_digits

from cloudtune.report import parse_report_line

ROOT = Path(__file__).parent.parent.parent
SCRIPT = ROOT / "training_scripts" / "digits_mlp" / "digits_mlp.py"
GOOD = ("--learning_rate", "0.2", "--hidden_units", "128")


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, str(SCRIPT), *map(str, arguments)]


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), **more}


def reports(*arguments: str | Path, **variables: str) -> list[dict[str, Any]]:
    """Its own metrics of each report of a run that ends well."""
    done = subprocess.run(
        command(*arguments), capture_output=True, text=True, env=environment(**variables), check=False, timeout=240
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return [own_metrics(line) for line in done.stdout.splitlines()]


def own_metrics(line: str) -> dict[str, Any]:
    fields = parse_report_line(line)
    assert fields is not None, line
    return {name: value for name, value in fields.items() if not name.startswith("st_")}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models") / "made by the script"


@pytest.fixture(scope="module")
def whole(models: Path) -> list[dict[str, Any]]:
    """Twelve epochs of a good configuration, uninterrupted, with an argument that isn't the script's."""
    return reports(*GOOD, "--epochs", "12", "--model_dir", "s3://bucket/model", SM_MODEL_DIR=str(models))


def test_it_reports_every_epoch_and_leaves_its_model(whole: list[dict[str, Any]], models: Path) -> None:
    assert [row["epoch"] for row in whole] == list(range(1, 13))
    assert all(set(row) == {"epoch", "accuracy", "loss"} for row in whole)
    assert whole[-1]["accuracy"] > 0.97
    assert whole[-1]["loss"] < whole[0]["loss"]
    model = pickle.loads((models / "model.pkl").read_bytes())
    images, labels = load_digits(return_X_y=True)
    assert model.score(images / 16.0, labels) > 0.97


@pytest.mark.parametrize("arguments", [("0.0005", "0.9"), ("1", "0.99")], ids=["slow", "wild"])
def test_bad_configurations_are_worse_early_on(whole: list[dict[str, Any]], arguments: tuple[str, str]) -> None:
    (*_, bad) = reports("--epochs", "3", "--learning_rate", arguments[0], "--momentum", arguments[1])
    assert whole[2]["accuracy"] > 0.9
    assert bad["accuracy"] < 0.6


def test_divergence_is_a_report_not_a_crash() -> None:
    (*_, last) = reports("--learning_rate", "1e200", "--epochs", "9")
    assert last["accuracy"] == 0.0
    assert math.isnan(last["loss"])
    assert last["epoch"] < 9


def test_the_seed_decides_everything(whole: list[dict[str, Any]]) -> None:
    assert reports(*GOOD, "--epochs", "2", "--seed", "0") == whole[:2]
    assert reports(*GOOD, "--epochs", "2", "--seed", "1") != whole[:2]


def test_resuming_gives_the_numbers_of_an_uninterrupted_run(whole: list[dict[str, Any]], tmp_path: Path) -> None:
    assert reports(*GOOD, "--epochs", "2", "--st_checkpoint_dir", tmp_path) == whole[:2]
    assert reports(*GOOD, "--epochs", "6", "--st_checkpoint_dir", tmp_path) == whole[2:6]
    assert reports(*GOOD, "--epochs", "6", "--st_checkpoint_dir", tmp_path) == []


def test_killed_in_the_middle_it_goes_on_and_skips_nothing(whole: list[dict[str, Any]], tmp_path: Path) -> None:
    arguments = (*GOOD, "--epochs", "12", "--st_checkpoint_dir", tmp_path)
    with subprocess.Popen(command(*arguments), stdout=subprocess.PIPE, text=True, env=environment()) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(3)]
        process.kill()
        lines += [line for line in process.stdout.read().splitlines() if parse_report_line(line)]
    before = [own_metrics(line) for line in lines]
    after = reports(*arguments)
    assert before == whole[: len(before)]
    assert after == whole[len(whole) - len(after) :]
    # an epoch is checkpointed before it is reported, so the kill may have cut off one report
    assert len(whole) - len(before) - len(after) in (0, 1)


def test_the_configuration_may_come_in_a_file(whole: list[dict[str, Any]], tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"learning_rate": 0.2, "hidden_units": 128, "epochs": 2}))
    assert reports("--st_config_json_filename", file) == whole[:2]


@pytest.mark.parametrize("name", ["digits_mlp", "digits_regex"])
def test_requirements_name_what_is_imported(name: str) -> None:
    text = (ROOT / "training_scripts" / name / "requirements.txt").read_text()
    assert text.startswith("scikit-learn")
