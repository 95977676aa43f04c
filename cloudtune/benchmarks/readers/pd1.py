"""PD1: optimizers of deep networks on 24 tasks (Wang et al. 2021, arXiv:2109.08215; CC-BY 4.0).

Lines of JSON, plain or gzipped, a trial each: ``dataset``, ``model``, ``hps.…``, ``status``, and lists over
evaluations: ``epoch``, ``eval_time``, ``valid/error_rate`` and so on.
"""

from __future__ import annotations

import gzip
import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from cloudtune.benchmarks.readers.raw import raw_files
from cloudtune.benchmarks.tabular import BlackboxTabular
from cloudtune.errors import UserError
from cloudtune.space import Domain, loguniform, randint, uniform

WHERE_FROM = "http://storage.googleapis.com/gresearch/pint/pd1.tar.gz"

SPACE: dict[str, Domain] = {
    "hp_initial_learning_rate": loguniform(1e-5, 10.0),
    "hp_power": uniform(0.1, 2.0),
    "hp_decay_steps_factor": uniform(0.01, 0.99),
    "hp_one_minus_momentum": loguniform(1e-3, 1.0),
}

_COLUMNS = {
    "hp_initial_learning_rate": "hps.lr_hparams.initial_value",
    "hp_power": "hps.lr_hparams.power",
    "hp_decay_steps_factor": "hps.lr_hparams.decay_steps_factor",
    "hp_one_minus_momentum": "hps.opt_hparams.momentum",
}

OBJECTIVES = {
    "metric_valid_error_rate": "valid/error_rate",
    "metric_valid_ce_loss": "valid/ce_loss",
    "metric_train_error_rate": "train/error_rate",
    "metric_train_ce_loss": "train/ce_loss",
}

ELAPSED = "metric_elapsed_time"


def read_pd1() -> dict[str, BlackboxTabular]:
    """All tasks of the matched trials, as ``{dataset}_{model}_batch_size_{n}``; the fidelity counts evaluations from 1.

    Elapsed time is the sum of ``eval_time``. What a diverged trial did not come to is NaN; a trial without any
    evaluation is left out.
    """
    tasks: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for path in raw_files("pd1", ("pd1_matched_*.jsonl", "pd1_matched_*.jsonl.gz"), WHERE_FROM):
        for trial in _trials(path):
            name = f"{trial['dataset']}_{trial['model']}_batch_size_{int(trial['hps.batch_size'])}"
            if isinstance(trial.get("epoch"), list) and trial["epoch"]:
                tasks[name].append(trial)
    return {name: _table(trials) for name, trials in sorted(tasks.items())}


def _trials(path: Path) -> Iterator[Mapping[str, Any]]:
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        for number, line in enumerate(file, 1):
            try:
                yield json.loads(line)
            except ValueError as error:
                raise UserError(
                    f"{path}, line {number}, is no JSON: {error}", f"get it again from {WHERE_FROM}"
                ) from error


def _table(trials: list[Mapping[str, Any]]) -> BlackboxTabular:
    import pandas as pd

    rows = {tuple(_config(trial).values()): trial for trial in trials}
    frame = pd.DataFrame(list(rows), columns=list(SPACE))
    longest = max(len(trial["epoch"]) for trial in rows.values())
    values = np.full((len(rows), 1, longest, len(OBJECTIVES) + 1), math.nan)
    for number, trial in enumerate(rows.values()):
        curves = [[*_column(trial, name)] for name in OBJECTIVES.values()]
        curves.append([*accumulate(_column(trial, "eval_time"))])
        for place, curve in enumerate(curves):
            values[number, 0, : len(curve), place] = curve[:longest]
    fidelity_space = {"global_step": randint(1, longest)}
    return BlackboxTabular(frame, SPACE, fidelity_space, values, None, [*OBJECTIVES, ELAPSED])


def _config(trial: Mapping[str, Any]) -> dict[str, float]:
    values = {ours: float(trial[theirs]) for ours, theirs in _COLUMNS.items()}
    values["hp_one_minus_momentum"] = 1.0 - values["hp_one_minus_momentum"]
    return values


def _column(trial: Mapping[str, Any], name: str) -> list[float]:
    """A list over evaluations; NaN where there was no number."""
    values = trial.get(name)
    if not isinstance(values, list):
        return [math.nan if values is None else float(values)] * len(trial["epoch"])
    return [math.nan if value is None else float(value) for value in values]
