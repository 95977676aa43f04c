"""The synchronous schedulers keep the contract."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cloudtune.schedulers.base import TrialScheduler
from cloudtune.schedulers.dehb import (
    DifferentialEvolutionHyperbandScheduler,
    GeometricDifferentialEvolutionHyperbandScheduler,
)
from cloudtune.schedulers.sync_hyperband import SynchronousGeometricHyperbandScheduler, SynchronousHyperbandScheduler
from cloudtune.searchers import RandomSearcher
from cloudtune.testing.scheduler_contract import MakeScheduler, SchedulerContract


def geometric(**options: Any) -> MakeScheduler:
    make: Callable[..., TrialScheduler] = SynchronousGeometricHyperbandScheduler
    return lambda space, mode, seed: make(space, "loss", mode=mode, random_seed=seed, **options)


class TestHyperband(SchedulerContract):
    @pytest.fixture
    def make_scheduler(self) -> MakeScheduler:
        return geometric(max_resource_attr="epochs")


class TestHyperbandByItsLevel(SchedulerContract):
    @pytest.fixture
    def make_scheduler(self) -> MakeScheduler:
        return geometric(max_resource_level=8, reduction_factor=2, searcher_data="all")


class TestSuccessiveHalving(SchedulerContract):
    @pytest.fixture
    def make_scheduler(self) -> MakeScheduler:
        return geometric(max_resource_attr="epochs", brackets=1, grace_period=2)


class TestGivenRungs(SchedulerContract):
    @pytest.fixture
    def make_scheduler(self) -> MakeScheduler:
        rungs = [[(7, 1), (4, 2), (2, 6)], [(50, 3), (1, 9)]]
        make: Callable[..., TrialScheduler] = SynchronousHyperbandScheduler
        return lambda space, mode, seed: make(
            space, rungs, "loss", mode=mode, random_seed=seed, max_resource_attr="epochs"
        )


class TestSearcherObject(SchedulerContract):
    @pytest.fixture
    def make_scheduler(self) -> MakeScheduler:
        make: Callable[..., TrialScheduler] = SynchronousGeometricHyperbandScheduler
        return lambda space, mode, seed: make(
            space, "loss", mode=mode, searcher=RandomSearcher(space, random_seed=seed), random_seed=seed
        )


def dehb(**options: Any) -> MakeScheduler:
    make: Callable[..., TrialScheduler] = GeometricDifferentialEvolutionHyperbandScheduler
    return lambda space, mode, seed: make(space, "loss", mode=mode, random_seed=seed, **options)


class TestDEHB(SchedulerContract):
    @pytest.fixture
    def make_scheduler(self) -> MakeScheduler:
        return dehb(max_resource_attr="epochs")


class TestDEHBByItsLevel(SchedulerContract):
    @pytest.fixture
    def make_scheduler(self) -> MakeScheduler:
        return dehb(max_resource_level=8, reduction_factor=2, searcher_data="all", mutation_factor=0.8)


class TestDEHBFromScratch(SchedulerContract):
    exhausts_finite_spaces = False  # the best configurations of the first bracket are launched again

    @pytest.fixture
    def make_scheduler(self) -> MakeScheduler:
        return dehb(max_resource_attr="epochs", support_pause_resume=False)


class TestDEHBOnePopulation(SchedulerContract):
    @pytest.fixture
    def make_scheduler(self) -> MakeScheduler:
        make: Callable[..., TrialScheduler] = DifferentialEvolutionHyperbandScheduler
        return lambda space, mode, seed: make(space, [(8, 9)], "loss", mode=mode, random_seed=seed)
