"""A real table: a neural network on scikit-learn's digits, every configuration of a grid trained to the end."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import product
from multiprocessing import get_context
from time import process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cloudtune.benchmarks.optional import needed
from cloudtune.benchmarks.tabular import BlackboxTabular
from cloudtune.errors import OptionError
from cloudtune.options import check_count
from cloudtune.space import Domain, choice, logordinal, ordinal, randint

OBJECTIVES = ("validation_error", "validation_loss", "training_loss", "elapsed_time")

SCALE = 1000.0
"""A millisecond of this table's training counts as a second: as if there were a thousand times as many digits."""


@dataclass(frozen=True)
class MlpDigits:
    """The grid, and how far each of its configurations is trained.

    The default has 648 configurations, 27 epochs and 3 seeds, and takes 17 minutes on one core; smaller ones are
    for tests. ``workers``: processes; None: as many as there are cores.
    """

    activations: tuple[str, ...] = ("relu", "tanh")
    units_1: tuple[int, ...] = (8, 32, 128)
    units_2: tuple[int, ...] = (8, 32, 128)
    learning_rates: tuple[float, ...] = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
    batch_sizes: tuple[int, ...] = (32, 128, 512)
    alphas: tuple[float, ...] = (1e-5, 1e-1)
    epochs: int = 27
    seeds: int = 3
    workers: int | None = None

    def __post_init__(self) -> None:
        check_count("epochs", self.epochs, 1)
        check_count("seeds", self.seeds, 1)
        if self.workers is not None:
            check_count("workers", self.workers, 1)
        if not all(map(len, self._axes().values())):
            raise OptionError("a hyperparameter has no values", "give at least one for each")

    def _axes(self) -> dict[str, tuple[Any, ...]]:
        return {
            "activation": self.activations,
            "units_1": self.units_1,
            "units_2": self.units_2,
            "learning_rate": self.learning_rates,
            "batch_size": self.batch_sizes,
            "alpha": self.alphas,
        }

    def configurations(self) -> list[dict[str, Any]]:
        """All of the grid."""
        axes = self._axes()
        return [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]

    def configuration_space(self) -> dict[str, Domain]:
        logarithmic = ("units_1", "units_2", "learning_rate", "batch_size", "alpha")
        return {name: _domain(values, name in logarithmic) for name, values in self._axes().items()}

    def blackbox(self) -> BlackboxTabular:
        """Train everything; a terminal shows how far it is. Raises ``UserError`` without scikit-learn."""
        import pandas as pd
        from rich.console import Console
        from rich.progress import track

        needed("sklearn.neural_network", "the digits")
        configurations = self.configurations()
        jobs = [(config, self.epochs, self.seeds) for config in configurations]
        console = Console(stderr=True)
        trained = track(
            self._trained(jobs), "training", len(jobs), console=console, transient=True, disable=not console.is_terminal
        )
        values = np.stack(list(trained))
        space = self.configuration_space()
        epochs = {"epoch": randint(1, self.epochs)} if self.epochs > 1 else {"epoch": choice([1])}
        return BlackboxTabular(pd.DataFrame(configurations), space, epochs, values, objectives_names=OBJECTIVES)

    def _trained(self, jobs: list[tuple[dict[str, Any], int, int]]) -> Iterator[NDArray[np.float64]]:
        workers = self.workers or os.cpu_count() or 1
        if workers == 1:
            yield from map(train, jobs)
            return
        # libraries have threads by now, which a fork would break
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            yield from pool.map(train, jobs, chunksize=4)


def train(job: tuple[Mapping[str, Any], int, int]) -> NDArray[np.float64]:
    """(seeds, epochs, objectives) of one configuration: (config, epochs, seeds). On one thread, timed by it."""
    config, epochs, seeds = job
    with needed("threadpoolctl", "the digits").threadpool_limits(1):
        return np.stack([_curve(config, epochs, seed) for seed in range(seeds)])


def _curve(config: Mapping[str, Any], epochs: int, seed: int) -> NDArray[np.float64]:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    train_x, valid_x, train_y, valid_y = _digits()
    model = MLPClassifier(
        (config["units_1"], config["units_2"]),
        activation=config["activation"],
        learning_rate_init=config["learning_rate"],
        batch_size=min(config["batch_size"], len(train_x)),
        alpha=config["alpha"],
        random_state=seed,
    )
    rows, seconds = [], 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for _ in range(epochs):
            began = process_time()
            model.partial_fit(train_x, train_y, classes=np.arange(10))
            seconds += process_time() - began
            shares = model.predict_proba(valid_x)
            error = float(np.mean(shares.argmax(axis=1) != valid_y))
            loss = -float(np.mean(np.log(np.clip(shares[np.arange(len(valid_y)), valid_y], 1e-15, 1.0))))
            rows.append([error, loss, float(model.loss_), SCALE * seconds])
    return np.array(rows)


def _digits() -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    x, y = load_digits(return_X_y=True)
    parts: tuple[NDArray[Any], ...] = train_test_split(x / 16.0, y, train_size=1000, random_state=0, stratify=y)
    train_x, valid_x, train_y, valid_y = parts
    return train_x, valid_x, train_y, valid_y


def _domain(values: tuple[Any, ...], logarithmic: bool) -> Domain:
    if len(values) == 1 or isinstance(values[0], str):
        return choice(list(values))
    return logordinal(list(values)) if logarithmic else ordinal(list(values))
