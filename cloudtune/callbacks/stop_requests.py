"""Hears, where the experiment lies, whether somebody on another machine wants its end."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cloudtune.callbacks.base import TunerCallback
from cloudtune.errors import RefusedError, TransientError
from cloudtune.trial import Metrics, Status, Trial

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

    def on_fetch_status_results(
        self,
        trial_status_dict: Mapping[int, tuple[Trial, Status]],
        new_results: Sequence[tuple[int, Metrics]],
    ) -> None:
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
