"""What plots show, as plain numbers: computed here, drawn in ``plots``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cloudtune.trial import Mode

TIME = "st_tuner_time"


@dataclass(frozen=True)
class BestSoFar:
    """The best value of a metric after so many seconds of tuning: ``seconds`` (n,), ``values`` (n,), both ascending
    in time; ``observed`` (m, 2) are all reports as (seconds, value)."""

    metric: str
    mode: Mode
    seconds: NDArray[np.float64]
    values: NDArray[np.float64]
    observed: NDArray[np.float64]


@dataclass(frozen=True)
class LearningCurve:
    """One trial: ``resource`` (n,) and ``values`` (n,), ascending in resource, and how it ended."""

    trial_id: int
    status: str
    resource: NDArray[np.float64]
    values: NDArray[np.float64]


def best_so_far(results: pd.DataFrame, metric: str, mode: Mode) -> BestSoFar:
    """Reports that carry no number for ``metric`` are left out."""
    rows = numbers_only(results, metric).sort_values(TIME, kind="stable")
    seconds = rows[TIME].to_numpy(dtype=float)
    values = rows[metric].to_numpy(dtype=float)
    running = np.minimum.accumulate(values) if mode == "min" else np.maximum.accumulate(values)
    return BestSoFar(metric, mode, seconds, running, np.column_stack([seconds, values]))


def learning_curves(results: pd.DataFrame, metric: str, resource: str | None) -> list[LearningCurve]:
    """One curve per trial that has reported numbers; without ``resource``, reports are counted from 1.

    Where a trial reported the same resource twice (it was resumed without a checkpoint), the later report stands.
    """
    curves = []
    for trial_id, rows in numbers_only(results, metric).groupby("trial_id"):
        status = str(rows["st_status"].iloc[-1])
        if resource is not None and resource in rows:
            rows = rows.drop_duplicates(resource, keep="last").sort_values(resource)
            steps = rows[resource].to_numpy(dtype=float)
        else:
            steps = np.arange(1, len(rows) + 1, dtype=float)
        curves.append(LearningCurve(int(str(trial_id)), status, steps, rows[metric].to_numpy(dtype=float)))
    return curves


def numbers_only(results: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The rows whose ``metric`` is a finite number, as numbers; work that was done once more is left out."""
    if metric not in results:
        return results.iloc[:0].assign(**{metric: pd.Series(dtype=float)})
    values = pd.to_numeric(results[metric], errors="coerce")
    counts = np.isfinite(values.to_numpy(dtype=float))
    if "repeated" in results:
        counts &= ~results["repeated"].to_numpy(dtype=bool)
    numbers: pd.DataFrame = results.assign(**{metric: values})[counts]
    return numbers
