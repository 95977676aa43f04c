"""One finished experiment for all tests that only look, and one of its own for each that doesn't."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.support import Toy, toy_in


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Toy]:
    with toy_in(tmp_path_factory.mktemp("cli") / "finished") as toy:
        toy.run()
        yield toy


@pytest.fixture
def toy(tmp_path: Path) -> Iterator[Toy]:
    with toy_in(tmp_path / "toy") as toy:
        yield toy
