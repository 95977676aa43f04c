"""A sandbox for all tests of this room, and experiments small enough for a test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cloudtune.sandbox import Sandbox


@pytest.fixture(scope="session")
def shared_sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@pytest.fixture
def sandbox(shared_sandbox: Sandbox, own_environment: None, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """AWS, as far as this process and its children can see."""
    for name, value in shared_sandbox.environment().items():
        monkeypatch.setenv(name, value)
    return shared_sandbox
