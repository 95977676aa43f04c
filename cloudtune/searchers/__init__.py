"""Pure proposals of configurations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloudtune.searchers.base import Searcher

if TYPE_CHECKING:
    from cloudtune.searchers.random_searcher import RandomSearcher

__all__ = ["Searcher", "RandomSearcher"]


def __getattr__(name: str) -> Any:
    if name == "RandomSearcher":
        from cloudtune.searchers.random_searcher import RandomSearcher

        return RandomSearcher
    raise AttributeError(f"module 'cloudtune.searchers' has no attribute {name!r}")
