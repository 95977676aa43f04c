"""Every searcher keeps the schedulers' contract, with trials that run to their end and in successive halving."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from cloudtune.schedulers import FIFOScheduler, HyperbandScheduler, Start, TrialScheduler
from cloudtune.searchers.model_searcher import ModelSearcher
from cloudtune.testing.mini_tuner import MiniTuner
from cloudtune.testing.scheduler_contract import MakeScheduler, SchedulerContract, curve
from cloudtune.testing.searcher_contract import SPACE
from cloudtune.trial import Mode

# small models: what is tested is that they are told the right things at the right time
SEARCHERS: dict[str, dict[str, Any]] = {
    "grid": {},
    "sobol": {},
    "rea": {"population_size": 8, "sample_size": 3},
    "kde": {"num_candidates": 16, "random_fraction": 0.2},
    "bore": {"classifier": "logreg", "feval_acq": 16},
    "cqr": {"num_init_random": 5, "num_candidates": 16, "num_trees": 4},
}
SCHEDULERS: dict[str, Callable[..., TrialScheduler]] = {
    "fifo": FIFOScheduler,
    "stopping": lambda *args, **options: HyperbandScheduler(*args, type="stopping", **options),
    "promotion": lambda *args, **options: HyperbandScheduler(*args, type="promotion", **options),
}
PAIRS = [(searcher, scheduler) for searcher in SEARCHERS for scheduler in SCHEDULERS]
for without_model in ("grid", "sobol"):
    PAIRS.remove((without_model, "stopping"))


def maker(searcher: str, scheduler: str) -> MakeScheduler:
    def make(space: Mapping[str, Any], mode: Mode, seed: int) -> TrialScheduler:
        return SCHEDULERS[scheduler](
            space,
            "loss",
            mode=mode,
            searcher=searcher,
            search_options=SEARCHERS[searcher],
            random_seed=seed,
            max_resource_attr="epochs",
        )

    return make


class TestSearchersInSchedulers(SchedulerContract):
    @pytest.fixture(params=PAIRS, ids="-".join)
    def make_scheduler(self, request: pytest.FixtureRequest) -> MakeScheduler:
        return maker(*request.param)


@pytest.mark.parametrize("scheduler", ["stopping", "promotion"])
@pytest.mark.parametrize("searcher", ["rea", "kde", "bore", "cqr"])
def test_in_successive_halving_models_learn_at_the_highest_resource_with_enough(searcher: str, scheduler: str) -> None:
    made = maker(searcher, scheduler)(SPACE, "min", 0)
    assert isinstance(made, HyperbandScheduler)
    record = MiniTuner(made, curve).run(60)
    assert isinstance(made.searcher, ModelSearcher)
    data = made.searcher.observations.training_set(6)
    assert data.resource in (3, 9)
    assert 6 <= len(data) < 60
    starts = [suggestion.config for suggestion in record.suggestions if isinstance(suggestion, Start)]
    random = HyperbandScheduler(SPACE, "loss", random_seed=0, max_resource_attr="epochs", type=scheduler)
    at_random = [made for made in (random.suggest(trial_id) for trial_id in range(60)) if isinstance(made, Start)]
    same = [mine == other.config for mine, other in zip(starts, at_random, strict=True)]
    assert all(same[:5])
    assert sum(same) < 40
