from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("boto3", "botocore", "scipy", "pandas", "dill", "pytest", "rich")


def test_the_simulator_is_there_by_its_name() -> None:
    from cloudtune.backends import SimulatorBackend, SimulatorConfig
    from cloudtune.backends.simulator import backend, config

    assert SimulatorBackend is backend.SimulatorBackend
    assert SimulatorConfig is config.SimulatorConfig


@pytest.mark.parametrize("statement", ["import cloudtune.backends", "import cloudtune.testing"])
def test_importing_loads_nothing_heavy(statement: str) -> None:
    code = f"{statement}; import sys; print([name for name in {HEAVY} if name in sys.modules])"
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert shown.stdout.strip() == "[]"
