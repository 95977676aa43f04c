"""What searchers with several models have in common, for those that are constrained and those that mind the cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from cloudtune.errors import OptionError
from cloudtune.schedulers.fifo import FIFOScheduler
from cloudtune.searchers.factory import make_searcher
from cloudtune.searchers.guided import GuidedSearcher
from cloudtune.searchers.problem import SearchProblem
from cloudtune.space import choice, uniform
from cloudtune.trial import Config

SPACE = {"x": uniform(0, 1), "kind": choice(["a", "b", "c"])}
NEEDS: dict[str, dict[str, Any]] = {
    "bayesopt_constrained": {"constraint_attr": "second"},
    "bayesopt_cost": {"cost_attr": "second"},
}


def made(name: str, **options: Any) -> GuidedSearcher:
    problem = SearchProblem(SPACE, [], 0, ("loss",), ("min",))
    searcher = make_searcher(name, problem, {**NEEDS[name], **options})
    assert isinstance(searcher, GuidedSearcher)
    return searcher


def evaluate(searcher: GuidedSearcher, trial_id: int, config: Config, carried: Mapping[str, Any] | None) -> None:
    if carried is not None:
        searcher.on_carried(trial_id, carried)
    searcher.on_trial_add(trial_id, config)
    searcher.on_result(trial_id, config, {"loss": config["x"], "second": 0.1 + config["x"]}, update=True)
    searcher.cleanup_pending(trial_id)


@pytest.mark.parametrize("name", NEEDS)
def test_only_what_is_listed_is_proposed_each_once(name: str) -> None:
    listed = [{"x": number / 12, "kind": "abc"[number % 3]} for number in range(12)]
    searcher = made(name, restrict_configurations=listed)
    found = []
    for trial_id in range(12):
        config = searcher.suggest(trial_id)
        assert config is not None
        found.append(config)
        evaluate(searcher, trial_id, config, searcher.carried(trial_id))
    assert sorted(config["x"] for config in found) == [config["x"] for config in listed]
    assert searcher.suggest(12) is None


@pytest.mark.parametrize("name", NEEDS)
def test_a_batch_is_what_one_by_one_would_be_proposed(name: str) -> None:
    searcher, other = made(name), made(name)
    for trial_id in range(6):
        config = searcher.suggest(trial_id)
        assert config is not None
        carried = searcher.carried(trial_id)
        for each in (searcher, other):
            evaluate(each, trial_id, config, carried)
    batch = searcher.suggest_batch([6, 7, 8])
    assert searcher.suggest(6) == batch[0], "asking changes nothing"
    for trial_id, config in enumerate(batch, 6):
        assert other.suggest(trial_id) == config
        carried = other.carried(trial_id)
        if carried is not None:
            other.on_carried(trial_id, carried)
        other.on_trial_add(trial_id, config)
    assert len({tuple(config.values()) for config in batch}) == 3


@pytest.mark.parametrize("name", NEEDS)
def test_each_model_s_latest_hyperparameters_are_handed_on(name: str) -> None:
    """Whatever the order in which launches are told: the one with the highest number counts."""
    searchers = [made(name), made(name)]
    for trial_id in range(6):
        config = searchers[0].suggest(trial_id)
        assert config is not None
        carried = searchers[0].carried(trial_id)
        for searcher in searchers:
            evaluate(searcher, trial_id, config, carried)
    handed_on = searchers[0].carried(6)
    assert handed_on is not None
    assert len(handed_on) == 2
    first, second = ({model: each} for model, each in handed_on.items())
    for searcher, order in zip(searchers, ([first, second], [second, first]), strict=True):
        for number, carried in enumerate(order):
            searcher.on_carried(6 + number, carried)
    assert searchers[0].suggest(8) == searchers[1].suggest(8)


@pytest.mark.parametrize("name", NEEDS)
def test_several_objectives_are_too_many(name: str) -> None:
    with pytest.raises(OptionError, match="several metrics"):
        FIFOScheduler(SPACE, ["loss", "error"], searcher=name, search_options=NEEDS[name])
