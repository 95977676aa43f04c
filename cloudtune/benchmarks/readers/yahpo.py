"""YAHPO Gym: networks that predict what training would give (Pfisterer et al. 2022, arXiv:2109.03670).

A folder per scenario: ``config_space.json`` (as ConfigSpace writes it), ``encoding.json`` (categories as numbers) and
the network in ONNX. It takes categories (n, c) as int32 and numbers (n, d) as float32, in an order that is the
scenario's, and returns the objectives (n, m).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from cloudtune.benchmarks.blackbox import Array, Blackbox
from cloudtune.benchmarks.optional import needed
from cloudtune.benchmarks.readers.raw import raw_files
from cloudtune.errors import UserError
from cloudtune.space import Domain, choice, lograndint, loguniform, ordinal, randint, uniform
from cloudtune.trial import Config

WHERE_FROM = "https://github.com/slds-lmu/yahpo_data (a release, with its folders)"

Network: TypeAlias = Callable[[NDArray[np.int32], NDArray[np.float32]], NDArray[Any]]

_NOT_ACTIVE = "#na#"
_MODELS = ("model_v2.onnx", "new_model.onnx", "model.onnx")
_STEPS = 20
"""Training set sizes are twentieths: schedulers want whole numbers."""


@dataclass(frozen=True)
class Scenario:
    """What the files don't say: the order of the network's inputs and outputs, and which input is what."""

    objectives: tuple[str, ...]
    numbers: tuple[str, ...]
    categories: tuple[str, ...]
    instance: str = "task_id"
    fidelity: str = "trainsize"


_IAML = (
    *("mmce", "f1", "auc", "logloss", "ramtrain", "rammodel", "rampredict"),
    *("timetrain", "timepredict", "mec", "ias", "nf"),
)
_RBV2 = ("acc", "bac", "auc", "brier", "logloss", "timetrain", "timepredict")
_RPART = ("cp", "maxdepth", "minbucket", "minsplit", "trainsize")
_GLMNET = ("alpha", "s", "trainsize")
_XGBOOST = (
    *("nrounds", "eta", "gamma", "lambda", "alpha", "subsample", "max_depth", "min_child_weight"),
    *("colsample_bytree", "colsample_bylevel", "rate_drop", "skip_drop", "trainsize"),
)
_IMPUTED = ("num.impute.selected.cpo", "repl")

SCENARIOS = {
    "lcbench": Scenario(
        (
            *("time", "val_accuracy", "val_cross_entropy", "val_balanced_accuracy"),
            *("test_cross_entropy", "test_balanced_accuracy"),
        ),
        ("epoch", "batch_size", "learning_rate", "momentum", "weight_decay", "num_layers", "max_units", "max_dropout"),
        ("OpenML_task_id",),
        instance="OpenML_task_id",
        fidelity="epoch",
    ),
    "iaml_glmnet": Scenario(_IAML, _GLMNET, ("task_id",)),
    "iaml_rpart": Scenario(_IAML, _RPART, ("task_id",)),
    "iaml_ranger": Scenario(
        _IAML,
        ("num.trees", "sample.fraction", "mtry.ratio", "min.node.size", "num.random.splits", "trainsize"),
        ("task_id", "replace", "respect.unordered.factors", "splitrule"),
    ),
    "iaml_xgboost": Scenario(_IAML, _XGBOOST, ("task_id", "booster")),
    "rbv2_glmnet": Scenario(_RBV2, _GLMNET, ("task_id", *_IMPUTED)),
    "rbv2_rpart": Scenario(_RBV2, _RPART, ("task_id", *_IMPUTED)),
    "rbv2_ranger": Scenario(
        _RBV2,
        ("num.trees", "sample.fraction", "mtry.power", "min.node.size", "num.random.splits", "trainsize"),
        ("task_id", "respect.unordered.factors", "splitrule", *_IMPUTED),
    ),
    "rbv2_svm": Scenario(
        _RBV2, ("cost", "gamma", "tolerance", "degree", "trainsize"), ("task_id", "kernel", *_IMPUTED)
    ),
    "rbv2_xgboost": Scenario(_RBV2, _XGBOOST, ("task_id", "booster", *_IMPUTED)),
    "rbv2_aknn": Scenario(_RBV2, ("k", "M", "ef", "ef_construction", "trainsize"), ("task_id", "distance", *_IMPUTED)),
}

_CONSTANT = {"repl": "10"}
"""Repetitions of the evaluation: all of them."""


def read_yahpo(name: str) -> dict[str, Blackbox]:
    """A scenario, by instance; the fidelity is ``epoch``, or ``trainsize`` in twentieths. Needs onnxruntime.

    Of hyperparameters that others switch off, the value in the configuration does not matter.
    """
    (path, *_) = raw_files("yahpo", (f"{name}/config_space.json",), WHERE_FROM)
    folder = path.parent
    scenario = SCENARIOS[name]
    try:
        space = json.loads(path.read_text())
        encoding = json.loads((folder / "encoding.json").read_text())
        given = {each["name"]: each for each in space["hyperparameters"]}
        instances = given[scenario.instance]["choices"]
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{folder} is no scenario of YAHPO: {error!r}", f"get it again from {WHERE_FROM}") from error
    network = _network(folder)
    return {
        instance: YahpoBlackbox(scenario, given, space.get("conditions", []), encoding, instance, network)
        for instance in instances
    }


def _network(folder: Path) -> Network:
    path = next((folder / name for name in _MODELS if (folder / name).is_file()), None)
    if path is None:
        raise UserError(f"{folder} has no network", f"get {' or '.join(_MODELS)} from {WHERE_FROM}")
    session = needed("onnxruntime", "YAHPO's networks", "onnxruntime").InferenceSession(str(path))
    categories, numbers = (each.name for each in session.get_inputs())
    output = session.get_outputs()[0].name

    def run(x_categories: NDArray[np.int32], x_numbers: NDArray[np.float32]) -> NDArray[Any]:
        predicted: NDArray[Any] = session.run([output], {categories: x_categories, numbers: x_numbers})[0]
        return predicted

    return run


class YahpoBlackbox(Blackbox):
    """One instance of a scenario."""

    def __init__(
        self,
        scenario: Scenario,
        given: Mapping[str, Mapping[str, Any]],
        conditions: Sequence[Mapping[str, Any]],
        encoding: Mapping[str, Mapping[str, int]],
        instance: str,
        network: Network,
    ) -> None:
        fixed = {scenario.instance, scenario.fidelity, *_CONSTANT}
        space = {name: _domain(each) for name, each in given.items() if name not in fixed}
        by_size = scenario.fidelity == "trainsize"
        last = _STEPS if by_size else int(given[scenario.fidelity]["upper"])
        steps = np.arange(1, last + 1)
        super().__init__(space, {scenario.fidelity: randint(1, last)}, scenario.objectives, steps)
        self._scenario = scenario
        self._conditions = conditions
        self._encoding = encoding
        self._known = {scenario.instance: instance, **_CONSTANT}
        self._network = network
        self._inputs = steps / _STEPS if by_size else steps.astype(np.float64)

    def curves(self, configuration: Config, seed: int = 0) -> Array:
        values = {**{name: configuration[name] for name in self.configuration_space}, **self._known}
        active = {name: value for name, value in values.items() if self._is_active(name, values)}
        row = [float(active.get(name, 0.0)) for name in self._scenario.numbers]
        numbers = np.tile(np.array(row, dtype=np.float32), (self.num_fidelities, 1))
        numbers[:, self._scenario.numbers.index(self._scenario.fidelity)] = self._inputs
        codes = [self._code(name, active.get(name, _NOT_ACTIVE)) for name in self._scenario.categories]
        categories = np.tile(np.array(codes, dtype=np.int32), (self.num_fidelities, 1))
        return np.asarray(self._network(categories, numbers), dtype=np.float64)

    def _code(self, name: str, value: object) -> int:
        codes = self._encoding[name]
        if str(value) not in codes:
            raise UserError(f"YAHPO's encoding has no {name}={value!r}", f"it has {', '.join(codes)}")
        return codes[str(value)]

    def _is_active(self, name: str, values: Mapping[str, Any]) -> bool:
        return all(_holds(each, values) for each in self._conditions if each["child"] == name)


def _holds(condition: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    kind = condition["type"]
    if kind in ("AND", "OR"):
        parts = [_holds(each, values) for each in condition["conditions"]]
        return all(parts) if kind == "AND" else any(parts)
    value = values.get(condition["parent"])
    if kind == "EQ":
        return bool(value == condition["value"])
    if kind == "NEQ":
        return bool(value != condition["value"])
    if kind == "IN":
        return value in condition["values"]
    raise UserError(f"YAHPO's condition {kind!r} is not known", f"conditions of {WHERE_FROM} are EQ, NEQ, IN, AND, OR")


def _domain(given: Mapping[str, Any]) -> Domain:
    kind = given["type"]
    if kind == "uniform_float":
        return (loguniform if given.get("log") else uniform)(given["lower"], given["upper"])
    if kind == "uniform_int":
        return (lograndint if given.get("log") else randint)(given["lower"], given["upper"])
    if kind == "categorical":
        return choice(given["choices"])
    if kind == "ordinal":
        return ordinal(given["sequence"])
    if kind == "constant":
        return choice([given["value"]])
    raise UserError(f"YAHPO's hyperparameter {given['name']!r} has the unknown type {kind!r}", f"see {WHERE_FROM}")
