"""Functions that everybody knows, and learning curves with a known truth: computed when asked, for any configuration.

Seconds are part of the function. All objectives are to be minimized.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cloudtune.benchmarks.blackbox import Blackbox, from_function
from cloudtune.benchmarks.wrappers import with_noise
from cloudtune.space import Domain, loguniform, randint, uniform
from cloudtune.trial import Config

LARGEST = 27
"""Epochs of the functions that have any."""

SINGLE, MULTI = "single-fidelity", "multi-fidelity"

Array = NDArray[np.float64]
Truth = Callable[[Array], float]


@dataclass(frozen=True)
class Problem:
    """``truth`` of a point; ``space`` gives its coordinates in order. ``minimum``: its least value."""

    space: Mapping[str, Domain]
    truth: Truth
    minimum: float


def branin(x: Array) -> float:
    """Dixon and Szegö 1978; minimum 0.397887 at (-π, 12.275), (π, 2.275) and (9.42478, 2.475)."""
    first, second = x
    bowl = second - 5.1 / (4 * math.pi**2) * first**2 + 5 / math.pi * first - 6
    return float(bowl**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(first) + 10)


_ALPHA = np.array([1.0, 1.2, 3.0, 3.2])
_A3 = np.array([[3.0, 10, 30], [0.1, 10, 35], [3.0, 10, 30], [0.1, 10, 35]])
_P3 = 1e-4 * np.array([[3689, 1170, 2673], [4699, 4387, 7470], [1091, 8732, 5547], [381, 5743, 8828]])
_A6 = np.array(
    [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
)
_P6 = 1e-4 * np.array(
    [
        [1312, 1696, 5569, 124, 8283, 5886],
        [2329, 4135, 8307, 3736, 1004, 9991],
        [2348, 1451, 3522, 2883, 3047, 6650],
        [4047, 8828, 8732, 5743, 1091, 381],
    ]
)


def hartmann3(x: Array) -> float:
    """Minimum -3.86278 at (0.114614, 0.555649, 0.852547)."""
    return float(-_ALPHA @ np.exp(-(_A3 * (x - _P3) ** 2).sum(axis=1)))


def hartmann6(x: Array) -> float:
    """Minimum -3.32237 at (0.20169, 0.150011, 0.476874, 0.275332, 0.311652, 0.6573)."""
    return float(-_ALPHA @ np.exp(-(_A6 * (x - _P6) ** 2).sum(axis=1)))


def ackley(x: Array) -> float:
    """Minimum 0 at the origin."""
    bowl = -20 * math.exp(-0.2 * math.sqrt(float(np.mean(x**2))))
    return bowl - math.exp(float(np.mean(np.cos(2 * math.pi * x)))) + 20 + math.e


def _cube(dimension: int, lower: float = 0.0, upper: float = 1.0) -> dict[str, Domain]:
    return {f"x{number}": uniform(lower, upper) for number in range(1, dimension + 1)}


PROBLEMS = {
    "branin": Problem({"x1": uniform(-5.0, 10.0), "x2": uniform(0.0, 15.0)}, branin, 0.39788735772973816),
    "hartmann3": Problem(_cube(3), hartmann3, -3.8627797869493365),
    "hartmann6": Problem(_cube(6), hartmann6, -3.3223680114155147),
    "ackley": Problem(_cube(10, -32.768, 32.768), ackley, 0.0),
}


def function_blackboxes(name: str) -> dict[str, Blackbox]:
    """A function once as it is, and once as something to be trained: see ``trained``. Objectives: ``loss`` and
    ``elapsed_time``, 60 seconds for the function as it is."""
    problem = PROBLEMS[name]
    space = dict(problem.space)

    def once(config: Config, fidelity: float | None, seed: int) -> Mapping[str, float]:
        return {"loss": problem.truth(_point(problem, config)), "elapsed_time": 60.0}

    return {SINGLE: from_function(space, once), MULTI: trained(problem)}


def trained(problem: Problem) -> Blackbox:
    """Falls over 27 epochs to exactly the function's value ``f``.

    After ``r`` epochs the loss is ``f + (10 + f - minimum) * (r ** -a - 27 ** -a)``. The rate ``a``, 0.5 to 1.5, grows
    with the mean of the coordinates (in the unit cube), so that curves cross; an epoch takes 4 to 20 seconds, more
    with the first coordinate.
    """

    def curve(config: Config, fidelity: float | None, seed: int) -> Mapping[str, float]:
        assert fidelity is not None
        places = np.array([float(domain.to_unit(config[name])[0]) for name, domain in problem.space.items()])
        rate = 0.5 + float(places.mean())
        truth = problem.truth(_point(problem, config))
        left = fidelity**-rate - LARGEST**-rate
        seconds = 4.0 + 16.0 * float(places[0])
        return {"loss": truth + (10.0 + truth - problem.minimum) * left, "elapsed_time": fidelity * seconds}

    return from_function(dict(problem.space), curve, {"epoch": randint(1, LARGEST)}, ["loss", "elapsed_time"])


def _point(problem: Problem, config: Config) -> Array:
    return np.array([config[name] for name in problem.space], dtype=np.float64)


# -- learning curves ---------------------------------------------------------------------------------------------------

CURVE_SPACE = {"limit": uniform(0.0, 1.0), "width": loguniform(1.0, 32.0)}
"""``limit``: where the curve would end. ``width``: how much work an epoch is."""


@dataclass(frozen=True)
class _Shape:
    """The curve ``limit + distance * r ** -rate``, with so many seconds per epoch."""

    limit: float
    distance: float = 2.0
    rate: float = 0.5
    seconds: float = 1.0


def curve_blackboxes() -> dict[str, Blackbox]:
    """Families of curves ``limit + distance * r ** -rate`` over 27 epochs, by what makes them hard for schedulers.

    ``parallel``: the first epoch tells the order. ``crossing``: what ends best begins worst, and is ahead from epoch 4
    on. ``costs``: parallel, with 1 to 32 seconds per epoch, and better the more an epoch costs. ``noisy``: crossing,
    with five seeds that differ by a standard deviation of 0.05.
    """

    def crossing(limit: float, width: float) -> _Shape:
        return _Shape(limit, 5.0 - 3.0 * limit, 1.0)

    return {
        "parallel": _family(lambda limit, width: _Shape(limit)),
        "crossing": _family(crossing),
        "costs": _family(lambda limit, width: _Shape(limit + 0.5 / width, seconds=width)),
        "noisy": with_noise(_family(crossing), {"loss": 0.05}, num_seeds=5),
    }


def _family(shape_of: Callable[[float, float], _Shape]) -> Blackbox:
    def curve(config: Config, fidelity: float | None, seed: int) -> Mapping[str, float]:
        assert fidelity is not None
        shape = shape_of(config["limit"], config["width"])
        loss = shape.limit + shape.distance * fidelity**-shape.rate
        return {"loss": loss, "elapsed_time": shape.seconds * fidelity}

    return from_function(CURVE_SPACE, curve, {"epoch": randint(1, LARGEST)}, ["loss", "elapsed_time"])
