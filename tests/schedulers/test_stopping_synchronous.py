"""Stopping rules around synchronous schedulers: a trial that is taken out of its bracket leaves no gap."""

from __future__ import annotations

import pytest

from cloudtune.schedulers.dehb import GeometricDifferentialEvolutionHyperbandScheduler
from cloudtune.schedulers.median_stopping import MedianStoppingRule
from cloudtune.schedulers.sync_hyperband import SynchronousGeometricHyperbandScheduler
from cloudtune.testing.scheduler_contract import MakeScheduler, SchedulerContract


class TestMedianRuleAroundSynchronousHyperband(SchedulerContract):
    @pytest.fixture
    def make_scheduler(self) -> MakeScheduler:
        return lambda space, mode, seed: MedianStoppingRule(
            SynchronousGeometricHyperbandScheduler(
                space, "loss", mode=mode, random_seed=seed, max_resource_attr="epochs"
            ),
            "epoch",
        )


class TestMedianRuleAroundDEHB(SchedulerContract):
    @pytest.fixture
    def make_scheduler(self) -> MakeScheduler:
        return lambda space, mode, seed: MedianStoppingRule(
            GeometricDifferentialEvolutionHyperbandScheduler(
                space, "loss", mode=mode, random_seed=seed, max_resource_attr="epochs"
            ),
            "epoch",
        )
