"""NAS-Bench-201: all 15,625 cells of four nodes on three image data sets (Dong and Yang 2020, arXiv:2001.00326).

One file of PyTorch, of which only the numbers are read: ``meta_archs``, the architectures as text, and ``arch2infos``,
what became of each: ``full`` → ``all_results`` → (data set, seed) → dicts by epoch.
"""

from __future__ import annotations

import math
import pickle
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cloudtune.benchmarks.optional import needed
from cloudtune.benchmarks.readers.raw import raw_files
from cloudtune.benchmarks.tabular import BlackboxTabular
from cloudtune.errors import UserError
from cloudtune.space import choice, randint

WHERE_FROM = "https://github.com/D-X-Y/NAS-Bench-201 (NAS-Bench-201-v1_1-096897.pth, or v1_0-e61699)"

OPERATIONS = ("avg_pool_3x3", "nor_conv_3x3", "skip_connect", "nor_conv_1x1", "none")
"""What may be on each of the six edges ``hp_x0`` to ``hp_x5``, from (1←0), (2←0), (2←1), (3←0), (3←1), (3←2)."""

_DATASETS = {"cifar10": "cifar10-valid", "cifar100": "cifar100", "ImageNet16-120": "ImageNet16-120"}

OBJECTIVES = (
    "metric_valid_error",
    "metric_train_error",
    "metric_valid_loss",
    "metric_train_loss",
    "metric_elapsed_time",
)

_EDGE = re.compile(r"([a-z0-9_]+)~\d")

_SEEDS = 3


def read_nasbench201() -> dict[str, BlackboxTabular]:
    """``cifar10``, ``cifar100`` and ``ImageNet16-120``; the fidelity is ``hp_epoch``. Needs torch, to read the file."""
    (path, *_) = raw_files("nasbench201", ("NAS-Bench-201-*.pth",), WHERE_FROM)
    data = _load(path)
    try:
        architectures, infos = data["meta_archs"], data["arch2infos"]
    except (KeyError, TypeError) as error:
        raise UserError(f"{path} is not NAS-Bench-201's file: it lacks {error}", f"get it from {WHERE_FROM}") from error
    return tables_of(architectures, infos)


def _load(path: Path) -> Any:
    torch = needed("torch", "NAS-Bench-201's file", "torch")
    try:
        # the file is a pickle: only numbers and containers are let in
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(f"{path} has more than numbers in it: {error}", f"get it again from {WHERE_FROM}") from error


def tables_of(architectures: Sequence[str], infos: Mapping[int, Mapping[str, Any]]) -> dict[str, BlackboxTabular]:
    """Tables of what the file has. Seeds that an architecture lacks are filled with those it has.

    Where validation was not measured in each epoch, its error is that on the test images that validation is half of.
    """
    import pandas as pd

    rows = [operations_of(text) for text in architectures]
    names = [f"hp_x{edge}" for edge in range(len(rows[0]))]
    frame = pd.DataFrame(rows, columns=names)
    space = {name: choice(list(OPERATIONS)) for name in names}
    tables = {}
    for ours, theirs in _DATASETS.items():
        found = [_curves(infos[number]["full"]["all_results"], theirs) for number in range(len(rows))]
        epochs = max((len(curve) for curves in found for curve in curves), default=0)
        if epochs == 0:
            continue
        seeds = min(max(map(len, found)), _SEEDS)
        values = np.full((len(rows), seeds, epochs, len(OBJECTIVES)), math.nan, dtype=np.float32)
        for number, curves in enumerate(found):
            for seed in range(seeds if curves else 0):
                curve = curves[seed % len(curves)]
                values[number, seed, : len(curve)] = curve
        tables[ours] = BlackboxTabular(frame, space, {"hp_epoch": randint(1, epochs)}, values, None, OBJECTIVES)
    return tables


def operations_of(architecture: str) -> list[str]:
    """``|nor_conv_3x3~0|+|none~0|skip_connect~1|+|…|``: the operation on each edge, node by node."""
    found = _EDGE.findall(architecture)
    if len(found) != 6 or not set(found) <= set(OPERATIONS):
        raise UserError(f"{architecture!r} is no architecture of NAS-Bench-201", f"get the file from {WHERE_FROM}")
    return found


def _curves(results: Mapping[tuple[str, int], Mapping[str, Any]], dataset: str) -> list[np.ndarray[Any, Any]]:
    """(epochs, objectives) per seed, in the order of the seeds."""
    keys = sorted((key for key in results if key[0] == dataset), key=lambda key: key[1])
    return [_curve(results[key]) for key in keys]


def _curve(run: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    epochs = sorted(int(epoch) for epoch in run["train_acc1es"])
    accuracies, losses, times = run["eval_acc1es"], run["eval_losses"], run["eval_times"]
    split = next((name for name in ("x-valid", "ori-test") if f"{name}@{epochs[0]}" in accuracies), "x-valid")
    rows, elapsed = [], 0.0
    for epoch in epochs:
        key = f"{split}@{epoch}"
        elapsed += _of(run["train_times"] or {}, epoch, 0.0) + _of(times, key, 0.0)
        rows.append(
            [
                1.0 - _of(accuracies, key) / 100.0,
                1.0 - _of(run["train_acc1es"], epoch) / 100.0,
                _of(losses, key),
                _of(run["train_losses"], epoch),
                elapsed,
            ]
        )
    return np.array(rows)


def _of(values: Mapping[Any, float], key: object, otherwise: float = math.nan) -> float:
    return float(values.get(key, otherwise))
