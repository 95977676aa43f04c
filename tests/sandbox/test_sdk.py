"""The SageMaker SDKs, unmodified, against a sandbox; each where it is installed (make test-sdk)."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cloudtune.sandbox import Sandbox
from tests.sandbox.support import client, lines_of

TRAIN = """
import argparse, os
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
print("loss=%s" % parser.parse_args().lr)
open(os.path.join(os.environ["SM_MODEL_DIR"], "model.txt"), "w").write("model")
"""
SDK2 = """
import os
from sagemaker.estimator import Estimator
estimator = Estimator(
    image_uri="python:3", role=os.environ["ROLE"], instance_count=1, instance_type="ml.m5.large",
    source_dir=os.environ["SOURCE"], entry_point="train.py", hyperparameters={"lr": 0.25}, base_job_name="sdk-2",
    metric_definitions=[{"Name": "loss", "Regex": "loss=([0-9.]+)"}],
)
estimator.fit(wait=True)
assert list(estimator.training_job_analytics.dataframe()["value"]) == [0.25]
"""
SDK3 = """
import os
from sagemaker.core.training.configs import Compute, SourceCode
from sagemaker.train.model_trainer import ModelTrainer
ModelTrainer(
    training_image="python:3", role=os.environ["ROLE"], base_job_name="sdk-3", hyperparameters={"lr": 0.25},
    source_code=SourceCode(source_dir=os.environ["SOURCE"], entry_script="train.py"),
    compute=Compute(instance_type="ml.m5.large", instance_count=1, volume_size_in_gb=1),
).train(wait=True, logs=True)
"""


def has(module: str) -> bool:
    """Whether ``module`` is there, by its files: importing an SDK takes seconds."""
    spec = importlib.util.find_spec("sagemaker")
    roots = [] if spec is None else list(spec.submodule_search_locations or [])
    return any((Path(root) / f"{module}.py").exists() or (Path(root) / module).is_dir() for root in roots)


def run(sandbox: Sandbox, code: str, directory: Path) -> str:
    """Run ``code`` as a user would; the name of the one job it made."""
    (directory / "train.py").write_text(TRAIN)
    environment = {
        **os.environ,
        **sandbox.environment(),
        "ROLE": sandbox.role_arn,
        "SOURCE": str(directory),
        "SAGEMAKER_SUPPRESS_V2_WARNING": "1",
    }
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (job,) = client(sandbox, "sagemaker").list_training_jobs()["TrainingJobSummaries"]
    assert job["TrainingJobStatus"] == "Completed"
    return str(job["TrainingJobName"])


@pytest.mark.sdk2
@pytest.mark.skipif(not has("estimator"), reason="needs the SageMaker SDK 2")
def test_sdk_2_fits_an_estimator(tmp_path: Path) -> None:
    with Sandbox() as sandbox:
        name = run(sandbox, SDK2, tmp_path)
        assert "loss=0.25" in lines_of(sandbox, name)
        client(sandbox, "s3").head_object(Bucket=sandbox.bucket, Key=f"{name}/output/model.tar.gz")


@pytest.mark.sdk3
@pytest.mark.skipif(not has("train"), reason="needs the SageMaker SDK 3")
def test_sdk_3_trains_with_a_model_trainer(tmp_path: Path) -> None:
    with Sandbox() as sandbox:
        name = run(sandbox, SDK3, tmp_path)
        assert "loss=0.25" in lines_of(sandbox, name)
        client(sandbox, "s3").head_object(Bucket=sandbox.bucket, Key=f"sdk-3/{name}/output/model.tar.gz")
        # the constructor asked whether the role may do what it must
        assert sandbox.call_counts()["iam.SimulatePrincipalPolicy"] > 0
