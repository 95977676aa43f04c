"""Population-based training, and every policy around every kind of scheduler, keep the contract."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from cloudtune.schedulers import FIFOScheduler, HyperbandScheduler, TrialScheduler
from cloudtune.schedulers.early_termination import EarlyTermination
from cloudtune.schedulers.median_stopping import MedianStoppingRule
from cloudtune.schedulers.pbt import PopulationBasedTraining
from cloudtune.schedulers.termination_policies import (
    BanditPolicy,
    MedianStoppingPolicy,
    StoppingPolicy,
    TruncationSelectionPolicy,
)
from cloudtune.schedulers.trial_plateau import TrialPlateauPolicy
from cloudtune.testing.scheduler_contract import MakeScheduler, SchedulerContract
from cloudtune.trial import Mode


def fifo(space: Mapping[str, Any], mode: Mode, seed: int) -> TrialScheduler:
    return FIFOScheduler(space, "loss", mode=mode, random_seed=seed)


def stopping(space: Mapping[str, Any], mode: Mode, seed: int) -> TrialScheduler:
    return HyperbandScheduler(space, "loss", mode=mode, random_seed=seed, max_resource_attr="epochs")


def promotion(space: Mapping[str, Any], mode: Mode, seed: int) -> TrialScheduler:
    return HyperbandScheduler(
        space, "loss", mode=mode, random_seed=seed, max_resource_attr="epochs", type="promotion", searcher_data="all"
    )


def population(space: Mapping[str, Any], mode: Mode, seed: int) -> TrialScheduler:
    return PopulationBasedTraining(
        space, "loss", "epoch", mode=mode, max_t=9, perturbation_interval=2, random_seed=seed
    )


INSIDE: dict[str, MakeScheduler] = {
    "fifo": fifo,
    "stopping": stopping,
    "promotion": promotion,
    "population": population,
}
POLICIES: dict[str, StoppingPolicy] = {
    "bandit by factor": BanditPolicy(slack_factor=0.5, evaluation_interval=2, delay_evaluation=2),
    "bandit by amount": BanditPolicy(slack_amount=0.3),
    "median": MedianStoppingPolicy(delay_evaluation=2),
    "truncation": TruncationSelectionPolicy(truncation_percentage=30, evaluation_interval=2),
    "truncation of those at work": TruncationSelectionPolicy(truncation_percentage=50, exclude_finished_jobs=True),
    "plateau": TrialPlateauPolicy(std=0.05, num_results=3, grace_period=3),
}


class TestPopulationBasedTraining(SchedulerContract):
    exhausts_finite_spaces = False

    @pytest.fixture
    def make_scheduler(self) -> MakeScheduler:
        return population


class TestPopulationToldItsMaximum(SchedulerContract):
    exhausts_finite_spaces = False

    @pytest.fixture
    def make_scheduler(self) -> MakeScheduler:
        return lambda space, mode, seed: PopulationBasedTraining(
            space,
            "loss",
            "epoch",
            mode=mode,
            max_resource_attr="epochs",
            population_size=2,
            perturbation_interval=1,
            quantile_fraction=0.5,
            random_seed=seed,
        )


@pytest.mark.parametrize("inside", ["fifo", "stopping", "promotion"])
class TestMedianStoppingRule(SchedulerContract):
    @pytest.fixture
    def make_scheduler(self, inside: str) -> MakeScheduler:
        return lambda space, mode, seed: MedianStoppingRule(INSIDE[inside](space, mode, seed), "epoch")


@pytest.mark.parametrize("inside", ["fifo", "stopping", "promotion"])
@pytest.mark.parametrize("policy", POLICIES)
class TestPolicies(SchedulerContract):
    @pytest.fixture
    def make_scheduler(self, inside: str, policy: str) -> MakeScheduler:
        return lambda space, mode, seed: EarlyTermination(
            INSIDE[inside](space, mode, seed), POLICIES[policy], resource_attr="epoch"
        )


class TestAllAtOnce(SchedulerContract):
    exhausts_finite_spaces = False

    @pytest.fixture
    def make_scheduler(self) -> MakeScheduler:
        return lambda space, mode, seed: EarlyTermination(
            MedianStoppingRule(population(space, mode, seed), "epoch", grace_population=3), list(POLICIES.values())
        )
