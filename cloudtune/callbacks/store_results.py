"""Writes every report into ``results.csv.zip``."""

from __future__ import annotations

import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any

from cloudtune.callbacks.base import TunerCallback, now_and_then
from cloudtune.callbacks.results_table import read_columns, write_results
from cloudtune.errors import TransientError
from cloudtune.paths import RESULTS_FILE
from cloudtune.schedulers.base import Decision
from cloudtune.trial import Metrics, Status, Trial

if TYPE_CHECKING:
    from cloudtune.tuner import Tuner

logger = logging.getLogger("cloudtune.tuner")

LARGEST_SHARE = 0.02
"""Of this process's time, for writing the table before the end. By its own clock: a virtual one stands still then."""

_ROWS_PER_SECOND = 1000
"""So many are written per second of tuning at most: what is stored costs the same per report from first to last."""


class ExtraResultsComposer(ABC):
    """Adds columns of your own to the results: asked once per report."""

    @abstractmethod
    def __call__(self, tuner: Tuner) -> Mapping[str, Any] | None:
        """Values of the columns for the report that just came; None for none."""

    @abstractmethod
    def keys(self) -> Sequence[str]:
        """The names of the columns."""


class StoreResultsCallback(TunerCallback):
    """One row per report, rebuilt from the journal, so that a crash loses none and doubles none.

    ``add_wallclock_time``: with the column ``st_tuner_time``, seconds the tuner had run.
    ``results_update_interval``: seconds between two writings; the last is at the end. The whole table is written, so
    from ten thousand rows on it takes longer from one to the next: a second for every thousand rows, and as long as it
    takes for the writing to be 2% of this process's time.
    """

    def __init__(
        self,
        add_wallclock_time: bool = True,
        extra_results_composer: ExtraResultsComposer | None = None,
        results_update_interval: float = 10.0,
    ) -> None:
        self.add_wallclock_time = add_wallclock_time
        self.extra_results_composer = extra_results_composer
        self.results_update_interval = results_update_interval
        self._tuner: Tuner | None = None
        self._extra: dict[int, Mapping[str, Any]] = {}
        self._row = 0
        self._stored_at = 0.0
        self._rest_until = -math.inf
        self._stored_state = (-1, -1)

    def on_tuning_start(self, tuner: Tuner) -> None:
        self._tuner = tuner
        self._stored_at = tuner.clock.now()
        self._rest_until = -math.inf  # another process counts from another moment
        self._row = len(tuner.ledger.rows)
        if self.extra_results_composer:
            path = tuner.tuner_path / RESULTS_FILE
            self._extra = read_columns(path, self.extra_results_composer.keys()) if path.exists() else {}

    def on_trial_result(self, trial: Trial, status: Status, result: Metrics, decision: Decision) -> None:
        if self._tuner and self.extra_results_composer:
            extra = self.extra_results_composer(self._tuner)
            if extra is not None:
                self._extra[self._row] = dict(extra)
        self._row += 1

    @now_and_then
    def on_loop_end(self) -> None:
        tuner = self._tuner
        if tuner is None or perf_counter() < self._rest_until:
            return
        since = tuner.clock.now() - self._stored_at
        if since >= self.results_update_interval and since >= len(tuner.ledger.rows) / _ROWS_PER_SECOND:
            self.store()

    def on_tuning_end(self) -> None:
        tuner = self._tuner
        if tuner is not None and tuner.clock.now() - self._stored_at >= self.results_update_interval:
            self.store()  # what still runs takes a while to end

    def on_tuning_closed(self) -> None:
        self.store()

    def store(self) -> None:
        """Write now, unless nothing has changed since the last time."""
        tuner = self._tuner
        if tuner is None:
            return
        self._stored_at = tuner.clock.now()
        state = (len(tuner.ledger.rows), len(tuner.ledger.open))
        if state == self._stored_state:
            return
        began = perf_counter()
        path = tuner.tuner_path / RESULTS_FILE
        write_results(tuner.ledger, path, self.add_wallclock_time, self._extra)
        self._stored_state = state
        try:
            tuner.storage.publish(path)
        except TransientError as error:
            logger.warning("results are on this machine only for now: %s", error)
        ended = perf_counter()
        self._rest_until = ended + (ended - began) * (1 / LARGEST_SHARE - 1)
