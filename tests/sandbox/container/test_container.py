"""A job from its request to what it leaves in S3."""

from __future__ import annotations

import json

import pytest

from cloudtune.sandbox.container import Artifacts, ContainerError
from tests.sandbox.container.support import Bucket, Jobs, artifacts, channel

TELL = """
    import json, os, sys
    told = {"arguments": sys.argv[1:], "environment": dict(os.environ), "directory": os.getcwd()}
    print(json.dumps(told))
"""


def test_a_script_trains_and_its_results_come_home(jobs_both: Jobs, bucket: Bucket) -> None:
    bucket.put("data/train/part/0.csv", "1,2\n")
    script = """
        import os, pathlib
        data = pathlib.Path(os.environ["SM_CHANNEL_TRAINING"], "part", "0.csv").read_text()
        pathlib.Path(os.environ["SM_MODEL_DIR"], "model.txt").write_text("from " + data)
        pathlib.Path(os.environ["SM_OUTPUT_DATA_DIR"], "curve.txt").write_text("down")
        print("loss=0.5")
    """
    job = jobs_both.script(script, InputDataConfig=[channel("training", f"{bucket.uri}/data/train")])
    assert job.run() == 0
    assert job.lines == ["loss=0.5"]
    assert job.container.failure_reason() is None
    left = artifacts(job)
    assert left.model_uri == f"{bucket.uri}/out/job/output/model.tar.gz"
    assert left.output_uri == f"{bucket.uri}/out/job/output/output.tar.gz"
    assert bucket.names_in("out/job/output/model.tar.gz") == ["model.txt"]
    assert bucket.names_in("out/job/output/output.tar.gz") == ["curve.txt"]


def test_a_failing_script_fails_its_job_with_a_reason(jobs_both: Jobs, bucket: Bucket) -> None:
    job = jobs_both.script("raise SystemExit(3)")
    assert job.run() == 1
    reason = job.container.failure_reason() or ""
    assert reason.startswith("ExecuteUserScriptError:\nExitCode 3")
    assert artifacts(job) == Artifacts(None, f"{bucket.uri}/out/job/output/output.tar.gz")
    assert bucket.names_in("out/job/output/output.tar.gz") == ["failure"]


def test_a_script_may_tell_the_reason_itself_up_to_1024_characters(jobs_both: Jobs) -> None:
    script = """
        import os, pathlib
        pathlib.Path(os.environ["SM_OUTPUT_DIR"], "failure").write_text("ü" * 3000)
        raise SystemExit(1)
    """
    job = jobs_both.script(script)
    assert job.run() == 1
    assert job.container.failure_reason() == "ü" * 1024


def test_a_job_that_leaves_nothing_uploads_nothing(jobs: Jobs, bucket: Bucket) -> None:
    job = jobs.script("pass")
    assert job.run() == 0
    assert artifacts(job) == Artifacts(None, None)
    assert bucket.keys("out/") == []


def test_results_are_left_as_files_where_the_request_wants_no_archive(jobs: Jobs, bucket: Bucket) -> None:
    script = """
        import os, pathlib
        deep = pathlib.Path(os.environ["SM_MODEL_DIR"], "deep")
        deep.mkdir()
        (deep / "weights").write_text("1")
        pathlib.Path(os.environ["SM_OUTPUT_DATA_DIR"], "log").write_text("2")
    """
    job = jobs.script(script, OutputDataConfig={"S3OutputPath": f"{bucket.uri}/out/", "CompressionType": "NONE"})
    assert job.run() == 0
    left = artifacts(job)
    assert left == Artifacts(f"{bucket.uri}/out/job/output/model/", f"{bucket.uri}/out/job/output/data/")
    assert bucket.keys("out/") == ["out/job/output/data/log", "out/job/output/model/deep/weights"]


def test_jobs_running_at_once_have_an_opt_ml_each(jobs_private: Jobs) -> None:
    script = """
        import os, pathlib, time
        mine, me = pathlib.Path("/opt/ml/model"), os.environ["TRAINING_JOB_NAME"]
        (mine / me).touch()
        print("ready", flush=True)
        while not pathlib.Path("/opt/ml/checkpoints/go").exists():
            time.sleep(0.01)
        print(sorted(each.name for each in mine.iterdir()))
    """
    both = [jobs_private.script(script, name=name) for name in ("one", "two")]
    for job in both:
        job.begin()
    for name in ("one", "two"):
        (jobs_private.directory / "jobs" / name / "ml" / "checkpoints" / "go").touch()
    assert [job.container.wait(60) for job in both] == [0, 0]
    assert [job.lines[-1] for job in both] == ["['one']", "['two']"]


def test_the_host_algo_1_resolves(jobs_private: Jobs) -> None:
    job = jobs_private.script("import socket, os; print(socket.gethostbyname(os.environ['SM_CURRENT_HOST']))")
    assert job.run() == 0
    assert job.lines == ["127.0.0.1"]


def test_the_current_host_resolves_without_a_hosts_file_of_its_own(jobs_both: Jobs) -> None:
    job = jobs_both.script("import socket, os; print(socket.gethostbyname(os.environ['SM_CURRENT_HOST']))")
    assert job.run() == 0
    assert job.lines == ["127.0.0.1"]


def test_a_job_is_told_what_was_requested(jobs_both: Jobs, bucket: Bucket) -> None:
    bucket.put("d/x")
    script = """
        import json, os, pathlib
        for name in ("hyperparameters", "resourceconfig", "inputdataconfig"):
            print(pathlib.Path(os.environ["SM_INPUT_CONFIG_DIR"], name + ".json").read_text())
    """
    data = {**channel("training", f"{bucket.uri}/d/"), "ContentType": "text/csv", "InputMode": "FastFile"}
    job = jobs_both.script(script, HyperParameters={"lr": "0.1"}, InputDataConfig=[data])
    assert job.run() == 0
    hyperparameters, resources, channels = map(json.loads, job.lines)
    host = resources["current_host"]
    assert hyperparameters["lr"] == "0.1"
    assert hyperparameters["sagemaker_program"] == '"train.py"'
    assert resources == {
        "current_host": host,
        "current_instance_type": "ml.m5.xlarge",
        "current_group_name": "homogeneousCluster",
        "hosts": [host],
        "instance_groups": [
            {"instance_group_name": "homogeneousCluster", "instance_type": "ml.m5.xlarge", "hosts": [host]}
        ],
        "network_interface_name": "lo",
    }
    assert channels == {
        "training": {
            "TrainingInputMode": "FastFile",
            "S3DistributionType": "FullyReplicated",
            "RecordWrapperType": "None",
            "ContentType": "text/csv",
        }
    }


def test_several_instances_run_as_one_and_say_so(jobs: Jobs) -> None:
    groups = [
        {"InstanceGroupName": "a", "InstanceType": "ml.c5.large", "InstanceCount": 2},
        {"InstanceGroupName": "b", "InstanceType": "ml.g5.xlarge", "InstanceCount": 1},
    ]
    job = jobs.script(
        "import os; print(os.environ['SM_HOSTS'], os.environ['SM_CURRENT_INSTANCE_TYPE'])",
        ResourceConfig={"InstanceGroups": groups, "VolumeSizeInGB": 1},
    )
    assert job.run() == 0
    assert job.lines[0] == "cloudtune sandbox: 3 instances were asked for; the job runs as one, algo-1"
    assert job.lines[1].endswith("ml.c5.large")
    assert len(json.loads(job.lines[1].rsplit(" ", 1)[0])) == 1


def test_paths_below_opt_ml_lead_to_the_base_directory_where_there_is_no_private_one(jobs_both: Jobs) -> None:
    job = jobs_both.script(TELL, HyperParameters={"dir": "/opt/ml/checkpoints"}, Environment={"MINE": "/opt/ml/model"})
    assert job.run() == 0
    told = json.loads(job.lines[0])
    base = told["environment"].get("SAGEMAKER_BASE_DIR", "/opt/ml")
    assert told["arguments"] == ["--dir", f"{base}/checkpoints"]
    assert told["environment"]["MINE"] == f"{base}/model"
    assert told["directory"] == f"{base}/code"


def test_nothing_remains_of_a_job_after_its_cleanup(jobs_both: Jobs) -> None:
    job = jobs_both.script("import os, pathlib; p = pathlib.Path('kept'); p.mkdir(); (p / 'x').touch(); p.chmod(0o500)")
    assert job.run() == 0
    job.container.cleanup()
    assert not (jobs_both.directory / "jobs" / "job").exists()
    job.container.cleanup()


def test_without_script_or_entry_point_only_an_image_would_know_what_to_run(jobs: Jobs) -> None:
    with pytest.raises(ContainerError, match=r"no images.*'image'.*sagemaker_program"):
        jobs.make({}).container.download()


def test_an_image_may_stand_for_a_command(jobs: Jobs) -> None:
    job = jobs.make({}, image_command=("python", "-c", "import sys; print(sys.argv)"))
    assert job.run() == 0
    assert job.lines == ["['-c', 'train']"]


def test_a_missing_interpreter_is_named(jobs: Jobs) -> None:
    with pytest.raises(ContainerError, match="'/no/python'"):
        jobs.make({}, interpreter="/no/python")


def test_a_source_that_is_not_there_is_named(jobs: Jobs, bucket: Bucket) -> None:
    job = jobs.make(
        {"HyperParameters": {"sagemaker_program": "train.py", "sagemaker_submit_directory": f"{bucket.uri}/no.tar.gz"}}
    )
    with pytest.raises(ContainerError, match=r"no\.tar\.gz can't be downloaded.*404"):
        job.container.download()
