"""The lines of the table of results, as quickly as Python makes text."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cloudtune.engine.ledger import Ledger
from cloudtune.engine.state import ResultRow
from cloudtune.trial import Status

FIXED = ("st_decision", "st_status", "late", "repeated", "st_emitted_at", "st_seen_at", "tuner_name", "st_tuner_time")

REMEMBERED = 1000
"""Texts, such as names of optimizers."""


class Lines:
    """Lines of CSV under ``columns``.

    What rows repeat is made once: the cells of a trial's configuration, and where the metrics of a report go.
    """

    def __init__(self, ledger: Ledger, columns: Sequence[str], last_rows: Mapping[int, int]) -> None:
        self._ledger = ledger
        self._columns = columns
        self._last_rows = last_rows
        self._place = {name: number for number, name in enumerate(columns)}
        self._fixed = [self._place[name] for name in FIXED if name in self._place]
        start = self._fixed[0] if self._fixed else 0
        in_a_row = self._fixed == [*range(start, start + len(FIXED))]
        self._together = slice(start, start + len(FIXED)) if in_a_row else None
        self._places: dict[tuple[str, ...], list[int] | None] = {}
        self._blank: dict[int, list[str]] = {}
        self._config_places: dict[str, int] = {}
        self._texts: dict[str, str] = {}
        self._name = self.cell(ledger.tuner_name)

    def is_last(self, number: int, row: ResultRow) -> bool:
        """Whether its trial has no later one."""
        return self._last_rows[row.trial_id] == number

    def of_record(self, record: Mapping[str, Any]) -> str:
        """The line of a row with columns of a user's own."""
        return self.of_cells(record.get(name) for name in self._columns)

    def of_cells(self, values: Iterable[Any]) -> str:
        return ",".join(map(self.cell, values)) + "\n"

    def of_row(self, number: int, row: ResultRow) -> str | None:
        """The line of the row of that number; None if its metrics have names of other columns."""
        names = tuple(row.metrics)
        try:
            places = self._places[names]
        except KeyError:
            places = self._places[names] = self._places_of(names)
        if places is None:
            return None
        trial_id = row.trial_id
        cells = (self._blank.get(trial_id) or self._blank_of(trial_id)).copy()
        cell = self.cell
        for place, value in zip(places, row.metrics.values()):  # noqa: B905 (strict costs as much as the rest)
            cells[place] = repr(value) if type(value) is float and value == value else cell(value)
        cells[1] = str(row.attempt)
        is_last = self._last_rows[trial_id] == number
        status = self._ledger.trials[trial_id].status if is_last else Status.in_progress
        emitted, seen = row.emitted_at, row.seen_at
        text = repr(emitted) if type(emitted) is float and emitted == emitted else cell(emitted)
        fixed = (
            row.decision._value_,
            status._value_,
            "True" if row.late else "False",
            "True" if row.repeated else "False",
            text,
            text if seen == emitted and type(seen) is type(emitted) else cell(seen),
            self._name,
            cell(row.tuner_time),
        )
        if self._together is not None:
            cells[self._together] = fixed
        else:
            for place, text in zip(self._fixed, fixed):  # noqa: B905 (without its time a row is shorter)
                cells[place] = text
        return ",".join(cells) + "\n"

    def _places_of(self, names: Sequence[str]) -> list[int] | None:
        taken = {"trial_id", "attempt", *FIXED}
        if any(name in taken or name.startswith("config_") for name in names):
            return None
        return [self._place[name] for name in names]

    def _blank_of(self, trial_id: int) -> list[str]:
        """The line of a trial without its reports."""
        blank = self._blank[trial_id] = [""] * len(self._columns)
        blank[0] = str(trial_id)
        for name, value in self._ledger.trials[trial_id].trial.config.items():
            blank[self._place_of_config(name)] = self.cell(value)
        return blank

    def _place_of_config(self, name: str) -> int:
        place = self._config_places.get(name)
        if place is None:
            place = self._config_places[name] = self._place[f"config_{name}"]
        return place

    def cell(self, value: Any) -> str:
        """As pandas reads it back: nothing where there is no number."""
        kind = type(value)
        if kind is float:
            return "" if math.isnan(value) else repr(value)
        if kind is int or kind is bool:
            return str(value)
        if kind is str:
            text = self._texts.get(value)
            if text is None:
                text = _quoted(value)
                if len(self._texts) < REMEMBERED:
                    self._texts[value] = text
            return text
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return ""
        return _quoted(value)


def _quoted(value: Any) -> str:
    """As the module csv writes it in a row of several."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(("", value))
    return line.getvalue()[1:-1]
