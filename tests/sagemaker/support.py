"""Driving a backend by hand."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from cloudtune.aws import Aws
from cloudtune.backends.base import Experiment
from cloudtune.clock import SystemClock
from cloudtune.sagemaker import FeedOptions, SageMakerBackend, TrainingJobTemplate
from cloudtune.trial import Attempt, AttemptId, Observation, Report, StatusChange

PATIENCE = 120.0
FAST = FeedOptions(drain_quiet_seconds=0.3, drain_limit_seconds=20.0, silent_seconds=0.9)


def unhurried() -> Aws:
    """A sandbox has no rates to keep. Clients are made once per sandbox: they take longer than all they do."""
    return _aws_of(os.environ["AWS_ENDPOINT_URL"])


@lru_cache(maxsize=1)
def _aws_of(endpoint: str) -> Aws:
    return Aws(rates={})


def backend_of(template: Any, **options: Any) -> SageMakerBackend:
    if isinstance(template, Path):
        template = TrainingJobTemplate.script(template)
    return SageMakerBackend(template, feed=options.pop("feed", FAST), aws=unhurried(), **options)


def experiment(name: str, place: Path, **options: Any) -> Experiment:
    return Experiment(name, place, **{"metric_names": ("acc",), "resource_attr": "epoch", **options})


def opened(template: Any, name: str, place: Path, **options: Any) -> SageMakerBackend:
    backend = backend_of(template, **options)
    backend.open(experiment(name, place), SystemClock())
    return backend


def attempt(trial_id: int, number: int = 0, **config: Any) -> Attempt:
    return Attempt(AttemptId(trial_id, number), config)


class Seen:
    """Polls a backend and remembers what it said."""

    def __init__(self, backend: SageMakerBackend) -> None:
        self.backend = backend
        self.all: list[Observation] = []
        self._clock = SystemClock()

    def poll(self) -> Sequence[Observation]:
        news = self.backend.poll()
        self.all.extend(news)
        return news

    def until(self, predicate: Callable[[], bool], what: str = "that") -> None:
        deadline = self._clock.now() + PATIENCE
        while not predicate():
            assert self._clock.now() < deadline, f"no {what} within {PATIENCE} s; seen: {self.all}"
            self._clock.sleep(0.02)
            self.poll()

    def finish(self, *attempts: Attempt) -> None:
        self.until(lambda: all(self.end(each) is not None for each in attempts), "end")

    def reports(self, of: Attempt) -> list[Report]:
        return [each for each in self.all if isinstance(each, Report) and each.attempt == of.id]

    def end(self, of: Attempt) -> StatusChange | None:
        ends = [each for each in self.all if isinstance(each, StatusChange) and each.status.is_final]
        return next((each for each in ends if each.attempt == of.id), None)


def argv_of(backend: SageMakerBackend, trial_id: int) -> dict[str, str]:
    """The arguments that a script which prints ``argv: [...]`` got, by name."""
    line = next(line for line in backend.logs(trial_id) if line.startswith("argv: "))
    words = json.loads(line.removeprefix("argv: "))
    return {name.removeprefix("--"): value for name, value in zip(words[::2], words[1::2], strict=True)}
