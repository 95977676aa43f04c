"""The tables of quality.py: regrets, ranks, and where ours is worse than the best peer."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from rich.table import Table

from tests.performance.methods import is_peer
from tests.performance.problems import PROBLEMS

EVALUATIONS = 100
LOOKS = (20, 50, 100)
"""Evaluations after which the regret is compared."""
TOLERANCE = 2.0
"""Standard errors of the difference by which ours may be worse."""
ROUNDING = 1e-9
"""A difference in regret that is none."""


@dataclass(frozen=True)
class Run:
    """What one seed of a method found on a problem; ``error``: why it has fewer values than asked for."""

    method: str
    problem: str
    seed: int
    values: Sequence[float]
    seconds: float
    """In the library's own calls."""
    error: str | None = None

    @property
    def key(self) -> tuple[str, str, int]:
        return self.method, self.problem, self.seed


class Results:
    """Regrets by problem, method and look."""

    def __init__(self, runs: Iterable[Run]) -> None:
        complete = [run for run in runs if len(run.values) >= EVALUATIONS]
        self.problems = [name for name in PROBLEMS if any(run.problem == name for run in complete)]
        self.regrets: dict[tuple[str, str], np.ndarray] = {}
        for name in self.problems:
            mine = [run for run in complete if run.problem == name]
            optimum = PROBLEMS[name].optimum
            floor = min(min(run.values) for run in mine) if optimum is None else optimum
            for method in {run.method for run in mine}:
                best = [np.minimum.accumulate(run.values)[np.array(LOOKS) - 1] for run in mine if run.method == method]
                self.regrets[name, method] = np.array(best) - floor

    def of(self, problem: str, method: str, look: int) -> np.ndarray:
        """One regret per seed; none if the method was not run."""
        regrets = self.regrets.get((problem, method))
        return np.empty(0) if regrets is None else regrets[:, LOOKS.index(look)]

    def mean(self, problem: str, method: str, look: int) -> tuple[float, float]:
        """And its standard error."""
        regrets = self.of(problem, method, look)
        if not len(regrets):
            return math.nan, math.nan
        return float(regrets.mean()), float(regrets.std(ddof=1) / math.sqrt(len(regrets))) if len(regrets) > 1 else 0.0

    def rank(self, problem: str, method: str, methods: Sequence[str], look: int) -> float:
        mine = self.of(problem, method, look)
        if not len(mine):
            return math.nan
        rank = 1.0
        for other in methods:
            theirs = self.of(problem, other, look)
            if other != method and len(theirs):
                difference = theirs - mine[:, None]
                less, same = difference < -ROUNDING, np.abs(difference) <= ROUNDING
                rank += float(less.mean() + same.mean() / 2)
        return rank

    def common(self, methods: Sequence[str]) -> list[str]:
        """The problems on which all of these have runs."""
        return [name for name in self.problems if all((name, method) in self.regrets for method in methods)]

    def mean_rank(self, problems: Sequence[str], method: str, methods: Sequence[str], look: int) -> float:
        return float(np.mean([self.rank(name, method, methods, look) for name in problems]))

    def place(self, problem: str, method: str, methods: Sequence[str], look: int) -> float:
        """The rank of the mean regret among the methods'."""
        means = {other: self.mean(problem, other, look)[0] for other in methods if len(self.of(problem, other, look))}
        mine = means.pop(method, math.nan)
        if math.isnan(mine):
            return math.nan
        return 1.0 + sum((mean < mine) + (mean == mine) / 2 for mean in means.values())


def regret_table(results: Results, methods: Sequence[str], seeds: int) -> Table:
    table = Table(title="regret, mean ± standard error (runs, where they are not all)")
    for name in ("problem", "after", *methods):
        table.add_column(name)
    for problem, look in product(results.problems, LOOKS):
        cells = []
        for method in methods:
            mean, error = results.mean(problem, method, look)
            count = len(results.of(problem, method, look))
            runs = "" if count == seeds else f" ({count})"
            cells.append(f"{mean:.3g}±{error:.2g}{runs}" if count else "-")
        table.add_row(problem if look == LOOKS[0] else "", str(look), *cells, end_section=look == LOOKS[-1])
    return table


def rank_table(results: Results, methods: Sequence[str]) -> Table:
    """Over the problems on which all of the methods have runs."""
    common = results.common(methods)
    table = Table(title=f"mean rank over {', '.join(common) or 'no problem that all were run on'} (1 is best)")
    for name in ("of", "after", *methods):
        table.add_column(name)
    for kind, rank in (("a run", results.rank), ("the mean", results.place)):
        for look in LOOKS:
            ranks = [
                float(np.mean([rank(name, each, methods, look) for name in common] or math.nan)) for each in methods
            ]
            best = min(ranks)
            shown = [f"[bold]{rank:.2f}[/]" if rank == best else f"{rank:.2f}" for rank in ranks]
            table.add_row(kind if look == LOOKS[0] else "", str(look), *shown, end_section=look == LOOKS[-1])
    return table


@dataclass(frozen=True)
class Verdict:
    """Ours against whichever peer has the least mean regret, in one cell."""

    problem: str
    look: int
    mine: tuple[float, float]
    """Mean and standard error."""
    peer: str
    theirs: tuple[float, float]

    @property
    def errors(self) -> float:
        """Standard errors of the difference by which ours is worse."""
        difference = self.mine[0] - self.theirs[0]
        if abs(difference) < ROUNDING:
            return 0.0
        spread = math.hypot(self.mine[1], self.theirs[1])
        return difference / spread if spread else math.copysign(math.inf, difference)

    @property
    def is_worse(self) -> bool:
        return self.errors > TOLERANCE


def verdicts(results: Results, ours: str, peers: Sequence[str]) -> list[Verdict]:
    """Where ours and at least one peer have two runs or more."""
    found = []
    for problem, look in product(results.problems, LOOKS):
        there = [each for each in peers if len(results.of(problem, each, look)) > 1]
        if there and len(results.of(problem, ours, look)) > 1:
            best = min(there, key=lambda each: results.mean(problem, each, look)[0])
            mine, theirs = results.mean(problem, ours, look), results.mean(problem, best, look)
            found.append(Verdict(problem, look, mine, best, theirs))
    return found


def verdict_table(found: Sequence[Verdict], ours: str) -> Table:
    table = Table(title=f"{ours} against the best peer; worse by more than {TOLERANCE:g} standard errors: WORSE")
    for name in ("problem", "after", ours, "best peer", "", "standard errors", ""):
        table.add_column(name)
    for each in found:
        table.add_row(
            each.problem if each.look == LOOKS[0] else "",
            str(each.look),
            "{:.3g}±{:.2g}".format(*each.mine),
            each.peer,
            "{:.3g}±{:.2g}".format(*each.theirs),
            f"{each.errors:+.1f}",
            "WORSE" if each.is_worse else "",
            end_section=each.look == LOOKS[-1],
        )
    return table


def in_words(results: Results, ours: str, methods: Sequence[str], found: Sequence[Verdict]) -> Iterable[str]:
    """The two targets, each kept or missed."""
    rivals = [method for method in methods if method == ours or is_peer(method)]
    common = results.common(rivals)
    for look in LOOKS if common else ():
        ranks = {method: results.mean_rank(common, method, rivals, look) for method in rivals}
        best = min(ranks, key=lambda method: ranks[method])
        kept = "the best" if best == ours else f"MISSED: {best} has {ranks[best]:.2f}"
        yield f"{ours}: mean rank after {look}, {len(common)} problems: {ranks[ours]:.2f} of {len(rivals)}, {kept}"
    worse = [f"{each.problem} after {each.look} ({each.errors:+.1f})" for each in found if each.is_worse]
    missed = f"MISSED in {len(worse)} of {len(found)} cells: {', '.join(worse)}" if worse else "in none"
    yield f"{ours}: worse than the best peer by more than {TOLERANCE:g} standard errors: {missed}"
