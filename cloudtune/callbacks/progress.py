"""Says how the tuning goes, while it goes: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

from cloudtune.backends.base import BringsClock
from cloudtune.callbacks.base import TunerCallback, now_and_then
from cloudtune.callbacks.status_view import status_line, status_table
from cloudtune.clock import Clock, SystemClock

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

    from cloudtune.tuner import Tuner

logger = logging.getLogger("cloudtune.tuner")


class ProgressCallback(TunerCallback):
    """On a terminal, a table that is redrawn in every iteration; elsewhere a line every ``print_update_interval``
    seconds. ``live=None`` asks the standard output whether it is a terminal.

    The seconds are those of who waits: in a simulation the machine's, not simulated ones."""

    def __init__(self, print_update_interval: float = 30.0, live: bool | None = None) -> None:
        self.print_update_interval = print_update_interval
        self.live = live
        self._tuner: Tuner | None = None
        self._display: Live | None = None
        self._clock: Clock = SystemClock()
        self._printed_at = 0.0

    def on_tuning_start(self, tuner: Tuner) -> None:
        self._tuner = tuner
        simulated = isinstance(tuner.trial_backend, BringsClock)
        self._clock = SystemClock() if simulated else tuner.clock
        self._printed_at = self._clock.now() if simulated else 0.0
        if sys.stdout.isatty() if self.live is None else self.live:
            from rich.live import Live

            self._display = Live(transient=True, auto_refresh=False)
            self._display.start()

    @now_and_then
    def on_loop_end(self) -> None:
        tuner = self._tuner
        if tuner is None:
            return
        if self._display is not None:
            self._display.update(_table(tuner), refresh=True)
        elif (now := self._clock.now()) - self._printed_at >= self.print_update_interval:
            self._printed_at = now
            logger.info("%s", status_line(tuner.tuning_status))

    def on_tuning_closed(self) -> None:
        if self._display is not None:
            self._display.stop()
            self._display = None
        if self._tuner is not None:
            from rich.console import Console

            Console().print(_table(self._tuner))

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_tuner": None, "_display": None, "_clock": SystemClock()}


def _table(tuner: Tuner) -> Table:
    return status_table(tuner.tuning_status, tuner.name, tuner.scheduler.resource_attr)
