"""Fakes of every seam, and contract suites that every implementation passes. The suites need pytest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cloudtune.testing.backend_contract import BackendContract
    from cloudtune.testing.fake_backend import FakeBackend
    from cloudtune.testing.fake_cloud import FakeCloud, FakeFailureError, FakeFaults, FakeTiming
    from cloudtune.testing.journal_contract import JournalStoreContract

_HOMES = {
    "BackendContract": "backend_contract",
    "FakeBackend": "fake_backend",
    "FakeCloud": "fake_cloud",
    "FakeFailureError": "fake_cloud",
    "FakeFaults": "fake_cloud",
    "FakeTiming": "fake_cloud",
    "JournalStoreContract": "journal_contract",
}

__all__ = [
    "BackendContract",
    "FakeBackend",
    "FakeCloud",
    "FakeFailureError",
    "FakeFaults",
    "FakeTiming",
    "JournalStoreContract",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'cloudtune.testing' has no attribute {name!r}")
    import importlib

    module = f"cloudtune.testing.{_HOMES[name]}"
    if module.endswith("_contract"):
        import pytest

        pytest.register_assert_rewrite(module)
    return getattr(importlib.import_module(module), name)
