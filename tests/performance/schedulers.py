"""Decisions per second: trials advance one epoch each, round robin; a freed worker asks for the next one.

    python tests/performance/schedulers.py [trials ...]

Time is that of the scheduler's methods alone; a decision is a call of ``suggest`` or ``on_trial_result``.
"""

from __future__ import annotations

import math
import statistics
import sys
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any

from cloudtune.baselines import ASHA, RandomSearch
from cloudtune.schedulers.base import Action, Resume, Start, TrialScheduler
from cloudtune.space import choice, lograndint, loguniform, randint, uniform
from cloudtune.trial import Trial

MAX_T = 81
WORKERS = 64
RUNS = 3
SPACE: dict[str, Any] = {
    "a": loguniform(1e-5, 1),
    "b": uniform(0, 1),
    "c": uniform(0, 1),
    "d": lograndint(8, 1024),
    "e": randint(1, 12),
    "f": choice(["u", "v", "w", "z"]),
    "epochs": MAX_T,
}
NOW = datetime.fromtimestamp(0, timezone.utc)


@dataclass
class Tally:
    """Seconds and calls."""

    suggest: float = 0.0
    suggests: int = 0
    results: list[float] = field(default_factory=list)
    completed: int = 0

    def row(self) -> list[str]:
        tenth = max(1, len(self.results) // 10)
        total = self.suggest + sum(self.results)
        return [
            f"{(self.suggests + len(self.results)) / total:,.0f}",
            f"{self.suggests / self.suggest:,.0f}",
            f"{len(self.results) / sum(self.results):,.0f}",
            f"{1e6 * statistics.mean(self.results[:tenth]):.2f}",
            f"{1e6 * statistics.mean(self.results[-tenth:]):.2f}",
            f"{len(self.results):,}",
            f"{self.completed:,}",
        ]


def loss(config: Mapping[str, Any], epoch: int) -> float:
    distance = (math.log10(config["a"]) + 2) ** 2 / 25 + (config["b"] - 0.3) ** 2 + (config["c"] - 0.7) ** 2
    return float(distance + (1 + config["c"]) * epoch ** -(0.4 + 0.6 * config["b"]))


def run(scheduler: TrialScheduler, trials: int) -> Tally:
    tally, clock = Tally(), time.perf_counter
    known: list[Trial] = []
    epochs: list[int] = []
    running: deque[int] = deque()
    while True:
        while len(running) < WORKERS and len(known) < trials:
            start = clock()
            suggestion = scheduler.suggest(len(known))
            if isinstance(suggestion, Start):
                trial = Trial(len(known), suggestion.config, NOW)
                scheduler.on_trial_add(trial)
            else:
                assert isinstance(suggestion, Resume)
                trial = known[suggestion.trial_id]
                trial = replace(trial, config=suggestion.config or trial.config)
                scheduler.on_trial_resume(trial)
            tally.suggest += clock() - start
            tally.suggests += 1
            if trial.trial_id == len(known):
                known.append(trial)
                epochs.append(0)
            known[trial.trial_id] = trial
            running.append(trial.trial_id)
        if not running:
            return tally
        trial = known[running.popleft()]
        epochs[trial.trial_id] += 1
        epoch = epochs[trial.trial_id]
        result = {"y": loss(trial.config, epoch), "epoch": epoch}
        start = clock()
        action = scheduler.on_trial_result(trial, result).action
        if action is not Action.CONTINUE:
            scheduler.on_trial_remove(trial)
        elif epoch == MAX_T:
            scheduler.on_trial_complete(trial, result)
        tally.results.append(clock() - start)
        tally.completed += epoch == MAX_T
        if action is Action.CONTINUE and epoch < MAX_T:
            running.append(trial.trial_id)


def make(kind: str, seed: int) -> TrialScheduler:
    if kind == "random search":
        return RandomSearch(SPACE, "y", random_seed=seed)
    return ASHA(SPACE, "y", "epoch", max_resource_attr="epochs", type=kind, random_seed=seed)


def main() -> None:
    sizes = [int(size) for size in sys.argv[1:]] or [1_000, 10_000]
    head = [
        "scheduler",
        "trials",
        "decisions/s",
        "suggest/s",
        "result/s",
        "first µs",
        "last µs",
        "results",
        "completed",
    ]
    print(" | ".join(head))
    for kind in ("stopping", "promotion", "random search"):
        for trials in sizes:
            tallies = [run(make(kind, seed), trials) for seed in range(RUNS)]
            middle = sorted(tallies, key=lambda tally: tally.suggest + sum(tally.results))[RUNS // 2]
            print(" | ".join([kind, f"{trials:,}", *middle.row()]), flush=True)


if __name__ == "__main__":
    main()
