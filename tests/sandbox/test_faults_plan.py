"""Plans refuse nonsense, travel as JSON, and each of the named ones does what its name says."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from click.testing import CliRunner

from cloudtune.cli.sandbox import sandbox as command
from cloudtune.clock import VirtualClock
from cloudtune.sandbox import FaultPlan, Sandbox, Settings, find_running
from cloudtune.sandbox.faults.dice import throw
from cloudtune.sandbox.faults.named import NAMES, named_plan
from cloudtune.sandbox.faults.plan import CallRule, Lag, LaunchRule, LogRule, Pages, RunRule, Throttling, When
from cloudtune.sandbox.faults.travel import plan_from_plain
from cloudtune.sandbox.script import Line, Run, Save, Step
from tests.sandbox.support import GROUP, job_request

# what botocore waits between its attempts is real time
ONCE = Config(retries={"total_max_attempts": 1})

# -- nonsense ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: When(probability=1.5), "from 0 to 1; got 1.5"),
        (lambda: When(probability=math.nan), "from 0 to 1; got nan"),
        (lambda: When(counts=(0,)), "whole numbers from 1, got 0"),
        (lambda: When(windows=((20.0, 10.0),)), "got (20.0, 10.0)"),
        (lambda: CallRule("resset"), "did you mean 'reset'?"),
        (lambda: LaunchRule("capacity"), "did you mean 'no-capacity'?"),
        (lambda: RunRule("interupted", per_hour=1), "did you mean 'interrupted'?"),
        (lambda: RunRule("interrupted"), "either at=(seconds, …) or per_hour=…"),
        (lambda: RunRule("interrupted", per_hour=1, at=(3.0,)), "either at=(seconds, …) or per_hour=…"),
        (lambda: RunRule("interrupted", at=(-1.0,)), "at is a number, at least 0; got -1.0"),
        (lambda: Throttling(burst=0), "more than 0; got 0"),
        (lambda: Throttling(rates={"s3.PutObject": math.inf}), "'s3.PutObject' is a number per second, got inf"),
        (lambda: Lag(created=math.inf), "created is a number, at least 0; got inf"),
        (lambda: LogRule(late=60.0), "late=seconds needs late_lines"),
        (lambda: LogRule(late_lines=0.5), "these need late"),
        (lambda: LogRule(empty_pages=1.0), "at most 0.9, or reading would never end"),
        (lambda: Pages(jobs=0), "at least 1, got 0"),
    ],
)
def test_nonsense_is_refused_with_the_value(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        make()


def test_an_unknown_plan_gets_the_nearest_name() -> None:
    with pytest.raises(ValueError, match="unknown plan of faults 'bad-tusday': did you mean 'bad-tuesday'"):
        Sandbox(faults="bad-tusday")


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        ({"call": []}, "unknown field of FaultPlan 'call': did you mean 'calls'?"),
        ({"logs": {"lat": 3}}, "unknown field of LogRule 'lat': did you mean 'late'?"),
        ({"calls": [{"kind": "reset", "when": {"count": [1]}}]}, "unknown field of When 'count': did you mean"),
        ({"calls": [{}]}, "CallRule: "),
        ({"views": 3}, "a Views is written as an object of its fields, got 3"),
    ],
)
def test_an_unknown_field_gets_the_nearest_name(plain: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        plan_from_plain(plain)


# -- travel ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_plan_survives_the_way_to_a_server(name: str) -> None:
    settings = Settings(faults=named_plan(name, seed=7))
    assert Settings.from_json(settings.to_json()) == settings


def test_chance_is_even() -> None:
    throws = [throw(seed, "kind", "subject", count) for seed in range(20) for count in range(100)]
    assert len(set(throws)) == 2000
    assert all(0 <= each < 1 for each in throws)
    tenths = Counter(int(each * 10) for each in throws)
    assert all(150 <= tenths[tenth] <= 250 for tenth in range(10))


# -- by name -----------------------------------------------------------------------------------------------------------


def script(run: Run) -> Iterator[Step]:
    for number in range(60):
        yield Line(f"{number}", after=60.0)
        yield Save({"number": str(number).encode()})


def use(plan: FaultPlan) -> Counter[str]:
    """What goes wrong in four hours of a modest tuner."""
    clock = VirtualClock()
    with Sandbox(jobs=script, clock=clock, faults=plan) as sandbox:
        sagemaker, logs, s3 = (sandbox.session().client(name, config=ONCE) for name in ("sagemaker", "logs", "s3"))
        spot: dict[str, Any] = {
            "EnableManagedSpotTraining": True,
            "StoppingCondition": {"MaxWaitTimeInSeconds": 36_000},
        }
        for minute in range(40):
            name = f"job-{minute // 5}"
            request = job_request(sandbox, name, **(spot if minute % 10 < 5 else {}))
            request["StoppingCondition"]["MaxRuntimeInSeconds"] = 36_000
            calls: list[Callable[[], Any]] = [
                lambda: sagemaker.describe_training_job(TrainingJobName=name),  # noqa: B023 - called at once
                lambda: sagemaker.list_training_jobs(MaxResults=100),
                lambda: sagemaker.list_training_jobs(MaxResults=100),
                lambda: sagemaker.list_training_jobs(MaxResults=100),
                lambda: sagemaker.search(Resource="TrainingJob"),
                lambda: logs.filter_log_events(logGroupName=GROUP),
                lambda: s3.list_objects_v2(Bucket=sandbox.bucket),
            ]
            if minute % 5 == 0:
                calls.insert(0, lambda: sagemaker.create_training_job(**request))  # noqa: B023
            for call in calls:
                try:
                    call()
                except (ClientError, BotoCoreError):
                    continue
            clock.sleep(360.0)
        return sandbox.faults_injected()


KINDS = {
    "throttled": {"throttled"},
    "flaky-network": {"reset", "reset-after", "timeout"},
    "service-errors": {"throttled", "internal-error", "unavailable"},
    "outage": {"unavailable"},
    "stale-views": {"stale-describe", "stale-list", "stale-search"},
    "slow-logs": {"late-line", "duplicated-line", "empty-page"},
    "spot-storm": {"interrupted"},
    "no-capacity": {"no-capacity"},
    "small-pages": {"small-page"},
    "bad-tuesday": {"throttled", "reset-after", "stale-list", "late-line", "interrupted", "empty-page", "small-page"},
}


@pytest.mark.parametrize("name", NAMES)
def test_a_plan_does_what_its_name_says(name: str) -> None:
    found = use(named_plan(name))
    assert KINDS[name] <= found.keys(), found


def test_the_same_plan_does_the_same_again_and_another_seed_something_else() -> None:
    first = use(named_plan("bad-tuesday"))
    assert use(named_plan("bad-tuesday")) == first
    assert use(named_plan("bad-tuesday", seed=1)) != first


# -- the command -------------------------------------------------------------------------------------------------------


def run(*arguments: str, status: int = 0) -> str:
    result = CliRunner().invoke(command, list(arguments))
    assert result.exit_code == status, result.output
    return result.output


def test_a_detached_sandbox_says_what_goes_wrong(tmp_path: Path) -> None:
    home, plan = str(tmp_path / "home"), tmp_path / "mine.json"
    plan.write_text(json.dumps({"calls": [{"kind": "throttled", "operations": "sts.*", "when": {"counts": [2]}}]}))
    try:
        run("start", "--detach", "--directory", home, "--faults", str(plan), "--fault-seed", "3")
        assert "faults    mine: none so far" in run("status", "--directory", home)
        running = find_running(home)
        assert running is not None
        sts = running.address.client("sts")
        for _ in range(2):
            sts.get_caller_identity()
        assert "faults    mine: 1 throttled" in run("status", "--directory", home)
    finally:
        run("stop", "--directory", home)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--faults", "slow-log"], "did you mean 'slow-logs'?"),
        (["--fault-seed", "3"], "--fault-seed belongs to --faults"),
        (["--faults", "/no/such/plan.json"], "No such file"),
    ],
)
def test_a_plan_that_is_none_is_refused_before_the_start(arguments: list[str], message: str) -> None:
    assert message in run("start", "--detach", *arguments, status=1)


def test_rules_in_a_file_are_checked_before_the_start(tmp_path: Path) -> None:
    plan = tmp_path / "mine.json"
    plan.write_text(json.dumps({"calls": [{"kind": "reset", "operations": "sagemaker.CreateTrainingJbo"}]}))
    assert "did you mean 'sagemaker.CreateTrainingJob'?" in run("start", "--faults", str(plan), status=1)
    plan.write_text("{")
    assert "is no JSON" in run("start", "--faults", str(plan), status=1)
