"""The runner of script mode is held to SageMaker's own: both run the same jobs, and what they do is compared."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.container.support import Bucket, Job, Jobs, channel, pack

TOOLKIT = Path(os.environ.get("CLOUDTUNE_TOOLKIT", Path(__file__).parents[3] / ".venvs" / "toolkit"))

pytestmark = pytest.mark.skipif(
    not (TOOLKIT / "bin" / "train").exists(),
    reason=f"no toolkit in {TOOLKIT}: run tests/sandbox/container/make_toolkit_env.sh {TOOLKIT}",
)

TELL = """
    import json, os, sys
    print("told", json.dumps([sys.argv, os.getcwd(), dict(os.environ)]))
    sys.stdout.flush()
"""


@dataclass(frozen=True)
class Case:
    """A job in script mode; its source goes to S3 unless ``channels`` bring it."""

    files: Mapping[str, str]
    hyperparameters: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    program: str = "train.py"
    channels: bool = False


CASES = {
    "values of all kinds": Case(
        {"train.py": TELL},
        {
            "lr": "0.1",
            "tiny": "1e-05",
            "flag": "true",
            "off": "false",
            "none": "null",
            "text": '"in quotes"',
            "bare": "not in quotes",
            "digits": '"007"',
            "empty": '""',
            "list": '[1, "two", 3.0]',
            "dict": '{"b": 1, "a": [2]}',
            "nan": "NaN",
            "e": "3",
            "with-dash": "1",
            "UPPER": "1",
            "ünicode": '"ä €"',
            "shell": '"$(echo no) `no` \' \\" ; &"',
            "_tuning_objective_metric": "acc",
        },
    ),
    "no hyperparameters": Case({"train.py": TELL}),
    "settings of the toolkit": Case(
        {"train.py": TELL},
        {
            "sagemaker_container_log_level": "10",
            "sagemaker_job_name": '"a-job"',
            "sagemaker_region": '"eu-west-1"',
            "sagemaker_estimator_class_name": '"PyTorch"',
            "sagemaker_mpi_enabled": "false",
        },
    ),
    "environment of the request": Case(
        {"train.py": TELL}, environment={"MINE": "1", "SM_HPS": "x", "PYTHONPATH": "/x"}
    ),
    "program in the environment": Case({"other.py": TELL}, environment={"SAGEMAKER_PROGRAM": "other.py"}),
    "script in a directory": Case({"src/deep/run.py": TELL}, {"lr": "1"}, program="src/deep/run.py"),
    "source from a channel": Case({"train.py": TELL}, {"lr": "1"}, channels=True),
    "shell script": Case(
        {"run.sh": '#!/bin/sh\nexec "$PY" tell.py "$@"\n', "tell.py": TELL},
        {"text": '"two words \' \\" $HOME"', "lr": "0.1"},
        {"PY": sys.executable},
        program="run.sh",
    ),
    "command without extension": Case({"run": "#!/bin/sh\nexit 9\n"}, program="run"),
    "package": Case(
        {
            "setup.py": "import setuptools; setuptools.setup(name='of-test', version='1', py_modules=['trainer'])",
            "trainer.py": TELL,
        },
        {"lr": "0.1"},
        # into the job's directory: the environment of the toolkit is to stay as it is
        {"PIP_NO_BUILD_ISOLATION": "false", "PIP_NO_INDEX": "1", "PIP_TARGET": "/opt/ml/installed"},
        program="trainer.py",
    ),
    "package that can't be installed": Case(
        {"setup.py": "raise SystemExit('no')", "trainer.py": ""},
        environment={"PIP_NO_BUILD_ISOLATION": "false", "PIP_NO_INDEX": "1"},
        program="trainer.py",
    ),
    "requirement that isn't there": Case(
        {"train.py": TELL, "requirements.txt": "no-such-distribution-of-test==1"}, environment={"PIP_NO_INDEX": "1"}
    ),
    "requirement that is there": Case({"train.py": TELL, "requirements.txt": "pip\n"}),
    "exit code": Case({"train.py": "raise SystemExit(7)"}, {"lr": "0.1"}),
    "exit code of a container out of memory": Case({"train.py": "raise SystemExit(137)"}),
    "exception": Case({"train.py": "raise ValueError('no')"}),
    "killed": Case({"train.py": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"}),
    "reason of its own": Case(
        {
            "train.py": """
                import os, pathlib
                pathlib.Path(os.environ["SM_OUTPUT_DIR"], "failure").write_text("mine")
                raise SystemExit(2)
            """
        }
    ),
    "script that isn't there": Case({"other.py": ""}),
    "shell script that isn't there": Case({"other.py": ""}, program="run.sh"),
    "script outside": Case({"train.py": ""}, program="../train.py"),
    "script by absolute path": Case({"train.py": ""}, program="/bin/true"),
    "script like an option": Case({"train.py": ""}, program="-c"),
    "archive that leads outside": Case(
        {"train.py": "import os; print('told', os.path.exists('../evil'))", "../evil": ""}
    ),
}


@dataclass(frozen=True)
class Outcome:
    exit_code: int | None
    told: str
    reason: str | None
    succeeded: bool


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_the_runner_does_what_the_toolkit_does(jobs: Jobs, bucket: Bucket, case: Case) -> None:
    ours = _run(jobs, bucket, case, "runner", {})
    theirs = _run(jobs, bucket, case, "toolkit", {"ContainerEntrypoint": [str(TOOLKIT / "bin" / "train")]})
    assert ours == theirs
    assert bool(ours.told) == (ours.exit_code == 0), "a comparison of nothing"


def test_it_does_so_with_a_base_directory(jobs_both: Jobs, bucket: Bucket) -> None:
    case = CASES["values of all kinds"]
    ours = _run(jobs_both, bucket, case, "runner", {})
    assert ours == _run(jobs_both, bucket, case, "toolkit", {"ContainerEntrypoint": [str(TOOLKIT / "bin" / "train")]})
    assert ours.exit_code == 0


def _run(jobs: Jobs, bucket: Bucket, case: Case, where: str, algorithm: Mapping[str, Any]) -> Outcome:
    directory = jobs.directory / where
    source = f"{bucket.uri}/source/sourcedir.tar.gz"
    data = []
    if case.channels:
        for name, text in case.files.items():
            bucket.put(f"code/{name}", "\n".join(line[4:] for line in text.splitlines()))
        data = [channel("code", f"{bucket.uri}/code/")]
        source = "/opt/ml/input/data/code"
    else:
        bucket.put("source/sourcedir.tar.gz", pack(case.files))
    request = {
        "AlgorithmSpecification": {"TrainingImage": "image", "TrainingInputMode": "File", **algorithm},
        "HyperParameters": {
            "sagemaker_program": json.dumps(case.program),
            "sagemaker_submit_directory": json.dumps(source),
            **case.hyperparameters,
        },
        "Environment": dict(case.environment),
        "InputDataConfig": data,
    }
    job = jobs.make(request, directory=directory, interpreter=str(TOOLKIT / "bin" / "python"))
    code = job.run()
    reason = _plain(job.container.failure_reason() or "", directory) or None
    return Outcome(code, _told(job, directory), reason, (directory / "ml" / "output" / "success").exists())


def _told(job: Job, directory: Path) -> str:
    """What the script said of its arguments and surroundings, without what names the run."""
    line = next((line[5:] for line in job.lines if line.startswith("told ")), "")
    if not line.startswith("["):
        return line
    arguments, where, environment = json.loads(line)
    path = environment.pop("PYTHONPATH").split(os.pathsep)
    # behind the code comes the path of the interpreter that runs the script
    assert path[0] == where
    assert any(entry.endswith("site-packages") for entry in path)
    environment["TOLD_PYTHONPATH"] = "/x" in path
    environment.pop("_", None)
    environment.pop("OLDPWD", None)
    return _plain(json.dumps([arguments, where, environment], indent=1, sort_keys=True), directory)


def _plain(text: str, directory: Path) -> str:
    text = re.sub(r"/[^ \"]*/bin/python3?(\.\d+)?(?=[ \"])", "PYTHON", text).replace(str(directory), "JOB")
    if text.startswith("Framework Error"):
        # between the two lines lies a traceback of whoever ran it
        return "Framework Error … " + text.strip().splitlines()[-1]
    if "entry point" in text:
        return "a sentence about the entry point"
    return text
