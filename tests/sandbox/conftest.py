"""One instant sandbox for all tests that don't need settings of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cloudtune.sandbox import Sandbox


@pytest.fixture(scope="package")
def shared() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox
