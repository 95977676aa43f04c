"""The request of a trial is the template, unchanged, and what the tuner owns."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudtune.aws import S3Uri
from cloudtune.errors import ConfigSpaceError, InvalidRequestError, OptionError
from cloudtune.sagemaker import MetricDefinition, SageMakerBackend, TrainingJobTemplate
from cloudtune.sagemaker.hyperparameters import Dialect, dialect_of, encode_config
from cloudtune.sagemaker.layout import experiment_layout
from cloudtune.sagemaker.request import AttemptRequest, RequestOptions, attempt_request
from cloudtune.trial import Attempt, AttemptId
from tests.sagemaker.every_field import every_field, leaves

LAYOUT = experiment_layout(S3Uri("bucket", "cloudtune"), "exp")
MINIMAL: dict[str, Any] = {
    "RoleArn": "arn:aws:iam::111122223333:role/SageMakerRole",
    "AlgorithmSpecification": {"TrainingImage": "image", "TrainingInputMode": "File"},
    "ResourceConfig": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 30},
    "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
    "HyperParameters": {"sagemaker_program": '"train.py"', "seed": "7"},
}


def request(template: dict[str, Any] | None = None, number: int = 2, **config: Any) -> AttemptRequest:
    return request_with({}, template, number, **config)


def request_with(
    options: dict[str, Any], template: dict[str, Any] | None = None, number: int = 2, **config: Any
) -> AttemptRequest:
    given = MINIMAL if template is None else template
    return attempt_request(
        RequestOptions("exp", given, LAYOUT, **options), Attempt(AttemptId(17, number), config or {"lr": 0.1})
    )


# -- what passes through ---------------------------------------------------------------------------

OWNED = {
    ("TrainingJobName",),
    ("OutputDataConfig", "S3OutputPath"),
    ("CheckpointConfig", "S3Uri"),
}


def at(value: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        value = value[step]
    return value


@pytest.mark.parametrize(
    ("path", "value"),
    leaves(every_field()),
    ids=lambda value: ".".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_every_field_of_the_service_model_arrives_unchanged(path: tuple[Any, ...], value: Any) -> None:
    template = TrainingJobTemplate.from_dict(every_field()).request
    arrived = at(request(template).request, path)
    if path in OWNED:
        assert arrived != value
    else:
        assert arrived == value


def test_the_tuner_adds_only_what_it_owns() -> None:
    template = every_field()
    before, after = dict(leaves(template)), dict(leaves(dict(request(template).request)))
    added = {".".join(map(str, path)) for path in set(after) - set(before)}
    assert added == {
        "HyperParameters.lr",
        "HyperParameters.st_checkpoint_dir",
        *(f"Tags.{number}.{name}" for number in (1, 2, 3) for name in ("Key", "Value")),
        *({"Environment.CLOUDTUNE_DOLLARS_PER_HOUR"} & added),
    }


def test_a_template_is_not_changed_by_what_is_made_of_it() -> None:
    given = every_field()
    template = TrainingJobTemplate.from_dict(given)
    request(template.request)
    given["HyperParameters"]["late"] = "1"
    template.request["Tags"].clear()
    assert template.request == every_field()


def test_a_template_with_a_typo_is_refused_at_once() -> None:
    with pytest.raises(OptionError, match="StopingCondition"):
        TrainingJobTemplate.from_dict({**MINIMAL, "StopingCondition": {}})
    with pytest.raises(OptionError, match=r"InstanceType.*ml\.m5\.xlrge"):
        TrainingJobTemplate.from_dict({**MINIMAL, "ResourceConfig": {"InstanceType": "ml.m5.xlrge"}})


# -- what the tuner owns ---------------------------------------------------------------------------


def test_name_places_and_tags_say_which_attempt_it_is() -> None:
    made = request().request
    assert made["TrainingJobName"] == "exp-00017-2"
    assert made["OutputDataConfig"] == {"S3OutputPath": "s3://bucket/cloudtune/exp/trials/00017/output/"}
    assert made["CheckpointConfig"] == {"S3Uri": "s3://bucket/cloudtune/exp/trials/00017/checkpoints/"}
    assert {tag["Key"]: tag["Value"] for tag in made["Tags"]} == {
        "cloudtune:experiment": "exp",
        "cloudtune:trial": "17",
        "cloudtune:attempt": "2",
    }


def test_attempts_of_a_trial_share_its_checkpoints() -> None:
    assert request(number=0).request["CheckpointConfig"] == request(number=5).request["CheckpointConfig"]


def test_the_container_s_checkpoint_folder_is_the_template_s() -> None:
    template = {**MINIMAL, "CheckpointConfig": {"S3Uri": "s3://mine/x", "LocalPath": "/ckpt/"}}
    made = request(template).request
    assert made["CheckpointConfig"]["LocalPath"] == "/ckpt/"
    assert made["HyperParameters"]["st_checkpoint_dir"] == '"/ckpt"'
    without = request_with({"checkpoint_argument": False}).request
    assert "st_checkpoint_dir" not in without["HyperParameters"]


def test_the_price_of_the_instances_is_known_to_the_reporter() -> None:
    made = request(None, 0, st_instance_count=3)
    assert made.dollars_per_hour == pytest.approx(0.69)
    assert float(made.request["Environment"]["CLOUDTUNE_DOLLARS_PER_HOUR"]) == pytest.approx(0.69)


def test_instances_can_be_tuned() -> None:
    made = request(None, 0, lr=0.1, st_instance_type="ml.c5.xlarge", st_instance_count=2)
    assert made.request["ResourceConfig"] == {"InstanceType": "ml.c5.xlarge", "InstanceCount": 2, "VolumeSizeInGB": 30}
    assert not {"st_instance_type", "st_instance_count"} & set(made.request["HyperParameters"])
    preferred = [{"InstanceType": "ml.m5.xlarge", "InstanceCount": 1}]
    resources = {"InstancePreferences": preferred, "VolumeSizeInGB": 5}
    made = request({**MINIMAL, "ResourceConfig": resources}, 0, st_instance_type="ml.c5.xlarge")
    assert made.request["ResourceConfig"] == {"InstanceType": "ml.c5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 5}


def test_metric_definitions_join_the_template_s_up_to_forty() -> None:
    theirs = [{"Name": f"m{n}", "Regex": "(x)"} for n in range(39)]
    algorithm = {**MINIMAL["AlgorithmSpecification"], "MetricDefinitions": theirs}
    ours = [MetricDefinition(name, "(y)") for name in ("m3", "acc", "loss")]
    made = request_with({"definitions": ours}, {**MINIMAL, "AlgorithmSpecification": algorithm}).request
    assert made["AlgorithmSpecification"]["MetricDefinitions"] == [*theirs, {"Name": "acc", "Regex": "(y)"}]


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        ({"lr": object()}, "lr="),
        ({"lr": {1, 2}}, "lr="),
    ],
)
def test_a_value_that_cannot_travel_is_named(config: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigSpaceError, match=complaint):
        request(None, 0, **config)


def test_what_the_service_would_reject_is_not_sent() -> None:
    with pytest.raises(InvalidRequestError, match=r"ResourceConfig\.InstanceType: 'ml\.big'"):
        request(None, 0, st_instance_type="ml.big")


# -- hyperparameters -------------------------------------------------------------------------------

DRIVERS = {
    **MINIMAL,
    "HyperParameters": {},
    "InputDataConfig": [
        {"ChannelName": name, "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://bucket/x"}}}
        for name in ("code", "sm_drivers")
    ],
}
PLAIN = {**MINIMAL, "HyperParameters": {"max_depth": "3"}}


@pytest.mark.parametrize(
    ("template", "dialect", "encoded"),
    [
        (MINIMAL, Dialect.SCRIPT_MODE, {"s": '"adam"', "f": "1e-05", "i": "3", "b": "true", "n": "null"}),
        (DRIVERS, Dialect.DRIVERS, {"s": "adam", "f": "1e-05", "i": "3", "b": "true", "n": "null"}),
        (PLAIN, Dialect.PLAIN, {"s": "adam", "f": "1e-05", "i": "3", "b": "true", "n": "null"}),
    ],
    ids=["script mode", "drivers", "plain"],
)
def test_values_are_written_as_the_template_s_container_reads_them(
    template: dict[str, Any], dialect: Dialect, encoded: dict[str, str]
) -> None:
    assert dialect_of(template) is dialect
    made = request(template, 0, s="adam", f=1e-05, i=3, b=True, n=None).request["HyperParameters"]
    assert {name: made[name] for name in encoded} == encoded


@given(
    st.dictionaries(
        st.text(max_size=5), st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
    )
)
def test_script_mode_gives_every_value_back_exactly(config: dict[str, Any]) -> None:
    encoded = encode_config(config, Dialect.SCRIPT_MODE)
    assert {name: json.loads(text) for name, text in encoded.items()} == config


def test_numpy_values_travel_as_numbers() -> None:
    import numpy as np

    config = {"a": np.int64(3), "b": np.float64(0.5), "c": np.bool_(True), "d": np.float32(0.1)}
    assert encode_config(config, Dialect.SCRIPT_MODE) == {
        "a": "3",
        "b": "0.5",
        "c": "true",
        "d": repr(float(np.float32(0.1))),
    }


def test_the_configuration_wins_over_the_template() -> None:
    assert request(None, 0, seed=9).request["HyperParameters"]["seed"] == "9"


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({f"x{n}": n for n in range(98)}, "101 hyperparameters are more than SageMaker's 100"),
        ({"text": "x" * 2499}, "'text' has 2501 characters"),
        ({"layers": [64, 32]}, "'layers' is a list"),
        ({"choices": {"a": 1}}, "'choices' is a list or a dict"),
    ],
    ids=["entries", "length", "list", "dict"],
)
def test_beyond_the_service_s_limits_the_configuration_travels_as_a_file(config: dict[str, Any], why: str) -> None:
    made = request(None, 3, **config)
    assert made.why_file is not None
    assert why in made.why_file
    assert made.config_file is not None
    uri, content = made.config_file
    assert str(uri) == "s3://bucket/cloudtune/exp/trials/00017/config-3/config.json"
    assert json.loads(content) == config
    hyperparameters = made.request["HyperParameters"]
    assert hyperparameters["st_config_json_filename"] == '"/opt/ml/input/data/st_config/config.json"'
    assert not set(config) & set(hyperparameters)
    assert hyperparameters["st_checkpoint_dir"] == '"/opt/ml/checkpoints"'
    (channel,) = made.request["InputDataConfig"]
    assert channel["ChannelName"] == "st_config"
    assert channel["InputMode"] == "File"
    assert channel["DataSource"]["S3DataSource"]["S3Uri"] == "s3://bucket/cloudtune/exp/trials/00017/config-3/"


def test_just_within_the_limits_it_does_not() -> None:
    assert request(None, 0, **{f"x{n}": n for n in range(97)}).config_file is None
    assert request(None, 0, text="x" * 2498).config_file is None


def test_on_request_it_always_does_and_the_file_is_not_contradicted() -> None:
    made = request_with({"pass_args_as_json": True}, None, 0, seed=9)
    assert made.config_file is not None
    assert made.why_file is None
    assert "seed" not in made.request["HyperParameters"]


def test_a_quote_that_the_sdk_s_driver_would_break_travels_as_a_file() -> None:
    assert request(DRIVERS, 0, text="it's").config_file is not None
    assert request(MINIMAL, 0, text="it's").config_file is None


def test_a_file_needs_a_channel_and_there_are_twenty() -> None:
    channel = DRIVERS["InputDataConfig"][0]
    template = {**MINIMAL, "InputDataConfig": [{**channel, "ChannelName": f"c{n}"} for n in range(20)]}
    with pytest.raises(InvalidRequestError, match="20 of 20"):
        request(template, 0, layers=[1])


# -- templates -------------------------------------------------------------------------------------


def test_a_script_becomes_a_template_without_any_sdk(tmp_path: Any) -> None:
    (tmp_path / "train.py").write_text("")
    template = TrainingJobTemplate.script(
        tmp_path / "train.py",
        role="arn:aws:iam::111122223333:role/SageMakerRole",
        image_uri="image",
        instance_type="ml.g5.xlarge",
        instance_count=2,
        hyperparameters={"seed": 3},
        environment={"A": "b"},
        inputs={"train": "s3://bucket/data"},
        tags={"team": "x"},
        max_run=60,
        keep_alive_period_in_seconds=300,
    )
    made = template.request
    assert made["HyperParameters"] == {"seed": "3", "sagemaker_program": '"train.py"'}
    assert made["ResourceConfig"] == {
        "InstanceType": "ml.g5.xlarge",
        "InstanceCount": 2,
        "VolumeSizeInGB": 30,
        "KeepAlivePeriodInSeconds": 300,
    }
    assert made["StoppingCondition"] == {"MaxRuntimeInSeconds": 60}
    assert made["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"] == "s3://bucket/data"
    assert made["Tags"] == [{"Key": "team", "Value": "x"}]
    assert template.entry_point == tmp_path / "train.py"
    spot = TrainingJobTemplate.script(tmp_path / "train.py", max_run=60, use_spot=True, max_wait=120).request
    assert spot["EnableManagedSpotTraining"]
    assert spot["StoppingCondition"] == {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 120}


def test_a_template_knows_its_script_by_name_at_least() -> None:
    assert str(TrainingJobTemplate.from_dict(MINIMAL).entry_point) == "train.py"
    assert TrainingJobTemplate.from_dict(PLAIN).entry_point is None


@pytest.mark.parametrize("given", [42, "train.py", None])
def test_what_describes_no_training_job_is_refused(given: Any) -> None:
    with pytest.raises(OptionError, match="describes no training job"):
        TrainingJobTemplate.of(given)


def test_a_job_without_instances_of_its_own_stays_one() -> None:
    template = {"RoleArn": MINIMAL["RoleArn"], "ServerlessJobConfig": every_field()["ServerlessJobConfig"]}
    made = request(template).request
    assert "ResourceConfig" not in made
    assert "AlgorithmSpecification" not in made


def test_the_tuner_s_own_channel_name_is_taken() -> None:
    channel = {**DRIVERS["InputDataConfig"][0], "ChannelName": "st_config"}
    with pytest.raises(OptionError, match="st_config"):
        SageMakerBackend({**MINIMAL, "InputDataConfig": [channel]})


def test_inputs_that_are_no_uris_are_refused() -> None:
    with pytest.raises(OptionError, match="inputs"):
        TrainingJobTemplate.of(MINIMAL, inputs={"train": 3})
