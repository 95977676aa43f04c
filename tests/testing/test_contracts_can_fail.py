"""The shipped contracts reject what breaks them."""

from __future__ import annotations

import math
from typing import Any

import pytest

from cloudtune.schedulers import Decision, FIFOScheduler, HyperbandScheduler, SchedulerDecision, Start
from cloudtune.schedulers.base import NotNow, Suggestion
from cloudtune.searchers import RandomSearcher
from cloudtune.testing.scheduler_contract import SchedulerContract
from cloudtune.testing.searcher_contract import SearcherContract
from cloudtune.trial import Config, Metrics, Trial


class CountsItsProposals(RandomSearcher):
    """Proposes by how often it was asked."""

    asked = 0

    def suggest(self, trial_id: int) -> Config | None:
        self.asked += 1
        return super().suggest(self.asked)


class ForgetsConstants(RandomSearcher):
    def suggest(self, trial_id: int) -> Config | None:
        config = super().suggest(trial_id)
        return None if config is None else {name: config[name] for name in config if name != "name"}


class TripsOverNan(RandomSearcher):
    def on_result(self, trial_id: int, config: Config, result: Metrics, update: bool) -> None:
        round(result["loss"])


class RemembersFailuresOnly(RandomSearcher):
    def on_trial_add(self, trial_id: int, config: Config) -> None:
        pass


@pytest.mark.parametrize(
    ("kind", "test", "arguments"),
    [
        (CountsItsProposals, "test_suggest_changes_nothing", {}),
        (CountsItsProposals, "test_replay_without_asking_gives_the_same_state", {}),
        (ForgetsConstants, "test_proposals_are_complete_and_inside_the_space", {}),
        (TripsOverNan, "test_odd_objectives_are_survived", {"value": math.nan}),
        (RemembersFailuresOnly, "test_a_finite_space_ends_with_its_last_configuration", {}),
        (RemembersFailuresOnly, "test_failed_trials_are_survived_and_not_proposed_again", {}),
    ],
)
def test_a_searcher_that_breaks_the_contract(kind: Any, test: str, arguments: dict[str, Any]) -> None:
    with pytest.raises((AssertionError, ValueError)):
        getattr(SearcherContract(), test)(lambda space, seed: kind(space, random_seed=seed), **arguments)


class StopsWithoutReason(FIFOScheduler):
    def on_trial_result(self, trial: Trial, result: Metrics) -> Decision:
        return SchedulerDecision.STOP


class LaunchesInSuggest(FIFOScheduler):
    def suggest(self, trial_id: int) -> Suggestion | NotNow | None:
        suggestion = super().suggest(trial_id)
        if isinstance(suggestion, Start):
            self.searcher.on_trial_add(trial_id, suggestion.config)
        return suggestion


class IgnoresItsMode(HyperbandScheduler):
    def __init__(self, space: Any, metric: str, mode: Any, random_seed: int) -> None:
        super().__init__(space, metric, random_seed=random_seed)


@pytest.mark.parametrize(
    ("kind", "test"),
    [
        (StopsWithoutReason, "test_what_is_taken_from_a_trial_has_a_reason"),
        (LaunchesInSuggest, "test_suggest_changes_nothing"),
        (IgnoresItsMode, "test_maximizing_mirrors_minimizing"),
        (IgnoresItsMode, "test_it_says_what_it_is"),
    ],
)
def test_a_scheduler_that_breaks_the_contract(kind: Any, test: str) -> None:
    with pytest.raises(AssertionError):
        getattr(SchedulerContract(), test)(lambda space, mode, seed: kind(space, "loss", mode=mode, random_seed=seed))
