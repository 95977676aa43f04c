"""Regret after 20, 50 and 100 evaluations: our searchers and peers', one evaluation at a time, side by side.

    python tests/performance/quality.py [--ours bayesopt,random] [--peer optuna=PYTHON] [--peer st13=PYTHON] \\
        [--peer st16=PYTHON] [--methods ...] [--problems ...] [--seeds 0-9] [--jobs 1] [--cache FOLDER] [--only-tables]

A peer is named by the library's interpreter: `pip install optuna torch cmaes scipy` (5.0, for all three samplers),
`pip install 'syne-tune[gpsearchers,kde]==0.13.0' 'numpy<2'`, `pip install syne-tune==0.16.0 botorch`. The objectives
are evaluated in this process, so that all see the same scikit-learn.

A finished run is a line below the folder; what is there is not run again, so a long comparison can be stopped and
continued. With several `--cache` the first is written and all are read. Runs of ours are to be thrown away by hand
after a change (`rm FOLDER/bayesopt.jsonl`).

Tables: mean regret and its standard error per problem (a problem whose optimum is not known: against the best value
of any run in the table); the mean rank; where ours is worse than the best peer by more than two standard errors of
the difference; both targets in words. The rank of a method on a problem is the one that a run of it takes on average
among one run of each other method, ties counting half: 1 + the sum of the others' chances to be better.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from itertools import product
from pathlib import Path
from threading import Lock, local

from rich.console import Console

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.performance.methods import PEER_METHODS, MethodError, Process, interpreter, is_peer, peer
from tests.performance.problems import PROBLEMS, Objective, Problem
from tests.performance.quality_tables import (
    EVALUATIONS,
    Results,
    Run,
    in_words,
    rank_table,
    regret_table,
    verdict_table,
    verdicts,
)


class Cache:
    """Finished runs, in one file per method."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folder = folders[0]
        self.folder.mkdir(parents=True, exist_ok=True)
        self.runs: dict[tuple[str, str, int], Run] = {}
        self.lock = Lock()
        for folder in reversed(folders):
            for file in sorted(folder.glob("*.jsonl")):
                for line in file.read_text().splitlines():
                    run = Run(**json.loads(line))
                    self.runs[run.key] = run

    def add(self, run: Run) -> None:
        with self.lock, (self.folder / f"{run.method}.jsonl").open("a") as file:
            file.write(json.dumps(asdict(run)) + "\n")
            self.runs[run.key] = run


class Runner:
    """Makes runs; each thread keeps its workers and the data of the objectives."""

    def __init__(self, peers: Mapping[str, str]) -> None:
        self.peers = peers
        self.own = local()
        self.objectives: dict[str, Objective] = {}
        self.processes: list[Process] = []

    def run(self, method: str, problem: Problem, seed: int) -> Run:
        if problem.name not in self.objectives:
            self.objectives[problem.name] = problem.make()
        objective = self.objectives[problem.name]
        values: list[float] = []
        seconds, error = 0.0, None
        try:
            process = self.process(method)
            seconds += process.start(method, problem.space, seed)
            for _ in range(EVALUATIONS):
                config, asked = process.ask()
                values.append(objective(config))
                seconds += asked + process.tell(values[-1])
        except MethodError as raised:
            error = str(raised)
            self.forget(method)
        return Run(method, problem.name, seed, values, seconds, error)

    def process(self, method: str) -> Process:
        mine: dict[str, Process] = self.own.__dict__.setdefault("processes", {})
        if method not in mine:
            python = interpreter(method, self.peers)
            assert python is not None
            mine[method] = Process(python)
            self.processes.append(mine[method])
        return mine[method]

    def forget(self, method: str) -> None:
        process = self.own.__dict__.get("processes", {}).pop(method, None)
        if process is not None:
            process.close()

    def close(self) -> None:
        for process in self.processes:
            process.close()


def make_runs(wanted: Sequence[tuple[str, str, int]], cache: Cache, peers: Mapping[str, str], jobs: int) -> None:
    """Those that are missing, seed by seed, so that tables of a part are balanced."""
    missing = [key for key in wanted if key not in cache.runs]
    runner, began = Runner(peers), time.monotonic()

    def one(key: tuple[str, str, int]) -> None:
        method, problem, seed = key
        run = runner.run(method, PROBLEMS[problem], seed)
        cache.add(run)
        best = f"{min(run.values):.4g}" if run.values else "-"
        print(
            f"{time.monotonic() - began:7.0f} s  {method} {problem} {seed}: best {best}, "
            f"{run.seconds:.1f} s in {len(run.values)} proposals {run.error or ''}",
            file=sys.stderr,
            flush=True,
        )

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(one, missing))
    runner.close()


def seeds_of(text: str) -> range:
    first, _, last = text.rpartition("-")
    return range(int(first), int(last) + 1) if first else range(int(last))


def print_tables(cache: Cache, methods: Sequence[str], problems: Sequence[str], seeds: range) -> None:
    runs = [
        run for run in cache.runs.values() if run.method in methods and run.problem in problems and run.seed in seeds
    ]
    for run in runs:
        if run.error:
            print(f"{run.method} on {run.problem}, seed {run.seed}, ended after {len(run.values)}: {run.error}")
    results = Results(runs)
    present = [method for method in methods if any(each == method for _, each in results.regrets)]
    console = Console(width=max(100, 24 + 22 * len(present)))
    console.print(regret_table(results, present, len(seeds)))
    console.print(rank_table(results, present))
    peers = [method for method in present if is_peer(method)]
    for ours in (method for method in present if not is_peer(method) and method != "random" and peers):
        found = verdicts(results, ours, peers)
        console.print(verdict_table(found, ours))
        for line in in_words(results, ours, present, found):
            print(line)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--ours", default="bayesopt,random", help="searchers of cloudtune: NAME or NAME+OPTION=VALUE+..."
    )
    parser.add_argument("--peer", type=peer, action="append", default=[], help="optuna=, st13= or st16=PYTHON")
    parser.add_argument("--methods", help="of the peers, instead of all")
    parser.add_argument("--problems", default=",".join(PROBLEMS))
    parser.add_argument("--seeds", type=seeds_of, default=range(10), help="10 for 0-9, or 10-19")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--cache", type=Path, action="append", help="default: .cache/quality")
    parser.add_argument("--only-tables", action="store_true", help="of what is there, without running anything")
    given = parser.parse_args()
    peers = dict(given.peer)
    of_peers = [method for name in peers or PEER_METHODS for method in PEER_METHODS[name]]
    methods = [name for name in given.ours.split(",") if name]
    methods += [name for name in (given.methods.split(",") if given.methods else of_peers) if name]
    problems = given.problems.split(",")
    cache = Cache(given.cache or [Path(".cache/quality")])
    if not given.only_tables:
        runnable = [method for method in methods if interpreter(method, peers) is not None]
        wanted = [(method, name, seed) for seed, name, method in product(given.seeds, problems, runnable)]
        make_runs(wanted, cache, peers, given.jobs)
    print_tables(cache, methods, problems, given.seeds)


if __name__ == "__main__":
    main()
