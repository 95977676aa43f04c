"""What the tests of both SDKs share."""

from __future__ import annotations

from pathlib import Path

import cloudtune
from cloudtune.sagemaker import SageMakerBackend


def assert_reporter_travelled(backend: SageMakerBackend) -> None:
    """The script of trial 0 found the Reporter beside itself, and not in the environment of these tests."""
    line = next(line for line in backend.logs(0) if line.startswith("Reporter: "))
    found = Path(line.removeprefix("Reporter: "))
    assert found.resolve() != Path(cloudtune.__file__).resolve()
