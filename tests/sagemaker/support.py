"""Driving a backend by hand."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from cloudtune.aws import Aws
from cloudtune.backends.base import Experiment
from cloudtune.clock import Clock, SystemClock, VirtualClock
from cloudtune.sagemaker import FeedOptions, SageMakerBackend, TrainingJobTemplate
from cloudtune.sandbox import Delays, Sandbox
from cloudtune.sandbox.script import Script
from cloudtune.trial import Attempt, AttemptId, Interruption, Observation, Report, StatusChange
from tests.virtual import Training, backend_on

PATIENCE = 120.0
VIRTUAL_PATIENCE = 100_000.0
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


class Virtual(NamedTuple):
    """A backend on a sandbox, both in virtual time."""

    sandbox: Sandbox
    backend: SageMakerBackend
    clock: VirtualClock
    seen: Seen


@contextmanager
def in_virtual_time(
    jobs: Script | None = None,
    delays: Delays | None = None,
    feed: FeedOptions | None = None,
    request: Mapping[str, Any] | None = None,
    **options: Any,
) -> Iterator[Virtual]:
    """``request``: changes to the template; ``options``: the sandbox's."""
    clock = VirtualClock()
    with Sandbox(jobs=jobs or Training(), clock=clock, delays=delays, **options) as sandbox:
        yield on(sandbox, clock, feed, request)


def on(
    sandbox: Sandbox,
    clock: VirtualClock,
    feed: FeedOptions | None = None,
    request: Mapping[str, Any] | None = None,
    name: str = "virtual",
) -> Virtual:
    """A backend of one more process on the same sandbox."""
    backend = backend_on(sandbox, clock, request, feed=feed)
    backend.open(Experiment(name, Path("unused"), metric_names=("loss",), resource_attr="epoch"), clock)
    return Virtual(sandbox, backend, clock, Seen(backend, clock, step=5.0))


def attempt(trial_id: int, number: int = 0, **config: Any) -> Attempt:
    return Attempt(AttemptId(trial_id, number), config)


class Seen:
    """Polls a backend every ``step`` seconds and remembers what it said."""

    def __init__(self, backend: SageMakerBackend, clock: Clock | None = None, step: float = 0.02) -> None:
        self.backend = backend
        self.all: list[Observation] = []
        self._clock = clock or SystemClock()
        self._step = step
        self._patience = PATIENCE if clock is None else VIRTUAL_PATIENCE

    def poll(self) -> Sequence[Observation]:
        news = self.backend.poll()
        self.all.extend(news)
        return news

    def until(self, predicate: Callable[[], bool], what: str = "that") -> None:
        deadline = self._clock.now() + self._patience
        while not predicate():
            assert self._clock.now() < deadline, f"no {what} within {self._patience} s; seen: {self.all}"
            self._clock.sleep(self._step)
            self.poll()

    def wait(self, seconds: float) -> None:
        """Look on for so long."""
        until = self._clock.now() + seconds
        while self._clock.now() < until:
            self._clock.sleep(self._step)
            self.poll()

    def finish(self, *attempts: Attempt) -> None:
        self.until(lambda: all(self.end(each) is not None for each in attempts), "end")

    def reports(self, of: Attempt) -> list[Report]:
        return [each for each in self.all if isinstance(each, Report) and each.attempt == of.id]

    def interruptions(self, of: Attempt) -> list[int]:
        return [each.number for each in self.all if isinstance(each, Interruption) and each.attempt == of.id]

    def end(self, of: Attempt) -> StatusChange | None:
        ends = [each for each in self.all if isinstance(each, StatusChange) and each.status.is_final]
        return next((each for each in ends if each.attempt == of.id), None)


def argv_of(backend: SageMakerBackend, trial_id: int) -> dict[str, str]:
    """The arguments that a script which prints ``argv: [...]`` got, by name."""
    line = next(line for line in backend.logs(trial_id) if line.startswith("argv: "))
    words = json.loads(line.removeprefix("argv: "))
    return {name.removeprefix("--"): value for name, value in zip(words[::2], words[1::2], strict=True)}
