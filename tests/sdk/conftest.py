"""The real SageMaker SDKs, unmodified, on the sandbox. ``make test-sdk`` runs these in an environment for each."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from cloudtune.sandbox import Sandbox
from cloudtune.sandbox.settings import Delays

_MAJOR = {"sdk2": "2", "sdk3": "3"}


def _installed_major() -> str | None:
    """Without importing it, which takes seconds."""
    try:
        return version("sagemaker").partition(".")[0]
    except PackageNotFoundError:
        return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for mark, major in _MAJOR.items():
        if _installed_major() == major:
            continue
        missing = pytest.mark.skip(reason=f"SageMaker SDK {major} is not installed here: make test-sdk")
        for item in items:
            if item.get_closest_marker(mark):
                item.add_marker(missing)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(delays=Delays(log_ingestion=0.05, stop_grace=0.5)) as running:
        yield running


@pytest.fixture
def account(sandbox: Sandbox, own_environment: None, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """The sandbox, which the environment of this test points to."""
    for name, value in sandbox.environment().items():
        monkeypatch.setenv(name, value)
    # jobs find the Python that runs the tests
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")
    return sandbox


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A folder with a training script."""
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "train.py").write_text(
        """
import argparse, json, os, sys

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
parser.add_argument("--epochs", type=int, default=2)
args, _ = parser.parse_known_args()
print("argv:", json.dumps(sys.argv[1:]))
for epoch in range(1, args.epochs + 1):
    print(f"epoch {epoch} acc={args.lr * epoch}")
with open(os.path.join(os.environ["SM_MODEL_DIR"], "model.txt"), "w") as model:
    model.write("trained")
try:
    import cloudtune
except ImportError:
    print("no Reporter here")
else:
    print("Reporter:", os.path.abspath(cloudtune.__file__))
    report = cloudtune.Reporter()
    for epoch in range(1, args.epochs + 1):
        report(epoch=epoch, acc=args.lr * epoch)
"""
    )
    return folder
