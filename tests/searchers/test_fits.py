"""Searchers given as objects: those that were made for something else are refused when the scheduler is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from cloudtune.errors import OptionError
from cloudtune.schedulers import FIFOScheduler, HyperbandScheduler
from cloudtune.searchers import AskTell, GridSearcher, RandomSearcher, Searcher, SobolSearcher, bayesian_optimization
from cloudtune.searchers.factory import make_searcher
from cloudtune.searchers.problem import SearchProblem
from cloudtune.space import uniform

SPACE: dict[str, Any] = {"x": uniform(0, 1), "epochs": 9}
NEEDS = {"bayesopt_constrained": {"constraint_attr": "late"}, "bayesopt_cost": {"cost_attr": "seconds"}}
BY_NAME = ("bayesopt", "bayesopt_constrained", "bayesopt_cost", "kde", "bore", "cqr", "rea")

Maker = Callable[[Mapping[str, Any], "str | None"], Searcher]


def by_name(name: str) -> Maker:
    def made(space: Mapping[str, Any], resource_attr: str | None) -> Searcher:
        problem = SearchProblem(space, None, 0, ("loss",), ("min",), resource_attr, 9)
        return make_searcher(name, problem, NEEDS.get(name))

    return made


LEARNING: dict[str, Maker] = {
    **{name: by_name(name) for name in BY_NAME},
    "bayesian_optimization()": lambda space, resource_attr: bayesian_optimization(
        space, "loss", resource_attr=resource_attr
    ),
}
ALL: dict[str, Maker] = {
    **LEARNING,
    "random": lambda space, resource_attr: RandomSearcher(space),
    "grid": lambda space, resource_attr: GridSearcher(space),
    "sobol": lambda space, resource_attr: SobolSearcher(space),
}


@pytest.mark.parametrize("name", ALL)
def test_what_was_made_for_the_same_is_taken(name: str) -> None:
    FIFOScheduler(SPACE, "loss", searcher=ALL[name](SPACE, None))
    HyperbandScheduler(SPACE, "loss", searcher=ALL[name](SPACE, "epoch"), max_resource_attr="epochs")


@pytest.mark.parametrize("name", ALL)
def test_another_space_is_refused(name: str) -> None:
    searcher = ALL[name]({"y": uniform(0, 1), "epochs": 9}, None)
    with pytest.raises(OptionError, match=r"space has \['epochs', 'x'\].*\['epochs', 'y'\]"):
        FIFOScheduler(SPACE, "loss", searcher=searcher)
    with pytest.raises(OptionError, match="space"):
        AskTell(SPACE, "loss", searcher=searcher)


@pytest.mark.parametrize("kind", [RandomSearcher, GridSearcher, SobolSearcher])
def test_what_they_do_not_need_is_not_taken(kind: Callable[..., Searcher]) -> None:
    with pytest.raises(OptionError, match=r"no argument metric='loss'(?s:.)*leave it out"):
        kind(SPACE, metric="loss")
    with pytest.raises(OptionError, match="did you mean 'random_seed'"):
        kind(SPACE, random_sed=3)


@pytest.mark.parametrize("name", LEARNING)
@pytest.mark.parametrize("other", [None, "step"])
def test_results_that_belong_to_another_resource_are_refused(name: str, other: str | None) -> None:
    """It would take results after one epoch and after nine for the same."""
    with pytest.raises(OptionError, match=f"'epoch'.*{other!r}") as caught:
        HyperbandScheduler(SPACE, "loss", searcher=LEARNING[name](SPACE, other), max_resource_attr="epochs")
    assert "resource_attr='epoch'" in str(caught.value.hint)
