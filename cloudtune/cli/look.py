"""Commands that look at an experiment and change nothing."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.live import Live
from rich.table import Table

from cloudtune.callbacks.status_view import status_line, status_table
from cloudtune.cli.options import as_json, experiment_argument, tuner_runs, writing
from cloudtune.engine.ledger import Ledger
from cloudtune.engine.status import TuningStatus
from cloudtune.errors import ExperimentFailedError, OptionError
from cloudtune.results.files import ExperimentFiles
from cloudtune.results.loading import GrowingLedger, find_experiment, load_experiment
from cloudtune.results.logs import trial_logs

PICTURES = (".png", ".pdf", ".svg", ".jpg")


@dataclass(frozen=True)
class _Experiment:
    """What is looked at, again and again."""

    name: str
    files: ExperimentFiles
    s3_path: str | None
    growing: GrowingLedger

    @classmethod
    def found(cls, name: str, local_path: Path | None, s3_path: str | None) -> _Experiment:
        files = find_experiment(name, True, local_path, s3_path)
        return cls(name, files, s3_path, GrowingLedger(files))

    def look(self) -> _Look | None:
        """None as long as its tuner has not begun. Raises ``ExperimentFailedError`` if it never will."""
        runs = tuner_runs(self.files, self.name, self.s3_path)  # first: what has ended since then is in the journal
        ledger = self.growing.look()
        if ledger is None:
            if runs:
                return None
            raise ExperimentFailedError(
                f"the tuner of {self.name} has ended before it began", f"try again: cloudtune resume {self.name}"
            )
        return _Look(ledger, self.files.where, runs, self.growing.last if ledger.finished else time.time())


@dataclass(frozen=True)
class _Look:
    """An experiment at one moment."""

    ledger: Ledger
    where: str
    runs: bool
    at: float

    @property
    def view(self) -> TuningStatus:
        return TuningStatus(self.ledger, self.at)

    @property
    def is_over(self) -> bool:
        return self.ledger.finished is not None

    @property
    def has_failed(self) -> bool:
        return self.ledger.finishing is not None and self.ledger.finishing.failed

    def table(self) -> Table:
        return status_table(self.view, self.where, self.ledger.scheduler.resource_attr)

    def last_word(self, name: str) -> str | None:
        """How it ended, or that nobody goes on with it; None while it runs."""
        if self.ledger.finished is not None:
            return f"Ended: {self.ledger.finished.why}."
        if not self.runs:
            return f"No tuner runs it: it has died. Go on with it: cloudtune resume {name}"
        return None


_NOT_BEGUN = "its tuner has not begun yet"


@click.command()
@as_json
@experiment_argument
def status(tuner_name: str, local_path: Path | None, s3_path: str | None, wants_json: bool) -> None:
    """Where an experiment stands: one row per trial."""
    look = _Experiment.found(tuner_name, local_path, s3_path).look()
    if wants_json:
        click.echo(_json({"name": tuner_name} if look is None else _summary(tuner_name, look)))
    elif look is None:
        click.echo(f"{tuner_name}: {_NOT_BEGUN}")
    else:
        Console().print(look.table())
        if last_word := look.last_word(tuner_name):
            click.echo(last_word)


def _summary(name: str, look: _Look) -> dict[str, Any]:
    view, finished = look.view, look.ledger.finished
    return {
        "name": name,
        "where": look.where,
        "running": look.runs,
        "ended": None if finished is None else finished.why,
        "seconds": view.wallclock_time,
        "dollars": view.cost,
        "reports": view.num_evaluations,
        "summary": list(view.summary),
        "trials": [
            {
                "trial_id": trial.trial_id,
                "status": trial.status.value,
                "config": trial.config,
                "attempts": trial.attempts,
                "reports": trial.reports,
                "last_result": trial.last_result,
                "seconds": trial.seconds,
                "dollars": trial.dollars,
                "reason": trial.reason,
            }
            for trial in view.trials()
        ],
    }


@click.command()
@click.option(
    "--interval",
    type=click.FloatRange(min=0, min_open=True),
    default=2.0,
    show_default=True,
    help="Seconds between two looks.",
)
@experiment_argument
@click.pass_context
def watch(ctx: click.Context, tuner_name: str, local_path: Path | None, s3_path: str | None, interval: float) -> None:
    """Follow an experiment until it has ended. Ctrl-C stops the watching, not the experiment.

    Exit status: 1 if it failed, or if its tuner has died.
    """
    experiment = _Experiment.found(tuner_name, local_path, s3_path)
    console = Console()
    try:
        last = (
            _watch_table(experiment, console, interval) if console.is_terminal else _watch_lines(experiment, interval)
        )
    except KeyboardInterrupt:
        click.echo(f"The experiment goes on. Look again: cloudtune watch {tuner_name}")
        return
    if not last.is_over or last.has_failed:
        ctx.exit(1)


def _watch_table(experiment: _Experiment, console: Console, interval: float) -> _Look:
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while True:
            look = experiment.look()
            if look is None:
                live.update(f"{experiment.name}: {_NOT_BEGUN}", refresh=True)
            elif word := look.last_word(experiment.name):
                break
            else:
                live.update(look.table(), refresh=True)
            time.sleep(interval)
    console.print(look.table())
    click.echo(word)
    return look


def _watch_lines(experiment: _Experiment, interval: float) -> _Look:
    said = ""
    while True:
        look = experiment.look()
        line = f"{experiment.name}: {_NOT_BEGUN}" if look is None else status_line(look.view)
        if line != said:
            click.echo(line)
            said = line
        if look is not None and (word := look.last_word(experiment.name)):
            click.echo(word)
            return look
        time.sleep(interval)


@click.command()
@click.option("--trial", type=int, help="Print this trial's log. Default: those of all trials, one after the other.")
@experiment_argument
def logs(tuner_name: str, local_path: Path | None, s3_path: str | None, trial: int | None) -> None:
    """What the training scripts have printed."""
    files = find_experiment(tuner_name, True, local_path, s3_path)
    for trial_id, line in trial_logs(files, trial):
        click.echo(line if trial is not None else f"{trial_id}: {line}")


@click.command()
@click.option("--output", type=click.Path(path_type=Path), help="Write all reports into this CSV file.")
@as_json
@experiment_argument
def results(
    tuner_name: str, local_path: Path | None, s3_path: str | None, output: Path | None, wants_json: bool
) -> None:
    """The best configuration, what it cost, and where the rest lies."""
    experiment = load_experiment(tuner_name, True, False, local_path, s3_path)
    if output:
        with writing(output):
            experiment.results.to_csv(output, index=False)
    best = experiment.best_config()
    if wants_json:
        totals = {"trials": experiment.num_trials, "reports": len(experiment.results), "dollars": experiment.dollars}
        click.echo(_json({"name": experiment.name, "where": experiment.where, **totals, "best": best}))
        return
    click.echo(str(experiment))
    table = Table("name", "value", title="Best configuration", title_justify="left")
    for name, value in best.items():
        table.add_row(name, str(value))
    Console().print(table)
    if output:
        click.echo(f"{len(experiment.results)} reports are in {output}")


@click.command()
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help=f"Picture to write: {', '.join(PICTURES)}. Default: TUNER_NAME.png.",
)
@click.option("--metric", help="Default: the objective.")
@experiment_argument
def plot(
    tuner_name: str, local_path: Path | None, s3_path: str | None, output: Path | None, metric: str | None
) -> None:
    """Best value so far and learning curves, as a picture."""
    path = output or Path(f"{tuner_name}.png")
    if path.suffix.lower() not in PICTURES:
        raise OptionError(f"--output {str(path)!r} is no picture", f"its name ends in one of {', '.join(PICTURES)}")
    experiment = load_experiment(tuner_name, True, False, local_path, s3_path)
    with writing(path):
        experiment.plot_overview(metric if metric is not None else 0, path)
    click.echo(f"wrote {path}")


def _json(value: Mapping[str, Any]) -> str:
    """Numbers that JSON doesn't have become null."""
    return json.dumps(_finite(value), indent=1, default=str)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
