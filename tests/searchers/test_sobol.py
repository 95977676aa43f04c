"""Sobol points: evenly spread, a function of seed and number, without repetitions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from scipy.stats import qmc

from cloudtune.errors import OptionError
from cloudtune.searchers import RandomSearcher, Searcher
from cloudtune.searchers.factory import make_searcher as make_by_name
from cloudtune.searchers.problem import SearchProblem
from cloudtune.searchers.seeding import generator
from cloudtune.searchers.sobol_searcher import SobolSearcher
from cloudtune.space import choice, loguniform, randint, uniform
from cloudtune.testing.searcher_contract import MakeSearcher, SearcherContract
from tests.searchers.test_random_searcher import launch


class TestSobol(SearcherContract):
    @pytest.fixture
    def make_searcher(self) -> MakeSearcher:
        return lambda space, seed: SobolSearcher(space, random_seed=seed)


class TestWithDuplicates(SearcherContract):
    exhausts_finite_spaces = False

    @pytest.fixture
    def make_searcher(self) -> MakeSearcher:
        return lambda space, seed: SobolSearcher(space, random_seed=seed, allow_duplicates=True)


def points(searcher: Searcher, space: Mapping[str, Any], count: int) -> np.ndarray[Any, Any]:
    return np.array([[config[name] for name in space] for config in launch(searcher, count)])


def test_they_are_more_even_than_random_points() -> None:
    space = {f"x{index}": uniform(0, 1) for index in range(4)}
    for seed in range(3):
        even = qmc.discrepancy(points(SobolSearcher(space, [], seed), space, 128))
        random = qmc.discrepancy(points(RandomSearcher(space, [], seed), space, 128))
        assert even < random / 3


def test_every_half_quarter_and_eighth_of_a_range_has_its_share() -> None:
    space = {"x": uniform(0, 1), "lr": loguniform(1e-8, 1)}
    numbers = points(SobolSearcher(space, [], 4), space, 64)
    numbers[:, 1] = 1 + np.log10(numbers[:, 1]) / 8
    for parts in (2, 4, 8):
        for column in numbers.T:
            counts = np.bincount(np.minimum((column * parts).astype(int), parts - 1), minlength=parts)
            assert counts.tolist() == [64 // parts] * parts


def test_categories_are_drawn_equally_often() -> None:
    space = {"kind": choice(["a", "b", "c", "d"]), "flag": choice([True, False]), "x": uniform(0, 1)}
    configs = launch(SobolSearcher(space, [], 0), 64)
    assert Counter(config["kind"] for config in configs) == dict.fromkeys("abcd", 16)
    assert Counter(config["flag"] for config in configs) == {True: 32, False: 32}


def test_the_sequence_is_the_one_of_scipy_whatever_is_asked_first() -> None:
    space = {"x": uniform(0, 1), "y": uniform(0, 1)}
    searcher = SobolSearcher(space, [], 3)
    expected = qmc.Sobol(2, scramble=True, seed=generator(3, "scrambling", 0)).random(1024)
    for trial_id in (700, 0, 255, 256, 1023, 512, 1):
        assert list((searcher.suggest(trial_id) or {}).values()) == pytest.approx(expected[trial_id], abs=1e-9)


def test_points_come_first_and_the_sequence_after_them() -> None:
    space = {"x": uniform(0, 1), "n": randint(1, 9)}
    assert SobolSearcher(space, random_seed=0).suggest(0) == {"x": 0.5, "n": 5}
    bare, with_points = SobolSearcher(space, [], 0), SobolSearcher(space, [{"x": 0.0}, {"x": 1.0}], 0)
    assert with_points.suggest(2) == bare.suggest(0)
    assert with_points.suggest(7) == bare.suggest(5)


def test_a_space_of_constants_has_one_configuration() -> None:
    assert launch(SobolSearcher({"epochs": 3}, random_seed=0), 4) == [{"epochs": 3}]


def test_options_are_checked() -> None:
    problem = SearchProblem({"x": uniform(0, 1)}, None, 0, ("loss",), ("min",))
    assert isinstance(make_by_name("sobol", problem, {"debug_log": False}), SobolSearcher)
    with pytest.raises(OptionError, match="allow_duplicates"):
        make_by_name("sobol", problem, {"allow_duplicate": True})
    with pytest.raises(OptionError, match="debug_log"):
        make_by_name("sobol", problem, {"debug_log": 1})
