"""The table of results: one row per report, in columns that Syne Tune's users know."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloudtune.callbacks.results_lines import Lines
from cloudtune.engine.ledger import Ledger
from cloudtune.engine.state import ResultRow
from cloudtune.trial import Status

if TYPE_CHECKING:
    import pandas as pd

_AT_ONCE = 1000
"""Rows that are put into the file at a time."""

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
    last_rows = _last_rows(ledger)
    configs: dict[int, dict[str, Any]] = {}
    for number, row in enumerate(ledger.rows):
        config = configs.get(row.trial_id)
        if config is None:
            given = ledger.trials[row.trial_id].trial.config
            config = configs[row.trial_id] = {f"config_{name}": value for name, value in given.items()}
        is_last = last_rows[row.trial_id] == number
        yield _record(ledger, row, config, is_last, add_wallclock_time, extra.get(number, {}))


def _record(
    ledger: Ledger,
    row: ResultRow,
    config: Mapping[str, Any],
    is_last: bool,
    add_wallclock_time: bool,
    extra: Mapping[str, Any],
) -> dict[str, Any]:
    status = ledger.trials[row.trial_id].status if is_last else Status.in_progress
    record = {
        "trial_id": row.trial_id,
        "attempt": row.attempt,
        **row.metrics,
        **config,
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
    record.update(extra)
    return record


def _last_rows(ledger: Ledger) -> dict[int, int]:
    return {row.trial_id: number for number, row in enumerate(ledger.rows)}


def _columns(ledger: Ledger, add_wallclock_time: bool, extra: Extra) -> list[str]:
    """In the order in which rows have them first."""
    columns: dict[str, None] = {}
    known: set[tuple[tuple[str, ...], tuple[str, ...]]] = set()
    for number, row in enumerate(ledger.rows):
        given = ledger.trials[row.trial_id].trial.config
        names = (tuple(row.metrics), tuple(given))
        if names not in known or number in extra:
            known.add(names)
            config = {f"config_{name}": None for name in given}
            record = _record(ledger, row, config, False, add_wallclock_time, extra.get(number, {}))
            columns.update(dict.fromkeys(record))
    return list(columns)


def write_results(ledger: Ledger, path: Path, add_wallclock_time: bool = True, extra: Extra | None = None) -> None:
    """Write the table of ``results_frame``, a thousand rows at a time: what is held in memory doesn't grow with it.

    A reader sees the old or the new file, never half of one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    extra = extra or {}
    columns = _columns(ledger, add_wallclock_time, extra)
    lines = Lines(ledger, columns, _last_rows(ledger))
    with (
        zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("results.csv", "w", force_zip64=True) as file,
    ):
        texts = [lines.of_cells(columns)]
        for number, row in enumerate(ledger.rows):
            line = None if number in extra else lines.of_row(number, row)
            if line is None:
                config = {f"config_{name}": value for name, value in ledger.trials[row.trial_id].trial.config.items()}
                is_last = lines.is_last(number, row)
                line = lines.of_record(_record(ledger, row, config, is_last, add_wallclock_time, extra.get(number, {})))
            texts.append(line)
            if len(texts) == _AT_ONCE:
                file.write("".join(texts).encode())
                texts.clear()
        file.write("".join(texts).encode())
    draft.replace(path)


def read_columns(path: Path, names: Sequence[str]) -> dict[int, Mapping[str, Any]]:
    """Values of columns that only the stored table has, by row number; after a crash they are found there."""
    import pandas as pd

    frame = pd.read_csv(path, compression="zip")
    columns = frame[[name for name in names if name in frame]]
    rows = [row.dropna() for _, row in columns.iterrows()]
    return {number: {str(name): row[name] for name in row.index} for number, row in enumerate(rows)}
