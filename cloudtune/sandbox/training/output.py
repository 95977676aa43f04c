"""What a job prints: lines of a log stream, and the metrics in them."""

from __future__ import annotations

from collections.abc import Callable

from cloudtune.sandbox.logs.store import LogStore
from cloudtune.sandbox.training.job import FinalMetric, Job
from cloudtune.sandbox.training.ledger import Ledger
from cloudtune.sandbox.training.metrics import MetricMatcher

MetricSink = Callable[[Job, str, float, float], None]
"""Hears of each metric: job, name, value, time in seconds since the epoch."""


def _nobody(job: Job, name: str, value: float, at: float) -> None:
    pass


class Output:
    """The output of ``job``, one run after the other."""

    def __init__(self, job: Job, logs: LogStore, ledger: Ledger, sink: MetricSink = _nobody) -> None:
        self._job = job
        self._logs = logs
        self._ledger = ledger
        self._sink = sink
        self._matcher = MetricMatcher(job.request.get("AlgorithmSpecification", {}).get("MetricDefinitions", []))
        self._epoch = 0
        self._stream = ""

    def begin(self, at: float) -> None:
        """A run begins. Each has a stream of its own, even two that begin within the same second."""
        self._epoch = max(self._epoch + 1, int(at))
        self._stream = f"{self._job.name}/algo-1-{self._epoch}"
        self._logs.create_stream(self._stream, at)

    def line(self, text: str, at: float | None = None) -> None:
        """Printed now, or ``at`` seconds since the epoch."""
        event = self._logs.write(self._stream, text, at)
        at = event.timestamp / 1000 if at is None else at
        for name, value in self._matcher.matches(text):
            with self._ledger.reading():
                self._job.metrics[name] = FinalMetric(value, at)
            self._sink(self._job, name, value, at)
