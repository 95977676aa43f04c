"""What a user gets for a mistake: an error of ours, with the value and the way out, before anything is spent."""

from __future__ import annotations

import os
import re
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cloudtune import StoppingCriterion, Tuner, choice, finrange, loguniform, randint, uniform
from cloudtune.aws import Aws
from cloudtune.backends import LocalBackend, PythonBackend
from cloudtune.baselines import ASHA, RandomSearch
from cloudtune.callbacks import CheckpointWatchdogCallback, RetainCheckpointsCallback, StoreResultsCallback
from cloudtune.cli.control import resume as resume_command
from cloudtune.cli.sandbox import sandbox as sandbox_command
from cloudtune.clock import VirtualClock
from cloudtune.errors import AccessDeniedError, CloudtuneError, MetricError, OptionError, RefusedError, UserError
from cloudtune.remote import RemoteLauncher, TunerJobOptions
from cloudtune.sagemaker import (
    FeedOptions,
    MetricDefinition,
    SageMakerBackend,
    TrainingJobTemplate,
    WarmPoolOptions,
)
from cloudtune.sandbox import FaultPlan, Sandbox
from cloudtune.sandbox.settings import Delays
from cloudtune.schedulers import FIFOScheduler, TrialScheduler

SPACE = {"x": uniform(0.0, 1.0), "epochs": 30}
FEW = StoppingCriterion(max_num_trials_started=1)
LAUNCH = "sagemaker.CreateTrainingJob"
NAN = float("nan")


@pytest.fixture(scope="module")
def shared_sandbox() -> Iterator[Sandbox]:
    with Sandbox(delays=Delays(stop_grace=0.5), quotas={"ml.c5.xlarge": 2}) as running:
        yield running


@pytest.fixture
def sandbox(shared_sandbox: Sandbox, own_environment: None, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    for name, value in shared_sandbox.environment().items():
        monkeypatch.setenv(name, value)
    shared_sandbox.reset_call_counts()
    return shared_sandbox


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "train.py"
    path.write_text(
        "from cloudtune import Reporter\n"
        "report = Reporter()\n"
        "for epoch in range(1, 31):\n"
        "    report(epoch=epoch, accuracy=0.5, loss=1.0)\n"
    )
    return path


def asha(metric: str = "loss", **options: Any) -> ASHA:
    given = {"resource_attr": "epoch", "max_resource_attr": "epochs", **options}
    return ASHA(SPACE, metric, **given)


def template(script: Path, **options: Any) -> TrainingJobTemplate:
    return TrainingJobTemplate.script(script, **{"instance_type": "ml.c5.xlarge", **options})


def cloud(given: Any, **options: Any) -> SageMakerBackend:
    feed = FeedOptions(drain_quiet_seconds=0.3, drain_limit_seconds=20.0, silent_seconds=0.9)
    return SageMakerBackend(given, feed=feed, aws=options.pop("aws", None) or Aws(rates={}), **options)


def tuner(backend: Any, scheduler: TrialScheduler | None = None, **options: Any) -> Tuner:
    given = {"stop_criterion": FEW, "n_workers": 1, "sleep_time": 0.2, **options}
    return Tuner(backend, scheduler or asha(), **given)


def refused(action: Callable[[], object], *said: str) -> CloudtuneError:
    """The error, in which every one of ``said`` stands, with a way out. Nothing was left on this machine's disk."""
    with pytest.raises(CloudtuneError) as caught:
        action()
    for each in said:
        assert each in str(caught.value)
    assert caught.value.hint
    assert not Path(os.environ["CLOUDTUNE_FOLDER"]).exists()
    return caught.value


def refused_by_user_error(action: Callable[[], object], *said: str) -> None:
    assert isinstance(refused(action, *said), UserError)


# -- what the issue names ----------------------------------------------------------------------------------------------


def test_a_metric_nobody_reports_ends_the_experiment_after_a_dozen_reports(sandbox: Sandbox, script: Path) -> None:
    with pytest.raises(MetricError) as caught:
        tuner(cloud(template(script)), asha("acc")).run()
    assert "reports carry 'acc'; seen: 'epoch', 'accuracy', 'loss'" in caught.value.message
    assert caught.value.message.startswith("0 of ")
    assert "spelled" in caught.value.hint
    assert sandbox.call_counts()[LAUNCH] == 1


def test_a_regex_without_a_group(script: Path) -> None:
    said = ("'loss'", "no group", "loss=[0-9.]+", "parentheses")
    refused_by_user_error(lambda: MetricDefinition("loss", "loss=[0-9.]+"), *said)
    sdk_form = [{"Name": "loss", "Regex": "loss=[0-9.]+"}]
    refused_by_user_error(lambda: cloud(template(script), metric_definitions=sdk_form), *said)
    refused_by_user_error(lambda: MetricDefinition("loss", "loss=("), "'loss=('", "unterminated")


def test_a_script_that_does_not_exist(sandbox: Sandbox, tmp_path: Path) -> None:
    missing = tmp_path / "trian.py"
    refused_by_user_error(lambda: template(missing), str(missing), "doesn't exist", "path of the training script")
    refused_by_user_error(lambda: tuner(LocalBackend(missing)).run(), str(missing))
    refused_by_user_error(lambda: RemoteLauncher(tuner(LocalBackend(missing))).run(), str(missing))
    assert not sandbox.call_counts()[LAUNCH]


def test_a_program_that_is_not_in_the_template_s_archive(sandbox: Sandbox, script: Path) -> None:
    source = template(script).source
    assert source is not None
    sandbox.client("s3").put_object(Bucket=sandbox.bucket, Key="code.tar.gz", Body=source.pack().content)
    request = template(script, image_uri="image").request
    request["HyperParameters"] = {
        "sagemaker_program": "trian.py",
        "sagemaker_submit_directory": f"s3://{sandbox.bucket}/code.tar.gz",
    }
    refused_by_user_error(lambda: tuner(cloud(request)).run(), "'trian.py'", "code.tar.gz", "'train.py'")
    assert not sandbox.call_counts()[LAUNCH]


@pytest.mark.parametrize("role", ["NoSuchRole", "arn:aws:iam::{account}:role/NoSuchRole"])
def test_a_role_that_is_missing(sandbox: Sandbox, script: Path, role: str) -> None:
    role = role.format(account=sandbox.address.account_id)
    refused_by_user_error(lambda: tuner(cloud(template(script, role=role))).run(), "NoSuchRole", "AWS_ROLE")
    launcher = RemoteLauncher(tuner(LocalBackend(script)), role=role)
    refused_by_user_error(launcher.run, "NoSuchRole", "AWS_ROLE")
    assert not sandbox.call_counts()[LAUNCH]


def test_a_bucket_that_is_missing(sandbox: Sandbox, script: Path) -> None:
    place = "s3://no-such-bucket-of-mine/tuning"
    said = ("'no-such-bucket-of-mine'", "doesn't exist", "aws s3 mb s3://no-such-bucket-of-mine")
    refused_by_user_error(lambda: tuner(cloud(template(script), s3_path=place)).run(), *said)
    refused_by_user_error(RemoteLauncher(tuner(LocalBackend(script)), s3_path=place).run, *said)
    assert not sandbox.call_counts()[LAUNCH]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: uniform(1, 0), "lower 1.0 is above upper 0.0"),
        (lambda: loguniform(0, 1), "lower is 0.0"),
        (lambda: randint(0.5, 3), "0.5"),  # type: ignore[arg-type]
        (lambda: uniform("0", 1), "'0'"),  # type: ignore[arg-type]
        (lambda: uniform(0, float("inf")), "inf"),
        (lambda: choice([]), "empty"),
        (lambda: finrange(0, 1, 1), "size 1"),
        (lambda: RandomSearch({"x": (0, 1)}, "loss"), "(0, 1)"),
        (lambda: RandomSearch({"x": uniform}, "loss"), "uniform"),
    ],
)
def test_a_space_with_an_impossible_range(make: Callable[[], object], said: str) -> None:
    refused_by_user_error(make, said)


@pytest.mark.parametrize(("name", "said"), [("my_run", "'my-run'"), ("x" * 41, "41"), (7, "7"), ("", "''")])
def test_a_tuner_name_with_an_underscore(script: Path, name: Any, said: str) -> None:
    refused_by_user_error(lambda: tuner(LocalBackend(script), tuner_name=name), said, "tuner_name")


def test_a_max_resource_attr_that_is_not_in_the_space() -> None:
    said = ("'epoch'", "not in the configuration space", "did you mean 'epochs'?")
    refused_by_user_error(lambda: asha(max_resource_attr="epoch"), *said)
    refused_by_user_error(lambda: RandomSearch(SPACE, "loss", max_resource_attr="epoch"), *said)


def test_more_workers_than_the_quota_has_room_for_is_a_warning(sandbox: Sandbox, script: Path) -> None:
    with pytest.warns(UserWarning, match=r"4 instances.*'ml.c5.xlarge for training job usage' is 2.*fewer workers"):
        tuner(cloud(template(script)), n_workers=4).open_backend().close()
    assert not sandbox.call_counts()[LAUNCH]
    tuner(cloud(template(script)), n_workers=2).open_backend().close()


# -- misspelled arguments ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "option", "nearest"),
    [
        (asha, "grace_perod", "'grace_period'"),
        (RandomSearch, "point_to_evaluate", "'points_to_evaluate'"),
        (FIFOScheduler, "searcer", "'searcher'"),
        (StoppingCriterion, "max_wallclock", "'max_wallclock_time'"),
        (Tuner, "n_worker", "'n_workers'"),
        (LocalBackend, "rotate_gpu", "'rotate_gpus'"),
        (PythonBackend, "delete_checkpoint", "'delete_checkpoints'"),
        (SageMakerBackend, "metric_names", "'metrics_names'"),
        (RemoteLauncher, "s3path", "'s3_path'"),
        (RemoteLauncher, "max_run", "job=TunerJobOptions(max_run=…)"),
    ],
)
def test_a_misspelled_argument_is_answered_with_the_nearest_name(
    make: Callable[..., object], option: str, nearest: str
) -> None:
    refused_by_user_error(lambda: make(**{option: 60}), f"{option}=60", nearest)


@pytest.mark.parametrize(
    ("make", "nearest"),
    [
        (lambda: RandomSearch(SPACE, "loss", search_options={"allow_duplicate": True}), "'allow_duplicates'"),
        (lambda: FIFOScheduler(SPACE, "loss", searcher="randm"), "'random'"),
        (lambda: asha(type="stoping"), "'stopping'"),
    ],
)
def test_a_misspelled_name_is_answered_with_the_nearest_one(make: Callable[[], object], nearest: str) -> None:
    refused_by_user_error(make, nearest)


# -- metrics and modes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: RandomSearch(SPACE, "loss", mode="maximize"), "'maximize'"),  # type: ignore[arg-type]
        (lambda: RandomSearch(SPACE, "loss", mode=None), "None"),  # type: ignore[arg-type]
        (lambda: RandomSearch(SPACE, ["a", "b"], mode=["min"]), "1 modes for 2 metrics"),
        (lambda: RandomSearch(SPACE, []), "[]"),
        (lambda: asha(["loss", "accuracy"]), "['loss', 'accuracy']"),  # type: ignore[arg-type]
        (lambda: asha(mode=["min"]), "['min']"),
        (lambda: asha(resource_attr=None), "None"),
        (lambda: RandomSearch(SPACE, "loss", search_options="debug_log"), "'debug_log'"),  # type: ignore[arg-type]
    ],
)
def test_wrong_modes_and_metrics(make: Callable[[], object], said: str) -> None:
    refused_by_user_error(make, said)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"metrics_names": "loss"}, "'loss'"),
        ({"metrics_names": [f"m{number}" for number in range(41)]}, "41"),
        ({"metric_definitions": {"loss": "loss=(.*)"}}, "no list"),
        ({"metric_definitions": [("loss", "loss=(.*)")]}, "MetricDefinition(name, regex)"),
        ({"metric_definitions": [{"name": "loss", "regex": "(.*)"}]}, '"Name"'),
        ({"metric_definitions": []}, "empty"),
        ({"metric_definitions": [MetricDefinition("a", "(.)"), MetricDefinition("a", "(.)")]}, "twice"),
    ],
)
def test_metrics_given_in_a_wrong_form(script: Path, options: dict[str, Any], said: str) -> None:
    refused_by_user_error(lambda: cloud(template(script), **options), said)


def test_definitions_without_the_scheduler_s_metric(sandbox: Sandbox, script: Path) -> None:
    backend = cloud(template(script), metric_definitions=[MetricDefinition("accuracy", "acc=(.*)")])
    refused_by_user_error(lambda: tuner(backend).run(), "'loss'", "accuracy", "MetricDefinition('loss', regex)")
    assert not sandbox.call_counts()[LAUNCH]


def test_a_best_configuration_by_a_metric_that_is_none(script: Path) -> None:
    refused_by_user_error(lambda: tuner(LocalBackend(script)).best_config(3), "3", "['loss']")
    refused_by_user_error(lambda: tuner(LocalBackend(script)).best_config("los"), "'los'", "['loss']")


# -- points to evaluate ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("points", "said"),
    [
        ([{"y": 1}], "'y' is not in the space"),
        ([{"x": 7}], "uniform(lower=0.0, upper=1.0)"),
        ([{"x": "a"}], "'a'"),
        ([{"epochs": 7}], "fixes it to 30"),
        ({"x": 0.5}, "list of dicts"),
    ],
)
def test_points_to_evaluate_that_do_not_fit_the_space(points: Any, said: str) -> None:
    refused_by_user_error(lambda: asha(points_to_evaluate=points), said, "points_to_evaluate")


# -- the tuner's parts -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"stop_criterion": None}, "stop_criterion=None"),
        ({"stop_criterion": StoppingCriterion}, "StoppingCriterion(…)"),
        ({"stop_criterion": {"max_cost": 1}}, "StoppingCriterion(max_wallclock_time=3600)"),
        ({"stop_criterion": lambda: True}, "TuningStatus"),
        ({"n_workers": 0}, "n_workers=0"),
        ({"n_workers": "4"}, "n_workers='4'"),
        ({"sleep_time": "5"}, "sleep_time='5'"),
        ({"sleep_time": float("nan")}, "sleep_time=nan"),
        ({"results_update_interval": -1}, "results_update_interval=-1"),
        ({"max_failures": None}, "max_failures=None"),
        ({"callbacks": StoreResultsCallback()}, "[StoreResultsCallback(…)]"),
        ({"callbacks": [StoreResultsCallback]}, "StoreResultsCallback(…)"),
        ({"metadata": ["a"]}, "metadata=['a']"),
        ({"metadata": {"a": object()}}, "not JSON"),
        ({"store_logs_localbackend": True}, "RemoteLauncher"),
        ({"n_workers": "atuo"}, "n_workers='atuo'"),
        ({"max_retries_per_trial": "2"}, "max_retries_per_trial='2'"),
        ({"max_retries_per_trial": -1}, "max_retries_per_trial=-1"),
        ({"max_retries_per_trial": NAN}, "max_retries_per_trial=nan"),
        ({"trial_without_metric": "complete"}, '"failed" or "completed"'),
        ({"start_jobs_without_delay": "False"}, "start_jobs_without_delay='False'"),
        ({"clock": VirtualClock}, "write VirtualClock(…)"),
        ({"clock": 3}, "clock=3"),
        ({"storage": "s3://bucket"}, "storage=S3Storage()"),
    ],
)
def test_a_tuner_of_parts_that_do_not_fit(script: Path, options: dict[str, Any], said: str) -> None:
    refused_by_user_error(lambda: tuner(LocalBackend(script), **options), said)


def test_a_backend_or_a_scheduler_that_is_none(script: Path) -> None:
    backend = LocalBackend(script)
    refused_by_user_error(lambda: tuner(LocalBackend), "the class LocalBackend", "write LocalBackend(…)")
    refused_by_user_error(lambda: tuner("train.py"), "'train.py'", "LocalBackend('train.py')")
    refused_by_user_error(lambda: tuner(asha(), backend), "no backend")  # type: ignore[arg-type]
    refused_by_user_error(lambda: tuner(backend, ASHA), "the class ASHA")  # type: ignore[arg-type]
    refused_by_user_error(lambda: tuner(backend, "asha"), "'asha'", "RandomSearch(")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"max_wallclock_time": -1}, "max_wallclock_time=-1"),
        ({"max_cost": "10"}, "max_cost='10'"),
        ({"max_num_trials_started": float("nan")}, "nan"),
        ({"min_metric_value": 0.1}, "{'accuracy': 0.99}"),
    ],
)
def test_limits_that_make_no_sense(limits: dict[str, Any], said: str) -> None:
    refused_by_user_error(lambda: StoppingCriterion(**limits), said)


def test_a_criterion_without_a_limit_is_warned_about(script: Path) -> None:
    with pytest.warns(UserWarning, match="no limit.*max_wallclock_time or max_cost"):
        tuner(LocalBackend(script), stop_criterion=StoppingCriterion())


def test_a_scheduler_that_returns_no_decision(script: Path) -> None:
    class Silent(RandomSearch):
        def on_trial_result(self, trial: Any, result: Any) -> Any:
            return None

    with pytest.raises(UserError, match=r"on_trial_result returned None\n.*SchedulerDecision.CONTINUE"):
        tuner(LocalBackend(script), Silent(SPACE, "loss")).run()


# -- backends ----------------------------------------------------------------------------------------------------------


def test_a_local_script_that_is_none(tmp_path: Path) -> None:
    refused_by_user_error(lambda: tuner(LocalBackend(tmp_path)).run(), "is a folder", "train.py")
    refused_by_user_error(lambda: LocalBackend(None), "entry_point=None")  # type: ignore[arg-type]
    text = tmp_path / "train.txt"
    text.touch()
    refused_by_user_error(lambda: tuner(LocalBackend(text)).run(), "neither a .py nor a .sh")


@pytest.mark.parametrize("gpus", [["a"], [-1], [], [0, 0]])
def test_gpus_that_are_none(script: Path, gpus: Any) -> None:
    refused_by_user_error(lambda: LocalBackend(script, gpus_to_use=gpus), f"gpus_to_use={gpus}")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"instance_type": "ml.c5.huge"}, "'ml.c5.huge'"),
        ({"instance_type": "c5.xlarge"}, "ml.c5.xlarge"),
        ({"instance_count": 0}, "instance_count=0"),
        ({"inputs": {"train": "bucket/data"}}, "'bucket/data'"),
        ({"inputs": ["s3://bucket/data"]}, "{'train': 's3://...'}"),
        ({"hyperparameters": {"a": {1, 2}}}, "{1, 2}"),
    ],
)
def test_a_template_the_service_would_reject(script: Path, options: dict[str, Any], said: str) -> None:
    refused_by_user_error(lambda: template(script, **options), said)


def test_a_template_with_fields_that_no_request_has(script: Path) -> None:
    request = template(script).request
    request["StopingCondition"] = request.pop("StoppingCondition")
    request["ResourceConfig"]["InstanceTyp"] = request["ResourceConfig"].pop("InstanceType")
    refused_by_user_error(lambda: cloud(request), "StopingCondition", "InstanceTyp", "did you mean")


@pytest.mark.parametrize("given", ["train.py", None, TrainingJobTemplate])
def test_what_describes_no_training_job(given: object) -> None:
    refused_by_user_error(lambda: cloud(given), "describes no training job", "TrainingJobTemplate")


def test_instance_types_to_choose_from_that_do_not_exist(sandbox: Sandbox, script: Path) -> None:
    space = {**SPACE, "st_instance_type": choice(["ml.c5.xlarge", "ml.c5.huge"])}
    refused_by_user_error(
        lambda: tuner(cloud(template(script)), RandomSearch(space, "loss")).run(), "'ml.c5.huge'", "instance type"
    )
    assert not sandbox.call_counts()[LAUNCH]


# -- warm pools, spot, waiting, checkpoints ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"warm_pool": "300"}, "warm_pool='300'"),
        ({"warm_pool": -5}, "keep_alive_seconds=-5"),
        ({"warm_pool": NAN}, "warm_pool=nan"),
        ({"warm_pool": True}, "keep_alive_seconds=True"),
        ({"warm_pool": 30_000}, "21600"),
        ({"feed": {"drain_quiet_seconds": 1}}, "feed=FeedOptions(…)"),
        ({"aws": "us-east-1"}, "aws='us-east-1'"),
        ({"allow_spot_without_checkpoints": "yes"}, "'yes'"),
        ({"fallback_instance_types": "ml.m5.large"}, "['ml.g5.2xlarge']"),
        ({"fallback_instance_types": 5}, "5 is no list"),
        ({"fallback_instance_types": ["ml.m5.lrge"]}, "'ml.m5.lrge'"),
        ({"fallback_instance_types": ["ml.c5.xlarge"]}, "name one twice"),
    ],
)
def test_a_backend_of_options_that_make_no_sense(
    sandbox: Sandbox, script: Path, options: dict[str, Any], said: str
) -> None:
    refused_by_user_error(lambda: SageMakerBackend(template(script), **options), said)
    assert not sandbox.call_counts()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"max_run": "60"}, "max_run='60'"),
        ({"max_run": NAN}, "max_run=nan"),
        ({"max_run": 1.5}, "max_run=1.5"),
        ({"max_wait": -1, "use_spot": True}, "max_wait=-1"),
        ({"volume_size": 0}, "volume_size=0"),
        ({"instance_count": "2"}, "instance_count='2'"),
        ({"keep_alive_period_in_seconds": -1}, "keep_alive_period_in_seconds=-1"),
        ({"use_spot": "yes"}, "use_spot='yes'"),
        ({"use_spt": True}, "did you mean 'use_spot'?"),
        ({"instance_type": []}, "instance_type=[]"),
        ({"instance_type": 5}, "instance_type=5"),
        ({"environment": {"A": 1}}, "{'A': 1}"),
        ({"tags": "team"}, "tags='team'"),
        ({"hyperparameters": ["a"]}, "hyperparameters=['a']"),
        ({"role": 5}, "role=5"),
    ],
)
def test_a_script_s_template_of_values_that_make_no_sense(script: Path, options: dict[str, Any], said: str) -> None:
    refused_by_user_error(lambda: template(script, **options), said)


@pytest.mark.parametrize(
    ("options", "more", "said"),
    [
        ({"use_spot": True, "max_run": 600, "max_wait": 60}, {}, "60"),
        ({"max_run": 600, "max_wait": 660}, {}, "spot"),
        ({"use_spot": True, "keep_alive_period_in_seconds": 60}, {}, "warm pool"),
        ({"use_spot": True}, {"warm_pool": 300}, "warm pool"),
        ({"keep_alive_period_in_seconds": 60}, {"warm_pool": 300}, "give one of them"),
        ({"max_pending": 7200}, {}, "ml.c5.xlarge"),
        ({"use_spot": True, "max_run": 7200}, {}, "allow_spot_without_checkpoints=True"),
    ],
)
def test_options_that_contradict_each_other(
    sandbox: Sandbox, script: Path, options: dict[str, Any], more: dict[str, Any], said: str
) -> None:
    refused_by_user_error(lambda: tuner(cloud(template(script, **options), **more)).run(), said)
    assert not sandbox.call_counts()[LAUNCH]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: FeedOptions(drain_quiet_seconds="5"), "drain_quiet_seconds='5'"),  # type: ignore[arg-type]
        (lambda: FeedOptions(silent_seconds=NAN), "silent_seconds=nan"),
        (lambda: FeedOptions(late_seconds=-1), "late_seconds=-1"),
        (lambda: FeedOptions(drain_quite_seconds=1), "did you mean 'drain_quiet_seconds'?"),  # type: ignore[call-arg]
        (lambda: WarmPoolOptions(longest_wait_seconds=NAN), "longest_wait_seconds=nan"),
        (lambda: WarmPoolOptions(longest_wait_seconds="1"), "longest_wait_seconds='1'"),  # type: ignore[arg-type]
        (lambda: WarmPoolOptions(keep_alive=3), "did you mean 'keep_alive_seconds'?"),  # type: ignore[call-arg]
        (lambda: CheckpointWatchdogCallback(max_age_seconds=NAN), "max_age_seconds=nan"),
        (lambda: CheckpointWatchdogCallback(max_calls=0), "max_calls=0"),
        (lambda: CheckpointWatchdogCallback(max_age=3), "'max_age_seconds'"),  # type: ignore[call-arg]
        (lambda: RetainCheckpointsCallback(-1), "keep_best=-1"),
        (lambda: RetainCheckpointsCallback(keep=3), "'keep_best'"),  # type: ignore[call-arg]
        (lambda: asha(early_checkpoint_removal_kwargs=4), "4"),
        (lambda: asha(early_checkpoint_removal_kwargs={"max_num_checkpoint": 4}), "'max_num_checkpoints'"),
        (lambda: asha(early_checkpoint_removal_kwargs={"max_num_checkpoints": NAN}), "nan"),
    ],
)
def test_waits_and_checkpoints_that_make_no_sense(make: Callable[[], object], said: str) -> None:
    refused_by_user_error(make, said)


def test_checkpoints_that_are_kept_and_deleted(sandbox: Sandbox, script: Path) -> None:
    both = tuner(cloud(template(script), delete_checkpoints=True), callbacks=[RetainCheckpointsCallback(1)])
    refused_by_user_error(both.run, "delete_checkpoints")
    few = asha(type="promotion", early_checkpoint_removal_kwargs={"max_num_checkpoints": 1})
    backend, an_hour = cloud(template(script), delete_checkpoints=True), StoppingCriterion(max_wallclock_time=3600)
    refused_by_user_error(tuner(backend, few).run, "StoppingCriterion(max_wallclock_time=…)")
    refused_by_user_error(tuner(backend, few, stop_criterion=an_hour).run, "max_num_checkpoints=1", "n_workers")
    assert not sandbox.call_counts()[LAUNCH]


# -- the sandbox: it knows nothing of our errors, so these are ValueErrors --------------------------------------------


def no_jobs(run: object) -> Iterator[Any]:
    return iter(())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"faults": "bad-tusday"}, "did you mean 'bad-tuesday'"),
        ({"faults": 5}, "faults=5"),
        ({"faults": {"calls": []}}, "FaultPlan"),
        ({"faults": FaultPlan}, "FaultPlan"),
        ({"clock": 5, "jobs": no_jobs}, "clock=5"),
        ({"clock": VirtualClock, "jobs": no_jobs}, "clock="),
        ({"clock": VirtualClock()}, "with a clock, give their script as jobs"),
        ({"clock": VirtualClock(), "jobs": no_jobs, "port": 5001}, "port=5001"),
        ({"jobs": "train.py"}, "jobs='train.py'"),
        ({"port": "5"}, "port"),
        ({"quotas": {"ml.m5.large": "4"}}, "'4'"),
        ({"quotas": {"ml.m5.large": NAN}}, "nan"),
        ({"delays": {"stopping": 3}}, "Delays(stopping=3)"),
    ],
)
def test_a_sandbox_of_settings_that_make_no_sense(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        Sandbox(**options).start()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--faults", "bad-tusday"], "did you mean 'bad-tuesday'"),
        (["--faults", "none.json"], "none.json"),
        (["--fault-seed", "7"], "--fault-seed belongs to --faults"),
        (["--faults", "bad-tuesday", "--fault-seed", "x"], "'x'"),
    ],
)
def test_a_command_for_a_sandbox_with_faults_that_are_none(options: list[str], said: str) -> None:
    result = CliRunner().invoke(sandbox_command, ["start", *options])
    assert result.exit_code
    assert said in result.output


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--n-workers", "0"], "--n-workers"),
        (["--n-workers", "nan"], "'nan'"),
        (["--max-cost", "-1"], "--max-cost"),
        (["--max-cost", "nan"], "nan"),
        (["--max-wallclock-time", "nan"], "nan"),
        (["--max-num-trials-started", "1.5"], "'1.5'"),
    ],
)
def test_a_resume_with_limits_that_make_no_sense(sandbox: Sandbox, options: list[str], said: str) -> None:
    result = CliRunner().invoke(resume_command, ["nightly", *options])
    assert result.exit_code == 2
    assert said in result.output
    assert not sandbox.call_counts()


@pytest.mark.parametrize("place", ["bucket/folder", "/folder", "https://bucket.s3.amazonaws.com/folder", "s3://", 7])
def test_an_s3_path_that_is_none(script: Path, place: Any) -> None:
    refused_by_user_error(lambda: cloud(template(script), s3_path=place), repr(place), "s3://bucket/folder")
    launcher = tuner(LocalBackend(script))
    refused_by_user_error(lambda: RemoteLauncher(launcher, s3_path=place), repr(place), "s3://bucket/folder")


# -- the remote launcher -----------------------------------------------------------------------------------------------


def test_a_criterion_that_cannot_travel(sandbox: Sandbox, script: Path) -> None:
    stays = tuner(LocalBackend(script), stop_criterion=lambda status: True)
    refused_by_user_error(RemoteLauncher(stays).run, "lambda", "StoppingCriterion(...)")
    assert not sandbox.call_counts()[LAUNCH]


def test_a_tuner_s_job_the_service_would_reject(sandbox: Sandbox, script: Path) -> None:
    launcher = RemoteLauncher(tuner(LocalBackend(script)), instance_type="ml.c5.huge")
    refused_by_user_error(launcher.run, "'ml.c5.huge'", "did you mean")
    assert not sandbox.call_counts()[LAUNCH]
    assert not sandbox.client("s3").list_objects_v2(Bucket=sandbox.bucket, Prefix=f"cloudtune/{launcher.tuner.name}")[
        "KeyCount"
    ]


@pytest.mark.parametrize(
    ("options", "said"),
    [({"dependencies": "utils"}, "['utils']"), ({"log_level": "LOUD"}, "'LOUD'")],
)
def test_a_launcher_of_parts_that_do_not_fit(script: Path, options: dict[str, Any], said: str) -> None:
    refused_by_user_error(lambda: RemoteLauncher(tuner(LocalBackend(script)), **options), said)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"job": {"max_run": 3}}, "TunerJobOptions(max_run=3600)"),
        ({"job": TunerJobOptions}, "TunerJobOptions(max_run=3600)"),
        ({"instance_type": ["ml.c5.xlarge"]}, "instance_type=['ml.c5.xlarge']"),
        ({"dependencies": 5}, "dependencies=5"),
        ({"publish_tuning_metrics": "no"}, "publish_tuning_metrics='no'"),
        ({"aws": 5}, "aws=5"),
    ],
)
def test_a_launcher_s_options_of_a_wrong_kind(script: Path, options: dict[str, Any], said: str) -> None:
    refused_by_user_error(lambda: RemoteLauncher(tuner(LocalBackend(script)), **options), said)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"max_run": "60"}, "max_run='60'"),
        ({"max_run": NAN}, "max_run=nan"),
        ({"max_run": -1}, "max_run=-1"),
        ({"max_wait": 9}, "use_spot_instances=True"),
        ({"use_spot_instances": True, "max_run": 60, "max_wait": 9}, "max_wait=9"),
        ({"use_spot_instances": True, "keep_alive_period_in_seconds": 60}, "kept alive"),
        ({"use_spot_instances": "yes"}, "'yes'"),
        ({"max_retry_attempts": 1.5}, "max_retry_attempts=1.5"),
        ({"environment": {"A": 1}}, "{'A': 1}"),
        ({"tags": "team"}, "tags='team'"),
        ({"subnets": "subnet-1", "security_group_ids": ["sg-1"]}, "subnets='subnet-1'"),
        ({"template": ["VpcConfig"]}, "template=['VpcConfig']"),
        ({"max_rum": 3}, "did you mean 'max_run'?"),
    ],
)
def test_a_tuner_s_job_of_options_that_make_no_sense(options: dict[str, Any], said: str) -> None:
    refused_by_user_error(lambda: TunerJobOptions(**options), said)


def test_what_is_no_tuner() -> None:
    refused_by_user_error(lambda: RemoteLauncher(asha()), "no Tuner")  # type: ignore[arg-type]


# -- no way to AWS -----------------------------------------------------------------------------------------------------


def test_no_region(script: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    error = refused(lambda: tuner(cloud(template(script))).run(), "no region", "AWS_DEFAULT_REGION")
    assert isinstance(error, RefusedError)
    refused(lambda: RemoteLauncher(tuner(LocalBackend(script))).run(), "no region", "AWS_DEFAULT_REGION")


@pytest.fixture
def silent_metadata_service(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[socket.socket]]:
    """An instance metadata service that takes connections and never answers, as some networks have it."""
    connections: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    connections.append(server.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=accept)
        thread.start()
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
        yield connections
        server.shutdown(socket.SHUT_RDWR)
    thread.join()
    for connection in connections:
        connection.close()


def test_no_credentials_is_said_after_one_look_at_the_metadata_service(
    script: Path, silent_metadata_service: list[socket.socket], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    error = refused(lambda: tuner(cloud(template(script))).run(), "credentials", "aws configure")
    assert isinstance(error, AccessDeniedError)
    # a token and the role: each is asked for once, with a second's patience
    assert len(silent_metadata_service) <= 2


def test_a_sandbox_that_has_ended(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Sandbox() as ended:
        environment = ended.environment()
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    refused(lambda: tuner(cloud(template(script))).run(), environment["AWS_CONFIG_FILE"], "sandbox has ended")
    monkeypatch.delenv("AWS_CONFIG_FILE")
    monkeypatch.delenv("AWS_PROFILE")
    error = refused(lambda: tuner(cloud(template(script))).run(), environment["AWS_ENDPOINT_URL"], "sandbox status")
    assert isinstance(error, OptionError)
