"""What the simulator needs to know of a trial: its learning curve, and how long each part of it takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from cloudtune.backends.base import Experiment
from cloudtune.trial import Attempt


@dataclass(frozen=True, slots=True)
class Curve:
    """All that a trial would report if it were never stopped.

    ``resources`` (n,): units of work done at each report, ascending. ``elapsed`` (n,): seconds of work from the trial's
    very beginning until each report, ascending. ``metrics(i)``: a new dict, what the ``i``-th report carries.
    ``length``: seconds of work until the script ends; None: with its last report. ``failure``: why it ends as failed,
    if it does. ``keeps``: whether it writes a checkpoint before each report.
    """

    resources: Sequence[float]
    elapsed: Sequence[float]
    metrics: Callable[[int], dict[str, Any]]
    length: float | None = None
    failure: str = ""
    keeps: bool = True


class CurveSource(Protocol):
    """Where curves come from: tables, surrogates, functions, finished experiments."""

    @property
    def num_seeds(self) -> int:
        """Independent repetitions of each curve; at least 1."""

    def check(self, experiment: Experiment) -> None:
        """Raises ``OptionError`` or ``ConfigSpaceError`` for an experiment that it has no curves for."""

    def curve(self, attempt: Attempt, seed: int) -> Curve:
        """The curve of the attempt's configuration, in repetition ``seed`` (from 0). The same for the same arguments.

        Raises an error of ``cloudtune.errors`` for a configuration that it knows nothing of: the trial fails.
        """
