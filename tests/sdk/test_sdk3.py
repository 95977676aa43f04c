"""SageMaker SDK 3: ``ModelTrainer.train`` on the sandbox, and trainers as templates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cloudtune.backends.base import TrialBackend
from cloudtune.sagemaker import TrainingJobTemplate
from cloudtune.sandbox import Sandbox
from cloudtune.testing import BackendContract
from tests.sagemaker.support import Seen, argv_of, attempt, backend_of, opened
from tests.sdk.support import assert_reporter_travelled

pytestmark = [pytest.mark.sdk3, pytest.mark.filterwarnings("ignore")]


def trainer(account: Sandbox, folder: Path, script: str = "train.py", **options: Any) -> Any:
    from sagemaker.core.training.configs import Compute, SourceCode
    from sagemaker.train.model_trainer import ModelTrainer

    settings = {
        "training_image": "any",
        "role": account.role_arn,
        "source_code": SourceCode(source_dir=str(folder), entry_script=script),
        "compute": Compute(instance_type="ml.m5.xlarge", instance_count=1),
        **options,
    }
    return ModelTrainer(**settings)


def test_the_sdk_s_own_train_runs_unmodified(account: Sandbox, code: Path) -> None:
    trained = trainer(account, code, hyperparameters={"lr": 0.5})
    trained.train(wait=True, logs=True)
    job = trained._latest_training_job
    job.refresh()
    assert job.training_job_status == "Completed"
    assert job.model_artifacts.s3_model_artifacts.startswith(f"s3://{account.bucket}/")


def test_a_trainer_becomes_a_template_with_all_its_settings(account: Sandbox, code: Path) -> None:
    from sagemaker.core.training.configs import (
        CheckpointConfig,
        Compute,
        InputData,
        MetricDefinition,
        Networking,
        RetryStrategy,
        StoppingCondition,
        Tag,
    )

    given = (
        trainer(
            account,
            code,
            hyperparameters={"lr": 0.5, "name": "adam"},
            compute=Compute(
                instance_type="ml.m5.2xlarge", instance_count=2, volume_size_in_gb=55, keep_alive_period_in_seconds=900
            ),
            networking=Networking(
                subnets=["subnet-0123456789abcdef0"],
                security_group_ids=["sg-0123456789abcdef0"],
                enable_inter_container_traffic_encryption=True,
            ),
            stopping_condition=StoppingCondition(max_runtime_in_seconds=77),
            environment={"A": "b"},
            tags=[Tag(key="team", value="vision")],
            checkpoint_config=CheckpointConfig(s3_uri="s3://bucket/somewhere", local_path="/opt/ml/mine"),
        )
        .with_retry_strategy(RetryStrategy(maximum_retry_attempts=3))
        .with_metric_definitions([MetricDefinition(name="acc", regex="acc=([0-9.]+)")])
    )
    data = [InputData(channel_name="train", data_source=f"s3://{account.bucket}/data")]
    request = TrainingJobTemplate.from_model_trainer(given, input_data_config=data).request
    assert request["RoleArn"] == account.role_arn
    assert request["ResourceConfig"] == {
        "InstanceType": "ml.m5.2xlarge",
        "InstanceCount": 2,
        "VolumeSizeInGB": 55,
        "KeepAlivePeriodInSeconds": 900,
    }
    assert request["StoppingCondition"]["MaxRuntimeInSeconds"] == 77
    assert request["RetryStrategy"] == {"MaximumRetryAttempts": 3}
    assert request["Environment"] == {"A": "b"}
    assert {"Key": "team", "Value": "vision"} in request["Tags"]
    assert request["CheckpointConfig"] == {"S3Uri": "s3://bucket/somewhere", "LocalPath": "/opt/ml/mine"}
    assert request["VpcConfig"]["Subnets"] == ["subnet-0123456789abcdef0"]
    assert request["EnableInterContainerTrafficEncryption"] is True
    assert request["AlgorithmSpecification"]["TrainingImage"] == "any"
    assert request["AlgorithmSpecification"]["MetricDefinitions"] == [{"Name": "acc", "Regex": "acc=([0-9.]+)"}]
    assert {channel["ChannelName"] for channel in request["InputDataConfig"]} == {"train", "code", "sm_drivers"}
    assert request["HyperParameters"] == {"lr": "0.5", "name": "adam"}


def test_a_spot_trainer_stays_one(account: Sandbox, code: Path) -> None:
    from sagemaker.core.training.configs import Compute, StoppingCondition

    spot = trainer(
        account,
        code,
        compute=Compute(instance_type="ml.m5.xlarge", instance_count=1, enable_managed_spot_training=True),
        stopping_condition=StoppingCondition(max_runtime_in_seconds=60, max_wait_time_in_seconds=120),
    )
    request = TrainingJobTemplate.from_model_trainer(spot).request
    assert request["EnableManagedSpotTraining"] is True
    assert request["StoppingCondition"] == {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 120}


def test_without_the_private_builder_the_request_is_intercepted(
    account: Sandbox, code: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_builder = TrainingJobTemplate.from_model_trainer(trainer(account, code, hyperparameters={"lr": 1})).request
    monkeypatch.setattr("cloudtune.sagemaker.sdk._first_of", lambda *_: None)
    account.reset_call_counts()
    intercepted = TrainingJobTemplate.from_model_trainer(trainer(account, code, hyperparameters={"lr": 1})).request
    assert account.call_counts()["sagemaker.CreateTrainingJob"] == 0
    for changing in ("TrainingJobName", "InputDataConfig"):  # named by the second
        by_builder.pop(changing)
        intercepted.pop(changing)
    assert intercepted == by_builder


def test_a_trainer_is_tuned_with_the_reporter_added_to_its_code(account: Sandbox, code: Path, tmp_path: Path) -> None:
    backend = opened(trainer(account, code, hyperparameters={"lr": 9.0}), "tuned", tmp_path)
    trials = [attempt(number, lr=0.5 * (number + 1), name="two words") for number in range(2)]
    for trial in trials:
        backend.start(trial)
    seen = Seen(backend)
    seen.finish(*trials)
    assert [[report.metrics["acc"] for report in seen.reports(trial)] for trial in trials] == [[0.5, 1.0], [1.0, 2.0]]
    assert_reporter_travelled(backend)
    given = argv_of(backend, 1)
    assert (given["lr"], given["name"]) == ("1.0", "two words")


class TestModelTrainer(BackendContract):
    @pytest.fixture(autouse=True)
    def _on_the_sandbox(self, account: Sandbox) -> None:
        self._account = account

    def build(self, entry_point: Path, place: Path) -> TrialBackend:
        return backend_of(trainer(self._account, entry_point.parent, entry_point.name))
