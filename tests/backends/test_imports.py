from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("boto3", "botocore", "scipy", "pandas", "dill", "pytest", "rich")


@pytest.mark.parametrize("statement", ["import cloudtune.backends", "import cloudtune.testing"])
def test_importing_loads_nothing_heavy(statement: str) -> None:
    code = f"{statement}; import sys; print([name for name in {HEAVY} if name in sys.modules])"
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert shown.stdout.strip() == "[]"
