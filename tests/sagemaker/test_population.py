"""Population-based training with training jobs: a successor's job finds its parent's checkpoint in S3."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from cloudtune.engine.ledger import Ledger
from cloudtune.engine.stopping import StoppingCriterion
from cloudtune.journal import events as ev
from cloudtune.sandbox import Delays, Sandbox
from cloudtune.sandbox.script import Run, Save, Script, Step
from cloudtune.schedulers.pbt import PopulationBasedTraining
from cloudtune.space import loguniform
from cloudtune.trial import Status
from tests.schedulers.test_pbt_in_the_tuner import check_population, launches
from tests.test_crashes import Countdown, Killed, MortalJournal
from tests.tuning import KeptJournal
from tests.virtual import CHECKPOINT, Reports, Training, config_of, jobs_of, tuner_in, virtual

SPACE: dict[str, Any] = {"lr": loguniform(1e-3, 1.0), "epochs": 12}
STARTED = StoppingCriterion(max_num_trials_started=9)


@dataclass(frozen=True)
class Descent(Training):
    """Gradient descent on a quadratic with noise. Its checkpoint holds the learning rate of each epoch so far."""

    def _work(self, run: Run) -> Iterator[Step]:
        config, reports = config_of(run), Reports(run.began)
        rates: list[float] = json.loads(run.checkpoint[CHECKPOINT]) if CHECKPOINT in run.checkpoint else []
        while len(rates) < config["epochs"]:
            rates.append(config["lr"])
            yield Save({CHECKPOINT: json.dumps(rates).encode()}, 60.0)
            yield reports.line({"epoch": len(rates), "loss": error_after(rates)})


def error_after(rates: Sequence[float]) -> float:
    error = 100.0
    for rate in rates:
        error = (1 - rate) ** 2 * error + rate**2
    return error


DESCENT: Script = Descent()


def pbt() -> PopulationBasedTraining:
    return PopulationBasedTraining(
        SPACE,
        "loss",
        "epoch",
        max_resource_attr="epochs",
        population_size=4,
        perturbation_interval=3,
        random_seed=2,
        log_config=False,
    )


def rates_of(sandbox: Sandbox, trial_id: int) -> list[float]:
    """The learning rate of each epoch in the history of a trial, as its checkpoint in S3 has it."""
    client = sandbox.client("s3")
    found = client.list_objects_v2(Bucket=sandbox.bucket).get("Contents", [])
    (key,) = [each["Key"] for each in found if each["Key"].endswith(f"trials/{trial_id:05d}/checkpoints/{CHECKPOINT}")]
    rates: list[float] = json.loads(client.get_object(Bucket=sandbox.bucket, Key=key)["Body"].read())
    return rates


def check_descent(sandbox: Sandbox, ledger: Ledger, events: Sequence[ev.Event]) -> int:
    """What every trial did began where its parent was; the number of trials that went on from another's checkpoint."""
    first: dict[int, int] = {}
    for row in ledger.rows:
        first.setdefault(row.trial_id, row.metrics["epoch"])
    histories = {trial_id: rates_of(sandbox, trial_id) for trial_id in first}
    successors = 0
    for trial_id, launch in launches(events).items():
        if trial_id not in first:
            continue
        rates, began = histories[trial_id], first[trial_id] - 1
        assert rates[began:] == pytest.approx([launch.config["lr"]] * (len(rates) - began))
        if launch.checkpoint_trial_id is None:
            assert began == 0
            continue
        assert began > 0, "its job has found no checkpoint"
        assert rates[:began] == histories[launch.checkpoint_trial_id][:began]
        assert rates[began - 1] == pytest.approx(ledger.trials[launch.checkpoint_trial_id].trial.config["lr"])
        successors += 1
    for row in ledger.rows:
        rates = histories[row.trial_id][: row.metrics["epoch"]]
        assert row.metrics["loss"] == pytest.approx(error_after(rates))
    return successors


@pytest.mark.parametrize(
    "delays", [Delays(), Delays(checkpoint_sync=100.0, log_ingestion=30.0)], ids=["prompt", "late"]
)
def test_successors_go_on_from_the_checkpoints_of_their_parents(delays: Delays) -> None:
    storage = KeptJournal()
    with virtual(DESCENT, pbt(), STARTED, 4, delays, storage=storage, wait_trial_completion_when_stopping=True) as (
        sandbox,
        tuner,
        _,
    ):
        tuner.run()
        events = list(storage.kept.read())
        check_population(events)
        assert check_descent(sandbox, tuner.ledger, events) >= 3
        assert tuner.ledger.counts[Status.completed] >= 4
        assert not tuner.ledger.failures
        uris = [each["CheckpointConfig"]["S3Uri"] for each in jobs_of(sandbox)]
        assert len(set(uris)) == len(uris) == len(tuner.ledger.trials), "each trial keeps its own"


def test_checkpoints_are_deleted_and_successors_go_on_all_the_same() -> None:
    storage = KeptJournal()
    with virtual(
        DESCENT,
        pbt(),
        STARTED,
        4,
        storage=storage,
        backend_options={"delete_checkpoints": True},
        wait_trial_completion_when_stopping=True,
    ) as (sandbox, tuner, _):
        tuner.run()
        first: dict[int, int] = {}
        for row in tuner.ledger.rows:
            first.setdefault(row.trial_id, row.metrics["epoch"])
        successors = [
            trial_id
            for trial_id, launch in launches(list(storage.kept.read())).items()
            if launch.checkpoint_trial_id is not None
        ]
        assert len(successors) >= 3
        assert all(first[trial_id] > 1 for trial_id in successors)
        left = sandbox.client("s3").list_objects_v2(Bucket=sandbox.bucket).get("Contents", [])
        assert [each["Key"] for each in left if "/checkpoints/" in each["Key"]] == []


@pytest.mark.parametrize("step", [4, 13, 19, 28])
def test_a_tuner_that_was_killed_goes_on_with_its_population(step: int) -> None:
    countdown = Countdown()
    journal = MortalJournal(countdown)
    countdown.arm(step, after=step % 2 == 0)
    options: dict[str, Any] = {"storage": KeptJournal(journal), "wait_trial_completion_when_stopping": True}
    with virtual(DESCENT, pbt(), STARTED, 4, **options) as (sandbox, tuner, clock):
        with pytest.raises(Killed):
            tuner.run()
        resumed = tuner_in(sandbox, clock, pbt(), STARTED, 4, **options)
        resumed.run()
        events = list(journal.read())
        assert not resumed.ledger.divergent
        check_population(events)
        assert check_descent(sandbox, resumed.ledger, events) >= 3
        names = [each["TrainingJobName"] for each in jobs_of(sandbox)]
        assert len(set(names)) == len(names) == len(resumed.ledger.trials)
        replayed = Ledger(pbt())
        for event in events:
            replayed.apply(event)
        assert not replayed.divergent
        number = len(replayed.trials)
        assert replayed.scheduler.suggest(number) == resumed.scheduler.suggest(number)
