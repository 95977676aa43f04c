"""How private a job's view of the machine is."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from cloudtune.sandbox.container import isolation
from cloudtune.sandbox.container.config import resources
from cloudtune.sandbox.container.isolation import Isolation, hidden_by
from cloudtune.sandbox.container.layout import Layout
from tests.sandbox.container.support import Jobs


def test_a_machine_is_tried_once() -> None:
    assert isolation.available() is isolation.available()


@pytest.mark.skipif(sys.platform == "linux", reason="Linux may allow more")
def test_other_systems_have_base_directories() -> None:
    assert isolation.available() is Isolation.NONE


def test_what_lies_in_opt_beside_ml_stays_there(jobs_private: Jobs) -> None:
    job = jobs_private.script("import os; print(sorted(os.listdir('/opt')))")
    assert job.run() == 0
    assert job.lines == [str(sorted({"ml", *(path.name for path in Path("/opt").iterdir())}))]


def test_a_job_leaves_no_mount_behind(jobs_private: Jobs) -> None:
    before = Path("/proc/self/mountinfo").read_text()
    opt = sorted(Path("/opt").iterdir())
    job = jobs_private.script("import os; os.mkdir('/opt/made'); open('/dev/shm/of-test', 'w').close()")
    assert job.run() == 0, job.said()
    assert Path("/proc/self/mountinfo").read_text() == before
    assert sorted(Path("/opt").iterdir()) == opt
    assert not Path("/dev/shm/of-test").exists()


def test_an_interpreter_in_opt_ml_is_not_hidden() -> None:
    assert isolation.for_paths(["/usr/bin/python3", "/opt/ml/code/venv/bin/python"]) is Isolation.NONE
    assert isolation.for_paths(["/opt/mlflow/bin/python", "/opt/conda/bin/python"]) is isolation.available()


@pytest.mark.parametrize(
    ("directory", "hidden"), [("/a", "/a/b"), ("/a/b", "/a/b"), ("/a/b/c", None), ("/", "/a/b"), ("/ab", None)]
)
def test_a_mount_hides_what_lies_in_it(directory: str, hidden: str | None) -> None:
    assert hidden_by(directory, ["/a/b", "/c"]) == hidden


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        ({"InstanceType": "ml.m5.large", "InstanceCount": 1}, "ml.m5.large"),
        (
            {"InstancePreferences": [{"InstanceType": "ml.g5.xlarge"}, {"InstanceType": "ml.g4dn.xlarge"}]},
            "ml.g5.xlarge",
        ),
        ({}, "local"),
    ],
)
def test_the_instance_type_is_told_however_it_was_asked_for(config: dict[str, object], kind: str) -> None:
    told = resources(Layout(Path("/nowhere"), private=True), {"ResourceConfig": config})
    assert told["current_instance_type"] == kind
    assert told["hosts"] == ["algo-1"]


def test_a_spec_refuses_nonsense(jobs: Jobs) -> None:
    with pytest.raises(ValueError, match=r"stop_grace_seconds is -1\.0"):
        replace(jobs.spec({}), stop_grace_seconds=-1.0)
    with pytest.raises(ValueError, match="checkpoint_sync_seconds is 0"):
        replace(jobs.spec({}), checkpoint_sync_seconds=0)
