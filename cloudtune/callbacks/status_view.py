"""Where a tuning stands, as a table for terminals and as a line for logs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cloudtune.engine.status import TrialView, TuningStatus
from cloudtune.trial import Config, Status

if TYPE_CHECKING:
    from rich.table import Table

MAX_ROWS = 24
_STYLES = {
    Status.in_progress: "cyan",
    Status.completed: "green",
    Status.paused: "blue",
    Status.stopped: "dim",
    Status.stopping: "dim",
    Status.failed: "red",
}


def status_line(view: TuningStatus) -> str:
    """Counts, time, cost, the best value and what trials wait for, in one line."""
    best = view.best()
    objective = view.metric_names[0]
    found = "" if best is None else f"; best {objective} {short(best[1][objective])} (trial {best[0]})"
    return f"{view}{found}{waiting_text(view)}"


def waiting_text(view: TuningStatus) -> str:
    """How many trials wait for their launch, and for what most of them."""
    waiting = view.waiting()
    if not waiting:
        return ""
    count = waiting.total()
    (most, _), *others = waiting.most_common()
    more = f" (and {len(others)} other reason{'s' * (len(others) > 1)})" if others else ""
    return f"; {count} trial{'s wait' if count > 1 else ' waits'}: {most}{more}"


def status_table(view: TuningStatus, title: str, resource_attr: str | None = None) -> Table:
    """One row per trial: all that run, and as many of the others as fit, newest first."""
    from rich.table import Table

    objective = view.metric_names[0]
    best = view.best()
    caption = "\n".join([status_line(view), *view.summary])
    table = Table(title=title, caption=caption, title_justify="left", caption_justify="left")
    trials = view.trials(view.most_interesting(MAX_ROWS))
    has_prices = any(trial.dollars for trial in trials)
    for name in ("trial", "status", resource_attr or "reports", objective, "seconds", "dollars", "configuration"):
        if name != "dollars" or has_prices:
            table.add_column(name, overflow="fold", no_wrap=name != "configuration")
    tuned = _varying([trial.config for trial in trials])
    for trial in trials:
        result = trial.last_result or {}
        done = result.get(resource_attr, "") if resource_attr else trial.reports
        mark = " *" if best and best[0] == trial.trial_id else ""
        tuned_values = {name: trial.config[name] for name in tuned if name in trial.config}
        table.add_row(
            f"{trial.trial_id}{mark}",
            trial.status.value + _history(trial),
            str(done),
            short(result.get(objective, "")),
            f"{trial.seconds:.0f}",
            *([f"{trial.dollars:.4f}"] if has_prices else []),
            _why(trial) or config_text(tuned_values),
            style=_STYLES[trial.status],
        )
    if view.num_trials_started > len(trials):
        table.add_row("…", f"{view.num_trials_started - len(trials)} more")
    return table


def _history(trial: TrialView) -> str:
    """What happened to its jobs, if there is more to say than that there was one."""
    runs = [f"run {trial.attempts}"] if trial.attempts > 1 else []
    lost = [f"interrupted {trial.interruptions}x"] if trial.interruptions else []
    return f" ({', '.join([*runs, *lost])})" if runs or lost else ""


def _why(trial: TrialView) -> str:
    """Of a trial that has failed, waits, or needs a look."""
    if trial.status is Status.failed:
        return " ".join(trial.reason.split())
    if trial.warning:
        return f"warning: {trial.warning}"
    return f"waits: {trial.waits_for}" if trial.waits_for else ""


def _varying(configs: Sequence[Config]) -> list[str]:
    """Names whose values differ between configurations; all of them as long as there is but one configuration."""
    first = configs[0] if configs else {}
    return [name for name in first if len(configs) == 1 or any(config.get(name) != first[name] for config in configs)]


def config_text(config: Mapping[str, Any]) -> str:
    return " ".join(f"{name}={short(value)}" for name, value in config.items())


def short(value: object) -> str:
    """A value in few characters."""
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:.4g}"
    return str(value)
