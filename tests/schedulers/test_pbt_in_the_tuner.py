"""Populations in whole experiments: on a cloud in memory with its delays, killed anywhere, and with real processes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from cloudtune.backends import PythonBackend
from cloudtune.engine.ledger import Ledger
from cloudtune.engine.stopping import StoppingCriterion
from cloudtune.journal import events as ev
from cloudtune.schedulers import Decision, SchedulerDecision, Start, TrialScheduler
from cloudtune.schedulers.base import NotNow, Suggestion
from cloudtune.schedulers.pbt import PopulationBasedTraining
from cloudtune.space import loguniform, uniform
from cloudtune.testing.fake_backend import FakeBackend
from cloudtune.testing.fake_cloud import FakeCloud, FakeFaults, FakeTiming
from cloudtune.trial import Attempt, Config, Metrics, Status, Trial
from cloudtune.tuner import Tuner
from tests.test_crashes import Countdown, Killed, MortalCloud, MortalJournal, NoResults
from tests.tuning import KeptJournal, Quiet, tuner_on

SPACE: dict[str, Any] = {"x": uniform(0.0, 1.0), "lr": loguniform(1e-4, 1e-1), "epochs": 12}


def curve(config: Config, epoch: int) -> dict[str, float]:
    return {"loss": config["x"] + 1.0 / epoch}


def pbt(**options: Any) -> PopulationBasedTraining:
    given = {"max_resource_attr": "epochs", "population_size": 3, "perturbation_interval": 2, "random_seed": 5}
    return PopulationBasedTraining(SPACE, "loss", "epoch", **{**given, **options})


def launches(events: Sequence[ev.Event]) -> dict[int, ev.LaunchIntended]:
    return {each.trial_id: each for each in events if isinstance(each, ev.LaunchIntended) and each.attempt == 0}


def check_population(events: Sequence[ev.Event]) -> None:
    """Each successor takes the place of one that was stopped for being behind, once, and goes on from another."""
    behind = [
        each.trial_id
        for each in events
        if isinstance(each, ev.DecisionMade) and each.rule == "in the lower quantile of its population"
    ]
    successors = {trial: each for trial, each in launches(events).items() if each.checkpoint_trial_id is not None}
    replaced = [(each.carried or {})["pbt_replaces"] for each in successors.values()]
    assert len(set(replaced)) == len(replaced)
    assert set(replaced) <= set(behind)
    for trial_id, launch in successors.items():
        assert launch.checkpoint_trial_id == (launch.carried or {})["pbt_parent"]
        assert launch.checkpoint_trial_id not in (trial_id, (launch.carried or {})["pbt_replaces"])
    copied = Counter(each.target_trial_id for each in events if isinstance(each, ev.CheckpointCopied))
    assert set(copied) <= set(successors)


def check_replay(events: Sequence[ev.Event], live: PopulationBasedTraining) -> None:
    """A fresh scheduler that is told what the journal holds decides, and goes on, as the one that wrote it."""
    fresh = pbt()
    ledger = Ledger(fresh)
    for event in events:
        ledger.apply(event)
    assert not ledger.divergent
    for trial_id in range(len(ledger.trials), len(ledger.trials) + 5):
        assert fresh.suggest(trial_id) == live.suggest(trial_id)


TIMINGS = {
    "prompt": FakeTiming(),
    "late logs": FakeTiming(seconds_per_unit=10, log_lag=25),
    "late and slow": FakeTiming(seconds_per_unit=10, stop_delay=45, log_lag=61, start_delay=5),
}


@pytest.mark.parametrize("delete_checkpoints", [False, True])
@pytest.mark.parametrize("timing", TIMINGS.values(), ids=TIMINGS)
def test_successors_go_on_where_their_parents_are(timing: FakeTiming, delete_checkpoints: bool) -> None:
    cloud, storage, scheduler = FakeCloud(curve, "epochs", timing=timing), KeptJournal(), pbt()
    tuner = tuner_on(
        cloud,
        scheduler,
        StoppingCriterion(max_num_trials_started=14),
        n_workers=3,
        backend=FakeBackend(cloud, delete_checkpoints=delete_checkpoints),
        storage=storage,
        wait_trial_completion_when_stopping=True,
    )
    tuner.run()
    events = list(storage.kept.read())
    check_population(events)
    check_replay(events, scheduler)
    first: dict[int, int] = {}
    for row in tuner.ledger.rows:
        first.setdefault(row.trial_id, row.metrics["epoch"])
    parents = {trial_id: each.checkpoint_trial_id for trial_id, each in launches(events).items()}
    successors = [trial_id for trial_id, parent in parents.items() if parent is not None]
    assert len(successors) >= 3
    # with late logs a parent may have been at its end already, so that nothing was left to do
    idle = [trial_id for trial_id in successors if trial_id not in first]
    assert not idle or timing.log_lag
    assert all(first[trial_id] > 1 for trial_id in successors if trial_id not in idle)
    assert len(idle) <= 3
    assert not tuner.ledger.failures
    assert all(first[trial_id] == 1 for trial_id in parents if trial_id not in successors)
    assert tuner.ledger.counts[Status.completed] >= 3
    if delete_checkpoints:
        assert not cloud.checkpoints


class FromTheFirst(TrialScheduler):
    """Trial 1 starts from the checkpoint of trial 0; or from scratch."""

    def __init__(self, parent: int | None) -> None:
        super().__init__(SPACE)
        self.parent = parent
        self.told: list[str] = []

    def suggest(self, trial_id: int) -> Suggestion | NotNow | None:
        config = {"x": 0.5, "lr": 1e-3, "epochs": 2}
        return Start(config, self.parent if trial_id == 1 else None) if trial_id < 2 else None

    def on_trial_result(self, trial: Trial, result: Metrics) -> Decision:
        return SchedulerDecision.CONTINUE

    def on_trial_error(self, trial: Trial) -> None:
        self.told.append(f"{trial.trial_id} has failed")

    def on_trial_remove(self, trial: Trial) -> None:
        self.told.append(f"{trial.trial_id} has gone")

    def metric_names(self) -> Sequence[str]:
        return ["loss"]


@pytest.mark.parametrize(("parent", "told"), [(0, ["1 has gone"]), (None, ["1 has failed"])])
def test_where_nothing_is_left_to_do_a_trial_has_not_failed(parent: int | None, told: list[str]) -> None:
    cloud = FakeCloud(
        curve, "epochs", faults=lambda attempt: FakeFaults(silent=attempt.id.trial_id == 1 and parent is None)
    )
    scheduler = FromTheFirst(parent)
    tuner = tuner_on(cloud, scheduler, StoppingCriterion(max_num_trials_started=5), n_workers=1)
    tuner.run()
    assert scheduler.told == told
    assert tuner.ledger.trials[1].status is (Status.completed if parent == 0 else Status.failed)
    assert [row.trial_id for row in tuner.ledger.rows] == [0, 0]


def test_a_lost_machine_takes_nothing_from_a_population() -> None:
    def faults(attempt: Attempt) -> FakeFaults:
        return FakeFaults(lost_at=5 if attempt.id.number == 0 else None)

    cloud, storage, scheduler = FakeCloud(curve, "epochs", faults=faults), KeptJournal(), pbt()
    tuner = tuner_on(cloud, scheduler, StoppingCriterion(max_num_trials_started=8), n_workers=3, storage=storage)
    tuner.run()
    events = list(storage.kept.read())
    check_population(events)
    check_replay(events, scheduler)
    assert any(len(state.attempts) > 1 for state in tuner.ledger.trials)
    assert not tuner.ledger.started_over


# -- killed anywhere ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [False, True], ids=["before the step", "after it"])
def test_killed_at_any_step_it_goes_on_with_the_same_population(after: bool) -> None:
    kills = 0
    for step in range(3, 85, 4):
        countdown = Countdown()
        cloud = MortalCloud(curve, "epochs", timing=FakeTiming(seconds_per_unit=1.3, stop_delay=0.7))
        cloud.countdown = countdown
        journal = MortalJournal(countdown)
        countdown.arm(step, after)

        def tuner(cloud: MortalCloud = cloud, journal: MortalJournal = journal) -> Tuner:
            return tuner_on(
                cloud,
                pbt(),
                StoppingCriterion(max_num_trials_started=9),
                n_workers=3,
                storage=KeptJournal(journal),
                backend=FakeBackend(cloud),
                callbacks=[NoResults()],
            )

        try:
            tuner().run()
        except Killed:
            kills += 1
        countdown.arm(0, False)
        last = tuner()
        last.run()
        events = list(journal.read())
        assert not last.ledger.divergent
        assert last.ledger.finished
        check_population(events)
        assert isinstance(last.scheduler, PopulationBasedTraining)
        check_replay(events, last.scheduler)
        assert set(cloud.creations.values()) == {1}
        assert cloud.busy() == 0
    assert kills > 15


# -- with real processes -----------------------------------------------------------------------------------------------


def train(x: float, epochs: int, st_checkpoint_dir: str) -> None:
    import json
    import time
    from pathlib import Path

    from cloudtune.checkpointing import latest_checkpoint, save_checkpoint
    from cloudtune.report import Reporter

    report = Reporter()
    found = latest_checkpoint(st_checkpoint_dir)
    path = [] if found is None else json.loads(Path(found.path, "path").read_text())
    while len(path) < epochs:
        path.append(x)
        text = json.dumps(path)

        def write(folder: str, text: str = text) -> None:
            Path(folder, "path").write_text(text)

        save_checkpoint(st_checkpoint_dir, write, len(path))
        report(epoch=len(path), loss=sum(path) / len(path), path=json.dumps(path))
        time.sleep(0.05)


def test_processes_go_on_from_the_checkpoints_of_others(tmp_path: Path) -> None:
    space = {"x": uniform(0.0, 1.0), "epochs": 10}
    scheduler = PopulationBasedTraining(
        space,
        "loss",
        "epoch",
        max_resource_attr="epochs",
        population_size=2,
        perturbation_interval=2,
        points_to_evaluate=[{"x": 0.2}, {"x": 0.9}],
        random_seed=1,
    )
    storage = KeptJournal()
    tuner = Tuner(
        PythonBackend(train, space, stop_grace=1.0),
        scheduler,
        StoppingCriterion(max_num_trials_started=3),
        2,
        sleep_time=0.02,
        callbacks=[Quiet(1e9)],
        storage=storage,
        tuner_name="population",
        save_tuner=False,
        wait_trial_completion_when_stopping=True,
        trial_backend_path=str(tmp_path / "trials"),
    )
    tuner.run()
    events = list(storage.kept.read())
    check_population(events)
    successors = [each for each in launches(events).values() if each.checkpoint_trial_id is not None]
    assert successors
    for launch in successors:
        row = next(row for row in tuner.ledger.rows if row.trial_id == launch.trial_id)
        path = json.loads(row.metrics["path"])
        parent = tuner.ledger.trials[launch.checkpoint_trial_id or 0].trial.config["x"]
        assert len(path) > 1
        assert path[-1] == launch.config["x"]
        assert path[-2] == parent
