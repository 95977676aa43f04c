"""Points of the cube and the configurations they stand for."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudtune.searchers.acquisition_search import AcquisitionSearch, SearchEffort, perturbed
from cloudtune.searchers.lattice import Array, Lattice
from cloudtune.space import UnitCube, choice, finrange, lograndint, loguniform, ordinal, quniform, randint, uniform

SPACE: dict[str, Any] = {
    "a": uniform(0, 1),
    "b": loguniform(1e-4, 1),
    "c": randint(0, 5),
    "d": lograndint(1, 300),
    "e": finrange(0.1, 0.9, 9),
    "f": ordinal([1, 2, 5, 10]),
    "g": choice(["x", "y", "z"]),
    "h": choice([True, False]),
    "i": quniform(0, 1, 0.25),
    "j": randint(1, 100_000),
    "k": 3,
}
CUBE = UnitCube(SPACE)
LATTICE = Lattice(CUBE)


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_a_snapped_point_is_the_encoding_of_its_configuration(seed: int) -> None:
    snapped = LATTICE.snap(np.random.default_rng(seed).random((20, CUBE.dimension)))
    again = CUBE.encode(CUBE.decode(snapped))
    # `j` has so many values that it counts as continuous
    np.testing.assert_allclose(again, snapped, atol=1e-5)
    np.testing.assert_array_equal(LATTICE.snap(snapped), snapped)


def test_neighbours_differ_in_one_discrete_hyperparameter() -> None:
    point = LATTICE.snap(np.full((1, CUBE.dimension), 0.4))
    around = LATTICE.neighbours(point)[0]
    (home,) = CUBE.decode(point)
    seen: dict[str, set[Any]] = {}
    for config in CUBE.decode(around):
        changed = [name for name in SPACE if config[name] != home[name]]
        assert len(changed) <= 1
        for name in changed:
            seen.setdefault(name, set()).add(config[name])
    assert set(seen) == {"c", "d", "e", "f", "g", "h", "i"}
    assert seen["g"] == {"x", "y", "z"} - {home["g"]}
    assert len(seen["c"]) == 5
    assert {home["d"] - 1, home["d"] + 1} <= seen["d"]


def test_a_space_of_floats_alone_has_no_neighbours() -> None:
    assert Lattice(UnitCube({"x": uniform(0, 1)})).neighbours(np.zeros((2, 1))).shape == (2, 0, 1)


def test_perturbed_points_stay_in_the_cube_and_all_move() -> None:
    centers = np.array([[0.0, 0.5, 1.0], [0.2, 0.2, 0.2]])
    points = perturbed(centers, 200, np.random.default_rng(0))
    assert points.shape == (200, 3)
    assert points.min() >= 0
    assert points.max() <= 1
    near = np.abs(points - centers[np.arange(200) % 2]).max(axis=1)
    assert (near < 0.01).any()
    assert (near > 0.3).any()


class Peak:
    """Highest where every dimension is at 0.6, or as near as the space allows; no slopes."""

    def values(self, points: Array) -> Array:
        return np.asarray(-((points - 0.6) ** 2).sum(axis=1))


class SlopedPeak(Peak):
    def values_and_gradients(self, points: Array) -> tuple[Array, Array]:
        return self.values(points), -2 * (points - 0.6)


def test_the_search_finds_the_best_configuration() -> None:
    search = AcquisitionSearch(LATTICE, SearchEffort())
    centers = LATTICE.snap(np.full((1, CUBE.dimension), 0.1))
    found = search.best(SlopedPeak(), centers, np.random.default_rng(0))
    values = Peak().values(found)
    assert (np.diff(values) <= 0).all()
    best = CUBE.decode(found[:1])[0]
    assert abs(best["a"] - 0.6) < 1e-3
    ordered = min([1, 2, 5, 10], key=lambda value: abs(float(SPACE["f"].to_unit(value)[0]) - 0.6))
    assert (best["c"], best["e"], best["f"], best["i"]) == (3, 0.6, ordered, 0.5)
    without = search.best(Peak(), centers, np.random.default_rng(0))
    assert values[0] > Peak().values(without[:1])[0]
    np.testing.assert_array_equal(LATTICE.snap(found), found)
