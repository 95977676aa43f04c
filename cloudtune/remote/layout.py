"""Where things lie: in the tuner's source tarball, and in the experiment's prefix."""

from __future__ import annotations

import os
from pathlib import Path

ENTRY_POINT = "cloudtune_tuner.py"
UPLOAD_DIR = "tuner"
PAYLOAD = f"{UPLOAD_DIR}/tuner.dill"
TRIAL_SOURCE = "trial_source"
REQUIREMENTS = "requirements.txt"

LAST_LINE = "cloudtune: the tuner's job ends"
"""What the job prints last: nothing is missing from a log that has it."""

STOP_MARKER = "stop"
"""An object of this name: somebody wants the experiment to end."""

OUTPUT = "tuner-output/"
"""Below it, what the service itself keeps of the tuner's job."""

LAUNCH_FILE = "launch.json"
"""The request of the tuner's job, for launching it again."""


def backend_path_not_synced_to_s3() -> Path:
    """Where trials of a ``LocalBackend`` keep their files inside a training job: nothing copies them to S3."""
    return Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml")) / "input/data/trials"
