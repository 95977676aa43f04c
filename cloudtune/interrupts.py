"""Signals as a wish to stop, instead of an exception in the middle of a step."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

logger = logging.getLogger("cloudtune.tuner")


@contextmanager
def asked_to_stop(request_stop: Callable[[str], None]) -> Iterator[None]:
    """SIGTERM and the first Ctrl-C call ``request_stop`` with the reason, unless somebody handles them already.

    What a step has applied must reach the journal, so nothing is raised inside one. A second Ctrl-C does raise, and
    ends the process as a kill would: trials go on, and a resume goes on with them. Only in the main thread.
    """

    def terminate(*_: object) -> None:
        request_stop("the tuner was asked to terminate")

    def interrupt(*_: object) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        logger.warning("interrupted: stopping running trials; interrupt again to leave them running")
        request_stop("interrupted by the user")

    defaults: dict[signal.Signals, Any] = {
        signal.SIGTERM: signal.SIG_DFL,
        signal.SIGINT: signal.default_int_handler,
    }
    is_main = threading.current_thread() is threading.main_thread()
    ours = [number for number, default in defaults.items() if is_main and signal.getsignal(number) == default]
    for number in ours:
        signal.signal(number, terminate if number is signal.SIGTERM else interrupt)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, defaults[number])
