"""SageMaker SDK 2: ``Estimator.fit`` on the sandbox, and estimators as templates."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from cloudtune.backends.base import TrialBackend
from cloudtune.sagemaker import TrainingJobTemplate
from cloudtune.sandbox import Sandbox
from cloudtune.testing import BackendContract
from tests.sagemaker.support import Seen, argv_of, attempt, backend_of, opened
from tests.sdk.support import assert_reporter_travelled

pytestmark = [pytest.mark.sdk2, pytest.mark.filterwarnings("ignore")]


@lru_cache(maxsize=1)
def session_of(endpoint: str) -> Any:
    """One for all estimators: it takes a second to make."""
    from sagemaker import Session

    return Session()


def estimator(account: Sandbox, folder: Path, script: str = "train.py", **options: Any) -> Any:
    from sagemaker.pytorch import PyTorch

    return PyTorch(
        entry_point=script,
        source_dir=str(folder),
        role=account.role_arn,
        image_uri="any",
        sagemaker_session=session_of(account.endpoint_url),
        instance_type="ml.m5.xlarge",
        instance_count=1,
        **options,
    )


def test_the_sdk_s_own_fit_runs_unmodified(account: Sandbox, code: Path) -> None:
    fitted = estimator(
        account,
        code,
        hyperparameters={"lr": 0.5},
        metric_definitions=[{"Name": "acc", "Regex": "acc=([0-9.]+)"}],
        checkpoint_s3_uri=f"s3://{account.bucket}/fit",
    )
    fitted.fit(wait=True, logs="All")
    described = fitted.latest_training_job.describe()
    assert described["TrainingJobStatus"] == "Completed"
    assert [metric["Value"] for metric in described["FinalMetricDataList"]] == [1.0]
    assert fitted.model_data.startswith(f"s3://{account.bucket}/")


def test_an_estimator_becomes_a_template_with_all_its_settings(account: Sandbox, code: Path) -> None:
    request = TrainingJobTemplate.from_estimator(
        estimator(
            account,
            code,
            hyperparameters={"lr": 0.5, "name": "adam", "layers": [1, 2]},
            keep_alive_period_in_seconds=900,
            max_run=77,
            max_retry_attempts=3,
            volume_size=55,
            environment={"A": "b"},
            tags=[{"Key": "team", "Value": "vision"}],
            metric_definitions=[{"Name": "acc", "Regex": "acc=([0-9.]+)"}],
            checkpoint_s3_uri="s3://bucket/somewhere",
            checkpoint_local_path="/opt/ml/mine",
            subnets=["subnet-0123456789abcdef0"],
            security_group_ids=["sg-0123456789abcdef0"],
            encrypt_inter_container_traffic=True,
        ),
        inputs={"train": f"s3://{account.bucket}/data"},
    ).request
    assert request["RoleArn"] == account.role_arn
    assert request["ResourceConfig"] == {
        "InstanceType": "ml.m5.xlarge",
        "InstanceCount": 1,
        "VolumeSizeInGB": 55,
        "KeepAlivePeriodInSeconds": 900,
    }
    assert request["StoppingCondition"] == {"MaxRuntimeInSeconds": 77}
    assert request["RetryStrategy"] == {"MaximumRetryAttempts": 3}
    assert request["Environment"] == {"A": "b"}
    assert request["Tags"] == [{"Key": "team", "Value": "vision"}]
    assert request["CheckpointConfig"] == {"S3Uri": "s3://bucket/somewhere", "LocalPath": "/opt/ml/mine"}
    assert request["VpcConfig"]["Subnets"] == ["subnet-0123456789abcdef0"]
    assert request["EnableInterContainerTrafficEncryption"] is True
    assert request["AlgorithmSpecification"]["TrainingImage"] == "any"
    assert request["AlgorithmSpecification"]["MetricDefinitions"] == [{"Name": "acc", "Regex": "acc=([0-9.]+)"}]
    assert [channel["ChannelName"] for channel in request["InputDataConfig"]] == ["train"]
    assert request["HyperParameters"]["name"] == '"adam"'
    assert request["HyperParameters"]["layers"] == "[1, 2]"
    assert request["HyperParameters"]["sagemaker_program"] == '"train.py"'


def test_a_spot_estimator_stays_one(account: Sandbox, code: Path) -> None:
    spot = estimator(account, code, use_spot_instances=True, max_run=60, max_wait=120)
    request = TrainingJobTemplate.from_estimator(spot).request
    assert request["EnableManagedSpotTraining"] is True
    assert request["StoppingCondition"] == {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 120}


def test_an_older_sdk_without_request_builders_gives_the_same(
    account: Sandbox, code: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sagemaker.estimator import Estimator, EstimatorBase, Framework

    by_builder = TrainingJobTemplate.from_estimator(estimator(account, code, hyperparameters={"lr": 1})).request
    for owner in (EstimatorBase, Estimator, Framework):
        monkeypatch.delattr(owner, "prepare_workflow_for_training", raising=False)
    plain = estimator(account, code, hyperparameters={"lr": 1})
    monkeypatch.setattr("cloudtune.sagemaker.sdk._first_of", lambda *_: None)
    intercepted = TrainingJobTemplate.from_estimator(plain).request
    account.reset_call_counts()
    assert account.call_counts()["sagemaker.CreateTrainingJob"] == 0
    for request in (by_builder, intercepted):
        for changing in ("sagemaker_submit_directory", "sagemaker_job_name"):
            request["HyperParameters"].pop(changing, None)
        for changing in ("TrainingJobName", "ProfilerConfig", "DebugHookConfig"):
            request.pop(changing, None)
    assert intercepted == by_builder


def test_an_estimator_is_tuned_with_the_reporter_added_to_its_source(
    account: Sandbox, code: Path, tmp_path: Path
) -> None:
    backend = opened(estimator(account, code, hyperparameters={"lr": 9.0}), "tuned", tmp_path)
    trials = [attempt(number, lr=0.5 * (number + 1), name="two words") for number in range(2)]
    account.reset_call_counts()
    for trial in trials:
        backend.start(trial)
    assert account.call_counts()["sagemaker.CreateTrainingJob"] == 2
    seen = Seen(backend)
    seen.finish(*trials)
    assert [[report.metrics["acc"] for report in seen.reports(trial)] for trial in trials] == [[0.5, 1.0], [1.0, 2.0]]
    assert_reporter_travelled(backend)
    given = argv_of(backend, 1)
    assert (given["lr"], given["name"]) == ("1.0", "two words")


class TestEstimator(BackendContract):
    @pytest.fixture(autouse=True)
    def _on_the_sandbox(self, account: Sandbox) -> None:
        self._account = account

    def build(self, entry_point: Path, place: Path) -> TrialBackend:
        return backend_of(estimator(self._account, entry_point.parent, entry_point.name))
