"""The table of results: one row per report, in columns that Syne Tune's users know."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloudtune.engine.ledger import Ledger
from cloudtune.engine.state import ResultRow
from cloudtune.trial import Status

if TYPE_CHECKING:
    import pandas as pd


def results_frame(
    ledger: Ledger,
    add_wallclock_time: bool = True,
    extra: Mapping[int, Mapping[str, Any]] | None = None,
) -> pd.DataFrame:
    """Rows in the order in which reports came in.

    Columns: ``trial_id``, ``attempt``, all reported metrics (``st_worker_…`` among them), ``config_{name}`` for
    every entry of the configuration, ``st_decision``, ``st_status`` (of the trial now, in its last row),
    ``late`` (came after the trial's fate was decided), ``repeated`` (work done once more after an interruption, a
    relaunch or a resume; counts for nothing), ``st_emitted_at`` and ``st_seen_at`` (by the script, by the tuner; in
    seconds since the epoch), ``tuner_name``, ``st_tuner_time`` in seconds; then ``extra``, given by row number.
    """
    import pandas as pd

    last_rows = {row.trial_id: number for number, row in enumerate(ledger.rows)}
    records = []
    for number, row in enumerate(ledger.rows):
        trial = ledger.trials[row.trial_id]
        status = trial.status if last_rows[row.trial_id] == number else Status.in_progress
        record = _record(row, status, ledger.trials[row.trial_id].trial.config)
        record["tuner_name"] = ledger.tuner_name
        if add_wallclock_time:
            record["st_tuner_time"] = row.tuner_time
        record.update((extra or {}).get(number, {}))
        records.append(record)
    return pd.DataFrame(records)


def _record(row: ResultRow, status: Status, config: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "trial_id": row.trial_id,
        "attempt": row.attempt,
        **row.metrics,
        **{f"config_{name}": value for name, value in config.items()},
        "st_decision": row.decision.value,
        "st_status": status.value,
        "late": row.late,
        "repeated": row.repeated,
        "st_emitted_at": row.emitted_at,
        "st_seen_at": row.seen_at,
    }


def write_results(frame: pd.DataFrame, path: Path) -> None:
    """Write the table; a reader sees the old or the new file, never half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    frame.to_csv(draft, index=False, compression={"method": "zip", "archive_name": "results.csv"})
    draft.replace(path)


def read_columns(path: Path, names: Sequence[str]) -> dict[int, Mapping[str, Any]]:
    """Values of columns that only the stored table has, by row number; after a crash they are found there."""
    import pandas as pd

    frame = pd.read_csv(path, compression="zip")
    columns = frame[[name for name in names if name in frame]]
    rows = [row.dropna() for _, row in columns.iterrows()]
    return {number: {str(name): row[name] for name in row.index} for number, row in enumerate(rows)}
