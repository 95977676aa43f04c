"""Commands that end an experiment or go on with it."""

from __future__ import annotations

import dataclasses
import logging
import math
import os
import signal
import socket
import time
from pathlib import Path
from typing import Any

import click

from cloudtune.cli.options import experiment_argument, is_training_job
from cloudtune.engine.stopping import StoppingCriterion
from cloudtune.errors import AccessDeniedError, CloudtuneError, ExperimentNotFoundError, JournalConflictError
from cloudtune.journal.events import SessionStarted
from cloudtune.results.files import ExperimentFiles, LocalFiles
from cloudtune.results.loading import find_experiment, read_finished, tuner_of


@click.command()
@experiment_argument
def stop(tuner_name: str, local_path: Path | None, s3_path: str | None) -> None:
    """End an experiment: running trials are stopped, results are kept."""
    files = find_experiment(tuner_name, True, local_path, s3_path)
    finished = read_finished(files)
    if finished:
        click.echo(f"{tuner_name} has ended already: {finished.why}.")
        _release(files)
        return
    if isinstance(files, LocalFiles):
        _terminate(files)
    elif is_training_job(files):
        from cloudtune.remote import RemoteExperiment

        RemoteExperiment(tuner_name, s3_path).stop()
        click.echo(f"{tuner_name} was asked to stop. Follow it: cloudtune watch {tuner_name}")
        return
    else:
        _leave_word(files, tuner_name, s3_path)
    if not read_finished(files):
        # its tuner has died, before or because of us: its trials are still there
        _speak()
        tuner_of(files).stop("asked to stop")
    click.echo(f"{tuner_name} has ended.")


def _release(files: ExperimentFiles) -> None:
    """What a tuner could not let go of at its end may still cost money."""
    try:
        tuner_of(files).release()
    except ExperimentNotFoundError:
        return  # it was not kept
    except CloudtuneError as error:
        click.echo(f"warning: can't look for instances that are kept warm: {error}", err=True)


def _terminate(files: LocalFiles) -> None:
    """Ask the process that runs the experiment to end it, if there is one, and wait until it is gone."""
    asked: set[int] = set()
    while files.journal().has_writer():
        sessions = [event for event in files.journal().read() if isinstance(event, SessionStarted)]
        if sessions and sessions[-1].pid not in asked:
            asked.add(sessions[-1].pid)
            _ask(sessions[-1])
        time.sleep(0.2)


def _leave_word(files: ExperimentFiles, tuner_name: str, s3_path: str | None) -> None:
    """Where the tuner looks, on whatever machine it runs, if it does; then wait until it is gone."""
    from cloudtune.remote.storage import S3Storage

    storage = S3Storage(s3_path)
    storage.request_stop(tuner_name)
    asked: str | None = None
    while holder := storage.holder(tuner_name):
        if str(holder) != asked:
            asked = str(holder)
            click.echo(f"{asked[0].upper()}{asked[1:]} was asked to end the experiment, and looks every 20 s; waiting.")
        time.sleep(1.0)


def _ask(session: SessionStarted) -> None:
    if session.host != socket.gethostname():
        raise JournalConflictError(
            f"the experiment is run by process {session.pid} on {session.host}", "run the same command there"
        )
    try:
        os.kill(session.pid, signal.SIGTERM)
    except ProcessLookupError:
        return  # it has just ended, or another one is just beginning
    except PermissionError as error:
        raise AccessDeniedError(
            f"process {session.pid}, which runs the experiment, is another user's", "run the same command as that user"
        ) from error
    click.echo(f"Process {session.pid} was asked to end the experiment; waiting until its trials have stopped.")


_POSITIVE = click.FloatRange(min=0, min_open=True)


def _finite(context: click.Context, parameter: click.Parameter, value: float | None) -> float | None:
    """A range lets nan pass."""
    if value is not None and not math.isfinite(value):
        raise click.BadParameter(f"{value} is no limit; leave it out to change nothing")
    return value


@click.command()
@click.option(
    "--max-wallclock-time", type=_POSITIVE, callback=_finite, help="Seconds of tuning, all sessions together."
)
@click.option("--max-num-trials-started", type=click.IntRange(min=0), help="Trials, all sessions together.")
@click.option("--max-cost", type=_POSITIVE, callback=_finite, help="Dollars, all sessions together.")
@click.option("--n-workers", type=click.IntRange(min=1), help="From now on, so many trials run at the same time.")
@experiment_argument
def resume(
    tuner_name: str,
    local_path: Path | None,
    s3_path: str | None,
    max_wallclock_time: float | None,
    max_num_trials_started: int | None,
    max_cost: float | None,
    n_workers: int | None,
) -> None:
    """Go on with an experiment whose tuner has died or been stopped.

    What was a process goes on in this one, wherever the experiment lies; what was a training job, in the next one.
    An experiment that has ended because a limit was reached goes on if that limit is widened; the others stay as they
    were.
    """
    files = find_experiment(tuner_name, True, local_path, s3_path)
    limits = {
        "max_wallclock_time": max_wallclock_time,
        "max_num_trials_started": max_num_trials_started,
        "max_cost": max_cost,
    }
    given = {name: value for name, value in limits.items() if value is not None}
    if not isinstance(files, LocalFiles) and is_training_job(files):
        _resume_remotely(tuner_name, s3_path, n_workers, given)
        return
    _speak()
    before = read_finished(files)
    tuner = tuner_of(files)
    if s3_path is not None and not isinstance(files, LocalFiles):
        from cloudtune.remote.storage import S3Storage

        tuner.storage = S3Storage(s3_path)  # it was found there, and goes on there
    if given:
        tuner.stop_criterion = _widened(tuner.stop_criterion, given)
    if n_workers is not None:
        tuner.n_workers = n_workers
    tuner.run()
    finished = tuner.ledger.finished
    if finished:
        click.echo(f"Ended: {finished.why}.")
    if finished and finished == before:
        click.echo(f"Nothing was left to do. Widen that limit to go on: cloudtune resume --help, {tuner_name}")


def _widened(criterion: object, limits: dict[str, Any]) -> StoppingCriterion:
    if isinstance(criterion, StoppingCriterion):
        return dataclasses.replace(criterion, **limits)
    click.echo(f"warning: {', '.join(limits)} stand instead of the experiment's own stop criterion", err=True)
    return StoppingCriterion(**limits)


def _resume_remotely(tuner_name: str, s3_path: str | None, n_workers: int | None, limits: dict[str, Any]) -> None:
    from cloudtune.remote import resume as resume_remotely

    experiment = resume_remotely(tuner_name, s3_path, n_workers=n_workers, **limits)
    click.echo(f"{experiment.job_name} goes on with it. Follow it: cloudtune watch {tuner_name}")


def _speak() -> None:
    """What we say; botocore says at the same level where it found each endpoint."""
    logging.basicConfig(format="%(message)s")
    logging.getLogger("cloudtune").setLevel(logging.INFO)
