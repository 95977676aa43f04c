"""One sandbox per test module, and an environment that points to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cloudtune.sandbox import Sandbox
from cloudtune.sandbox.settings import Delays


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """Lines take a moment to become readable, as in the cloud; a script that ignores SIGTERM is killed soon."""
    with Sandbox(delays=Delays(log_ingestion=0.05, stop_grace=0.5)) as running:
        yield running


@pytest.fixture
def account(sandbox: Sandbox, own_environment: None, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """The sandbox, which the environment of this test points to."""
    for name, value in sandbox.environment().items():
        monkeypatch.setenv(name, value)
    return sandbox


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A training script that prints its arguments and reports ``--epochs`` times."""
    path = tmp_path / "train.py"
    path.write_text(
        """
import argparse, json, sys
from cloudtune import Reporter

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=1.0)
parser.add_argument("--epochs", type=int, default=2)
args, _ = parser.parse_known_args()
print("argv:", json.dumps(sys.argv[1:]))
report = Reporter()
for epoch in range(1, args.epochs + 1):
    report(epoch=epoch, acc=args.lr * epoch)
"""
    )
    return path
