"""The SageMaker backend does what every backend does."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloudtune.backends.base import TrialBackend
from cloudtune.sagemaker import TrainingJobTemplate
from cloudtune.sandbox import Sandbox
from cloudtune.testing import BackendContract
from tests.sagemaker.support import backend_of


class TestSageMakerBackend(BackendContract):
    @pytest.fixture(autouse=True)
    def _on_the_sandbox(self, account: Sandbox) -> None:
        pass

    def build(self, entry_point: Path, place: Path) -> TrialBackend:
        return backend_of(TrainingJobTemplate.script(entry_point))
