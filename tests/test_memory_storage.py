"""Experiments whose journal is in memory while they run."""

from __future__ import annotations

import dill
import pytest

from cloudtune.engine.stopping import StoppingCriterion
from cloudtune.errors import ExperimentNotFoundError
from cloudtune.paths import JOURNAL_FOLDER
from cloudtune.results import load_experiment
from cloudtune.storage import MemoryStorage
from cloudtune.testing.fake_cloud import FakeCloud
from tests.tuning import curve, tuner_on


def cloud() -> FakeCloud:
    return FakeCloud(curve, "epochs")


def test_the_experiment_is_found_like_any_other_once_its_tuner_is_done() -> None:
    tuner = tuner_on(cloud(), storage=MemoryStorage())
    tuner.run()
    found = load_experiment("bench", download_if_not_found=False)
    assert found.num_trials == len(tuner.ledger.trials) == 8
    assert list(found.results["loss"]) == [row.metrics["loss"] for row in tuner.ledger.rows]


def test_without_keeping_no_journal_is_written_but_the_table_is() -> None:
    tuner = tuner_on(cloud(), storage=MemoryStorage(keep=False))
    tuner.run()
    assert len(tuner.ledger.trials) == 8
    assert not (tuner.tuner_path / JOURNAL_FOLDER).exists()
    assert (tuner.tuner_path / "results.csv.zip").exists()
    with pytest.raises(ExperimentNotFoundError):
        load_experiment("bench", download_if_not_found=False)


@pytest.mark.parametrize("same_process", [True, False])
def test_a_later_tuner_goes_on_from_what_was_kept(same_process: bool) -> None:
    runs, storage = cloud(), MemoryStorage()
    first = tuner_on(runs, stop_criterion=StoppingCriterion(max_num_trials_started=3), storage=storage)
    first.run()
    again = tuner_on(runs, storage=storage if same_process else MemoryStorage())
    again.run()
    assert again.ledger.sessions == 2
    assert again.ledger.rows[: len(first.ledger.rows)] == first.ledger.rows
    assert load_experiment("bench", download_if_not_found=False).num_trials == 8


def test_it_travels_without_what_it_holds() -> None:
    storage = MemoryStorage(keep=False)
    tuner_on(cloud(), storage=storage).run()
    copy = dill.loads(dill.dumps(storage))
    assert copy.keep is False
    tuner = tuner_on(cloud(), storage=copy)
    tuner.run()
    assert tuner.ledger.sessions == 1
