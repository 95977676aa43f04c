"""Searchers with a model keep the schedulers' contract, and go on after a tuner was killed as if it had not been."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from cloudtune.engine.ledger import Ledger
from cloudtune.engine.status import TuningStatus
from cloudtune.engine.stopping import StoppingCriterion
from cloudtune.schedulers import FIFOScheduler, HyperbandScheduler, Start, TrialScheduler
from cloudtune.schedulers.sync_hyperband import SynchronousGeometricHyperbandScheduler
from cloudtune.searchers.bayesopt import BayesianOptimizationSearcher
from cloudtune.space import loguniform, randint, uniform
from cloudtune.surrogates.gp_surrogate import GaussianProcessSurrogate
from cloudtune.testing.fake_backend import FakeBackend
from cloudtune.testing.fake_cloud import FakeCloud
from cloudtune.testing.mini_tuner import MiniTuner
from cloudtune.testing.scheduler_contract import MakeScheduler, SchedulerContract, curve
from cloudtune.testing.searcher_contract import SPACE
from cloudtune.trial import Config, Mode
from tests.test_crashes import Countdown, Killed, MortalCloud, MortalJournal, NoResults
from tests.tuning import KeptJournal, tuner_on

Make = Callable[..., TrialScheduler]

# little effort: what is tested is that models are told the right things at the right time
CHEAP: dict[str, Any] = {
    "num_init_random": 5,
    "num_init_candidates": 9,
    "num_fantasy_samples": 2,
    "skip_local_optimization": True,
    "opt_maxiter": 2,
    "opt_skip_init_length": 6,
    "opt_skip_period": 7,
}


def made(scheduler: Make, searcher: str, search_options: Mapping[str, Any], **options: Any) -> MakeScheduler:
    def make(space: Mapping[str, Any], mode: Mode, seed: int) -> TrialScheduler:
        return scheduler(
            space,
            "loss",
            mode=mode,
            searcher=searcher,
            search_options=dict(search_options),
            random_seed=seed,
            max_resource_attr="epochs",
            **options,
        )

    return make


class TestFIFO(SchedulerContract):
    @pytest.fixture
    def make_scheduler(self) -> MakeScheduler:
        return made(FIFOScheduler, "bayesopt", CHEAP)


class TestStopping(SchedulerContract):
    @pytest.fixture
    def make_scheduler(self) -> MakeScheduler:
        return made(HyperbandScheduler, "bayesopt", {**CHEAP, "opt_skip_num_max_resource": True}, type="stopping")


class TestPromotion(SchedulerContract):
    @pytest.fixture
    def make_scheduler(self) -> MakeScheduler:
        options = {**CHEAP, "initial_scoring": "thompson_indep"}
        return made(HyperbandScheduler, "bayesopt", options, type="promotion", searcher_data="all")


class TestSynchronous(SchedulerContract):
    @pytest.fixture
    def make_scheduler(self) -> MakeScheduler:
        return made(SynchronousGeometricHyperbandScheduler, "bayesopt", CHEAP)


class TestSynchronousBOHB(SchedulerContract):
    @pytest.fixture
    def make_scheduler(self) -> MakeScheduler:
        options = {"num_candidates": 16, "random_fraction": 0.2}
        return made(SynchronousGeometricHyperbandScheduler, "kde", options)


@pytest.mark.parametrize("scheduler", [HyperbandScheduler, SynchronousGeometricHyperbandScheduler])
def test_in_successive_halving_proposals_come_from_the_model(scheduler: Make) -> None:
    """They are far better than random ones, by what the curves fall to, although most trials end early."""

    def levels(searcher: str, options: dict[str, Any]) -> list[float]:
        record = MiniTuner(made(scheduler, searcher, options)(SPACE, "min", 0), curve).run(40)
        starts = [suggestion.config for suggestion in record.suggestions if isinstance(suggestion, Start)]
        return [curve(0, config, 9) for config in starts[20:]]

    ours, random = levels("bayesopt", {"num_init_random": 5}), levels("random", {})
    assert np.mean(ours) < 0.5 * np.mean(random)


# -- in the tuner ------------------------------------------------------------------------------------------------------

TUNED: dict[str, Any] = {"x": uniform(0.0, 1.0), "rate": loguniform(1e-4, 1.0), "n": randint(1, 50), "epochs": 3}


def loss(config: Config, epoch: int) -> dict[str, float]:
    return {"loss": (config["x"] - 0.3) ** 2 + abs(config["rate"] - 0.01) + config["n"] / 100 + 1.0 / epoch}


def fifo(**options: Any) -> TrialScheduler:
    return made(FIFOScheduler, "bayesopt", options)(TUNED, "min", 1)


def proposals(ledger: Ledger) -> list[tuple[Config, Any]]:
    return [(state.trial.config, state.trial.carried) for state in ledger.trials]


@pytest.mark.parametrize("steps", [4, 13])
def test_killed_again_and_again_it_proposes_as_if_it_had_not_been(steps: int) -> None:
    """What a fit learned is where the next one begins: it is in the journal, with the trial it was proposed with."""
    options = {"num_init_random": 3, "num_init_candidates": 60}
    stop = StoppingCriterion(max_num_trials_finished=11)
    whole = tuner_on(FakeCloud(loss, "epochs"), fifo(**options), stop, n_workers=1)
    whole.run()
    countdown, cloud = Countdown(), MortalCloud(loss, "epochs")
    cloud.countdown = countdown
    storage, lives = KeptJournal(MortalJournal(countdown)), 0
    while True:
        lives += 1
        countdown.arm(steps + lives, after=lives % 2 == 0)
        tuner = tuner_on(cloud, fifo(**options), stop, 1, [NoResults()], backend=FakeBackend(cloud), storage=storage)
        try:
            tuner.run()
            break
        except Killed:
            continue
    assert lives > 3
    assert not tuner.ledger.divergent
    assert len(tuner.ledger.trials) >= 11
    assert proposals(tuner.ledger) == proposals(whole.ledger)
    carried = [state.trial.carried for state in tuner.ledger.trials]
    assert carried[:3] == [None] * 3
    assert all(each is not None for each in carried[3:])


def test_to_resume_computes_no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """200 trials are told to a searcher in the time that it takes to read them."""
    fits = []
    fit = GaussianProcessSurrogate.fit

    def counted(self: GaussianProcessSurrogate, *arguments: Any) -> Any:
        fits.append(len(arguments[1]))
        return fit(self, *arguments)

    monkeypatch.setattr(GaussianProcessSurrogate, "fit", counted)

    def dies(status: TuningStatus) -> bool:
        if status.num_trials_completed >= 200:
            raise Killed
        return False

    cloud, storage = FakeCloud(loss, "epochs"), KeptJournal()

    def life(stop: Callable[[TuningStatus], bool]) -> TrialScheduler:
        scheduler = fifo(**CHEAP)
        backend = FakeBackend(cloud)
        tuner_on(cloud, scheduler, stop, 4, [NoResults()], backend=backend, storage=storage).run()
        return scheduler

    with pytest.raises(Killed):
        life(dies)
    assert len(fits) > 150
    fits.clear()
    scheduler = life(lambda status: True)
    assert fits == []
    assert isinstance(scheduler, FIFOScheduler)
    assert isinstance(scheduler.searcher, BayesianOptimizationSearcher)
    scheduler.suggest(1000)
    assert fits == [pytest.approx(200, abs=4)]
