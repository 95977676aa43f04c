"""Problems on which searchers that learn are compared with random search."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cloudtune.searchers import Searcher
from cloudtune.searchers.factory import make_searcher
from cloudtune.searchers.problem import SearchProblem
from cloudtune.space import choice, lograndint, loguniform, randint, uniform
from cloudtune.trial import Config, Mode


@dataclass(frozen=True)
class Landscape:
    """An objective to be minimized, 0 at best."""

    space: Mapping[str, Any]
    objective: Callable[[Config], float]


def branin(config: Config) -> float:
    x, y = config["x"], config["y"]
    bowl = (y - 5.1 / (4 * math.pi**2) * x**2 + 5 / math.pi * x - 6) ** 2
    return float(bowl + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10 - 0.397887)


def network(config: Config) -> float:
    """What training a network may look like: the best is lr=0.003, width=128, depth=3, gelu, no dropout."""
    loss = math.log10(config["lr"] / 3e-3) ** 2 + 0.1 * math.log2(config["width"] / 128) ** 2
    loss += 0.1 * (config["depth"] - 3) ** 2 + config["dropout"] ** 2
    return float(loss + {"relu": 0.3, "tanh": 0.5, "gelu": 0.0, "sigmoid": 1.0}[config["activation"]])


BRANIN = Landscape({"x": uniform(-5, 10), "y": uniform(0, 15)}, branin)
NETWORK = Landscape(
    {
        "lr": loguniform(1e-5, 1),
        "width": lograndint(8, 1024),
        "depth": randint(1, 8),
        "dropout": uniform(0, 0.9),
        "activation": choice(["relu", "tanh", "gelu", "sigmoid"]),
        "epochs": 9,
    },
    network,
)


def problem(space: Mapping[str, Any], seed: int = 0, mode: Mode = "min", resource: str | None = None) -> SearchProblem:
    """With no point to evaluate."""
    return SearchProblem(space, [], seed, ("loss",), (mode,), resource, 9 if resource else None)


def by_name(name: str, space: Mapping[str, Any], seed: int, mode: Mode = "min", **options: Any) -> Searcher:
    return make_searcher(name, problem(space, seed, mode), options)


def best_of(searcher: Searcher, objective: Callable[[Config], float], trials: int) -> float:
    """One trial after the other."""
    values = []
    for trial_id in range(trials):
        config = searcher.suggest(trial_id)
        assert config is not None
        values.append(objective(config))
        searcher.on_trial_add(trial_id, config)
        searcher.register_pending(trial_id)
        searcher.on_result(trial_id, config, {"loss": values[-1]}, update=True)
        searcher.cleanup_pending(trial_id)
    return min(values)


def mean_log_best(make: Callable[[Mapping[str, Any], int], Searcher], on: Landscape, trials: int, seeds: int) -> float:
    """Over seeds 0, 1, …: a difference of 1 is a factor of 10."""
    bests = [best_of(make(on.space, seed), on.objective, trials) for seed in range(seeds)]
    return float(np.mean(np.log10(bests)))
