"""What every searcher must keep. Subclass ``SearcherContract`` and say how yours is made."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import dill
import pytest

from cloudtune.searchers.base import Searcher
from cloudtune.space import Domain, choice, config_to_match_string, finrange, loguniform, randint, uniform
from cloudtune.trial import Config

MakeSearcher = Callable[[Mapping[str, Any], int], Searcher]

SPACE: dict[str, Any] = {
    "lr": loguniform(1e-5, 1e-1),
    "momentum": uniform(0, 1),
    "layers": randint(1, 8),
    "activation": choice(["relu", "tanh", "gelu"]),
    "epochs": 9,
    "name": "constant",
}
FINITE: dict[str, Any] = {"a": randint(0, 3), "b": choice(["x", "y", "z"]), "c": finrange(0.1, 0.3, 3), "epochs": 9}
FINITE_SIZE = 36


class Proposal(NamedTuple):
    """With what the model carries from it to its next fit, as it comes back from a journal."""

    config: Config
    carried: Mapping[str, Any] | None


def propose(searcher: Searcher, trial_id: int) -> Proposal:
    config = searcher.suggest(trial_id)
    assert config is not None
    return Proposal(config, json.loads(json.dumps(searcher.carried(trial_id))))


def launch(searcher: Searcher, trial_id: int, config: Config, carried: Mapping[str, Any] | None) -> None:
    if carried is not None:
        searcher.on_carried(trial_id, carried)
    searcher.on_trial_add(trial_id, config)


class SearcherContract:
    """Override ``make_searcher``; without duplicates where that is a choice."""

    metric = "loss"
    exhausts_finite_spaces = True
    """Whether no configuration is proposed twice, and None marks the end of a finite space."""

    @pytest.fixture
    def make_searcher(self) -> MakeSearcher:
        """A function of (space, seed) that gives a fresh searcher for the metric "loss", to be minimized."""
        raise NotImplementedError

    def objective(self, trial_id: int, config: Config) -> float:
        return float(abs(math.log10(config["lr"]) + 3) + config["momentum"]) if "lr" in config else float(config["a"])

    def result(self, trial_id: int, config: Config, value: Any) -> dict[str, Any]:
        """What a trial reports; searchers that need more metrics than one add them."""
        return {self.metric: value}

    def evaluate(
        self,
        searcher: Searcher,
        trial_id: int,
        config: Config,
        value: Any,
        carried: Mapping[str, Any] | None = None,
    ) -> None:
        """Launch, report once, end."""
        launch(searcher, trial_id, config, carried)
        searcher.register_pending(trial_id)
        searcher.on_result(trial_id, config, self.result(trial_id, config, value), update=True)
        searcher.cleanup_pending(trial_id)

    def explore(self, searcher: Searcher, start: int, end: int) -> list[Config]:
        return [proposal.config for proposal in self.proposals(searcher, start, end)]

    def proposals(self, searcher: Searcher, start: int, end: int) -> list[Proposal]:
        """Evaluated one after the other."""
        proposals = []
        for trial_id in range(start, end):
            proposal = propose(searcher, trial_id)
            proposals.append(proposal)
            objective = self.objective(trial_id, proposal.config)
            self.evaluate(searcher, trial_id, proposal.config, objective, proposal.carried)
        return proposals

    def test_proposals_are_complete_and_inside_the_space(self, make_searcher: MakeSearcher) -> None:
        for config in self.explore(make_searcher(SPACE, 0), 0, 30):
            assert list(config) == list(SPACE)
            for name, entry in SPACE.items():
                assert entry.is_valid(config[name]) if isinstance(entry, Domain) else config[name] == entry

    def test_suggest_changes_nothing(self, make_searcher: MakeSearcher) -> None:
        asked, quiet = make_searcher(SPACE, 1), make_searcher(SPACE, 1)
        for trial_id in range(20):
            for other in (trial_id, trial_id + 300, trial_id, 0):
                asked.suggest(other)
            config, carried = propose(quiet, trial_id)
            assert propose(asked, trial_id) == (config, carried)
            for searcher in (asked, quiet):
                self.evaluate(searcher, trial_id, config, self.objective(trial_id, config), carried)

    def test_a_proposal_belongs_to_who_asked_for_it(self, make_searcher: MakeSearcher) -> None:
        searcher = make_searcher(SPACE, 1)
        for trial_id in range(5):
            first = searcher.suggest(trial_id)
            assert isinstance(first, dict)
            kept = dict(first)
            first.clear()
            assert searcher.suggest(trial_id) == kept

    def test_same_seed_and_calls_give_the_same_proposals(self, make_searcher: MakeSearcher) -> None:
        first = self.explore(make_searcher(SPACE, 7), 0, 25)
        assert self.explore(make_searcher(SPACE, 7), 0, 25) == first

    def test_another_seed_gives_other_proposals(self, make_searcher: MakeSearcher) -> None:
        first = self.explore(make_searcher(SPACE, 7), 0, 25)
        assert self.explore(make_searcher(SPACE, 8), 0, 25) != first

    def test_replay_without_asking_gives_the_same_state(self, make_searcher: MakeSearcher) -> None:
        live, replayed = make_searcher(SPACE, 3), make_searcher(SPACE, 3)
        for trial_id, (config, carried) in enumerate(self.proposals(live, 0, 20)):
            self.evaluate(replayed, trial_id, config, self.objective(trial_id, config), carried)
        assert self.proposals(replayed, 20, 30) == self.proposals(live, 20, 30)

    def test_order_of_results_does_not_matter(self, make_searcher: MakeSearcher) -> None:
        searchers = [make_searcher(SPACE, 4), make_searcher(SPACE, 4)]
        configs = []
        for trial_id in range(6):
            config, carried = propose(searchers[0], trial_id)
            configs.append(config)
            for searcher in searchers:
                launch(searcher, trial_id, config, carried)
        for searcher, order in zip(searchers, (range(6), reversed(range(6))), strict=True):
            for trial_id in order:
                config = configs[trial_id]
                result = self.result(trial_id, config, self.objective(trial_id, config))
                searcher.on_result(trial_id, config, result, update=True)
                searcher.cleanup_pending(trial_id)
        assert propose(searchers[0], 6) == propose(searchers[1], 6)

    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None, 0.0, 1e308])
    def test_odd_objectives_are_survived(self, make_searcher: MakeSearcher, value: Any) -> None:
        searcher = make_searcher(SPACE, 5)
        for trial_id in range(15):
            config = searcher.suggest(trial_id)
            assert config is not None
            self.evaluate(searcher, trial_id, config, value if trial_id % 3 else 1.0)

    def test_one_odd_value_for_all_is_survived(self, make_searcher: MakeSearcher) -> None:
        searcher = make_searcher(SPACE, 5)
        for trial_id in range(15):
            config = searcher.suggest(trial_id)
            assert config is not None
            self.evaluate(searcher, trial_id, config, math.nan)

    def test_failed_trials_are_survived_and_not_proposed_again(self, make_searcher: MakeSearcher) -> None:
        searcher = make_searcher(FINITE, 6)
        failed = set()
        for trial_id in range(30):
            config = searcher.suggest(trial_id)
            assert config is not None
            text = config_to_match_string(config, FINITE)
            assert text not in failed
            failed.add(text)
            searcher.on_trial_add(trial_id, config)
            searcher.register_pending(trial_id)
            if trial_id % 2:  # some schedulers say this first
                searcher.cleanup_pending(trial_id)
            searcher.on_trial_error(trial_id)

    def test_a_finite_space_ends_with_its_last_configuration(self, make_searcher: MakeSearcher) -> None:
        if not self.exhausts_finite_spaces:
            pytest.skip("this searcher declares that it may repeat configurations")
        searcher = make_searcher(FINITE, 2)
        configs = self.explore(searcher, 0, FINITE_SIZE)
        assert len({config_to_match_string(config, FINITE) for config in configs}) == FINITE_SIZE
        assert searcher.suggest(FINITE_SIZE) is None
        assert searcher.suggest(FINITE_SIZE + 1000) is None

    def test_pickled_midway_it_goes_on_the_same(self, make_searcher: MakeSearcher) -> None:
        searcher = make_searcher(SPACE, 9)
        self.explore(searcher, 0, 10)
        copy = dill.loads(dill.dumps(searcher))
        assert self.explore(copy, 10, 20) == self.explore(searcher, 10, 20)

    def test_calls_for_unknown_trials_are_survived(self, make_searcher: MakeSearcher) -> None:
        searcher = make_searcher(SPACE, 9)
        searcher.cleanup_pending(77)
        searcher.on_trial_error(78)
        assert searcher.suggest(0) is not None
