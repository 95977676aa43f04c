"""What holds for every test: its own folders, no cloud, no hurry."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# machines are slow at times: an example may take as long as it needs
# and a CI says the same of the same commit, while everybody else looks for new examples
settings.register_profile("cloudtune", deadline=None, print_blob=True, derandomize="CI" in os.environ)
settings.load_profile("cloudtune")

_FOREIGN = ("AWS_", "SM_", "SAGEMAKER_", "TRAINING_JOB_", "CLOUDTUNE_", "SYNETUNE_", "MOTO_")
_OURS = "CLOUDTUNE_TOOLKIT"


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test sees the account, the region or the experiments of whoever runs it."""
    for name in list(os.environ):
        if name.startswith(_FOREIGN) and name != _OURS:
            monkeypatch.delenv(name)
    monkeypatch.setenv("CLOUDTUNE_FOLDER", str(tmp_path / "experiments"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture(autouse=True)
def at_a_terminal() -> Iterator[None]:
    """Ctrl-C means what it means there, for tests and what they start; in a shell's background it is ignored."""
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, former)
