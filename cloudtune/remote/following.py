"""Following a remote tuner: its log as it comes, and on a terminal a table below it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TextIO

from cloudtune.callbacks.status_view import status_table
from cloudtune.errors import TransientError
from cloudtune.remote.experiment import RemoteExperiment, RemoteStatus
from cloudtune.remote.job_log import JobLog
from cloudtune.remote.layout import LAST_LINE
from cloudtune.remote.tuner_job import TunerJob
from cloudtune.remote.tuning_metrics import BEST_METRIC_VALUE

if TYPE_CHECKING:
    from rich.table import Table

SHORTEST, LONGEST = 1.0, 10.0
"""Seconds between two looks: shorter while there is news."""

LOG_LAG = 15.0
"""Seconds for which a log without its last line must have been quiet after its job's end."""


class Display(Protocol):
    def line(self, text: str) -> None:
        """A line of the log."""

    def table(self, table: Table) -> None:
        """Where the tuning stands."""


def follow(experiment: RemoteExperiment, job: TunerJob, output: TextIO | None = None) -> RemoteStatus | None:
    """Show what happens until the job has ended; None if Ctrl-C ended the looking. The job goes on then.

    Raises ``ExperimentFailedError`` if the job failed.
    """
    output = output or sys.stdout
    try:
        with _display(output) as display:
            _Follower(experiment, job, display).run()
        return experiment.ended(experiment.refreshed(job))
    except KeyboardInterrupt:
        print(way_back(experiment.name), file=output, flush=True)
        return None


def way_back(name: str) -> str:
    return (
        f"\nThe tuner goes on without you. Come back to it:\n"
        f"  cloudtune watch {name}\n  cloudtune results {name}\n  cloudtune stop {name}"
    )


class _Follower:
    """One look after the other at a job, its log and the journal."""

    def __init__(self, experiment: RemoteExperiment, job: TunerJob, display: Display) -> None:
        self._experiment = experiment
        self._display = display
        self._job = job
        self._said = ""
        self._log = JobLog(experiment.aws, job.name)
        self._is_complete = False
        self._last_news = experiment.clock.now()

    def run(self) -> None:
        pause = SHORTEST
        while True:
            news = self._look()
            if self._is_over():
                return
            pause = SHORTEST if news or not self._job.is_active else min(LONGEST, 1.5 * pause)
            self._experiment.clock.sleep(pause)

    def _look(self) -> bool:
        """Whether there is anything new. A job is looked at before its log, so that an ended job's log is whole."""
        news = False
        try:
            self._job = self._experiment.refreshed(self._job)
            for line in self._log.new_lines():
                news = True
                self._show(line)
            self._show_table()
        except TransientError as error:
            self._display.line(f"(no news: {error.message})")
        if self._job.status != self._said:
            self._said = self._job.status
            self._display.line(f"{self._job.name}: {self._job.status}")
            news = True
        if news:
            self._last_news = self._experiment.clock.now()
        return news

    def _show(self, line: str) -> None:
        if line.strip() == LAST_LINE:
            self._is_complete = True
        else:
            self._display.line(line)

    def _show_table(self) -> None:
        view = self._experiment.view()
        tuning = view.status(self._experiment.clock.now())
        if tuning is not None:
            self._display.table(status_table(tuning, self._experiment.name, view.resource_attr))

    def _is_over(self) -> bool:
        quiet = self._experiment.clock.now() - self._last_news
        return not self._job.is_active and (self._is_complete or quiet >= LOG_LAG)


class _Lines:
    def __init__(self, output: TextIO) -> None:
        self._output = output

    def line(self, text: str) -> None:
        print(text, file=self._output, flush=True)

    def table(self, table: Table) -> None:
        pass  # the tuner prints its own lines into its log


@contextmanager
def _display(output: TextIO) -> Iterator[Display]:
    if not output.isatty():
        yield _Lines(output)
        return
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    with Live(console=Console(file=output), auto_refresh=False, transient=True) as live:

        class Terminal:
            def line(self, text: str) -> None:
                if not text.startswith(BEST_METRIC_VALUE):  # the table shows it
                    live.console.print(Text(text))

            def table(self, table: Table) -> None:
                live.update(table, refresh=True)

        yield Terminal()
