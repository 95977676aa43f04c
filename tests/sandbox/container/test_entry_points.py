"""Jobs that bring a command of their own, as version 3 of the SDK does."""

from __future__ import annotations

import json
import textwrap
from typing import Any

import pytest

from tests.sandbox.container.support import PATIENCE, Bucket, Job, Jobs, channel

# a miniature of what the SDK sends in the channel sm_drivers: same places, same steps, same fixed paths
SM_TRAIN = """\
#!/bin/bash
set -e
trap 'code=$?; [ -s /opt/ml/output/failure ] || echo "training failed" >> /opt/ml/output/failure; exit $code' ERR
python=$(command -v python3 || command -v python)
command -v pip3 >/dev/null || command -v pip >/dev/null
cat /opt/ml/input/config/resourceconfig.json; echo
$python /opt/ml/input/data/sm_drivers/scripts/environment.py
source /opt/ml/input/sm_training.env
cd /opt/ml/input/data/code
if [ -f requirements.txt ]; then $python -m pip install -q -r requirements.txt; fi
$python /opt/ml/input/data/sm_drivers/distributed_drivers/basic_script_driver.py
"""
ENVIRONMENT = """\
import json, os
config = "/opt/ml/input/config/"
resources = json.load(open(config + "resourceconfig.json"))
hyperparameters = json.load(open(config + "hyperparameters.json"))
variables = {
    "SM_MODEL_DIR": "/opt/ml/model",
    "SM_CURRENT_INSTANCE_TYPE": resources["current_instance_type"],
    "SM_NETWORK_INTERFACE_NAME": resources["network_interface_name"],
    "SM_TRAINING_JOB": os.environ["TRAINING_JOB_NAME"],
    "SM_CHANNELS": json.dumps(list(json.load(open(config + "inputdataconfig.json")))),
    "SM_HPS": json.dumps(hyperparameters),
    "SM_ENTRY_SCRIPT": json.load(open("/opt/ml/input/data/sm_drivers/sourcecode.json"))["entry_script"],
}
with open("/opt/ml/input/sm_training.env", "w") as file:
    file.writelines(f"export {name}='{value}'\\n" for name, value in variables.items())
"""
DRIVER = """\
import json, os, subprocess, sys
arguments = [part for name, value in json.loads(os.environ["SM_HPS"]).items() for part in (f"--{name}", value)]
sys.exit(subprocess.call([sys.executable, os.environ["SM_ENTRY_SCRIPT"], *arguments]))
"""
TELL = """
    import json, os, sys
    keys = ("SM_MODEL_DIR", "SM_CURRENT_INSTANCE_TYPE", "SM_TRAINING_JOB", "TRAINING_JOB_ARN")
    print("told", json.dumps([sys.argv, sorted(json.loads(os.environ["SM_CHANNELS"])), *map(os.environ.get, keys)]))
    open(os.environ["SM_MODEL_DIR"] + "/model", "w").close()
"""


def sdk_job(jobs: Jobs, bucket: Bucket, script: str, **changes: Any) -> Job:
    bucket.put("sdk/code/train.py", textwrap.dedent(script))
    bucket.put("sdk/sm_drivers/sm_train.sh", SM_TRAIN)
    bucket.put("sdk/sm_drivers/scripts/environment.py", ENVIRONMENT)
    bucket.put("sdk/sm_drivers/distributed_drivers/basic_script_driver.py", DRIVER)
    bucket.put("sdk/sm_drivers/sourcecode.json", json.dumps({"entry_script": "train.py"}))
    run = "/opt/ml/input/data/sm_drivers/sm_train.sh"
    algorithm = {
        "TrainingImage": "image",
        "TrainingInputMode": "File",
        "ContainerEntrypoint": ["/bin/bash"],
        "ContainerArguments": ["-c", f"chmod +x {run} && {run}"],
    }
    channels = [channel(name, f"{bucket.uri}/sdk/{name}/") for name in ("code", "sm_drivers")]
    return jobs.make({"AlgorithmSpecification": algorithm, "InputDataConfig": channels, **changes})


def test_the_drivers_of_the_sdk_run_a_script(jobs_both: Jobs, bucket: Bucket) -> None:
    job = sdk_job(jobs_both, bucket, TELL, HyperParameters={"lr": "0.1"})
    assert job.run() == 0, job.said()
    told = json.loads(next(line for line in job.lines if line.startswith("told "))[5:])
    base = "/opt/ml" if job.container._layout.private else str(jobs_both.directory / "jobs" / "job" / "ml")
    arn = "arn:aws:sagemaker:us-east-1:123456789012:training-job/job"
    assert told == [
        ["train.py", "--lr", "0.1"],
        ["code", "sm_drivers"],
        f"{base}/model",
        "ml.m5.xlarge",
        "job",
        arn,
    ]
    assert job.container.upload().model_uri is not None


def test_their_script_may_fail(jobs_both: Jobs, bucket: Bucket) -> None:
    job = sdk_job(jobs_both, bucket, "raise SystemExit(3)")
    assert job.run() == 3
    assert job.container.failure_reason() == "training failed\n"


def test_their_script_hears_sigterm(jobs_both: Jobs, bucket: Bucket) -> None:
    script = """
        import signal, sys, time
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(9))
        print("ready", flush=True)
        time.sleep(600)
    """
    job = sdk_job(jobs_both, bucket, script)
    job.begin()
    job.container.terminate()
    assert job.container.wait(PATIENCE) == 9


def test_what_they_install_stays_in_the_job(jobs: Jobs, bucket: Bucket, wheel: str) -> None:
    bucket.put("sdk/code/requirements.txt", "wheel-of-test\n")
    bucket.put("sdk/code/deep/x", "")
    environment = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": wheel}
    script = "import wheel_of_test; print(wheel_of_test.__file__)"
    job = sdk_job(jobs, bucket, script, Environment=environment)
    assert job.run() == 0, job.said()
    assert job.lines[-1].startswith(f"{jobs.directory}/jobs/job/python/")


def test_python_and_pip_are_those_of_the_image(jobs_both: Jobs) -> None:
    code = "python -c 'print()'; python3 -m pip --version; pip --version; pip3 --version"
    job = jobs_both.command("/bin/sh", "-c", code)
    assert job.run() == 0
    where = jobs_both.directory / "jobs" / "job"
    assert job.lines[1] == job.lines[2] == job.lines[3]
    assert "pip" in job.lines[1]
    told = jobs_both.command("python", "-c", "import sys; print(sys.prefix, sys.executable)", name="told")
    assert told.run() == 0
    prefix = where.with_name("told") / "python"
    assert told.lines == [f"{prefix} {prefix}/bin/python"]


def test_a_command_works_in_a_directory_of_its_own(jobs_both: Jobs) -> None:
    job = jobs_both.command("/bin/sh", "-c", "echo made > here; pwd")
    assert job.run() == 0
    assert job.lines == [f"{jobs_both.directory}/jobs/job/home"]


@pytest.mark.parametrize("arguments", [[], ["--more", "two words"]])
def test_arguments_follow_the_entry_point(jobs: Jobs, arguments: list[str]) -> None:
    algorithm = {"TrainingInputMode": "File", "ContainerEntrypoint": ["python", "-c", "import sys; print(sys.argv)"]}
    if arguments:
        algorithm["ContainerArguments"] = arguments
    job = jobs.make({"AlgorithmSpecification": algorithm})
    assert job.run() == 0
    assert job.lines == [str(["-c", *arguments])]
