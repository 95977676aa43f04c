"""Waiting for a service that doesn't answer, where there is nothing else to do meanwhile."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from cloudtune.clock import Clock
from cloudtune.errors import TransientError

logger = logging.getLogger("cloudtune.tuner")

PATIENCE = 1800.0
"""Seconds after which we give up."""
_LONGEST_PAUSE = 60.0

T = TypeVar("T")


def patiently(what: str, action: Callable[[], T], clock: Clock, patience: float = PATIENCE) -> T:
    """What ``action`` returns, which is tried again after growing pauses. ``what``: for the log, "opening …".

    Raises the last ``TransientError`` once ``patience`` seconds have passed, and other errors at once.
    """
    began, pause = clock.now(), 1.0
    while True:
        try:
            return action()
        except TransientError as error:
            if clock.now() + pause > began + patience:
                raise
            logger.warning("%s: trying again in %.0f s: %s", what, pause, error.message)
        clock.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)
