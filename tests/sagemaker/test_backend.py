"""The backend against SageMaker on this machine."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from cloudtune.aws import S3Uri, objects
from cloudtune.clock import SystemClock
from cloudtune.errors import AlreadyExistsError, MetricError, OptionError, ScriptError
from cloudtune.sagemaker import FLOAT, MetricDefinition, SageMakerBackend, TrainingJobTemplate
from cloudtune.sagemaker.states import STOPPED_FROM_OUTSIDE
from cloudtune.sandbox import Sandbox
from cloudtune.trial import AttemptStatus
from tests.sagemaker.support import Seen, argv_of, attempt, backend_of, experiment, opened, unhurried

EXAMPLES = Path(__file__).parents[2] / "training_scripts"


# -- what a script is given ------------------------------------------------------------------------


def test_values_reach_the_script_as_they_were(account: Sandbox, script: Path, tmp_path: Path) -> None:
    backend = opened(script, "argv", tmp_path)
    config: dict[str, Any] = {
        "lr": 1e-05,
        "epochs": 1,
        "flag": True,
        "name": "two words, a 'quote' and \"another\"",
        "none": "",
    }
    trial = attempt(0, **config)
    backend.start(trial)
    Seen(backend).finish(trial)
    given = argv_of(backend, 0)
    assert given.pop("st_checkpoint_dir") == "/opt/ml/checkpoints"
    assert given == {name: str(value) for name, value in config.items()}


def test_a_plain_container_gets_strings_as_they_are(account: Sandbox, tmp_path: Path) -> None:
    code = "import json; print('argv:', json.dumps(json.load(open('/opt/ml/input/config/hyperparameters.json'))))"
    request = plain_request(account, ["python3", "-c", code])
    backend = opened(request, "plain", tmp_path)
    trial = attempt(0, lr=0.1, name="adam", flag=True)
    backend.start(trial)
    Seen(backend).finish(trial)
    line = next(line for line in backend.logs(0) if line.startswith("argv: "))
    given = json.loads(line.removeprefix("argv: "))
    assert (given["lr"], given["name"], given["flag"]) == ("0.1", "adam", "true")


def plain_request(account: Sandbox, entrypoint: list[str]) -> dict[str, Any]:
    return {
        "RoleArn": account.role_arn,
        "AlgorithmSpecification": {
            "TrainingImage": "any",
            "TrainingInputMode": "File",
            "ContainerEntrypoint": entrypoint,
        },
        "ResourceConfig": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 30},
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
    }


def test_the_reporter_knows_the_price(account: Sandbox, script: Path, tmp_path: Path) -> None:
    backend = opened(script, "price", tmp_path)
    trial = attempt(0, epochs=1, st_instance_type="ml.c5.xlarge", st_instance_count=2)
    launch = backend.start(trial)
    assert launch.dollars_per_hour == pytest.approx(0.408)
    seen = Seen(backend)
    seen.finish(trial)
    (report,) = seen.reports(trial)
    assert report.metrics["st_worker_cost"] == pytest.approx(report.metrics["st_worker_time"] / 3600 * 0.408)
    described = account.client("sagemaker").describe_training_job(TrainingJobName=launch.name)
    assert described["ResourceConfig"]["InstanceType"] == "ml.c5.xlarge"
    end = seen.end(trial)
    assert end is not None
    assert end.dollars == pytest.approx(described["BillableTimeInSeconds"] / 3600 * 0.408)


# -- code ------------------------------------------------------------------------------------------


def test_the_source_is_uploaded_once_however_many_trials_and_processes(
    account: Sandbox, script: Path, tmp_path: Path
) -> None:
    backend = opened(script, "source", tmp_path)
    again = opened(script, "source", tmp_path)
    prefix = S3Uri.parse(f"s3://{account.bucket}/cloudtune/source/source/")
    assert len(list(objects.listed(backend.aws, prefix))) == 1
    account.reset_call_counts()
    trials = [attempt(number, epochs=1) for number in range(3)]
    for trial in trials:
        backend.start(trial)
    assert account.call_counts()["s3.PutObject"] == 0
    assert account.call_counts()["sagemaker.CreateTrainingJob"] == 3
    Seen(backend).finish(*trials)
    again.close()


def test_code_that_a_request_brings_along_gets_the_reporter(account: Sandbox, script: Path, tmp_path: Path) -> None:
    import io
    import tarfile

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        archive.add(script, "train.py")
    place = S3Uri(account.bucket, "theirs/sourcedir.tar.gz")
    objects.put(unhurried(), place, buffer.getvalue())
    request = plain_request(account, [])
    del request["AlgorithmSpecification"]["ContainerEntrypoint"]
    request["HyperParameters"] = {"sagemaker_program": "train.py", "sagemaker_submit_directory": json.dumps(str(place))}
    backend = opened(request, "theirs", tmp_path)
    trial = attempt(0, epochs=2)
    backend.start(trial)
    seen = Seen(backend)
    seen.finish(trial)
    assert [report.metrics["epoch"] for report in seen.reports(trial)] == [1, 2]
    assert objects.get(backend.aws, place) == buffer.getvalue()


def test_a_backend_travels_with_its_script(account: Sandbox, script: Path, tmp_path: Path) -> None:
    import dill

    backend = backend_of(script)
    backend.prepare_to_travel()
    assert backend.template.request["RoleArn"] == account.role_arn
    payload = dill.dumps(backend, recurse=True)
    script.unlink()
    arrived: SageMakerBackend = dill.loads(payload)
    arrived.open(experiment("travelled", tmp_path), SystemClock())
    trial = attempt(0, epochs=1)
    arrived.start(trial)
    seen = Seen(arrived)
    seen.finish(trial)
    assert len(seen.reports(trial)) == 1
    assert isinstance(pickle.loads(pickle.dumps(arrived)), SageMakerBackend)


def test_an_existing_job_can_be_tuned(account: Sandbox, script: Path, tmp_path: Path) -> None:
    template = TrainingJobTemplate.script(
        script, tags={"team": "vision"}, environment={"MODE": "x"}, hyperparameters={"lr": 2.0}, max_run=77
    )
    first = opened(template, "first", tmp_path)
    trial = attempt(0, epochs=1)
    name = first.start(trial).name
    Seen(first).finish(trial)
    taken = TrainingJobTemplate.from_training_job(name, unhurried())
    assert taken.request["StoppingCondition"] == {"MaxRuntimeInSeconds": 77}
    assert {"Key": "team", "Value": "vision"} in taken.request["Tags"]
    assert taken.request["Environment"]["MODE"] == "x"
    second = opened(taken, "second", tmp_path)
    trial = attempt(0, epochs=2)
    second.start(trial)
    seen = Seen(second)
    seen.finish(trial)
    assert [report.metrics["acc"] for report in seen.reports(trial)] == [2.0, 4.0]
    assert argv_of(second, 0)["st_checkpoint_dir"] == "/opt/ml/checkpoints"


# -- whose job it is -------------------------------------------------------------------------------


def test_a_job_of_an_earlier_experiment_of_the_same_name_is_not_taken_for_ours(
    account: Sandbox, script: Path, tmp_path: Path
) -> None:
    earlier = opened(script, "again", tmp_path)
    trial = attempt(0, epochs=1, lr=0.5)
    earlier.start(trial)
    Seen(earlier).finish(trial)
    later = opened(script, "again", tmp_path)
    with pytest.raises(AlreadyExistsError, match=r"not of this experiment.*HyperParameters") as caught:
        later.start(attempt(0, epochs=1, lr=0.25))
    assert "tuner_name" in caught.value.hint


def test_a_job_stopped_from_outside_says_so(account: Sandbox, script: Path, tmp_path: Path) -> None:
    script.write_text("import time\nprint('hello', flush=True)\ntime.sleep(600)\n")
    backend = opened(script, "outside", tmp_path)
    trial = attempt(0)
    name = backend.start(trial).name
    account.client("sagemaker").stop_training_job(TrainingJobName=name)
    seen = Seen(backend)
    seen.finish(trial)
    end = seen.end(trial)
    assert end is not None
    assert (end.status, end.reason) == (AttemptStatus.STOPPED, STOPPED_FROM_OUTSIDE)


def test_a_job_that_ran_too_long_says_so(account: Sandbox, script: Path, tmp_path: Path) -> None:
    script.write_text("from cloudtune import Reporter\nimport time\nReporter()(acc=1.0, epoch=1)\ntime.sleep(600)\n")
    backend = opened(TrainingJobTemplate.script(script, max_run=3), "long", tmp_path)
    trial = attempt(0)
    backend.start(trial)
    seen = Seen(backend)
    seen.finish(trial)
    end = seen.end(trial)
    assert end is not None
    assert end.status is AttemptStatus.STOPPED
    assert end.reason.startswith("MaxRuntimeExceeded")
    assert len(seen.reports(trial)) == 1


# -- before money is spent -------------------------------------------------------------------------


def test_a_script_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(ScriptError, match=r"nowhere\.py"):
        TrainingJobTemplate.script(tmp_path / "nowhere.py")


def test_a_script_that_vanished(account: Sandbox, script: Path, tmp_path: Path) -> None:
    backend = backend_of(script)
    script.unlink()
    with pytest.raises(ScriptError, match="can't be read"):
        backend.open(experiment("vanished", tmp_path), SystemClock())


@pytest.mark.parametrize(
    ("role", "complaint"),
    [
        ("NoSuchRole", "'NoSuchRole' doesn't exist"),
        ("arn:aws:iam::{account}:role/NoSuchRole", "NoSuchRole' doesn't exist"),
    ],
)
def test_a_role_that_does_not_exist(account: Sandbox, script: Path, tmp_path: Path, role: str, complaint: str) -> None:
    template = TrainingJobTemplate.script(script, role=role.format(account=account.address.account_id))
    with pytest.raises(OptionError, match=complaint) as caught:
        opened(template, "role", tmp_path)
    assert "AWS_ROLE" in caught.value.hint


def test_a_role_by_name_or_from_the_environment(
    account: Sandbox, script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = account.role_arn.rpartition("/")[2]
    backend = backend_of(TrainingJobTemplate.script(script, role=name))
    backend.prepare_to_travel()
    assert backend.template.request["RoleArn"] == account.role_arn
    monkeypatch.setenv("AWS_ROLE", "NoSuchRole")
    with pytest.raises(OptionError, match="NoSuchRole"):
        backend_of(script).prepare_to_travel()


def test_a_role_of_another_account_is_warned_about(account: Sandbox, script: Path, tmp_path: Path) -> None:
    template = TrainingJobTemplate.script(script, role="arn:aws:iam::999999999999:role/SageMakerRole")
    with pytest.warns(UserWarning, match="another account"):
        opened(template, "foreign", tmp_path)


def test_a_bucket_that_does_not_exist(account: Sandbox, script: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"no-such-bucket.*doesn't exist"):
        opened(script, "bucket", tmp_path, s3_path="s3://no-such-bucket/x")
    with pytest.raises(OptionError, match="not an S3 URI"):
        backend_of(script, s3_path="no-such-bucket/x")


def test_more_workers_than_the_account_s_quota(account: Sandbox, script: Path, tmp_path: Path) -> None:
    quota = "'ml.p4d.24xlarge for training job usage'"
    backend = backend_of(TrainingJobTemplate.script(script, instance_type="ml.p4d.24xlarge", image_uri="any"))
    with pytest.warns(UserWarning, match=f"5000 instances at a time, and the account's quota {quota}"):
        backend.open(experiment("quota", tmp_path, n_workers=5000), SystemClock())


@pytest.mark.parametrize("name", ["with_underscore", "x" * 41, "ends-"])
def test_a_name_that_no_job_can_have(account: Sandbox, script: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(OptionError, match="tuner_name"):
        backend_of(script).open(experiment(name, tmp_path), SystemClock())


def test_an_objective_that_no_regex_reads(account: Sandbox, script: Path, tmp_path: Path) -> None:
    backend = backend_of(script, metric_definitions=[MetricDefinition("loss", "loss=(.*)")])
    with pytest.raises(MetricError, match="'acc'"):
        backend.open(experiment("objective", tmp_path), SystemClock())


def test_a_request_without_an_image(account: Sandbox, tmp_path: Path) -> None:
    request = plain_request(account, [])
    request["AlgorithmSpecification"] = {"TrainingInputMode": "File"}
    with pytest.raises(OptionError, match="neither TrainingImage nor AlgorithmName"):
        opened(request, "image", tmp_path)


def test_instance_types_that_do_not_exist(account: Sandbox, script: Path, tmp_path: Path) -> None:
    from cloudtune import choice

    space = {"st_instance_type": choice(["ml.m5.xlarge", "ml.m5.huge"])}
    with pytest.raises(OptionError, match=r"'ml\.m5\.huge'"):
        backend_of(script).open(experiment("types", tmp_path, config_space=space), SystemClock())


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"metric_definitions": []}, "empty"),
        ({"metric_definitions": [MetricDefinition("a", "(x)")] * 2}, "twice"),
        ({"metric_definitions": [MetricDefinition(f"m{n}", "(x)") for n in range(41)]}, "41"),
        ({"metrics_names": [f"m{n}" for n in range(41)]}, "41"),
    ],
)
def test_definitions_that_make_no_sense(script: Path, options: dict[str, Any], complaint: str) -> None:
    with pytest.raises((MetricError, OptionError), match=complaint):
        SageMakerBackend(TrainingJobTemplate.script(script), **options)


def test_a_backend_that_is_not_open_says_so(script: Path) -> None:
    with pytest.raises(OptionError, match="not open"):
        SageMakerBackend(TrainingJobTemplate.script(script)).poll()


# -- the example scripts ---------------------------------------------------------------------------


def test_the_example_with_the_reporter_goes_on_from_its_checkpoint(account: Sandbox, tmp_path: Path) -> None:
    script = EXAMPLES / "digits_mlp" / "digits_mlp.py"
    backend = opened(script, "digits-mlp", tmp_path, metrics_names=["accuracy", "loss"])
    seen = Seen(backend)
    first, second = attempt(0, 0, epochs=2, learning_rate=0.05), attempt(0, 1, epochs=4, learning_rate=0.05)
    backend.start(first)
    seen.finish(first)
    backend.start(second)
    seen.finish(second)
    assert [report.metrics["epoch"] for report in seen.reports(first)] == [1, 2]
    assert [report.metrics["epoch"] for report in seen.reports(second)] == [3, 4]
    last = seen.reports(second)[-1].metrics
    described = account.client("sagemaker").describe_training_job(TrainingJobName="digits-mlp-00000-1")
    shown = {metric["MetricName"]: metric["Value"] for metric in described["FinalMetricDataList"]}
    assert shown == {name: pytest.approx(last[name], rel=1e-6) for name in ("accuracy", "loss")}


def test_the_example_that_only_prints_is_read_by_regex(account: Sandbox, tmp_path: Path) -> None:
    definitions = [
        MetricDefinition("accuracy", rf"validation accuracy {FLOAT}"),
        MetricDefinition("loss", rf"train loss {FLOAT}"),
        MetricDefinition("epoch", r"epoch (\d+)"),
    ]
    backend = backend_of(EXAMPLES / "digits_regex" / "train.py", metric_definitions=definitions)
    backend.open(experiment("digits-regex", tmp_path, metric_names=("accuracy",)), SystemClock())
    trials = [attempt(number, epochs=3, eta0=eta0) for number, eta0 in enumerate((0.01, 0.1))]
    seen = Seen(backend)
    for trial in trials:
        backend.start(trial)
    seen.finish(*trials)
    for trial in trials:
        reports = [report.metrics for report in seen.reports(trial)]
        assert [report["epoch"] for report in reports] == [1, 2, 3]
        assert all(report["accuracy"] > 0.3 and report["loss"] > 0 for report in reports)
        assert seen.end(trial).status is AttemptStatus.COMPLETED  # type: ignore[union-attr]
    described = account.client("sagemaker").describe_training_job(TrainingJobName="digits-regex-00000-0")
    shown = {metric["MetricName"]: metric["Value"] for metric in described["FinalMetricDataList"]}
    assert shown["accuracy"] == pytest.approx(seen.reports(trials[0])[-1].metrics["accuracy"], rel=1e-6)
