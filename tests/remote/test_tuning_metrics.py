"""The best so far, as lines that the tuner job's own metric definitions match."""

from __future__ import annotations

import math
import re
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any

import pytest

from cloudtune import choice, loguniform, randint, uniform
from cloudtune.remote import RemoteTuningMetricsCallback
from cloudtune.schedulers.base import Action, Decision
from cloudtune.trial import Status, Trial

SPACE = {
    "lr": loguniform(1e-6, 1),
    "lr_decay": uniform(0, 1),
    "units": randint(1, 9),
    "kind": choice(["a", "b"]),
    "c": 3,
}


def tell(callback: RemoteTuningMetricsCallback, trial_id: int, config: dict[str, Any], **result: Any) -> None:
    trial = Trial(trial_id, config, datetime.now(timezone.utc))
    callback.on_trial_result(trial, Status.in_progress, result, Decision(Action.CONTINUE))


def matched(callback: RemoteTuningMetricsCallback, printed: str) -> dict[str, float]:
    """What the service would make of the log: the last match of each definition."""
    found = {}
    for definition in callback.metric_definitions():
        for match in re.finditer(definition["Regex"], printed):
            found[definition["Name"]] = float(match[1])
    return found


CONFIG = {"lr": 3e-06, "lr_decay": 0.25, "units": 4, "kind": "a", "c": 3}


def test_each_new_best_becomes_metrics(capsys: pytest.CaptureFixture[str]) -> None:
    callback = RemoteTuningMetricsCallback("acc", "max", SPACE, "epoch")
    tell(callback, 0, {**CONFIG, "units": 9}, acc=0.5, epoch=1)
    tell(callback, 7, CONFIG, acc=0.75, epoch=2)
    tell(callback, 3, {**CONFIG, "units": 1}, acc=0.6, epoch=9)
    assert matched(callback, capsys.readouterr().out) == {
        "best_metric_value": 0.75,
        "best_trial_id": 7.0,
        "best_resource_value": 2.0,
        "best_hp_lr": 3e-06,
        "best_hp_lr_decay": 0.25,
        "best_hp_units": 4.0,
    }


def test_in_mode_min_less_is_better_and_no_number_is_no_best(capsys: pytest.CaptureFixture[str]) -> None:
    callback = RemoteTuningMetricsCallback("loss", "min")
    for trial, loss in enumerate([math.nan, 1.5, 2.0, -1e-07, None]):
        tell(callback, trial, {}, loss=loss)
    assert matched(callback, capsys.readouterr().out) == {"best_metric_value": -1e-07, "best_trial_id": 3.0}


def test_after_a_restart_it_goes_on_from_the_best_so_far(capsys: pytest.CaptureFixture[str]) -> None:
    callback = RemoteTuningMetricsCallback("loss", "min")
    rows = [SimpleNamespace(metrics={"loss": 0.5}), SimpleNamespace(metrics={"other": 1})]
    tuner: Any = SimpleNamespace(ledger=SimpleNamespace(rows=rows))
    callback.on_tuning_start(tuner)
    tell(callback, 1, {}, loss=0.6)
    assert capsys.readouterr().out == ""
    tell(callback, 2, {}, loss=0.4)
    assert "best_trial_id=2" in capsys.readouterr().out


def test_there_are_at_most_forty() -> None:
    callback = RemoteTuningMetricsCallback(
        "loss", "min", {f"p{number}": uniform(0, 1) for number in range(60)}, "epoch"
    )
    names = [definition["Name"] for definition in callback.metric_definitions()]
    assert len(names) == 40
    assert names[:4] == ["best_metric_value", "best_trial_id", "best_resource_value", "best_hp_p0"]


def test_an_estimator_of_the_sdk_gets_them_after_its_own() -> None:
    estimator: Any = SimpleNamespace(metric_definitions=[{"Name": "mine", "Regex": "(x)"}])
    RemoteTuningMetricsCallback("loss", "min").register_metrics_with_estimator(estimator)
    assert [entry["Name"] for entry in estimator.metric_definitions] == ["mine", "best_metric_value", "best_trial_id"]
