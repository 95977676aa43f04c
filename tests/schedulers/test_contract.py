"""Every scheduler of ours keeps the contract."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from cloudtune.baselines import ASHA, RandomSearch
from cloudtune.schedulers import (
    Decision,
    FIFOScheduler,
    HyperbandScheduler,
    SchedulerDecision,
    TrialScheduler,
    TrialSuggestion,
)
from cloudtune.schedulers.base import Suggestion
from cloudtune.searchers import RandomSearcher
from cloudtune.space import Domain, randint
from cloudtune.testing.mini_tuner import MiniTuner
from cloudtune.testing.scheduler_contract import MakeScheduler, SchedulerContract
from cloudtune.trial import Config, Metrics, Trial


class TestFIFO(SchedulerContract):
    @pytest.fixture
    def make_scheduler(self) -> MakeScheduler:
        return lambda space, mode, seed: FIFOScheduler(space, "loss", mode=mode, random_seed=seed)


class TestRandomSearch(SchedulerContract):
    @pytest.fixture
    def make_scheduler(self) -> MakeScheduler:
        return lambda space, mode, seed: RandomSearch(
            space, "loss", mode=mode, random_seed=seed, max_resource_attr="epochs"
        )


class TestSearcherObject(SchedulerContract):
    @pytest.fixture
    def make_scheduler(self) -> MakeScheduler:
        return lambda space, mode, seed: FIFOScheduler(
            space, "loss", mode=mode, searcher=RandomSearcher(space, random_seed=seed), random_seed=seed
        )


def hyperband(**options: Any) -> MakeScheduler:
    make: Callable[..., TrialScheduler] = HyperbandScheduler
    return lambda space, mode, seed: make(space, "loss", mode=mode, random_seed=seed, **options)


EXACT = {"ranking_criterion": "soft_ranking", "epsilon": 0.0}
ONE_CANDIDATE: dict[str, Any] = {"rung_system_kwargs": {"num_threshold_candidates": 1}}
"""The default of ``points_to_evaluate`` is one point."""


class TestStopping(SchedulerContract):
    @pytest.fixture
    def make_scheduler(self) -> MakeScheduler:
        return hyperband(max_resource_attr="epochs")


class TestStoppingByMaxT(SchedulerContract):
    @pytest.fixture
    def make_scheduler(self) -> MakeScheduler:
        return hyperband(max_t=8, rung_levels=[1, 2, 5], searcher_data="all")


class TestStoppingInBrackets(SchedulerContract):
    @pytest.fixture
    def make_scheduler(self) -> MakeScheduler:
        return hyperband(max_resource_attr="epochs", brackets=3)


class TestPromotion(SchedulerContract):
    @pytest.fixture
    def make_scheduler(self) -> MakeScheduler:
        return hyperband(max_resource_attr="epochs", type="promotion")


class TestPromotionByMaxT(SchedulerContract):
    @pytest.fixture
    def make_scheduler(self) -> MakeScheduler:
        return hyperband(max_t=9, type="promotion", reduction_factor=2, searcher_data="all")


class TestPromotionInSeparateBrackets(SchedulerContract):
    @pytest.fixture
    def make_scheduler(self) -> MakeScheduler:
        return hyperband(max_resource_attr="epochs", type="promotion", brackets=2, rung_system_per_bracket=True)


class TestCostPromotion(SchedulerContract):
    @pytest.fixture
    def make_scheduler(self) -> MakeScheduler:
        return hyperband(max_resource_attr="epochs", type="cost_promotion", cost_attr="epoch")


class TestCostPromotionByMaxT(SchedulerContract):
    @pytest.fixture
    def make_scheduler(self) -> MakeScheduler:
        return hyperband(max_t=9, type="cost_promotion", rung_system_kwargs={"cost_attr": "epoch"}, rung_increment=2)


class TestCostPromotionInBrackets(SchedulerContract):
    @pytest.fixture
    def make_scheduler(self) -> MakeScheduler:
        return hyperband(max_resource_attr="epochs", type="cost_promotion", cost_attr="epoch", brackets=3)


class TestPASHA(SchedulerContract):
    @pytest.fixture
    def make_scheduler(self) -> MakeScheduler:
        return hyperband(max_resource_attr="epochs", type="pasha")


class TestPASHAByMaxT(SchedulerContract):
    @pytest.fixture
    def make_scheduler(self) -> MakeScheduler:
        return hyperband(max_t=9, type="pasha", rung_levels=[1, 2, 4, 6], rung_system_kwargs=EXACT, searcher_data="all")


class TestPASHAInSeparateBrackets(SchedulerContract):
    @pytest.fixture
    def make_scheduler(self) -> MakeScheduler:
        return hyperband(max_resource_attr="epochs", type="pasha", brackets=2, rung_system_per_bracket=True)


class TestRushStopping(SchedulerContract):
    @pytest.fixture
    def make_scheduler(self) -> MakeScheduler:
        return hyperband(type="rush_stopping", max_resource_attr="epochs", **ONE_CANDIDATE)


class TestRushStoppingByMaxT(SchedulerContract):
    @pytest.fixture
    def make_scheduler(self) -> MakeScheduler:
        return hyperband(type="rush_stopping", max_t=8, rung_levels=[1, 2, 5], **ONE_CANDIDATE)


class TestRushStoppingInBrackets(SchedulerContract):
    @pytest.fixture
    def make_scheduler(self) -> MakeScheduler:
        return hyperband(type="rush_stopping", max_resource_attr="epochs", brackets=3, **ONE_CANDIDATE)


class TestRushPromotion(SchedulerContract):
    @pytest.fixture
    def make_scheduler(self) -> MakeScheduler:
        return hyperband(type="rush_promotion", max_resource_attr="epochs", **ONE_CANDIDATE)


class TestRushPromotionByMaxT(SchedulerContract):
    @pytest.fixture
    def make_scheduler(self) -> MakeScheduler:
        return hyperband(type="rush_promotion", max_t=9, reduction_factor=2, **ONE_CANDIDATE)


class TestRushPromotionInSeparateBrackets(SchedulerContract):
    @pytest.fixture
    def make_scheduler(self) -> MakeScheduler:
        return hyperband(
            type="rush_promotion", max_resource_attr="epochs", brackets=2, rung_system_per_bracket=True, **ONE_CANDIDATE
        )


class TestASHA(SchedulerContract):
    @pytest.fixture
    def make_scheduler(self) -> MakeScheduler:
        return lambda space, mode, seed: ASHA(
            space, "loss", "epoch", mode=mode, random_seed=seed, max_resource_attr="epochs", rung_increment=2
        )


class StopsAboveOne(TrialScheduler):
    """A scheduler as a user writes one: random configurations; what is bad after its first report is stopped."""

    def __init__(self, config_space: Mapping[str, Any], metric: str) -> None:
        super().__init__(config_space)
        self.metric = metric

    def suggest(self, trial_id: int) -> Suggestion:
        config = {
            name: entry.sample() if isinstance(entry, Domain) else entry for name, entry in self.config_space.items()
        }
        return TrialSuggestion.start_suggestion(config)

    def on_trial_result(self, trial: Trial, result: Metrics) -> Decision:
        return SchedulerDecision.STOP if result[self.metric] > 1 else SchedulerDecision.CONTINUE

    def metric_names(self) -> Sequence[str]:
        return [self.metric]


def test_a_scheduler_of_ones_own_in_a_few_lines() -> None:
    def objective(trial_id: int, config: Config, resource: int) -> float:
        return float(config["x"])

    tuner = MiniTuner(StopsAboveOne({"x": randint(0, 3), "epochs": 9}, "loss"), objective, max_resource=4)
    tuner.run(30)
    for trial in tuner.trials:
        assert tuner.work[trial.trial_id] == (1 if trial.config["x"] > 1 else 4)
    assert StopsAboveOne({}, "loss").metadata()["scheduler_name"] == "StopsAboveOne"


def test_the_other_suggestion_under_its_familiar_name() -> None:
    suggestion = TrialSuggestion.resume_suggestion(4, {"epochs": 9})
    assert (suggestion.trial_id, suggestion.config) == (4, {"epochs": 9})
