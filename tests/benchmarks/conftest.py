"""A sandbox for the tests that look into S3."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cloudtune.sandbox import Sandbox


@pytest.fixture(scope="module")
def running_sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@pytest.fixture
def sandbox(running_sandbox: Sandbox, own_environment: None, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """AWS, as far as this process can see."""
    for name, value in running_sandbox.environment().items():
        monkeypatch.setenv(name, value)
    return running_sandbox
