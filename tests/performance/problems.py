"""Objectives that searchers are compared on, and the spaces for measuring one suggestion. All are minimized.

A space is plain data, so that it can be sent to a worker of any library: a mapping from each name to
``["float", lower, upper, log]``, ``["int", lower, upper, log]`` or ``["cat", choices]``.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Spec = list[Any]
Space = dict[str, Spec]
Config = Mapping[str, Any]
Objective = Callable[[Config], float]
Vector = NDArray[np.float64]

ROWS = 300
"""Of each of scikit-learn's data sets, so that an evaluation takes a fraction of a second."""


def real(lower: float, upper: float, log: bool = False) -> Spec:
    return ["float", float(lower), float(upper), log]


def whole(lower: int, upper: int, log: bool = False) -> Spec:
    return ["int", lower, upper, log]


def one_of(*choices: str) -> Spec:
    return ["cat", list(choices)]


@dataclass(frozen=True)
class Problem:
    """``make`` returns the objective, data loaded. ``optimum``: its least value; None where nobody knows it."""

    name: str
    space: Space
    make: Callable[[], Objective]
    optimum: float | None = None


def box(dimensions: int, lower: float, upper: float) -> Space:
    return {f"x{i}": real(lower, upper) for i in range(dimensions)}


def vector(config: Config) -> Vector:
    return np.array([config[f"x{i}"] for i in range(len(config))], dtype=float)


def branin(config: Config) -> float:
    x, y = config["x0"], config["x1"]
    bowl = y - 5.1 / (4 * math.pi**2) * x**2 + 5 / math.pi * x - 6
    return float(bowl**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10)


HARTMANN_WEIGHTS = np.array([1.0, 1.2, 3.0, 3.2])
HARTMANN_SCALES = np.array(
    [
        [10, 3, 17, 3.5, 1.7, 8],
        [0.05, 10, 17, 0.1, 8, 14],
        [3, 3.5, 1.7, 10, 17, 8],
        [17, 8, 0.05, 10, 0.1, 14],
    ]
)
HARTMANN_CENTRES = 1e-4 * np.array(
    [
        [1312, 1696, 5569, 124, 8283, 5886],
        [2329, 4135, 8307, 3736, 1004, 9991],
        [2348, 1451, 3522, 2883, 3047, 6650],
        [4047, 8828, 8732, 5743, 1091, 381],
    ]
)


def hartmann(config: Config) -> float:
    exponents = (HARTMANN_SCALES * (vector(config) - HARTMANN_CENTRES) ** 2).sum(axis=1)
    return -float(HARTMANN_WEIGHTS @ np.exp(-exponents))


def rosenbrock(config: Config) -> float:
    """``log1p`` of the usual value, whose tail would decide over every mean."""
    x = vector(config)
    return float(np.log1p((100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()))


def ackley(config: Config) -> float:
    x = vector(config)
    radius, waves = math.sqrt((x**2).mean()), np.cos(2 * math.pi * x).mean()
    return float(20 + math.e - 20 * math.exp(-0.2 * radius) - math.exp(waves))


MIXED_SPACE: Space = {
    "lr": real(1e-5, 1, log=True),
    "wd": real(1e-7, 1e-1, log=True),
    "mom": real(0, 1),
    "width": whole(8, 1024, log=True),
    "depth": whole(1, 12),
    "act": one_of("relu", "tanh", "gelu", "sigmoid"),
    "opt": one_of("sgd", "adam", "rmsprop"),
    "norm": one_of("none", "batch", "layer", "group", "inst"),
}
BEST_RATE = {"adam": 3e-3, "rmsprop": 1e-3, "sgd": 1e-1}
LOSS_OF = {
    "act": {"gelu": 0.0, "relu": 0.15, "tanh": 0.3, "sigmoid": 0.8},
    "opt": {"adam": 0.0, "rmsprop": 0.1, "sgd": 0.15},
    "norm": {"none": 0.5, "batch": 0.1, "layer": 0.0, "group": 0.12, "inst": 0.35},
}


def mixed(config: Config) -> float:
    """Like training a network: the best rate depends on the optimizer, width on depth. 0 at its best."""
    rate = math.log10(config["lr"]) - math.log10(BEST_RATE[config["opt"]])
    decay = math.log10(config["wd"]) + 4
    width, depth = math.log2(config["width"] / 128), config["depth"] - 4
    numeric = 0.6 * rate**2 + 0.08 * decay**2 + 1.5 * (config["mom"] - 0.9) ** 2 + 0.06 * width**2 + 0.03 * depth**2
    together = 0.05 * depth * width + 0.075 * rate * width + 0.25 * (1 - math.cos(3 * rate))
    without_norm = 0.03 * max(0, depth) ** 2 if config["norm"] == "none" else 0.0
    return float(numeric + together + without_norm + sum(loss[config[name]] for name, loss in LOSS_OF.items()))


def some_rows(features: Vector, target: Vector) -> tuple[Vector, Vector]:
    rows = np.random.default_rng(0).permutation(len(features))[:ROWS]
    return features[rows], target[rows]


def svc_on_digits() -> Objective:
    """Error of a support vector classifier, mean of three folds."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import StratifiedKFold, cross_val_score
    from sklearn.svm import SVC

    x, y = some_rows(*load_digits(return_X_y=True))
    folds = StratifiedKFold(3, shuffle=True, random_state=0)

    def error(config: Config) -> float:
        return 1 - float(cross_val_score(SVC(C=config["C"], gamma=config["gamma"]), x / 16, y, cv=folds).mean())

    return error


def boosting_on_diabetes() -> Objective:
    """Root of the mean over three folds of gradient boosting's squared error."""
    from sklearn.datasets import load_diabetes
    from sklearn.ensemble import GradientBoostingRegressor
    from sklearn.model_selection import KFold, cross_val_score

    x, y = some_rows(*load_diabetes(return_X_y=True))
    folds = KFold(3, shuffle=True, random_state=0)

    def error(config: Config) -> float:
        model = GradientBoostingRegressor(
            learning_rate=config["lr"],
            n_estimators=config["n"],
            max_depth=config["depth"],
            subsample=config["sub"],
            min_samples_leaf=config["leaf"],
            max_features=config["feat"],
            criterion=config["crit"],
            random_state=0,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # one of the criteria is deprecated
            scores = cross_val_score(model, x, y, cv=folds, scoring="neg_mean_squared_error", error_score="raise")
        return math.sqrt(-float(scores.mean()))

    return error


def network_on_breast_cancer() -> Objective:
    """Log loss of a perceptron after ten epochs, over the predictions of three folds."""
    from sklearn.datasets import load_breast_cancer
    from sklearn.metrics import log_loss
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.neural_network import MLPClassifier
    from sklearn.preprocessing import StandardScaler

    features, target = load_breast_cancer(return_X_y=True)
    x, y = some_rows(StandardScaler().fit_transform(features), target)
    folds = StratifiedKFold(3, shuffle=True, random_state=0)

    def loss(config: Config) -> float:
        model = MLPClassifier(
            (config["width"],) * config["depth"],
            learning_rate_init=config["lr"],
            alpha=config["alpha"],
            batch_size=config["bs"],
            activation=config["act"],
            max_iter=10,
            random_state=0,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # ten epochs are meant
            predicted = cross_val_predict(model, x, y, cv=folds, method="predict_proba")[:, 1]
        return float(log_loss(y, np.clip(predicted, 1e-6, 1 - 1e-6)))

    return loss


SVC_SPACE: Space = {"C": real(1e-3, 1e3, log=True), "gamma": real(1e-6, 1e1, log=True)}
BOOSTING_SPACE: Space = {
    "lr": real(1e-3, 1, log=True),
    "n": whole(10, 100, log=True),
    "depth": whole(1, 8),
    "sub": real(0.3, 1),
    "leaf": whole(1, 50, log=True),
    "feat": real(0.1, 1),
    "crit": one_of("friedman_mse", "squared_error"),
}
NETWORK_SPACE: Space = {
    "lr": real(1e-5, 1e-1, log=True),
    "alpha": real(1e-7, 1e1, log=True),
    "width": whole(4, 128, log=True),
    "depth": whole(1, 3),
    "bs": whole(16, 128, log=True),
    "act": one_of("relu", "tanh", "logistic"),
}

SYNTHETIC = (
    Problem("branin", {"x0": real(-5, 10), "x1": real(0, 15)}, lambda: branin, 0.397887357729739),
    Problem("hartmann6", box(6, 0, 1), lambda: hartmann, -3.32236801141551),
    Problem("rosenbrock6", box(6, -5, 10), lambda: rosenbrock, 0.0),
    Problem("ackley10", box(10, -10, 20), lambda: ackley, 0.0),
    Problem("mixed8", MIXED_SPACE, lambda: mixed, 0.0),
)
REAL = (
    Problem("svc_digits", SVC_SPACE, svc_on_digits),
    Problem("gb_diabetes", BOOSTING_SPACE, boosting_on_diabetes),
    Problem("mlp_cancer", NETWORK_SPACE, network_on_breast_cancer),
)
PROBLEMS: Mapping[str, Problem] = {problem.name: problem for problem in (*SYNTHETIC, *REAL)}


LATENCY_SPACES: Mapping[str, Space] = {
    "cont6": box(6, 0, 1),
    "mix20": {
        **box(8, 0, 1),
        **{f"l{i}": real(1e-6, 1, log=True) for i in range(4)},
        **{f"i{i}": whole(1, 20) for i in range(2)},
        **{f"j{i}": whole(1, 1024, log=True) for i in range(2)},
        **{f"c{i}": one_of("a", "b", "c") for i in range(4)},
    },
}
"""The spaces in which the seconds of one suggestion are measured."""


def in_unit_cube(space: Space, config: Config) -> Vector:
    """Each value scaled to [0, 1], a choice by its place in the list."""

    def scaled(spec: Spec, value: float | str) -> float:
        if spec[0] == "cat":
            return float(spec[1].index(value)) / (len(spec[1]) - 1)
        _, lower, upper, log = spec
        at = (math.log(bound) if log else bound for bound in (float(value), lower, upper))
        here, low, high = at
        return (here - low) / (high - low)

    return np.array([scaled(spec, config[name]) for name, spec in space.items()])


def random_config(space: Space, generator: np.random.Generator) -> dict[str, Any]:
    """Uniform in each domain, or in its logarithm; a log integer is rounded."""

    def value(spec: Spec) -> float | int | str:
        if spec[0] == "cat":
            return str(spec[1][generator.integers(len(spec[1]))])
        kind, lower, upper, log = spec
        if kind == "int" and not log:
            return int(generator.integers(lower, upper + 1))
        half = 0.5 if kind == "int" else 0.0
        if not log:
            return float(generator.uniform(lower, upper))
        drawn = math.exp(generator.uniform(math.log(lower - half + 1e-9 * half), math.log(upper + half)))
        return int(min(max(round(drawn), lower), upper)) if kind == "int" else drawn

    return {name: value(spec) for name, spec in space.items()}


def bumpy_bowl(space: Space, config: Config, generator: np.random.Generator) -> float:
    """What the latency is measured on: smooth, with some waves and noise, in any space."""
    at = in_unit_cube(space, config)
    middle = np.linspace(0.2, 0.8, len(at))
    return float(((at - middle) ** 2).sum() + 0.3 * np.sin(5 * at).mean() + 0.02 * generator.standard_normal())
