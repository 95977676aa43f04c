"""One experiment's results, loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from cloudtune.errors import MetricError
from cloudtune.results.curves import best_so_far, learning_curves, numbers_only
from cloudtune.results.plots import draw_best, draw_curves, new_figure, show_or_save
from cloudtune.trial import Mode

if TYPE_CHECKING:
    from cloudtune.tuner import Tuner


@dataclass(frozen=True)
class ExperimentResult:
    """``results`` has a row per report (columns: ``cloudtune.callbacks.results_table``); ``metadata`` is
    ``metadata.json``; ``dollars`` what the trials cost, as far as prices are known; ``where`` says where it lies."""

    name: str
    results: pd.DataFrame
    metadata: Mapping[str, Any]
    dollars: float
    num_trials: int
    where: str
    path: Path | None = None
    tuner: Tuner | None = None

    def metric_names(self) -> Sequence[str]:
        names: list[str] = list(self.metadata["metric_names"])
        return names

    def metric_mode(self, metric: int | str = 0) -> Mode:
        """'min' or 'max'; 'min' for metrics the scheduler doesn't know."""
        mode = self.metadata.get("metric_mode", "min")
        if isinstance(mode, str):
            return "max" if mode == "max" else "min"
        modes = dict(zip(self.metric_names(), mode, strict=False))
        return "max" if modes.get(self._name(metric)) == "max" else "min"

    def best_config(self, metric: int | str = 0) -> dict[str, Any]:
        """The configuration with the best value of ``metric``, with its ``trial_id`` and that value.

        Raises ``MetricError`` if nothing has been reported for it.
        """
        name = self._name(metric)
        rows = numbers_only(self.results, name)
        if rows.empty:
            raise MetricError(f"no report carries a number for {name!r}", f"reported: {list(self.results.columns)}")
        values = rows[name].to_numpy(dtype=float)
        best = int(values.argmin() if self.metric_mode(name) == "min" else values.argmax())
        row = rows.iloc[best]
        prefix = "config_"
        config = {
            str(column)[len(prefix) :]: _plain(row[column]) for column in row.index if str(column).startswith(prefix)
        }
        return {"trial_id": int(row["trial_id"]), name: _plain(row[name]), **config}

    def plot(
        self,
        metric_to_plot: int | str = 0,
        figure_path: str | Path | None = None,
        figsize: tuple[float, float] | None = None,
    ) -> None:
        """Best value so far against the tuner's time; into a file, or in a window if no path is given."""
        metric = self._name(metric_to_plot)
        figure, (axes,) = new_figure(1, figsize)
        draw_best(axes, best_so_far(self.results, metric, self.metric_mode(metric)))
        axes.set_title(f"{self.name}: best so far")
        show_or_save(figure, figure_path)

    def plot_trials_over_time(
        self,
        metric_to_plot: int | str = 0,
        figure_path: str | Path | None = None,
        figsize: tuple[float, float] | None = None,
    ) -> None:
        """Every trial's reports against the tuner's time."""
        metric = self._name(metric_to_plot)
        figure, (axes,) = new_figure(1, figsize)
        curves = learning_curves(self.results, metric, "st_tuner_time")
        draw_curves(axes, curves, metric, "seconds of tuning", self._best_trial(metric))
        show_or_save(figure, figure_path)

    def plot_overview(
        self,
        metric_to_plot: int | str = 0,
        figure_path: str | Path | None = None,
        figsize: tuple[float, float] | None = None,
    ) -> None:
        """Best so far, and beside it the learning curves of all trials."""
        metric = self._name(metric_to_plot)
        resource = self.metadata.get("resource_attr")
        figure, (left, right) = new_figure(2, figsize)
        figure.suptitle(self.name)
        draw_best(left, best_so_far(self.results, metric, self.metric_mode(metric)))
        draw_curves(right, learning_curves(self.results, metric, resource), metric, resource, self._best_trial(metric))
        show_or_save(figure, figure_path)

    def _name(self, metric: int | str) -> str:
        return self.metric_names()[metric] if isinstance(metric, int) else metric

    def _best_trial(self, metric: str) -> int:
        return int(self.best_config(metric)["trial_id"])

    def __str__(self) -> str:
        return (
            f"{self.name}: {self.num_trials} trials, {len(self.results)} reports, {self.dollars:.2f} $, in {self.where}"
        )


def _plain(value: Any) -> Any:
    """numpy scalars as Python's own."""
    return value.item() if hasattr(value, "item") else value
