"""What several commands share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cloudtune.errors import OptionError

if TYPE_CHECKING:
    from cloudtune.results.files import ExperimentFiles

F = TypeVar("F", bound=Callable[..., Any])


def experiment_argument(command: F) -> F:
    """TUNER_NAME, and where to look for it."""
    command = click.option(
        "--s3-path",
        metavar="S3_URI",
        help="Prefix of all experiments in S3. Default: cloudtune/ in SageMaker's bucket.",
    )(command)
    command = click.option(
        "--local-path",
        type=click.Path(path_type=Path),
        help="Folder of all experiments on this machine. Default: $CLOUDTUNE_FOLDER, else ~/cloudtune.",
    )(command)
    return click.argument("tuner_name")(command)


def as_json(command: F) -> F:
    return click.option("--json", "wants_json", is_flag=True, help="For scripts: JSON on stdout, nothing else.")(
        command
    )


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Make the folder of a file that the user named. Raises ``OptionError`` if it can't be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise OptionError(f"can't write {str(path)!r}: {error.strerror or error}", "give another --output") from error


def tuner_runs(files: ExperimentFiles, tuner_name: str, s3_path: str | None) -> bool:
    """Whether a process, or a training job, runs the experiment now."""
    from cloudtune.results.files import LocalFiles

    if isinstance(files, LocalFiles):
        return files.journal().has_writer()
    if not is_training_job(files):
        from cloudtune.remote.storage import S3Storage

        return S3Storage(s3_path).holder(tuner_name) is not None
    from cloudtune.remote import RemoteExperiment

    return RemoteExperiment(tuner_name, s3_path).job().is_active


def is_training_job(files: ExperimentFiles) -> bool:
    """Whether the experiment's tuner is a training job, rather than a process that keeps its experiment in S3."""
    from cloudtune.remote.layout import LAUNCH_FILE

    return files.read(LAUNCH_FILE) is not None
