"""Spot instances, waiting, and several instance types: what is refused before money is spent, and what is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cloudtune.errors import OptionError
from cloudtune.sagemaker import SageMakerBackend, TrainingJobTemplate
from cloudtune.sagemaker.choices import choices_of, together
from cloudtune.sagemaker.images import default_image
from cloudtune.sagemaker.instances import price_of_resources
from cloudtune.sagemaker.preflight import demand_of
from cloudtune.sagemaker.request import RequestOptions
from cloudtune.sagemaker.states import job_end
from tests.sagemaker.test_request import LAYOUT, MINIMAL

SPOT = {"EnableManagedSpotTraining": True, "StoppingCondition": {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 90}}


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A script that saves nothing."""
    path = tmp_path / "train.py"
    path.write_text("print('loss=1')\n")
    return path


def template(**changes: Any) -> dict[str, Any]:
    return {**MINIMAL, **changes}


# -- what is asked for ---------------------------------------------------------------------------------


def test_a_script_on_spot_instances_waits_as_long_again_as_it_may_run(plain: Path) -> None:
    request = TrainingJobTemplate.script(plain, max_run=600, use_spot=True).request
    assert request["EnableManagedSpotTraining"] is True
    assert request["StoppingCondition"] == {"MaxRuntimeInSeconds": 600, "MaxWaitTimeInSeconds": 1200}
    longer = TrainingJobTemplate.script(plain, max_run=600, use_spot=True, max_wait=7200).request
    assert longer["StoppingCondition"]["MaxWaitTimeInSeconds"] == 7200
    on_demand = TrainingJobTemplate.script(plain, max_run=600).request
    assert "EnableManagedSpotTraining" not in on_demand
    assert on_demand["StoppingCondition"] == {"MaxRuntimeInSeconds": 600}


def test_waiting_for_accelerators_can_have_a_limit(plain: Path) -> None:
    made = TrainingJobTemplate.script(plain, instance_type="ml.g5.xlarge", max_pending=7200)
    assert made.request["StoppingCondition"]["MaxPendingTimeInSeconds"] == 7200
    SageMakerBackend(made)
    with pytest.raises(OptionError, match=r"MaxPendingTimeInSeconds.*60"):
        TrainingJobTemplate.script(plain, instance_type="ml.g5.xlarge", max_pending=60)


# -- what makes no sense ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "complaint", "way_out"),
    [
        (
            {**SPOT, "StoppingCondition": {"MaxRuntimeInSeconds": 100, "MaxWaitTimeInSeconds": 60}},
            r"max_wait \(MaxWaitTimeInSeconds\) = 60 is less than max_run \(MaxRuntimeInSeconds\) = 100",
            "raise it",
        ),
        ({**SPOT, "StoppingCondition": {"MaxWaitTimeInSeconds": 60}}, "less than max_run .* = 86400", "raise it"),
        ({**SPOT, "StoppingCondition": {"MaxRuntimeInSeconds": 60}}, "how long it may take in all", "max_wait"),
        ({"StoppingCondition": SPOT["StoppingCondition"]}, "is for spot instances", "use_spot=True"),
        (
            {**SPOT, "ResourceConfig": {**MINIMAL["ResourceConfig"], "KeepAlivePeriodInSeconds": 60}},
            "can't be kept alive",
            "leave out keep_alive_period_in_seconds",
        ),
        (
            {
                **SPOT,
                "ResourceConfig": {
                    "InstancePreferences": [{"InstanceType": "ml.m5.xlarge"}],
                    "InstanceCount": 1,
                    "VolumeSizeInGB": 30,
                },
            },
            "no InstancePreferences for spot",
            "fallback_instance_types",
        ),
        (
            {"StoppingCondition": {"MaxRuntimeInSeconds": 60, "MaxPendingTimeInSeconds": 1800}},
            r"no effect on ml\.m5\.xlarge",
            "leave it out",
        ),
    ],
    ids=["wait below run", "below the default", "no wait", "not spot", "keep-alive", "preferences", "pending"],
)
def test_what_the_service_refuses_or_ignores_is_refused_before(
    changes: dict[str, Any], complaint: str, way_out: str
) -> None:
    with pytest.raises(OptionError, match=complaint) as caught:
        SageMakerBackend(template(**changes))
    assert way_out in caught.value.hint


# -- a day's work on a machine that may be taken away ----------------------------------------------------


def test_a_long_spot_trial_without_checkpoints_is_refused(plain: Path) -> None:
    with pytest.raises(
        OptionError, match=r"86400 s on spot instances, and .*train\.py.* saves no checkpoint"
    ) as caught:
        SageMakerBackend(TrainingJobTemplate.script(plain, use_spot=True))
    for way_out in ("cloudtune.checkpointing", "max_run=3600", "allow_spot_without_checkpoints=True"):
        assert way_out in caught.value.hint
    SageMakerBackend(TrainingJobTemplate.script(plain, use_spot=True), allow_spot_without_checkpoints=True)
    SageMakerBackend(TrainingJobTemplate.script(plain, use_spot=True, max_run=3600))
    SageMakerBackend(TrainingJobTemplate.script(plain))


@pytest.mark.parametrize(
    "line",
    [
        "from cloudtune.checkpointing import checkpoint_model_at_rung_level",
        "from cloudtune import checkpointing",
        "parser.add_argument('--st_checkpoint_dir')",
        "torch.save(model, '/opt/ml/checkpoints/model.pt')",
    ],
)
def test_a_script_that_speaks_of_checkpoints_may_run_long_on_spot(plain: Path, line: str) -> None:
    plain.write_text(f"{line}\n")
    SageMakerBackend(TrainingJobTemplate.script(plain, use_spot=True))


def test_checkpoints_may_be_the_affair_of_another_file_an_argument_or_a_variable(plain: Path) -> None:
    folder = plain.parent
    (folder / "conf").mkdir()
    for options in (
        {"hyperparameters": {"save-to": "/opt/ml/checkpoints"}},
        {"environment": {"TO": "/opt/ml/checkpoints/x"}},
    ):
        SageMakerBackend(TrainingJobTemplate.script(plain, use_spot=True, **options))  # type: ignore[arg-type]
    (folder / "conf" / "trainer.yaml").write_text("output_dir: /opt/ml/checkpoints\n")
    SageMakerBackend(TrainingJobTemplate.script("train.py", source_dir=folder, use_spot=True))


def test_code_that_is_not_here_may_save_what_it_likes() -> None:
    long = {"MaxRuntimeInSeconds": 86_400, "MaxWaitTimeInSeconds": 90_000}
    SageMakerBackend(template(EnableManagedSpotTraining=True, StoppingCondition=long))


# -- several instance types ----------------------------------------------------------------------------------


def options_of(made: TrainingJobTemplate) -> RequestOptions:
    return RequestOptions("exp", made.request, LAYOUT, fallback_instance_types=made.fallback_instance_types)


def test_an_ordered_list_of_types_is_given_to_the_script_s_template_or_to_the_backend(plain: Path) -> None:
    types = ["ml.g5.2xlarge", "ml.g5.4xlarge", "ml.g4dn.2xlarge"]
    made = TrainingJobTemplate.script(plain, instance_type=types)
    assert made.instance_type == types[0]
    assert list(made.fallback_instance_types) == types[1:]
    backend = SageMakerBackend(
        TrainingJobTemplate.script(plain, instance_type=types[0]), fallback_instance_types=types[1:]
    )
    assert backend.template.fallback_instance_types == made.fallback_instance_types
    assert made.replaced(Environment={"A": "b"}).fallback_instance_types == made.fallback_instance_types
    assert [str(way[0]) for way in demand_of(options_of(made), {}).ways] == types


def test_a_list_in_the_request_itself_is_kept_with_all_it_says() -> None:
    preferences = [
        {"InstanceType": "ml.p4d.24xlarge", "InstanceCount": 1},
        {"InstanceType": "ml.g5.48xlarge", "InstanceCount": 4},
    ]
    request = template(ResourceConfig={"InstancePreferences": preferences, "VolumeSizeInGB": 30})
    choices = choices_of(request, (), {})
    assert [str(choice.needs[0]) for choice in choices] == ["ml.p4d.24xlarge", "4 ml.g5.48xlarge"]
    assert together(choices) == request["ResourceConfig"]
    assert together(choices[1:]) == {"InstancePreferences": preferences[1:], "VolumeSizeInGB": 30}


@pytest.mark.parametrize(
    ("resources", "fallbacks", "complaint"),
    [
        ({}, ["ml.m5.xlarge"], "twice"),
        ({}, ["ml.m5.huge"], "no training instance type"),
        ({}, "ml.m5.2xlarge", "no list"),
        ({}, [f"ml.m5.{size}xlarge" for size in (2, 4, 12, 16, 24)], "6 instance types are more than SageMaker's 5"),
        ({"TrainingPlanArn": "arn:aws:sagemaker:us-east-1:111122223333:training-plan/plan"}, ["ml.m5.2xlarge"], "plan"),
    ],
)
def test_fallbacks_that_make_no_sense(resources: dict[str, Any], fallbacks: Any, complaint: str) -> None:
    request = template(ResourceConfig={**MINIMAL["ResourceConfig"], **resources})
    with pytest.raises(OptionError, match=complaint):
        SageMakerBackend(request, fallback_instance_types=fallbacks)


def test_fallbacks_are_for_a_type_that_is_not_chosen_elsewhere(plain: Path) -> None:
    preferences = {"InstancePreferences": [{"InstanceType": "ml.m5.xlarge"}], "InstanceCount": 1, "VolumeSizeInGB": 30}
    with pytest.raises(OptionError, match="one InstanceType"):
        SageMakerBackend(template(ResourceConfig=preferences), fallback_instance_types=["ml.m5.2xlarge"])
    made = TrainingJobTemplate.script(plain, instance_type=["ml.m5.xlarge", "ml.m5.2xlarge"])
    with pytest.raises(OptionError, match=r"st_instance_type.*never be used"):
        demand_of(options_of(made), {"st_instance_type": "ml.m5.4xlarge"})


def test_one_image_has_to_suit_all_types() -> None:
    assert default_image("us-east-1", "ml.g5.xlarge", "ml.g4dn.xlarge") == default_image("us-east-1", "ml.g5.xlarge")
    with pytest.raises(OptionError, match="some have GPUs") as caught:
        default_image("us-east-1", "ml.g5.xlarge", "ml.m5.xlarge")
    assert caught.value.hint == "give image_uri"


# -- what it costs ---------------------------------------------------------------------------------------------


def test_a_spot_job_is_billed_by_its_billable_seconds_and_by_the_type_that_was_selected() -> None:
    ended = {
        "TrainingJobName": "exp-00000-0",
        "TrainingJobStatus": "Completed",
        "SecondaryStatus": "Completed",
        "TrainingTimeInSeconds": 3600,
        "BillableTimeInSeconds": 1080,
        "ResourceConfig": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 2},
    }
    # the on-demand price of the seconds that count: 70 percent are saved
    assert job_end(ended, 99.0, None).dollars == pytest.approx(2 * 0.23 * 0.3)
    preferences = {"InstancePreferences": [{"InstanceType": "ml.m5.xlarge"}, {"InstanceType": "ml.c5.xlarge"}]}
    selected = {**preferences, "SelectedInstanceType": "ml.c5.xlarge", "SelectedInstanceCount": 1}
    assert job_end({**ended, "ResourceConfig": selected}, 99.0, None).dollars == pytest.approx(0.204 * 0.3)
    assert price_of_resources({**preferences, "InstanceCount": 3}) == pytest.approx(3 * 0.23), "the dearest, until then"
