"""Drawing what ``curves`` computes. Needs matplotlib: ``pip install 'cloudtune[plot]'``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloudtune.errors import UserError
from cloudtune.results.curves import BestSoFar, LearningCurve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLORS = {"Completed": "tab:green", "Stopped": "tab:gray", "Paused": "tab:blue", "Failed": "tab:red"}
_BEST = "tab:orange"


def draw_best(axes: Axes, best: BestSoFar) -> None:
    axes.scatter(best.observed[:, 0], best.observed[:, 1], s=8, color="tab:gray", alpha=0.5, label="reports")
    axes.step(best.seconds, best.values, where="post", color=_BEST, label="best so far")
    axes.set(xlabel="seconds of tuning", ylabel=best.metric, title="Best so far")
    axes.legend(loc="best")


def draw_curves(
    axes: Axes, curves: Sequence[LearningCurve], metric: str, resource: str | None, best_trial: int
) -> None:
    """Trials by how they ended; the best one stands out."""
    named: set[str] = set()
    for curve in sorted(curves, key=lambda curve: curve.trial_id == best_trial):
        is_best = curve.trial_id == best_trial
        label = f"best: trial {best_trial}" if is_best else curve.status
        axes.plot(
            curve.resource,
            curve.values,
            color=_BEST if is_best else _COLORS.get(curve.status, "tab:olive"),
            linewidth=2.0 if is_best else 1.0,
            alpha=1.0 if is_best else 0.7,
            marker="o",
            markersize=3,
            label=None if label in named else label,
        )
        named.add(label)
    axes.set(xlabel=resource or "report", ylabel=metric, title=f"Learning curves of {len(curves)} trials")
    axes.legend(loc="best")


def new_figure(columns: int = 1, figsize: tuple[float, float] | None = None) -> tuple[Figure, Sequence[Axes]]:
    """A figure with axes side by side, drawn without a display. Raises ``UserError`` without matplotlib."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UserError("plots need matplotlib, which is not installed", "pip install 'cloudtune[plot]'") from error
    figure = Figure(figsize=figsize or (6.4 * columns, 4.8), layout="constrained")
    FigureCanvasAgg(figure)
    axes: Any = figure.subplots(1, columns, squeeze=False)
    return figure, list(axes[0])


def show_or_save(figure: Figure, figure_path: str | Path | None) -> None:
    """Save if a path is given, else open a window."""
    if figure_path is not None:
        Path(figure_path).parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(str(figure_path), dpi=150)
        return
    import matplotlib.pyplot as plt

    shown = plt.figure()
    manager = shown.canvas.manager
    if manager is not None:
        manager.canvas.figure = figure
        figure.set_canvas(manager.canvas)
    plt.show()
