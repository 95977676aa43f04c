"""Reading a journal without the scheduler that wrote it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cloudtune.engine.ledger import Ledger
from cloudtune.errors import ExperimentNotFoundError
from cloudtune.journal.events import Event, ExperimentStarted
from cloudtune.schedulers.base import NOT_NOW, Action, Decision, NotNow, Suggestion, TrialScheduler
from cloudtune.trial import Metrics, Mode, Trial


class RecordedScheduler(TrialScheduler):
    """Decides nothing: what was decided is in the journal. Knows its metrics from the experiment's metadata."""

    def __init__(self, started: ExperimentStarted) -> None:
        super().__init__({})
        self._metadata = started.metadata

    def suggest(self, trial_id: int) -> Suggestion | NotNow | None:
        return NOT_NOW

    def on_trial_result(self, trial: Trial, result: Metrics) -> Decision:
        return Decision(Action.CONTINUE)

    def metric_names(self) -> Sequence[str]:
        return list(self._metadata.get("metric_names") or ["objective"])

    def metric_mode(self) -> Mode | Sequence[Mode]:
        mode: Mode | Sequence[Mode] = self._metadata.get("metric_mode") or "min"
        return mode

    @property
    def resource_attr(self) -> str | None:
        return self._metadata.get("resource_attr")


def read_ledger(events: Iterable[Event]) -> tuple[Ledger, ExperimentStarted]:
    """What a journal says. Raises ``ExperimentNotFoundError`` if it is empty."""
    ledger: Ledger | None = None
    started: ExperimentStarted | None = None
    for event in events:
        if isinstance(event, ExperimentStarted):
            started = event
            ledger = Ledger(RecordedScheduler(event))
        if ledger is not None:
            ledger.apply(event)
    if ledger is None or started is None:
        raise ExperimentNotFoundError("the journal is empty", "has the tuner started yet?")
    return ledger, started
