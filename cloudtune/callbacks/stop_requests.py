"""Hears, where the experiment lies, whether somebody on another machine wants its end."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from cloudtune.callbacks.base import TunerCallback, now_and_then
from cloudtune.errors import RefusedError, TransientError

if TYPE_CHECKING:
    from cloudtune.tuner import Tuner

logger = logging.getLogger("cloudtune.tuner")

LOOK_INTERVAL = 20.0
"""Seconds between two looks."""


class StopRequestsCallback(TunerCallback):
    """Every tuner has one."""

    def __init__(self) -> None:
        self._tuner: Tuner | None = None
        self._looked_at = 0.0
        self._path = Path()

    def on_tuning_start(self, tuner: Tuner) -> None:
        self._tuner, self._looked_at, self._path = tuner, tuner.clock.now(), tuner.tuner_path

    @now_and_then
    def on_loop_start(self) -> None:
        tuner = self._tuner
        if tuner is None or (now := tuner.clock.now()) - self._looked_at < LOOK_INTERVAL:
            return
        self._looked_at = now
        try:
            if tuner.storage.look(self._path):
                tuner.request_stop("a stop was requested")
        except (TransientError, RefusedError) as error:
            logger.warning("can't see now whether a stop was requested: %s", error)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_tuner": None}
