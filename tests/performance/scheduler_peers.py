"""Other libraries' asynchronous successive halving under the load of ``schedulers.py``, which runs this in theirs.

    /path/to/peer/python tests/performance/scheduler_peers.py NAME KIND TRIALS [SEED [CAP_SECONDS]]

Prints a tally as JSON; without arguments the names there are. Nothing of cloudtune is imported here.

The load: ``WORKERS`` trials run at a time and take turns, one epoch and its report each; a freed worker asks for the
next. Timed are the driver's methods, that is the library's and the few lines that call them.
"""

from __future__ import annotations

import json
import logging
import math
import sys
import time
import warnings
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from importlib import import_module
from typing import Any, NamedTuple, Protocol

MAX_T = 81
WORKERS = 64
NOW = datetime.fromtimestamp(0, timezone.utc)
CONTINUE, PAUSE, STOP = "CONTINUE", "PAUSE", "STOP"


class Work(NamedTuple):
    """What a worker is to do: a trial, with its configuration if it is a new one."""

    trial_id: int
    config: Mapping[str, Any] | None


class Driver(Protocol):
    def suggest(self) -> Work: ...

    def report(self, trial_id: int, epoch: int, value: float) -> str:
        """CONTINUE, PAUSE or STOP; a trial that reports ``MAX_T`` has completed whatever the answer is."""


@dataclass
class Tally:
    """Seconds and calls."""

    suggest: float = 0.0
    suggests: int = 0
    results: float = 0.0
    reports: int = 0
    second_tenth: float = 0.0
    """Seconds per decision while the second tenth of the trials was launched: the first one warms up."""
    last_tenth: float = 0.0
    completed: int = 0
    resumed: int = 0
    trials: int = 0
    capped: bool = False
    marks: list[tuple[float, int]] = field(default_factory=list)

    @property
    def decisions(self) -> int:
        return self.suggests + self.reports

    @property
    def seconds(self) -> float:
        return self.suggest + self.results

    @property
    def per_second(self) -> float:
        return self.decisions / self.seconds


def loss(config: Mapping[str, Any], epoch: int) -> float:
    distance = (math.log10(config["a"]) + 2) ** 2 / 25 + (config["b"] - 0.3) ** 2 + (config["c"] - 0.7) ** 2
    return float(distance + (1 + config["c"]) * epoch ** -(0.4 + 0.6 * config["b"]))


def drive(driver: Driver, trials: int, cap: float = math.inf) -> Tally:
    """``trials`` are launched, then all that run are let run to their end; or until ``cap`` seconds have passed."""
    tally, clock = Tally(), time.perf_counter
    configs: dict[int, Mapping[str, Any]] = {}
    epochs: dict[int, int] = {}
    running: deque[int] = deque()
    began = clock()
    while True:
        while len(running) < WORKERS and len(configs) < trials:
            start = clock()
            trial_id, config = driver.suggest()
            tally.suggest += clock() - start
            tally.suggests += 1
            if config is not None:
                configs[trial_id] = config
                epochs[trial_id] = 0
                if len(configs) % max(1, trials // 10) == 0:
                    tally.marks.append((tally.seconds, tally.decisions))
            running.append(trial_id)
        if not running or clock() - began > cap:
            break
        trial_id = running.popleft()
        epochs[trial_id] = epoch = epochs[trial_id] + 1
        value = loss(configs[trial_id], epoch)
        start = clock()
        answer = driver.report(trial_id, epoch, value)
        tally.results += clock() - start
        tally.reports += 1
        if epoch == MAX_T:
            tally.completed += 1
        elif answer == CONTINUE:
            running.append(trial_id)
    tally.capped, tally.trials = bool(running), len(configs)
    tally.resumed = tally.suggests - len(configs)
    if len(tally.marks) > 2:
        tally.second_tenth = _slope(tally.marks[0], tally.marks[1])
        tally.last_tenth = _slope(tally.marks[-2], tally.marks[-1])
    return tally


def _slope(before: tuple[float, int], after: tuple[float, int]) -> float:
    return (after[0] - before[0]) / (after[1] - before[1])


# -- the libraries ---------------------------------------------------------------------------------------------------


class SyneTune:
    """Of version 0.13; later ones take other arguments and have no trials that pause."""

    def __init__(self, kind: str, seed: int) -> None:
        self._trial = import_module("syne_tune.backend.trial_status").Trial
        self._trials: list[Any] = []
        self._scheduler = self._make(kind, seed)

    def _make(self, kind: str, seed: int) -> Any:
        asha = import_module("syne_tune.optimizer.baselines").ASHA
        options = {"resource_attr": "epoch", "max_t": MAX_T, "type": kind, "random_seed": seed}
        quiet = {"debug_log": False}
        return asha(syne_tune_space(), metric="loss", mode="min", search_options=quiet, **options)

    def suggest(self) -> Work:
        suggestion = self._scheduler.suggest(len(self._trials))
        if not suggestion.spawn_new_trial_id:
            return Work(suggestion.checkpoint_trial_id, None)
        return self._add(suggestion.config)

    def _add(self, config: dict[str, Any]) -> Work:
        trial = self._trial(len(self._trials), config, NOW)
        self._trials.append(trial)
        self._scheduler.on_trial_add(trial)
        return Work(trial.trial_id, config)

    def report(self, trial_id: int, epoch: int, value: float) -> str:
        trial, result = self._trials[trial_id], {"loss": value, "epoch": epoch}
        answer = str(self._scheduler.on_trial_result(trial, result))
        if epoch == MAX_T:
            self._scheduler.on_trial_complete(trial, result)
        elif answer != CONTINUE:
            self._scheduler.on_trial_remove(trial)
        return answer


class LaterSyneTune(SyneTune):
    """Of version 0.16."""

    def _make(self, kind: str, seed: int) -> Any:
        if kind != "stopping":
            raise SystemExit("syne-tune 0.16 has no type that pauses")
        asha = import_module("syne_tune.optimizer.baselines").ASHA
        return asha(syne_tune_space(), metric="loss", time_attr="epoch", max_t=MAX_T, random_seed=seed)

    def suggest(self) -> Work:
        return self._add(self._scheduler.suggest().config)


def syne_tune_space() -> dict[str, Any]:
    domains = import_module("syne_tune.config_space")
    return {
        "a": domains.loguniform(1e-5, 1),
        "b": domains.uniform(0, 1),
        "c": domains.uniform(0, 1),
        "d": domains.lograndint(8, 1024),
        "e": domains.randint(1, 12),
        "f": domains.choice(["u", "v", "w", "z"]),
    }


class Optuna:
    """Its pruner for successive halving, which stops, with random configurations."""

    def __init__(self, kind: str, seed: int) -> None:
        if kind != "stopping":
            raise SystemExit("optuna has no pruner that pauses")
        self._optuna = optuna = import_module("optuna")
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._study = optuna.create_study(
            sampler=optuna.samplers.RandomSampler(seed=seed),
            pruner=optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3),
        )
        of = optuna.distributions
        self._space = {
            "a": of.FloatDistribution(1e-5, 1, log=True),
            "b": of.FloatDistribution(0, 1),
            "c": of.FloatDistribution(0, 1),
            "d": of.IntDistribution(8, 1024, log=True),
            "e": of.IntDistribution(1, 12),
            "f": of.CategoricalDistribution(["u", "v", "w", "z"]),
        }
        self._trials: dict[int, Any] = {}

    def suggest(self) -> Work:
        trial = self._study.ask(self._space)
        self._trials[trial.number] = trial
        return Work(trial.number, trial.params)

    def report(self, trial_id: int, epoch: int, value: float) -> str:
        trial = self._trials[trial_id]
        trial.report(value, epoch)
        if epoch == MAX_T:
            self._study.tell(trial, value)
        elif trial.should_prune():
            self._study.tell(trial, state=self._optuna.trial.TrialState.PRUNED)
            return STOP
        return CONTINUE


PEERS: dict[str, Callable[[str, int], Driver]] = {
    "st13": SyneTune,
    "st16": LaterSyneTune,
    "optuna": Optuna,
}


def main(arguments: list[str]) -> None:
    if not arguments:
        print("peers:", *PEERS)
        return
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    name, kind, trials, *rest = arguments
    seed = int(rest[0]) if rest else 0
    cap = float(rest[1]) if len(rest) > 1 else math.inf
    tally = drive(PEERS[name](kind, seed), int(trials), cap)
    print(json.dumps(asdict(tally)))


if __name__ == "__main__":
    main(sys.argv[1:])
