"""Bayesian optimization keeps what every searcher must keep, whatever its options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from cloudtune.searchers.base import Searcher
from cloudtune.searchers.bayesopt import make
from cloudtune.searchers.problem import SearchProblem
from cloudtune.searchers.random_searcher import RandomSearcher
from cloudtune.testing.searcher_contract import MakeSearcher, SearcherContract

# little effort: how good proposals are is not what is tested here
LITTLE: dict[str, Any] = {"num_init_candidates": 90, "opt_maxiter": 10}
RARELY: dict[str, Any] = {"opt_skip_init_length": 6, "opt_skip_period": 25}
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "lcb, one length scale": {
        "acq_function": "lcb",
        "acq_function_kwargs": {"kappa": 0.5},
        "gp_base_kernel": "matern52-noard",
    },
    "warping and Box-Cox": {"input_warping": True, "boxcox_transform": True},
    "samples": {"gp_hyperparameters": "mcmc", "num_fantasy_samples": 3, **RARELY},
    "cold, without fantasies": {"opt_warmstart": False, "num_init_random": 1, "no_fantasizing": True, "opt_maxiter": 5},
    "by draws": {"initial_scoring": "thompson_indep", **RARELY},
    "rarely": {"opt_skip_init_length": 0, "opt_skip_period": 4, "opt_verbose": True},
    "subsets": {"max_size_data_for_model": 8, "opt_max_size": 6, "skip_local_optimization": True},
}


def problem(space: Mapping[str, Any], seed: int, points: list[dict[str, Any]] | None = None) -> SearchProblem:
    return SearchProblem(space, points, seed, ("loss",), ("min",))


@pytest.mark.parametrize("variant", VARIANTS)
class TestOptions(SearcherContract):
    @pytest.fixture
    def make_searcher(self, variant: str) -> MakeSearcher:
        def made(space: Mapping[str, Any], seed: int) -> Searcher:
            return make(problem(space, seed), {**LITTLE, **VARIANTS[variant]})

        return made


class TestWithDuplicates(SearcherContract):
    exhausts_finite_spaces = False

    @pytest.fixture
    def make_searcher(self) -> MakeSearcher:
        return lambda space, seed: make(problem(space, seed), {**LITTLE, "allow_duplicates": True})


class TestRestricted(SearcherContract):
    """To configurations drawn beforehand; of the finite space, to all of them."""

    @pytest.fixture
    def make_searcher(self) -> MakeSearcher:
        def made(space: Mapping[str, Any], seed: int) -> Searcher:
            drawn = RandomSearcher(space, random_seed=99)
            listed = []
            for trial_id in range(200):
                config = drawn.suggest(trial_id)
                if config is not None:
                    listed.append(config)
                    drawn.on_trial_add(trial_id, config)
            return make(problem(space, seed), {**LITTLE, "restrict_configurations": listed})

        return made
