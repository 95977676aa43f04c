"""What training scripts have printed, from wherever their backend keeps it."""

from __future__ import annotations

from collections.abc import Iterator

from cloudtune.errors import OptionError
from cloudtune.results.files import ExperimentFiles
from cloudtune.results.loading import read_all, tuner_of


def trial_logs(files: ExperimentFiles, trial_id: int | None = None) -> Iterator[tuple[int, str]]:
    """(trial, line) of one trial or, one after the other, of all. Raises ``OptionError`` if there is no such trial."""
    ledger, _, _ = read_all(files)
    count = len(ledger.trials)
    if trial_id is not None and not 0 <= trial_id < count:
        known = f"trials are numbered from 0 to {count - 1}" if count else "none has been started yet"
        raise OptionError(f"there is no trial {trial_id}", known)
    backend = tuner_of(files).open_backend()
    for trial in range(count) if trial_id is None else [trial_id]:
        for line in backend.logs(trial):
            yield trial, line
