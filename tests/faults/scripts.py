"""Synthetic training scripts that misbehave: every third trial does, by its number in the job's name."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from cloudtune.sandbox.script import Exit, Line, Run, Script, Step
from cloudtune.trial import Config
from tests.tuning import curve
from tests.virtual import Training

Bad = Callable[[Run, Iterator[Step]], Iterator[Step]]
FOREVER = 1e7


@dataclass(frozen=True)
class Sometimes:
    """``training``, but every third trial's steps are what ``bad`` makes of them."""

    training: Training
    bad: Bad

    def __call__(self, run: Run) -> Iterator[Step]:
        steps = self.training(run)
        return self.bad(run, steps) if is_bad(int(run.job_name.split("-")[-2])) else steps


def is_bad(trial_id: int) -> bool:
    return trial_id % 3 == 1


def silent(run: Run, steps: Iterator[Step]) -> Iterator[Step]:
    """Does all the work and says nothing of it."""
    for step in steps:
        yield Line("working", step.after) if isinstance(step, Line) else step


def crashes_at_import(run: Run, steps: Iterator[Step]) -> Iterator[Step]:
    yield Line("ModuleNotFoundError: No module named 'frobnicate'")
    yield Exit(1)


def hangs(run: Run, steps: Iterator[Step]) -> Iterator[Step]:
    """Stands still after two reports."""
    reports = 0
    for step in steps:
        yield step
        reports += isinstance(step, Line)
        if reports == 2:
            yield Exit(after=FOREVER)


def with_values(value: float) -> Script:
    """Every third epoch's loss is ``value``."""

    def strange(config: Config, epoch: int) -> Mapping[str, Any]:
        return {"loss": value} if epoch % 3 == 0 else curve(config, epoch)

    return replace(Training(), curve=strange)


NAN, INFINITE, MINUS_INFINITE = with_values(math.nan), with_values(math.inf), with_values(-math.inf)
