"""Ending an experiment whose best trials don't get better any more."""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass, field

from cloudtune.engine.state import ResultRow
from cloudtune.engine.status import TuningStatus
from cloudtune.engine.stopping import Criterion
from cloudtune.options import check_count, named_options
from cloudtune.schedulers.objective import Objective, as_number
from cloudtune.schedulers.order_statistics import standard_deviation
from cloudtune.schedulers.rungs import WORST
from cloudtune.schedulers.termination_policies import check_amount
from cloudtune.trial import Mode


@named_options({"top": "it is called num_trials"})
@dataclass(frozen=True)
class PlateauStopper(Criterion):
    """Stop when the best trials are all alike: a further one is unlikely to change much.

    After each report, the best values that the ``num_trials`` best trials have had so far are looked at. If their
    standard deviation is at most ``std``, the experiment is on a plateau. It ends once it has been there for more than
    ``patience`` reports in a row.

    :param metric: what reports call it.
    :param std: the standard deviation, in units of the metric.
    :param num_trials: how many trials; 2 at least. With fewer trials there is no plateau.
    :param mode: "min" or "max": which trials are the best.
    :param patience: reports on the plateau, after the one that reached it, that change nothing.

    Values that are no finite number are never among the best. Once met, the criterion stays so. In each session reports
    are counted from the journal's first on: a resumed experiment ends where it would have. Raises ``OptionError``.
    """

    metric: str
    std: float = 0.001
    num_trials: int = 10
    mode: Mode = "min"
    patience: int = 0
    _course: _Course = field(default_factory=lambda: _Course(), init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        Objective(self.metric, self.mode)
        check_amount("std", self.std, "give it in units of the metric, 0.001 for example")
        check_count("num_trials", self.num_trials, 2, "10 is usual")
        check_count("patience", self.patience, 0, "0: at once")

    def reason(self, status: TuningStatus) -> str | None:
        """That the plateau has lasted, in words; None if it hasn't."""
        self._course.follow(status.rows, self)
        if self._course.spread_at_the_end is None:
            return None
        return (
            f"the {self.num_trials} best trials have the same {self.metric}: its standard deviation of "
            f"{self._course.spread_at_the_end:.3g} was not above {self.std:g} for {self.patience + 1} reports"
        )


class _Course:
    """What has been seen of one experiment."""

    def __init__(self) -> None:
        self._begin([])

    def _begin(self, rows: Sequence[ResultRow]) -> None:
        self._rows, self._seen = rows, 0
        self._best: dict[int, float] = {}
        self._top: list[tuple[float, int]] = []
        self._spread = math.nan
        self._reports_on_plateau = 0
        self.spread_at_the_end: float | None = None
        """When the experiment should have ended; None if it should go on."""

    def __reduce__(self) -> tuple[type[_Course], tuple[()]]:
        return _Course, ()  # it is counted anew from what is in the journal

    def follow(self, rows: Sequence[ResultRow], stopper: PlateauStopper) -> None:
        if rows is not self._rows:
            self._begin(rows)
        objective = Objective(stopper.metric, stopper.mode)
        for number in range(self._seen, len(rows)):
            row = rows[number]
            if not row.repeated and stopper.metric in row.metrics:
                self._take(row.trial_id, objective.key(as_number(row.metrics[stopper.metric])), stopper)
        self._seen = len(rows)

    def _take(self, trial_id: int, key: float, stopper: PlateauStopper) -> None:
        before = self._best.get(trial_id, WORST)
        if key < before:
            self._best[trial_id] = key
            self._place(trial_id, before, key, stopper.num_trials)
        on_plateau = len(self._top) == stopper.num_trials and self._spread <= stopper.std
        self._reports_on_plateau = self._reports_on_plateau + 1 if on_plateau else 0
        if self._reports_on_plateau > stopper.patience and self.spread_at_the_end is None:
            self.spread_at_the_end = self._spread

    def _place(self, trial_id: int, before: float, key: float, count: int) -> None:
        if (before, trial_id) in self._top:
            self._top.remove((before, trial_id))
        insort(self._top, (key, trial_id))
        del self._top[count:]
        self._spread = standard_deviation([each for each, _ in self._top])
