"""One sandbox per test module, and an environment that points to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cloudtune.sandbox import Sandbox


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@pytest.fixture
def account(sandbox: Sandbox, own_environment: None, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """The sandbox, which the environment of this test points to."""
    for name, value in sandbox.environment().items():
        monkeypatch.setenv(name, value)
    return sandbox
