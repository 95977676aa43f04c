"""Which callbacks let go of checkpoints, for a scheduler and a backend."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from cloudtune.backends.base import TrialBackend
from cloudtune.callbacks.base import TunerCallback
from cloudtune.callbacks.remove_checkpoints import RemoveCheckpointsCallback
from cloudtune.callbacks.retain_checkpoints import RetainCheckpointsCallback
from cloudtune.errors import OptionError
from cloudtune.schedulers.base import TrialScheduler

logger = logging.getLogger("cloudtune.callbacks")


@runtime_checkable
class _RemovesEarly(Protocol):
    """A scheduler that can be told to let go of checkpoints although they may be needed."""

    early_checkpoint_removal: object | None


@runtime_checkable
class _KeepsAtMost(Protocol):
    """A callback that lets go of checkpoints beyond so many."""

    max_num_checkpoints: int


def check_retention(callbacks: Sequence[TunerCallback], backend: TrialBackend) -> None:
    """Raises ``OptionError`` if a backend deletes what a callback is to keep."""
    retained = any(isinstance(callback, RetainCheckpointsCallback) for callback in callbacks)
    if retained and backend.delete_checkpoints:
        raise OptionError(
            "RetainCheckpointsCallback has nothing to keep: delete_checkpoints=True deletes every checkpoint",
            "leave delete_checkpoints out; the callback deletes what is not among the best",
        )


def removal_callbacks(
    scheduler: TrialScheduler, backend: TrialBackend, stop_criterion: object, n_workers: object, with_safe: bool = True
) -> list[TunerCallback]:
    """None unless the backend has ``delete_checkpoints=True``; else safe removal, and what the scheduler asks for.

    Raises ``OptionError`` if the scheduler can't be given what it asks for.
    """
    if not backend.delete_checkpoints:
        if isinstance(scheduler, _RemovesEarly) and scheduler.early_checkpoint_removal is not None:
            logger.warning("all checkpoints are kept: early removal needs delete_checkpoints=True of the backend")
        return []
    callbacks: list[TunerCallback] = [RemoveCheckpointsCallback()] if with_safe else []
    special = scheduler.callback_for_checkpoint_removal(stop_criterion)
    if special is None:
        return callbacks
    if not isinstance(special, TunerCallback):
        raise OptionError(
            f"callback_for_checkpoint_removal of {type(scheduler).__name__} returned {special!r}",
            "return a TunerCallback, or None",
        )
    if isinstance(special, _KeepsAtMost) and isinstance(n_workers, int) and special.max_num_checkpoints <= n_workers:
        raise OptionError(
            f"max_num_checkpoints={special.max_num_checkpoints} leaves no checkpoint to paused trials of {n_workers} "
            "workers",
            f"give more than n_workers={n_workers}: each running trial has a checkpoint in any case",
        )
    return [*callbacks, special]
