"""Whole experiments on a cloud in memory, whatever the cloud's delays; killed ones, too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from cloudtune.engine.ledger import Ledger
from cloudtune.engine.stopping import StoppingCriterion
from cloudtune.journal import events as ev
from cloudtune.schedulers.base import TrialScheduler
from cloudtune.schedulers.dehb import GeometricDifferentialEvolutionHyperbandScheduler
from cloudtune.schedulers.sync_hyperband import SynchronousGeometricHyperbandScheduler
from cloudtune.space import choice, randint
from cloudtune.testing.fake_backend import FakeBackend
from cloudtune.testing.fake_cloud import FakeCloud
from cloudtune.trial import Status
from tests.schedulers.test_in_the_tuner import SIZE, SPACE, TIMINGS, curve
from tests.test_crashes import Countdown, Killed, MortalCloud, MortalJournal, NoResults
from tests.tuning import KeptJournal, tuner_on

KINDS: dict[str, Callable[..., TrialScheduler]] = {
    "hyperband": SynchronousGeometricHyperbandScheduler,
    "dehb": GeometricDifferentialEvolutionHyperbandScheduler,
}


def experiment(cloud: FakeCloud, scheduler: TrialScheduler, stop: StoppingCriterion) -> Ledger:
    tuner = tuner_on(cloud, scheduler, stop, n_workers=3, sleep_time=5.0)
    tuner.run()
    return tuner.ledger


def reached(ledger: Ledger) -> Counter[int]:
    most: Counter[int] = Counter()
    for row in ledger.rows:
        most[row.trial_id] = max(most[row.trial_id], row.metrics["epoch"])
    return most


@pytest.mark.parametrize("timing", TIMINGS.values(), ids=TIMINGS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("told", [True, False], ids=["told", "untold"])
def test_every_configuration_is_tried_and_then_it_ends(kind: str, timing: Any, told: bool) -> None:
    options: dict[str, Any] = {"max_resource_attr": "epochs"} if told else {"max_resource_level": 9}
    scheduler = KINDS[kind](SPACE, "loss", random_seed=1, **options)
    cloud = FakeCloud(curve, "epochs" if told else 9, timing=timing)
    ledger = experiment(cloud, scheduler, StoppingCriterion(max_wallclock_time=1e6))
    assert ledger.finished is not None
    assert not ledger.open
    assert len({(state.trial.config["x"], state.trial.config["c"]) for state in ledger.trials}) == SIZE
    assert len(ledger.trials) == SIZE
    assert 9 in reached(ledger).values()
    assert {state.status for state in ledger.trials} <= {Status.completed, Status.stopped, Status.paused}
    if told:
        assert any(len(state.attempts) > 1 for state in ledger.trials)
        for trial_id, most in reached(ledger).items():
            assert most == ledger.trials[trial_id].trial.config["epochs"]
            assert most in (1, 3, 9)


def test_work_of_one_bracket() -> None:
    """27 trials of 1 epoch, 9 go on to 3, 3 to 9, 1 to 27: nothing is computed twice."""
    space = {"x": randint(0, 1000), "c": choice(["a", "b"]), "epochs": 27}
    scheduler = SynchronousGeometricHyperbandScheduler(
        space, "loss", brackets=1, random_seed=1, max_resource_attr="epochs"
    )
    cloud = FakeCloud(curve, "epochs")
    ledger = experiment(cloud, scheduler, StoppingCriterion(max_num_trials_completed=1))
    first = {trial_id: most for trial_id, most in reached(ledger).items() if trial_id < 27}
    assert Counter(first.values()) == {1: 18, 3: 6, 9: 2, 27: 1}
    assert Counter(len(ledger.trials[trial_id].attempts) for trial_id in first) == {1: 18, 2: 6, 3: 2, 4: 1}
    assert sum(row.trial_id < 27 for row in ledger.rows) == 18 * 1 + 6 * 3 + 2 * 9 + 27


def test_checkpoints_that_nobody_needs_are_removed_and_no_others() -> None:
    cloud, storage = FakeCloud(curve, "epochs"), KeptJournal()
    space = {"x": randint(0, 1000), "c": choice(["a", "b"]), "epochs": 9}
    tuner = tuner_on(
        cloud,
        SynchronousGeometricHyperbandScheduler(space, "loss", random_seed=1, max_resource_attr="epochs"),
        StoppingCriterion(max_num_trials_started=60),
        n_workers=3,
        sleep_time=5.0,
        storage=storage,
        backend=FakeBackend(cloud, delete_checkpoints=True),
    )
    tuner.run()
    asked = [event for event in storage.kept.read() if isinstance(event, ev.CheckpointDeletionIntended)]
    early = {event.trial_id for event in asked if event.why == "it will not be resumed"}
    paused = {state.trial.trial_id for state in tuner.ledger.trials if state.status is Status.paused}
    assert early <= paused
    assert len(paused - early) <= 12, "those of brackets that were not complete at the end"
    assert len(early) > 25
    assert tuner.ledger.resumed_without_checkpoint == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("steps", [3, 8, 17])
def test_killed_again_and_again_it_decides_as_it_had_decided(kind: str, steps: int) -> None:
    countdown = Countdown()
    cloud = MortalCloud(curve, "epochs")
    cloud.countdown = countdown
    storage = KeptJournal(MortalJournal(countdown))
    lives = 0
    while True:
        lives += 1
        scheduler = KINDS[kind](SPACE, "loss", random_seed=1, max_resource_attr="epochs")
        tuner = tuner_on(
            cloud,
            scheduler,
            StoppingCriterion(max_wallclock_time=1e6),
            n_workers=3,
            storage=storage,
            backend=FakeBackend(cloud),
            callbacks=[NoResults()],
        )
        countdown.arm(steps + lives, after=lives % 2 == 0)
        try:
            tuner.run()
            break
        except Killed:
            continue
    assert lives > 3
    assert not tuner.ledger.divergent
    assert len(tuner.ledger.trials) == SIZE
    assert 9 in reached(tuner.ledger).values()
