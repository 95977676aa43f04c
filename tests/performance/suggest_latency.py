"""Seconds of one suggestion at 25 to 500 observations: ours and peers' of the same kind, interleaved in one run.

    python tests/performance/suggest_latency.py [--peer optuna=PYTHON] [--peer st13=PYTHON] [--peer st16=PYTHON] \\
        [--kinds bayesopt,kde,bore,cqr] [--observations 25,50,100,200,500] [--seeds 3] [--asks 4] [--cap 60]

First: the first suggestion after as many observations were made known. Later: the median of those that follow, each
with one observation more. Medians over seeds; peers as in quality.py. Seconds are those that a library's own `ask`
takes in its own process, with one thread for BLAS; telling is not counted, nor is loading the library. The methods
take turns seed by seed, so that a machine that slows down does so for all: trust ratios, not seconds. A method is
left out of a cell's remaining seeds once it has used up `--cap` seconds there.

Kinds: ours and the peers' that it is compared with. For bayesopt, the target: at least 5 times faster than the fastest
peer in the geometric mean of the cells, and slower in none. For the others: not slower. Syne Tune's KDE and TPE draw
at random, in less than a millisecond, until a fraction of the observations outnumbers the hyperparameters (50 in cont6
and 100 in mix20 are about where that ends): these cells compare a model with none.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.performance.methods import MethodError, Process, interpreter, peer
from tests.performance.problems import LATENCY_SPACES, Space, bumpy_bowl, random_config

KINDS: Mapping[str, tuple[str, ...]] = {
    "bayesopt": ("optuna-gp", "st13-bo", "st16-botorch"),
    "kde": ("optuna-tpe", "st13-kde", "st16-tpe"),
    "bore": ("st13-bore", "st16-bore"),
    "cqr": ("st16-cqr",),
    "random": (),
}
"""Of our searchers: what they are compared with."""
TARGET = 5.0
WARM_UP = 12
"""Observations in the first, uncounted suggestion of each process: what is imported or compiled late is then there."""
PAUSE = 0.05
"""Seconds between suggestions, for threads that a library leaves behind."""


@dataclass
class Times:
    """Seconds in one cell: space, observations, method."""

    first: list[float] = field(default_factory=list)
    later: list[float] = field(default_factory=list)
    used: float = 0.0
    error: str | None = None

    def of(self, when: str) -> float:
        seconds = self.first if when == "first" else self.later
        return statistics.median(seconds) if seconds else math.nan


Cell = tuple[str, int]
Measured = dict[tuple[Cell, str], Times]


def observed(space: Space, count: int, generator: np.random.Generator) -> list[tuple[dict[str, object], float]]:
    configs = [random_config(space, generator) for _ in range(count)]
    return [(config, bumpy_bowl(space, config, generator)) for config in configs]


class Bench:
    """A process per method, and what was measured."""

    def __init__(self, methods: Sequence[str], peers: Mapping[str, str], asks: int, cap: float) -> None:
        self.asks, self.cap = asks, cap
        self.measured: Measured = {}
        self.processes: dict[str, Process] = {}
        for method in methods:
            python = interpreter(method, peers)
            if python is not None:
                self.processes[method] = Process(python)

    def measure(self, cell: Cell, method: str, seed: int) -> None:
        times = self.measured.setdefault((cell, method), Times())
        if times.error or times.used > self.cap:
            return
        began = time.monotonic()
        name, count = cell
        try:
            self.run(times, method, LATENCY_SPACES[name], count, seed)
        except MethodError as error:
            times.error = str(error)
        times.used += time.monotonic() - began

    def run(self, times: Times, method: str, space: Space, count: int, seed: int) -> None:
        process, generator = self.processes[method], np.random.default_rng(1000 + seed)
        process.start(method, space, seed, observed(space, count, generator))
        began = time.monotonic()
        for number in range(self.asks):
            time.sleep(PAUSE)
            config, seconds = process.ask()
            (times.later if number else times.first).append(seconds)
            process.tell(bumpy_bowl(space, config, generator))
            if time.monotonic() - began > self.cap:
                break

    def warm_up(self, method: str) -> None:
        for space in LATENCY_SPACES.values():
            self.processes[method].start(method, space, 99, observed(space, WARM_UP, np.random.default_rng(99)))
            self.processes[method].ask()

    def close(self) -> None:
        for process in self.processes.values():
            process.close()


def warm_up_all(bench: Bench) -> None:
    for method in list(bench.processes):
        try:
            bench.warm_up(method)
        except MethodError as error:
            print(f"{method} is left out: {error}", flush=True)
            bench.processes.pop(method).close()


def measure_all(bench: Bench, cells: Sequence[Cell], seeds: int) -> None:
    """Cell by cell, seed by seed, the methods in turn."""
    for cell in cells:
        for seed in range(seeds):
            turns = list(bench.processes)
            for method in turns[seed % len(turns) :] + turns[: seed % len(turns)]:
                bench.measure(cell, method, seed)
        shown = ((method, bench.measured[cell, method]) for method in bench.processes)
        line = ", ".join(f"{method} {times.of('first'):.3g} / {times.of('later'):.3g}" for method, times in shown)
        print(f"{cell[0]} {cell[1]}: {line}", file=sys.stderr, flush=True)


def print_table(console: Console, measured: Measured, cells: Sequence[Cell], ours: str, peers: Sequence[str]) -> None:
    """Seconds of every method, and how many times faster than the fastest peer ours is."""
    table = Table(title=f"{ours}: seconds of a suggestion, first / later")
    for column in ("space", "observations", ours, *peers, "fastest peer : ours"):
        table.add_column(column)
    faster: dict[str, dict[Cell, float]] = {"first": {}, "later": {}}
    for cell in cells:
        row, ratios = [], []
        for method in (ours, *peers):
            times = measured[cell, method]
            row.append("failed" if times.error else f"{times.of('first'):.3g} / {times.of('later'):.3g}")
            if times.error:
                print(f"{method} in {cell}: {times.error}")
        for when in faster:
            theirs = [measured[cell, method].of(when) for method in peers if not measured[cell, method].error]
            mine = measured[cell, ours].of(when)
            if theirs and mine > 0:
                faster[when][cell] = min(theirs) / mine
            ratios.append(f"{faster[when][cell]:.2f}" if cell in faster[when] else "-")
        table.add_row(cell[0], str(cell[1]), *row, " / ".join(ratios), end_section=cell[1] == cells[-1][1])
    console.print(table)
    if not peers:
        return
    for when, ratios_of in faster.items():
        print(f"{when}: {summary(ratios_of, len(cells), TARGET if ours == 'bayesopt' else 1.0)}")
    print()


def summary(faster: Mapping[Cell, float], cells: int, target: float) -> str:
    """The geometric mean, and in plain words whether it is what was aimed at."""
    if len(faster) < cells:
        return f"no mean: {cells - len(faster)} of {cells} cells have no ratio"
    mean = math.exp(statistics.mean(map(math.log, faster.values())))
    slower = [f"{space} at {count} ({ratio:.2f})" for (space, count), ratio in faster.items() if ratio < 1]
    verdict = "as aimed at" if mean >= target else "MISSED"
    where = f"MISSED: slower in {', '.join(slower)}" if slower else "slower in none"
    return f"geometric mean of {cells} cells: {mean:.2f} times faster (target {target:g}: {verdict}); {where}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--peer", type=peer, action="append", default=[], help="optuna=, st13= or st16=PYTHON")
    parser.add_argument("--kinds", default="bayesopt", help=f"of {', '.join(KINDS)}, or any other searcher's name")
    parser.add_argument("--spaces", default=",".join(LATENCY_SPACES))
    parser.add_argument("--observations", default="25,50,100,200,500")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--asks", type=int, default=4)
    parser.add_argument("--cap", type=float, default=60, help="seconds per method and cell")
    given = parser.parse_args()
    cells = [(space, int(count)) for space, count in product(given.spaces.split(","), given.observations.split(","))]
    console = Console(width=160)
    for ours in given.kinds.split(","):
        bench = Bench((ours, *KINDS.get(ours, ())), dict(given.peer), given.asks, given.cap)
        warm_up_all(bench)
        if ours in bench.processes:
            measure_all(bench, cells, given.seeds)
            there = [method for method in bench.processes if method != ours]
            print_table(console, bench.measured, cells, ours, there)
        bench.close()


if __name__ == "__main__":
    main()
