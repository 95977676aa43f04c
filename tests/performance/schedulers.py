"""Decisions per second of asynchronous successive halving, driven directly, beside peers'.

    python tests/performance/schedulers.py [trials ...] [--runs N] [--cap SECONDS] [--peer NAME=/path/to/python ...]

Default: 1,000, 10,000 and 30,000 trials, three runs each (the median counts), no peers. ``--peer`` may be repeated;
names: st13, st16 (Syne Tune 0.13, 0.16), optuna, each with the Python of an environment that has it. Peers run in turn
with ours, at 10,000 trials or the largest number given below that, and end after ``--cap`` seconds (60).

The load and what is timed: ``scheduler_peers.py``. A decision is a call for the next trial, or a report. A cost that
does not grow with the number of trials shows in µs per decision, over all of them and in the last tenth.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[2]))

from cloudtune.baselines import RandomSearch
from cloudtune.schedulers.base import Action, Resume, Start, TrialScheduler
from cloudtune.schedulers.hyperband import HyperbandScheduler
from cloudtune.space import choice, lograndint, loguniform, randint, uniform
from cloudtune.trial import Trial
from tests.performance.scheduler_peers import MAX_T, NOW, PEERS, WORKERS, Tally, Work, drive

SPACE: dict[str, Any] = {
    "a": loguniform(1e-5, 1),
    "b": uniform(0, 1),
    "c": uniform(0, 1),
    "d": lograndint(8, 1024),
    "e": randint(1, 12),
    "f": choice(["u", "v", "w", "z"]),
    "epochs": MAX_T,
}
OPTIONS: dict[str, dict[str, Any]] = {
    "stopping": {},
    "promotion": {},
    "cost_promotion": {"cost_attr": "epoch"},
    "pasha": {},
    "rush_stopping": {"rung_system_kwargs": {"num_threshold_candidates": 1}},
    "rush_promotion": {"rung_system_kwargs": {"num_threshold_candidates": 1}},
}
WITH_PEERS = ("stopping", "promotion")
TARGETS = {"stopping": 5, "promotion": 10}


class Ours:
    def __init__(self, scheduler: TrialScheduler) -> None:
        self._scheduler = scheduler
        self._trials: list[Trial] = []

    def suggest(self) -> Work:
        suggestion = self._scheduler.suggest(len(self._trials))
        if isinstance(suggestion, Start):
            trial = Trial(len(self._trials), suggestion.config, NOW)
            self._trials.append(trial)
            self._scheduler.on_trial_add(trial)
            return Work(trial.trial_id, suggestion.config)
        assert isinstance(suggestion, Resume)
        trial_id = suggestion.trial_id
        if suggestion.config is not None:
            self._trials[trial_id] = Trial(trial_id, suggestion.config, NOW)
        self._scheduler.on_trial_resume(self._trials[trial_id])
        return Work(trial_id, None)

    def report(self, trial_id: int, epoch: int, value: float) -> str:
        trial, result = self._trials[trial_id], {"loss": value, "epoch": epoch}
        action = self._scheduler.on_trial_result(trial, result).action
        if action is not Action.CONTINUE:
            self._scheduler.on_trial_remove(trial)
        elif epoch == MAX_T:
            self._scheduler.on_trial_complete(trial, result)
        return action.value


def ours(kind: str, seed: int) -> Ours:
    if kind == "random search":
        return Ours(RandomSearch(SPACE, "loss", random_seed=seed))
    return Ours(
        HyperbandScheduler(SPACE, "loss", type=kind, max_resource_attr="epochs", random_seed=seed, **OPTIONS[kind])
    )


def peer(python: str, name: str, kind: str, trials: int, seed: int, cap: float) -> Tally | None:
    """None if it has no such type."""
    script = str(Path(__file__).with_name("scheduler_peers.py"))
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | threads
    command = [python, script, name, kind, str(trials), str(seed), str(cap)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if "no type that pauses" in done.stderr or "no pruner that pauses" in done.stderr:
        return None
    if done.returncode:
        raise SystemExit(f"{name}: {done.stderr}")
    return Tally(**json.loads(done.stdout.splitlines()[-1]))


def middle(tallies: Sequence[Tally]) -> Tally:
    return sorted(tallies, key=lambda tally: tally.per_second)[len(tallies) // 2]


def row(name: str, kind: str, tally: Tally, ratio: str = "") -> list[str]:
    return [
        name,
        kind,
        f"{tally.trials:,}{'+' if tally.capped else ''}",
        f"{tally.per_second:,.0f}",
        f"{1e6 / tally.per_second:.2f}",
        f"{1e6 * tally.suggest / tally.suggests:.2f}",
        f"{1e6 * tally.results / tally.reports:.2f}",
        f"{1e6 * tally.second_tenth:.2f}" if tally.second_tenth else "",
        f"{1e6 * tally.last_tenth:.2f}" if tally.last_tenth else "",
        f"{tally.reports:,}",
        f"{tally.resumed:,}",
        f"{tally.completed:,}",
        ratio,
    ]


def compared(kind: str, trials: int, runs: int, cap: float, peers: dict[str, str]) -> list[list[str]]:
    """Ours and the peers', in turn, so that what else the machine does strikes all."""
    tallies: dict[str, list[Tally]] = {}
    for seed in range(runs):
        tallies.setdefault("cloudtune", []).append(drive(ours(kind, seed), trials))
        for name, python in peers.items():
            tally = peer(python, name, kind, trials, seed, cap)
            if tally is not None:
                tallies.setdefault(name, []).append(tally)
    medians = {name: middle(each) for name, each in tallies.items()}
    mine = medians.pop("cloudtune")
    best = max((tally.per_second for tally in medians.values()), default=0.0)
    against = f"{mine.per_second / best:.1f} × the best peer (target {TARGETS[kind]})" if best else ""
    return [row("cloudtune", kind, mine, against), *(row(name, kind, each) for name, each in medians.items())]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trials", type=int, nargs="*")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--cap", type=float, default=60.0)
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PYTHON")
    given = parser.parse_args()
    sizes = given.trials or [1_000, 10_000, 30_000]
    peers = dict(each.split("=", 1) for each in given.peer)
    if unknown := set(peers) - set(PEERS):
        parser.error(f"unknown peers {unknown}; there are {', '.join(PEERS)}")
    head = ["library", "type", "trials", "decisions/s", "µs each", "µs suggest", "µs report"]
    head += ["µs 2nd 10 %", "µs last 10 %", "reports", "resumed", "completed", "ratio"]
    table = Table(*head, title=f"{WORKERS} workers, up to {MAX_T} epochs, levels 1 3 9 27", title_justify="left")
    drive(ours("promotion", 99), 100)
    at = max((size for size in sizes if size <= 10_000), default=min(sizes))
    for kind in WITH_PEERS:
        for trials in sizes:
            for cells in compared(kind, trials, given.runs, given.cap, peers if trials == at else {}):
                table.add_row(*cells)
    for kind in (*(kind for kind in OPTIONS if kind not in WITH_PEERS), "random search"):
        table.add_row(*row("cloudtune", kind, middle([drive(ours(kind, seed), at) for seed in range(given.runs)])))
    Console(width=210).print(table)


if __name__ == "__main__":
    main()
