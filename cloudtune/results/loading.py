"""Finding an experiment and reading what it kept."""

from __future__ import annotations

import difflib
import io
from pathlib import Path
from typing import TYPE_CHECKING

from cloudtune.callbacks.results_table import results_frame
from cloudtune.engine.ledger import Ledger
from cloudtune.engine.reading import RecordedScheduler, read_ledger
from cloudtune.errors import ExperimentNotFoundError, RefusedError, UserError
from cloudtune.journal.events import Event, ExperimentFinished, ExperimentReopened, ExperimentStarted
from cloudtune.paths import JOURNAL_FOLDER, RESULTS_FILE, TUNER_FILE, experiment_path
from cloudtune.results.files import ExperimentFiles, LocalFiles

if TYPE_CHECKING:
    import pandas as pd

    from cloudtune.results.experiment import ExperimentResult
    from cloudtune.tuner import Tuner


def load_experiment(
    tuner_name: str,
    download_if_not_found: bool = True,
    load_tuner: bool = False,
    local_path: str | Path | None = None,
    s3_path: str | None = None,
) -> ExperimentResult:
    """An experiment's results, finished or running, from this machine or else from S3.

    ``local_path``: the folder of all experiments (default: ``cloudtune.paths.experiment_path``). ``s3_path``: the
    prefix of all experiments (default: ``cloudtune/`` in the account's SageMaker bucket). ``load_tuner`` unpickles
    the tuner as it was before its first trial: do so only for experiments whose files you trust.

    Raises ``ExperimentNotFoundError`` if it is in neither place.
    """
    # pandas is for those who want tables: finding and following an experiment goes without
    from cloudtune.results.experiment import ExperimentResult

    files = find_experiment(tuner_name, download_if_not_found, local_path, s3_path)
    ledger, started, now = read_all(files)
    return ExperimentResult(
        name=started.tuner_name,
        results=_with_extra_columns(results_frame(ledger), files.read(RESULTS_FILE)),
        metadata=started.metadata,
        dollars=sum(trial.cost(now) for trial in ledger.trials),
        num_trials=len(ledger.trials),
        where=files.where,
        path=files.folder if isinstance(files, LocalFiles) else None,
        tuner=tuner_of(files) if load_tuner else None,
    )


def find_experiment(
    tuner_name: str,
    look_in_s3: bool = True,
    local_path: str | Path | None = None,
    s3_path: str | None = None,
) -> ExperimentFiles:
    """Where the experiment lies. Raises ``ExperimentNotFoundError``."""
    local = LocalFiles(experiment_path(tuner_name, local_path))
    if local.exists():
        return local
    looked = f"no experiment {tuner_name!r} in {local.where}"
    if look_in_s3:
        from cloudtune.results.s3_files import S3Files

        try:
            remote = S3Files.of(tuner_name, s3_path)
            if remote.exists():
                return remote
            looked = f"{looked} nor in {remote.where}"
        except RefusedError as error:
            looked = f"{looked}, and S3 could not be looked at: {error.message}"
    near = _similar_names(tuner_name, local.folder.parent)
    raise ExperimentNotFoundError(
        looked,
        (f"did you mean {' or '.join(near)}? " if near else "")
        + "Names carry a suffix (such as -2026-01-31-12-00-00-000): is it complete? Set CLOUDTUNE_FOLDER, or pass "
        "s3_path (--s3-path), if it lies elsewhere",
    )


def _similar_names(name: str, folder: Path) -> list[str]:
    """The newest few experiments on this machine whose names begin so, else the one that is spelled most like it."""
    names = [path.parent.name for path in folder.glob(f"*/{JOURNAL_FOLDER}")]
    beginning = sorted((each for each in names if each.startswith(name)), reverse=True)[:3]
    return beginning or difflib.get_close_matches(name, names, n=1)


def read_all(files: ExperimentFiles) -> tuple[Ledger, ExperimentStarted, float]:
    """The state of an experiment, how it began, and the time of its last event."""
    last = 0.0
    events: list[Event] = []
    for event in files.journal().read():
        events.append(event)
        last = max(last, event.at)
    ledger, started = read_ledger(events)
    return ledger, started, last


class GrowingLedger:
    """The state of an experiment that goes on; looking again costs what is new."""

    def __init__(self, files: ExperimentFiles) -> None:
        self.last = 0.0
        """Time of the last event."""
        self._journal = files.journal()
        self._seq = 0
        self._ledger: Ledger | None = None

    def look(self) -> Ledger | None:
        """None as long as its tuner has recorded nothing."""
        for event in self._journal.read(self._seq):
            if isinstance(event, ExperimentStarted):
                self._ledger = Ledger(RecordedScheduler(event))
            if self._ledger is not None:
                self._ledger.apply(event)
            self._seq += 1
            self.last = max(self.last, event.at)
        return self._ledger


def read_finished(files: ExperimentFiles) -> ExperimentFinished | None:
    """How the experiment ended; None if it hasn't, or has not even begun."""
    finished: ExperimentFinished | None = None
    for event in files.journal().read():
        if isinstance(event, ExperimentFinished):
            finished = event
        elif isinstance(event, ExperimentReopened):
            finished = None
    return finished


def tuner_of(files: ExperimentFiles) -> Tuner:
    """The tuner as it was before its first trial.

    Raises ``ExperimentNotFoundError`` if it was not saved, ``UserError`` if a module that it needs is not here.
    """
    import dill

    payload = files.read(TUNER_FILE)
    if payload is None:
        raise ExperimentNotFoundError(
            f"{files.where} has no {TUNER_FILE}",
            "it ran with save_tuner=False or could not be serialized: run its script again under the same tuner_name",
        )
    try:
        tuner: Tuner = dill.loads(payload)
    except ImportError as error:
        raise UserError(
            f"the tuner of {files.where} can't be loaded: {error}",
            "put the folder of its launcher script on PYTHONPATH, or run the script again under the same tuner_name",
        ) from error
    return tuner


def _with_extra_columns(frame: pd.DataFrame, stored: bytes | None) -> pd.DataFrame:
    """Columns that only the stored table has: those of an ``ExtraResultsComposer``."""
    if stored is None or frame.empty:
        return frame
    import pandas as pd

    table = pd.read_csv(io.BytesIO(stored), compression="zip")
    extra = [column for column in table.columns if column not in frame.columns]
    return frame.join(table[extra]) if extra else frame
