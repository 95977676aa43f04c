"""Scripts that misbehave, as processes: what the service shows of each."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cloudtune.report import parse_report_line
from cloudtune.sandbox import Delays, Sandbox
from tests.sandbox.support import create, lines_of, path_of, wait_for_end

SCRIPTS = Path(__file__).parents[1] / "faults" / "real_scripts"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(delays=Delays(stop_grace=0.2)) as sandbox:
        yield sandbox


def start(sandbox: Sandbox, script: str, **changes: Any) -> None:
    create(sandbox, script.replace("_", "-"), (SCRIPTS / f"{script}.py").read_text(), **changes)


def test_one_that_reports_nothing_completes(sandbox: Sandbox) -> None:
    metric = {"MetricDefinitions": [{"Name": "loss", "Regex": "loss=(.+)"}]}
    start(sandbox, "silent", AlgorithmSpecification=metric)
    job = wait_for_end(sandbox, "silent")
    assert job["TrainingJobStatus"] == "Completed"
    assert "FinalMetricDataList" not in job
    assert lines_of(sandbox, "silent") == [f"epoch {epoch} is done" for epoch in (1, 2, 3)]


def test_one_that_reports_no_numbers_completes_and_all_arrive(sandbox: Sandbox) -> None:
    start(sandbox, "strange_values")
    job = wait_for_end(sandbox, "strange-values")
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    reports = [report for line in lines_of(sandbox, "strange-values") if (report := parse_report_line(line))]
    assert [report["epoch"] for report in reports] == [1, 2, 3, 4]
    assert math.isnan(reports[1]["loss"])
    assert [reports[2]["loss"], reports[3]["loss"]] == [math.inf, -math.inf]


def test_one_that_crashes_at_import_fails_and_its_log_says_why(sandbox: Sandbox) -> None:
    start(sandbox, "crashes_at_import")
    job = wait_for_end(sandbox, "crashes-at-import")
    assert job["FailureReason"].endswith("exit code: 1")
    assert lines_of(sandbox, "crashes-at-import")[-1] == "ModuleNotFoundError: No module named 'frobnicate'"


def test_one_that_hangs_ends_at_its_limit_against_its_will(sandbox: Sandbox) -> None:
    start(sandbox, "hangs", StoppingCondition={"MaxRuntimeInSeconds": 2})
    job = wait_for_end(sandbox, "hangs")
    assert (job["TrainingJobStatus"], path_of(job)[-1]) == ("Stopped", "MaxRuntimeExceeded")
