"""Which checkpoints stay."""

from __future__ import annotations

from typing import Any

import pytest

from cloudtune.callbacks import RetainCheckpointsCallback, TunerCallback
from cloudtune.engine.stopping import StoppingCriterion
from cloudtune.errors import OptionError
from cloudtune.schedulers import HyperbandScheduler
from cloudtune.testing.fake_backend import FakeBackend
from cloudtune.testing.fake_cloud import FakeCloud, FakeFaults
from cloudtune.trial import Attempt, Status
from cloudtune.tuner import Tuner
from tests.tuning import SPACE, KeptJournal, asha, curve, tuner_on


def tuned(cloud: FakeCloud, *callbacks: TunerCallback, kind: str = "stopping", **options: Any) -> Tuner:
    criterion = StoppingCriterion(max_num_trials_started=25)
    storage = options.pop("storage", None) or KeptJournal()
    tuner = tuner_on(cloud, asha(kind), criterion, callbacks=callbacks, storage=storage, **options)
    tuner.run()
    return tuner


def best_trials(tuner: Tuner, count: int) -> set[int]:
    values: dict[int, float] = {}
    for row in tuner.ledger.rows:
        values[row.trial_id] = min(row.metrics["loss"], values.get(row.trial_id, 9e9))
    return set(sorted(values, key=lambda trial_id: values[trial_id])[:count])


@pytest.mark.parametrize("kind", ["stopping", "promotion"])
@pytest.mark.parametrize("keep_best", [0, 1, 3])
def test_those_of_the_best_trials_stay(kind: str, keep_best: int) -> None:
    cloud = FakeCloud(curve, "epochs")
    tuner = tuned(cloud, RetainCheckpointsCallback(keep_best), kind=kind)
    assert set(cloud.checkpoints) == best_trials(tuner, keep_best)


def test_the_largest_are_the_best_where_the_objective_is_maximized() -> None:
    cloud = FakeCloud(lambda config, epoch: {"loss": config["x"]}, "epochs")
    scheduler = HyperbandScheduler(SPACE, "loss", mode="max", max_resource_attr="epochs", random_seed=1)
    callback = RetainCheckpointsCallback(2)
    tuner = tuner_on(cloud, scheduler, callbacks=[callback], storage=KeptJournal())
    tuner.run()
    by_value = sorted(tuner.ledger.trials, key=lambda state: -float(state.trial.config["x"]))
    assert set(cloud.checkpoints) == {state.trial.trial_id for state in by_value[:2]}


def test_all_stay_without_it() -> None:
    cloud = FakeCloud(curve, "epochs")
    tuner = tuned(cloud)
    assert len(cloud.checkpoints) == len(tuner.ledger.trials)


def test_they_go_as_soon_as_their_trials_are_over() -> None:
    cloud = FakeCloud(curve, "epochs")

    class Watch(TunerCallback):
        most = 0

        def on_loop_start(self) -> None:
            self.most = max(self.most, len(cloud.checkpoints))

    watch = Watch()
    tuner = tuned(cloud, RetainCheckpointsCallback(2), watch, n_workers=3)
    assert watch.most <= 2 + 3 + 3, "the best, those that run, those that have just ended"
    assert len(tuner.ledger.trials) == 26


def test_those_of_trials_that_failed_go_too() -> None:
    def faults(attempt: Attempt) -> FakeFaults:
        return FakeFaults(fail_at=2 if attempt.id.trial_id % 3 == 0 else None)

    cloud = FakeCloud(curve, "epochs", faults=faults)
    tuner = tuned(cloud, RetainCheckpointsCallback(1), max_failures=50)
    assert Status.failed in {state.status for state in tuner.ledger.trials}
    assert len(cloud.checkpoints) == 1


def test_an_experiment_that_was_asked_to_stop_keeps_those_of_paused_trials() -> None:
    cloud = FakeCloud(curve, "epochs")
    tuner = tuner_on(
        cloud,
        asha("promotion"),
        StoppingCriterion(max_num_trials_started=25),
        callbacks=[RetainCheckpointsCallback(1)],
        storage=KeptJournal(),
    )

    class Stops(TunerCallback):
        def on_loop_end(self) -> None:
            if tuner.tuning_status.num_trials_paused >= 5:
                tuner.request_stop("enough")

    tuner.callbacks.append(Stops())
    tuner.run()
    paused = {state.trial.trial_id for state in tuner.ledger.trials if state.status is Status.paused}
    assert len(paused) >= 5
    assert paused <= set(cloud.checkpoints)


def test_what_a_dead_tuner_had_not_come_to_delete_is_deleted_by_the_next() -> None:
    cloud, storage = FakeCloud(curve, "epochs"), KeptJournal()

    class Dies(TunerCallback):
        def on_loop_end(self) -> None:
            if len(first.ledger.trials) > 8:
                raise SystemExit

    criterion = StoppingCriterion(max_num_trials_started=25)
    first = tuner_on(cloud, asha(), criterion, callbacks=[Dies()], storage=storage)
    with pytest.raises(SystemExit):
        first.run()
    tuner = tuned(cloud, RetainCheckpointsCallback(2), storage=storage)
    assert set(cloud.checkpoints) == best_trials(tuner, 2)


def test_a_backend_that_deletes_them_all_is_refused() -> None:
    cloud = FakeCloud(curve, "epochs")
    with pytest.raises(OptionError, match="leave delete_checkpoints out"):
        tuned(cloud, RetainCheckpointsCallback(1), backend=FakeBackend(cloud, delete_checkpoints=True))
    assert not cloud.calls


@pytest.mark.parametrize("keep_best", [-1, 1.5, True, "all"])
def test_what_is_no_number_of_trials_is_refused(keep_best: Any) -> None:
    with pytest.raises(OptionError, match="keep_best="):
        RetainCheckpointsCallback(keep_best)
