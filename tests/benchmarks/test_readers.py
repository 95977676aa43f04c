"""Published files in small: written as their authors write them, read as ours."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from cloudtune.benchmarks import load_blackbox, repository
from cloudtune.benchmarks.readers import nasbench201, yahpo
from cloudtune.benchmarks.readers.raw import raw_path
from cloudtune.errors import UserError
from cloudtune.space import choice, logordinal, ordinal, randint


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repository, "_download", lambda name, s3_root: False)


@pytest.mark.parametrize("name", ["fcnet", "nasbench201", "lcbench", "pd1", "yahpo-lcbench"])
def test_missing_files_are_an_error_that_says_where_they_are_and_where_to_put_them(name: str) -> None:
    with pytest.raises(UserError) as caught:
        load_blackbox(name)
    assert str(raw_path(name.partition("-")[0])) in str(caught.value)
    assert "http" in caught.value.hint


def raw(name: str, file: str) -> Path:
    folder = raw_path(name)
    folder.mkdir(parents=True, exist_ok=True)
    return folder / file


# -- fcnet -------------------------------------------------------------------------------------------------------------


def test_fcnet() -> None:
    with h5py.File(raw("fcnet", "fcnet_protein_structure_data.hdf5"), "w") as data:
        for number, (activation, rate) in enumerate([("relu", 0.0005), ("relu", 0.1), ("tanh", 0.0005), ("tanh", 0.1)]):
            config = {"activation_fn_1": activation, "init_lr": rate, "dropout_1": 0.3}
            group = data.create_group(json.dumps(config, sort_keys=True))
            group["valid_loss"] = np.arange(8.0).reshape(2, 4) + 100 * number
            group["train_loss"] = np.zeros((2, 4))
            group["final_test_error"] = [0.25, 0.5]
            group["n_params"] = [10.0, 10.0]
            group["runtime"] = [40.0, 80.0]
    (table,) = load_blackbox("fcnet", dataset="protein_structure").values()
    assert table.configuration_space == {
        "hp_activation_fn_1": choice(["relu", "tanh"]),
        "hp_dropout_1": choice([0.3]),
        "hp_init_lr": logordinal([0.0005, 0.1]),
    }
    assert table.fidelity_name() == "hp_epoch"
    found = table({"hp_activation_fn_1": "relu", "hp_dropout_1": 0.3, "hp_init_lr": 0.1}, fidelity=3, seed=1)
    assert found == {
        "metric_valid_loss": 106.0,
        "metric_train_loss": 0.0,
        "metric_final_test_error": 0.5,
        "metric_n_params": 10.0,
        "metric_elapsed_time": 60.0,
    }


# -- NAS-Bench-201 -----------------------------------------------------------------------------------------------------

SKIPS = "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|none~0|none~1|avg_pool_3x3~2|"
CONVOLUTIONS = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_1x1~0|none~1|avg_pool_3x3~2|"


def _trained(accuracy: float, split: str = "x-valid") -> dict[str, Any]:
    epochs = range(3)
    return {
        "train_acc1es": dict.fromkeys(epochs, 50.0),
        "train_losses": dict.fromkeys(epochs, 1.0),
        "train_times": dict.fromkeys(epochs, 10.0),
        "eval_acc1es": {f"{split}@{epoch}": accuracy + epoch for epoch in epochs},
        "eval_losses": {f"{split}@{epoch}": 2.0 for epoch in epochs},
        "eval_times": {f"{split}@{epoch}": 1.0 for epoch in epochs},
    }


def _nasbench_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.touch()
    first = {("cifar10-valid", 777): _trained(60.0), ("cifar10-valid", 888): _trained(70.0)}
    first[("cifar100", 777)] = _trained(20.0, "ori-test")
    second = {("cifar10-valid", 888): _trained(80.0), ("cifar100", 777): _trained(30.0, "ori-test")}
    content = {
        "meta_archs": [SKIPS, CONVOLUTIONS],
        "arch2infos": {0: {"full": {"all_results": first}}, 1: {"full": {"all_results": second}}},
    }
    monkeypatch.setattr(nasbench201, "_load", lambda path: content)


def test_nasbench201(monkeypatch: pytest.MonkeyPatch) -> None:
    _nasbench_file(raw("nasbench201", "NAS-Bench-201-v1_1-096897.pth"), monkeypatch)
    tables = load_blackbox("nasbench201")
    assert list(tables) == ["cifar10", "cifar100"]
    names = [f"hp_x{edge}" for edge in range(6)]
    skips = dict(zip(names, ["skip_connect"] * 3 + ["none", "none", "avg_pool_3x3"], strict=True))
    found = tables["cifar10"](skips, fidelity=3, seed=1)
    assert isinstance(found, dict)
    assert found["metric_valid_error"] == pytest.approx(0.28)
    assert found["metric_elapsed_time"] == 33.0
    assert tables["cifar10"].num_seeds == 2
    convolutions = dict(zip(names, ["nor_conv_3x3"] * 3 + ["nor_conv_1x1", "none", "avg_pool_3x3"], strict=True))
    # of the second architecture there is one seed: it stands for both
    np.testing.assert_array_equal(tables["cifar10"].curves(convolutions, 0), tables["cifar10"].curves(convolutions, 1))
    test = tables["cifar100"](skips, fidelity=1)
    assert isinstance(test, dict)
    assert test["metric_valid_error"] == pytest.approx(0.8)


def test_an_architecture_that_is_none_is_refused() -> None:
    with pytest.raises(UserError, match="no architecture"):
        nasbench201.operations_of("|conv~0|")


# -- LCBench -----------------------------------------------------------------------------------------------------------


def _logged(config_number: int) -> dict[str, Any]:
    names = [
        "val_accuracy",
        "val_cross_entropy",
        "val_balanced_accuracy",
        "test_cross_entropy",
        "test_balanced_accuracy",
    ]
    log: dict[str, Any] = {f"Train/{name}": [10.0 * config_number + epoch for epoch in range(4)] for name in names}
    log["time"] = [5.0 * epoch for epoch in range(4)]
    log["epoch"] = list(range(4))
    config = {
        "batch_size": 16 * (config_number + 1),
        "learning_rate": 0.01,
        "momentum": 0.5,
        "weight_decay": 0.001,
        "num_layers": 2,
        "max_units": 64,
        "max_dropout": 0.5,
        "imputation_strategy": "mean",
    }
    return {"config": config, "log": log, "results": {}}


def test_lcbench() -> None:
    # numbers of configurations are text: 10 comes after 2
    runs = {str(number): _logged(number) for number in (0, 10, 2)}
    raw("lcbench", "data_2k_lw.json").write_text(json.dumps({"airlines": runs, "credit-g": runs}))
    tables = load_blackbox("lcbench")
    assert list(tables) == ["airlines", "credit-g"]
    table = tables["airlines"]
    assert [config["batch_size"] for config in table.all_configurations()] == [16, 48, 176]
    assert table.fidelity_values is not None
    assert table.fidelity_values.tolist() == [1, 2, 3]  # before the first epoch, nothing is trained
    found = table(table.all_configurations()[1], fidelity=2)
    assert isinstance(found, dict)
    assert (found["val_accuracy"], found["time"]) == (22.0, 10.0)


def test_a_broken_file_is_named() -> None:
    raw("lcbench", "data_2k_lw.json").write_text("{")
    with pytest.raises(UserError, match=r"data_2k_lw\.json is no JSON"):
        load_blackbox("lcbench")


# -- PD1 ---------------------------------------------------------------------------------------------------------------


def _trial(rate: float, evaluations: int, **changes: Any) -> dict[str, Any]:
    trial = {
        "dataset": "mnist",
        "model": "max_pooling_cnn",
        "hps.batch_size": 256,
        "hps.lr_hparams.initial_value": rate,
        "hps.lr_hparams.power": 1.0,
        "hps.lr_hparams.decay_steps_factor": 0.5,
        "hps.opt_hparams.momentum": 0.75,
        "status": "done",
        "epoch": list(range(1, evaluations + 1)),
        "eval_time": [4.0] * evaluations,
        "valid/error_rate": [1.0 / step for step in range(1, evaluations + 1)],
        "valid/ce_loss": [1.0] * evaluations,
        "train/error_rate": [0.0] * evaluations,
        "train/ce_loss": [None] * evaluations,
    }
    return {**trial, **changes}


def test_pd1() -> None:
    trials = [_trial(0.1, 3), _trial(1.0, 1, status="diverged"), _trial(2.0, 0, epoch=None, status="diverged")]
    raw("pd1", "pd1_matched_phase0_results.jsonl").write_text("\n".join(map(json.dumps, trials)) + "\n")
    with gzip.open(raw("pd1", "pd1_matched_phase1_results.jsonl.gz"), "wt") as file:
        file.write(json.dumps(_trial(0.01, 2)) + "\n")
    (table,) = load_blackbox("pd1", dataset="mnist_max_pooling_cnn_batch_size_256").values()
    assert sorted(config["hp_initial_learning_rate"] for config in table.all_configurations()) == [0.01, 0.1, 1.0]
    config = {
        "hp_initial_learning_rate": 0.1,
        "hp_power": 1.0,
        "hp_decay_steps_factor": 0.5,
        "hp_one_minus_momentum": 0.25,
    }
    found = table(config, fidelity=2)
    assert isinstance(found, dict)
    assert (found["metric_valid_error_rate"], found["metric_elapsed_time"]) == (0.5, 8.0)
    assert math.isnan(found["metric_train_ce_loss"])
    diverged = table({**config, "hp_initial_learning_rate": 1.0})
    assert isinstance(diverged, np.ndarray)
    assert np.isnan(diverged[1:]).all()


def test_a_diverged_trial_ends_where_it_ended() -> None:
    from cloudtune.benchmarks.simulated import BlackboxCurves
    from cloudtune.trial import Attempt, AttemptId

    raw("pd1", "pd1_matched_phase0_results.jsonl").write_text(
        json.dumps(_trial(0.1, 3)) + "\n" + json.dumps(_trial(1.0, 1))
    )
    (table,) = load_blackbox("pd1").values()
    config = {**table.all_configurations()[1]}
    curve = BlackboxCurves(table, "metric_elapsed_time").curve(Attempt(AttemptId(0, 0), config), 0)
    assert (list(curve.resources), list(curve.elapsed)) == ([1], [4.0])


# -- YAHPO -------------------------------------------------------------------------------------------------------------


def _yahpo_files(scenario: str, hyperparameters: list[Any], conditions: list[Any], encoding: dict[str, Any]) -> None:
    folder = raw("yahpo", scenario)
    folder.mkdir()
    space = {"hyperparameters": hyperparameters, "conditions": conditions, "forbiddens": []}
    (folder / "config_space.json").write_text(json.dumps(space))
    (folder / "encoding.json").write_text(json.dumps(encoding))


def test_yahpo(monkeypatch: pytest.MonkeyPatch) -> None:
    hyperparameters = [
        {"name": "cost", "type": "uniform_float", "log": True, "lower": 0.01, "upper": 100.0},
        {"name": "degree", "type": "uniform_int", "log": False, "lower": 2, "upper": 5},
        {"name": "gamma", "type": "uniform_float", "log": True, "lower": 0.01, "upper": 100.0},
        {"name": "kernel", "type": "categorical", "choices": ["linear", "polynomial", "radial"]},
        {"name": "num.impute.selected.cpo", "type": "categorical", "choices": ["impute.mean"]},
        {"name": "repl", "type": "uniform_int", "log": False, "lower": 1, "upper": 10},
        {"name": "task_id", "type": "categorical", "choices": ["1040", "6"]},
        {"name": "tolerance", "type": "uniform_float", "log": True, "lower": 0.001, "upper": 1.0},
        {"name": "trainsize", "type": "uniform_float", "log": False, "lower": 0.03, "upper": 1.0},
    ]
    conditions = [
        {"child": "degree", "parent": "kernel", "type": "EQ", "value": "polynomial"},
        {"child": "gamma", "parent": "kernel", "type": "IN", "values": ["radial"]},
    ]
    encoding = {
        "kernel": {"#na#": 0, "linear": 1, "polynomial": 2, "radial": 3},
        "num.impute.selected.cpo": {"#na#": 0, "impute.mean": 1},
        "repl": {"#na#": 0, **{str(number): number for number in range(1, 11)}},
        "task_id": {"#na#": 0, "1040": 1, "6": 2},
    }
    _yahpo_files("rbv2_svm", hyperparameters, conditions, encoding)
    asked: list[tuple[Any, Any]] = []

    def network(categories: Any, numbers: Any) -> Any:
        assert (categories.dtype, numbers.dtype) == (np.int32, np.float32)
        asked.append((categories, numbers))
        return np.tile(numbers[:, -1:], (1, 7))

    monkeypatch.setattr(yahpo, "_network", lambda folder: network)
    blackboxes = load_blackbox("yahpo-rbv2_svm")
    assert list(blackboxes) == ["1040", "6"]
    svm = blackboxes["6"]
    assert svm.configuration_space["degree"] == randint(2, 5)
    assert set(svm.configuration_space) == {"cost", "degree", "gamma", "kernel", "num.impute.selected.cpo", "tolerance"}
    config = {"cost": 1.0, "degree": 3, "gamma": 2.0, "kernel": "radial", "tolerance": 0.5}
    config["num.impute.selected.cpo"] = "impute.mean"
    found = svm(config, fidelity=10)
    assert isinstance(found, dict)
    assert found["acc"] == 0.5
    ((categories, numbers),) = asked
    assert categories[0].tolist() == [2, 3, 1, 10]
    # cost, gamma, tolerance, degree, trainsize: a radial kernel has no degree
    np.testing.assert_allclose(numbers[9], [1.0, 2.0, 0.5, 0.0, 0.5])


def test_a_scenario_without_its_network_says_so() -> None:
    _yahpo_files("iaml_glmnet", [{"name": "task_id", "type": "categorical", "choices": ["1"]}], [], {})
    with pytest.raises(UserError, match="no network"):
        load_blackbox("yahpo-iaml_glmnet")


# -- domains ----------------------------------------------------------------------------------------------------------


def test_domains_are_what_occurs() -> None:
    from cloudtune.benchmarks.readers.spaces import observed_domain

    assert observed_domain([0.6, 0.0, 0.3, 0.0]) == ordinal([0.0, 0.3, 0.6])
    assert observed_domain([16, 512, 64]) == logordinal([16, 64, 512])
    assert observed_domain(["tanh", "relu"]) == choice(["relu", "tanh"])
