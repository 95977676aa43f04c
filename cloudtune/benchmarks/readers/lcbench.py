"""LCBench: 2,000 configurations of an MLP on 35 data sets (Zimmer, Lindauer and Hutter 2021, arXiv:2006.13799).

One JSON file: data set → number of the configuration → ``config`` and ``log``, lists by tag, an entry per epoch from 0.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from cloudtune.benchmarks.readers.raw import raw_files
from cloudtune.benchmarks.tabular import BlackboxTabular
from cloudtune.errors import UserError
from cloudtune.space import Domain, lograndint, loguniform, randint, uniform

WHERE_FROM = "https://figshare.com/projects/LCBench/74151 (data_2k_lw.zip, or data_2k.zip)"

SPACE: dict[str, Domain] = {
    "batch_size": lograndint(16, 512),
    "learning_rate": loguniform(1e-4, 1e-1),
    "momentum": uniform(0.1, 0.99),
    "weight_decay": uniform(1e-5, 1e-1),
    "num_layers": randint(1, 5),
    "max_units": lograndint(64, 1024),
    "max_dropout": uniform(0.0, 1.0),
}

_TAGS = {
    "val_accuracy": "Train/val_accuracy",
    "val_cross_entropy": "Train/val_cross_entropy",
    "val_balanced_accuracy": "Train/val_balanced_accuracy",
    "test_cross_entropy": "Train/test_cross_entropy",
    "test_balanced_accuracy": "Train/test_balanced_accuracy",
    "time": "time",
}

_LAST_EPOCH = 50


def read_lcbench() -> dict[str, BlackboxTabular]:
    """Every data set of every file that is there. Epochs are 1 to 50; ``time`` is in seconds from the beginning."""
    tables: dict[str, BlackboxTabular] = {}
    for path in raw_files("lcbench", ("*.json",), WHERE_FROM):
        with path.open() as file:
            try:
                data = json.load(file)
            except ValueError as error:
                raise UserError(f"{path} is no JSON: {error}", f"get it again from {WHERE_FROM}") from error
        tables.update((name, _table(name, runs)) for name, runs in data.items())
    return tables


def _table(dataset: str, runs: Mapping[str, Mapping[str, Any]]) -> BlackboxTabular:
    import pandas as pd

    ordered = [runs[number] for number in sorted(runs, key=int)]
    try:
        frame = pd.DataFrame([{name: run["config"][name] for name in SPACE} for run in ordered])
        curves = [_curve(run["log"]) for run in ordered]
    except KeyError as error:
        raise UserError(f"LCBench's {dataset} lacks {error.args[0]!r}", f"get it again from {WHERE_FROM}") from error
    epochs = sorted({epoch for curve in curves for epoch in curve})
    missing = [math.nan] * len(_TAGS)
    values = [[[curve.get(epoch, missing) for epoch in epochs]] for curve in curves]
    fidelity_space = {"epoch": randint(1, epochs[-1])}
    return BlackboxTabular(frame, SPACE, fidelity_space, values, epochs, list(_TAGS))


def _curve(log: Mapping[str, Any]) -> dict[int, list[float]]:
    """What was logged by epoch, from 1: before the first nothing is trained, and the last entries repeat."""
    columns = [log[tag] for tag in _TAGS.values()]
    epochs = log.get("epoch", range(len(columns[0])))
    return {
        int(epoch): [float(column[place]) for column in columns]
        for place, epoch in enumerate(epochs)
        if 1 <= epoch <= _LAST_EPOCH
    }
