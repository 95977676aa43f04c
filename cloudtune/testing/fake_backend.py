"""A backend whose trials are functions, for tests of everything above backends."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from cloudtune.backends.base import Capabilities, Experiment
from cloudtune.clock import Clock
from cloudtune.names import job_name
from cloudtune.report import REPORT_PREFIX
from cloudtune.testing.fake_cloud import FakeCloud
from cloudtune.trial import Attempt, AttemptId, Launch, Observation, Report


class FakeBackend:
    """One tuner's view of a ``FakeCloud``. A second one on the same cloud is the tuner after a crash.

    The cloud's clock must be the tuner's. ``capabilities``: pretend to be able to do less.
    """

    def __init__(
        self, cloud: FakeCloud, capabilities: Capabilities | None = None, delete_checkpoints: bool = False
    ) -> None:
        self.cloud = cloud
        self.delete_checkpoints = delete_checkpoints
        self.lines: tuple[str, ...] = ()
        """What it has to say about the experiment as a whole."""
        lags = callable(cloud.timing.log_lag) or cloud.timing.log_lag > 0
        self._capabilities = capabilities or Capabilities(reports_lag=lags)
        self._tuner_name = ""
        self._followed: set[AttemptId] = set()
        self._position = 0
        self._again: list[int] = []

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    @property
    def entry_point(self) -> Path | None:
        return None

    def open(self, experiment: Experiment, clock: Clock) -> None:
        assert clock is self.cloud.clock, "the tuner and the cloud must share a clock"
        self._tuner_name = experiment.tuner_name
        self.cloud.answer("open", lambda: None)
        if not self._capabilities.survives_tuner:
            self.cloud.lose_everything()
        self._followed.clear()
        self._position = len(self.cloud.feed)

    def adopt(self, attempts: Sequence[Attempt]) -> None:
        def follow() -> None:
            for attempt in attempts:
                self._follow(attempt.id)

        self.cloud.answer("adopt", follow)

    def launched(self, attempts: Sequence[Attempt]) -> Mapping[AttemptId, Launch]:
        def look() -> dict[AttemptId, Launch]:
            return {attempt.id: self._launch(attempt.id) for attempt in attempts if attempt.id in self.cloud.jobs}

        found: dict[AttemptId, Launch] = self.cloud.answer("launched", look)
        return found

    def _launch(self, attempt: AttemptId) -> Launch:
        name = job_name(self._tuner_name, attempt.trial_id, attempt.number)
        return Launch(name, self.cloud.dollars_per_hour)

    def start(self, attempt: Attempt) -> Launch:
        def create() -> Launch:
            self.cloud.create(attempt)
            return self._launch(attempt.id)

        launch: Launch = self.cloud.answer("start", create)
        self._follow(attempt.id)
        return launch

    def _follow(self, attempt: AttemptId) -> None:
        if attempt not in self._followed and attempt in self.cloud.jobs:
            self._followed.add(attempt)
            published = self.cloud.jobs[attempt].published
            self._again.extend(place for place in published if place < self._position)

    def stop(self, attempt: AttemptId) -> None:
        if self._capabilities.can_stop:
            self.cloud.answer("stop", lambda: self.cloud.stop(attempt))

    def poll(self) -> Sequence[Observation]:
        news: Sequence[Observation] = self.cloud.answer("poll", self._news)
        return news

    def _news(self) -> list[Observation]:
        feed, now = self.cloud.feed, self.cloud.clock.now()
        places = [*sorted(self._again), *range(self._position, len(feed))]
        self._again, self._position = [], len(feed)
        seen = [feed[place] for place in places if feed[place].attempt in self._followed]
        return [replace(each, seen_at=now) if isinstance(each, Report) else each for each in seen]

    def copy_checkpoint(self, source_trial_id: int, target_trial_id: int) -> None:
        self.cloud.answer("copy_checkpoint", lambda: self.cloud.copy_checkpoint(source_trial_id, target_trial_id))

    def delete_checkpoint(self, trial_id: int) -> None:
        self.cloud.answer("delete_checkpoint", lambda: self.cloud.checkpoints.pop(trial_id, None))

    def checkpoint_committed_at(self, trial_id: int) -> float | None:
        found: float | None = self.cloud.answer(
            "checkpoint_committed_at", lambda: self.cloud.committed_at.get(trial_id)
        )
        return found

    def logs(self, trial_id: int) -> Iterator[str]:
        self.cloud.settle()
        for observation in self.cloud.feed:
            if isinstance(observation, Report) and observation.attempt.trial_id == trial_id:
                yield REPORT_PREFIX + json.dumps(dict(observation.metrics))

    def workers_available(self) -> int | None:
        workers: int | None = self.cloud.answer("workers_available", lambda: self.cloud.slots)
        return workers

    def start_no_more(self) -> None:
        self.cloud.calls["start_no_more"] += 1

    def summary_lines(self) -> Sequence[str]:
        return self.lines

    def release(self) -> None:
        def let_go() -> None:
            assert self.cloud.busy() == 0, "what a running job needs is not to be released"

        self.cloud.answer("release", let_go)

    def close(self) -> None:
        pass  # the cloud goes on without it
