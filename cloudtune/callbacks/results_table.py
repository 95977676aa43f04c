"""The table of results: one row per report, in columns that Syne Tune's users know."""

from __future__ import annotations

import csv
import io
import math
import os
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloudtune.engine.ledger import Ledger
from cloudtune.trial import Status

if TYPE_CHECKING:
    import pandas as pd

Extra = Mapping[int, Mapping[str, Any]]
"""Columns of a user's own, by row number."""


def results_frame(ledger: Ledger, add_wallclock_time: bool = True, extra: Extra | None = None) -> pd.DataFrame:
    """Rows in the order in which reports came in.

    Columns: ``trial_id``, ``attempt``, all reported metrics (``st_worker_…`` among them), ``config_{name}`` for
    every entry of the configuration, ``st_decision``, ``st_status`` (of the trial now, in its last row),
    ``late`` (came after the trial's fate was decided), ``repeated`` (work done once more after an interruption, a
    relaunch or a resume; counts for nothing), ``st_emitted_at`` and ``st_seen_at`` (by the script, by the tuner; in
    seconds since the epoch), ``tuner_name``, ``st_tuner_time`` in seconds; then ``extra``, given by row number.
    """
    import pandas as pd

    return pd.DataFrame.from_records(list(_records(ledger, add_wallclock_time, extra or {})))


def _records(ledger: Ledger, add_wallclock_time: bool, extra: Extra) -> Iterator[dict[str, Any]]:
    last_rows = {row.trial_id: number for number, row in enumerate(ledger.rows)}
    configs: dict[int, tuple[Mapping[str, Any], dict[str, Any]]] = {}
    for number, row in enumerate(ledger.rows):
        state = ledger.trials[row.trial_id]
        config = state.trial.config
        known = configs.get(row.trial_id)
        if known is None or known[0] is not config:
            known = configs[row.trial_id] = (config, {f"config_{name}": value for name, value in config.items()})
        status = state.status if last_rows[row.trial_id] == number else Status.in_progress
        record = {
            "trial_id": row.trial_id,
            "attempt": row.attempt,
            **row.metrics,
            **known[1],
            "st_decision": row.decision.value,
            "st_status": status.value,
            "late": row.late,
            "repeated": row.repeated,
            "st_emitted_at": row.emitted_at,
            "st_seen_at": row.seen_at,
            "tuner_name": ledger.tuner_name,
        }
        if add_wallclock_time:
            record["st_tuner_time"] = row.tuner_time
        if number in extra:
            record.update(extra[number])
        yield record


def write_results(ledger: Ledger, path: Path, add_wallclock_time: bool = True, extra: Extra | None = None) -> None:
    """Write the table of ``results_frame``, row by row: what is held in memory doesn't grow with it.

    A reader sees the old or the new file, never half of one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    columns: dict[str, None] = {}
    for record in _records(ledger, add_wallclock_time, extra or {}):
        columns.update(dict.fromkeys(record))
    with (
        zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("results.csv", "w", force_zip64=True) as binary,
        io.TextIOWrapper(binary, "utf-8", newline="") as text,
    ):
        table = csv.writer(text, lineterminator="\n")
        table.writerow(columns)
        for record in _records(ledger, add_wallclock_time, extra or {}):
            table.writerow([_cell(record.get(name)) for name in columns])
    draft.replace(path)


def _cell(value: Any) -> Any:
    """As pandas reads it back: nothing where there is no number."""
    return "" if value is None or (isinstance(value, float) and math.isnan(value)) else value


def read_columns(path: Path, names: Sequence[str]) -> dict[int, Mapping[str, Any]]:
    """Values of columns that only the stored table has, by row number; after a crash they are found there."""
    import pandas as pd

    frame = pd.read_csv(path, compression="zip")
    columns = frame[[name for name in names if name in frame]]
    rows = [row.dropna() for _, row in columns.iterrows()]
    return {number: {str(name): row[name] for name in row.index} for number, row in enumerate(rows)}
