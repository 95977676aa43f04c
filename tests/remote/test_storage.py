"""An experiment kept in S3: names, journal, files."""

from __future__ import annotations

from pathlib import Path

import dill
import pytest

from cloudtune import Tuner
from cloudtune.aws import S3Uri
from cloudtune.errors import NotFoundError, OptionError
from cloudtune.remote import RemoteExperiment, S3Storage, s3_experiment_path
from cloudtune.results import load_experiment
from cloudtune.sandbox import Sandbox
from cloudtune.testing.journal_contract import marks
from tests.remote.support import local_tuner, training_script


def test_experiments_lie_in_the_accounts_sagemaker_bucket(sandbox: Sandbox) -> None:
    assert s3_experiment_path() == f"s3://{sandbox.bucket}/cloudtune/"
    assert s3_experiment_path(tuner_name="abc") == f"s3://{sandbox.bucket}/cloudtune/abc/"
    assert s3_experiment_path("mine", "lab", "abc") == "s3://mine/lab/abc/"


def test_journal_and_files_lie_below_the_experiments_name(sandbox: Sandbox, tmp_path: Path) -> None:
    storage = S3Storage(f"s3://{sandbox.bucket}/lab")
    folder = tmp_path / "abc"
    folder.mkdir()
    storage.journal(folder).append(0, marks(0, 2))
    (folder / "metadata.json").write_text("{}")
    storage.publish(folder / "metadata.json")
    listing = sandbox.client("s3").list_objects_v2(Bucket=sandbox.bucket, Prefix="lab/")
    assert [entry["Key"] for entry in listing["Contents"]] == [
        "lab/abc/journal/000000000000.jsonl",
        "lab/abc/metadata.json",
    ]
    assert storage.uri("abc") == S3Uri(sandbox.bucket, "lab/abc")


def test_it_travels(sandbox: Sandbox, tmp_path: Path) -> None:
    storage: S3Storage = dill.loads(dill.dumps(S3Storage()))
    assert list(storage.journal(tmp_path / "nothing-yet").read()) == []


def test_a_missing_bucket_is_an_error(sandbox: Sandbox, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="nobody-owns-this"):
        S3Storage("s3://nobody-owns-this/lab").journal(tmp_path).append(0, marks(0, 1))
    with pytest.raises(OptionError, match="not an S3 URI"):
        S3Storage("/tmp/lab")


def test_a_tuner_on_this_machine_may_keep_its_experiment_there_too(sandbox: Sandbox, tmp_path: Path) -> None:
    local = local_tuner(training_script(tmp_path))
    tuner = Tuner(
        local.trial_backend,
        local.scheduler,
        local.stop_criterion,
        n_workers=2,
        sleep_time=0.1,
        tuner_name="here",
        storage=S3Storage(),
        wait_trial_completion_when_stopping=True,
    )
    tuner.run()
    assert len(load_experiment(tuner.name).results) == 6
    status = RemoteExperiment(tuner.name).view().status(0)
    assert status is not None
    assert status.num_trials_completed == 2
