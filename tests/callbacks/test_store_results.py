"""The table of results: what it says, what writing it costs, and that nobody ever reads half of it."""

from __future__ import annotations

import csv
import io
import math
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cloudtune.callbacks import store_results
from cloudtune.callbacks.results_table import results_frame, write_results
from cloudtune.engine.ledger import Ledger
from cloudtune.engine.reading import RecordedScheduler
from cloudtune.journal import events as ev
from cloudtune.testing.fake_cloud import FakeCloud, FakeTiming
from cloudtune.trial import AttemptStatus
from tests.tuning import curve, tuner_on


def ledger_of(trials: int, reports: int) -> Ledger:
    """Trials with numbers, words, nothing and NaN among their metrics."""
    started = ev.ExperimentStarted(0.0, "table", "1", {"metric_names": ["loss"]})
    ledger = Ledger(RecordedScheduler(started))
    ledger.apply(started)
    for trial in range(trials):
        ledger.apply(ev.LaunchIntended(0.0, trial, 0, {"width": 1 + trial, "act": "relu, or so", "flag": True}))
        ledger.apply(ev.Launched(0.0, trial, 0, f"table-{trial}"))
        for number in range(reports):
            metrics: dict[str, Any] = {"epoch": number, "loss": 1 / (1 + number), "note": None}
            if number:
                metrics["late_metric"] = math.nan if number == 1 else 0.1 + 0.2
            ledger.apply(ev.ReportObserved(1.0, trial, 0, str(number), metrics, 1.0, float(number)))
            for key, (decision, _) in list(ledger.undecided.items()):
                ledger.apply(ev.DecisionMade(1.0, trial, 0, key[1], decision.action.value))
        ledger.apply(ev.StatusObserved(2.0, trial, 0, AttemptStatus.COMPLETED.value))
    return ledger


def test_what_is_written_is_the_frame(tmp_path: Path) -> None:
    ledger, extra = ledger_of(3, 4), {5: {"mine": "yes"}}
    write_results(ledger, tmp_path / "results.csv.zip", extra=extra)
    frame = results_frame(ledger, extra=extra)
    frame.to_csv(tmp_path / "by-pandas.csv", index=False)
    read = pd.read_csv(tmp_path / "results.csv.zip")
    pd.testing.assert_frame_equal(read, pd.read_csv(tmp_path / "by-pandas.csv"))
    assert list(read["late_metric"].dropna()) == pytest.approx([0.1 + 0.2] * 6, rel=1e-15)  # older pandas read so
    assert list(read["st_status"][:4]) == ["InProgress", "InProgress", "InProgress", "Completed"]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_memory_does_not_grow_with_the_table(tmp_path: Path) -> None:
    peaks = []
    for trials in (50, 500):
        ledger = ledger_of(trials, 10)
        tracemalloc.start()
        write_results(ledger, tmp_path / "results.csv.zip")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # of ten times as many rows, the numbers of last rows and the configurations' columns are all that is held
    assert peaks[1] - peaks[0] < 500 * 1000


SECONDS_PER_ROW = 0.002


class Timer:
    """This process's time: a second between two looks at it, and what writing takes."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def test_writing_takes_a_small_share_of_the_time_however_long_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    timer, rows = Timer(), []

    def write(ledger: Ledger, path: Path, *rest: object) -> None:
        timer.now += SECONDS_PER_ROW * len(ledger.rows)
        rows.append(len(ledger.rows))
        path.write_bytes(b"")

    monkeypatch.setattr(store_results, "perf_counter", timer)
    monkeypatch.setattr(store_results, "write_results", write)
    tuner = tuner_on(
        FakeCloud(curve, "epochs", timing=FakeTiming()), n_workers=4, max_failures=0, results_update_interval=0.0
    )
    tuner.stop_criterion = lambda status: status.num_trials_started > 400
    tuner.run()
    in_between = rows[:-2]  # then come that of the loop's end, and that of the very end
    assert len(in_between) >= 4
    assert rows[-1] == len(tuner.ledger.rows)
    assert SECONDS_PER_ROW * sum(in_between[:-1]) <= store_results.LARGEST_SHARE * timer.now


AWKWARD: list[Any] = [
    *("plain", "a, b", 'say "so"', "two\nlines", " leading", ""),
    *(1, -1.5, 1e-300, 1e22, math.inf, -math.inf, math.nan, True, None, 2**70),
    *([1, "x, y"], {"a": 1}, np.float64(0.1), np.float64(math.nan), np.int64(3)),
]


def test_every_cell_is_as_the_module_csv_writes_it(tmp_path: Path) -> None:
    started = ev.ExperimentStarted(0.0, "table, and more", "1", {"metric_names": ["loss"]})
    ledger = Ledger(RecordedScheduler(started))
    ledger.apply(started)
    for trial, value in enumerate(AWKWARD):
        ledger.apply(ev.LaunchIntended(0.0, trial, 0, {"width": value}))
        metrics = [{"loss": value}, {"loss": 0.5, "late": value}, {"config_width": value, f"metric {trial % 3}": 1}]
        for number, each in enumerate(metrics):
            ledger.apply(ev.ReportObserved(1.5, trial, 0, str(number), each, 1, float(number)))
    write_results(ledger, tmp_path / "results.csv.zip", extra={7: {"mine": "a, b"}, 8: {"loss": 0.25}})
    with zipfile.ZipFile(tmp_path / "results.csv.zip") as archive:
        written = archive.read("results.csv").decode()
    rows = list(csv.reader(io.StringIO(written)))
    again = io.StringIO()
    csv.writer(again, lineterminator="\n").writerows(rows)
    assert again.getvalue() == written
    table = [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]
    texts = ["" if value is None or value != value else str(value) for value in AWKWARD]
    assert [row["loss"] for row in table[::3]] == texts
    assert [row["config_width"] for row in table[::3]] == texts
    assert [row["late"] for row in table[1::3]] == ["False"] * len(AWKWARD)
    assert [row["mine"] for row in table] == ["a, b" if number == 7 else "" for number in range(len(table))]
    assert table[8]["loss"] == "0.25"
    assert [row["metric 1"] for row in table[2::3]] == ["1" if trial % 3 == 1 else "" for trial in range(len(AWKWARD))]
