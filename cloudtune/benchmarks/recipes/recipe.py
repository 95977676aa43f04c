"""What makes a blackbox when nobody has it yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cloudtune.benchmarks.blackbox import Blackbox
from cloudtune.benchmarks.tabular import BlackboxTabular


@dataclass(frozen=True)
class TableRecipe:
    """Makes tables, by the name of their data set; they are stored. ``cite``: whose data that is."""

    name: str
    summary: str
    generate: Callable[[], Mapping[str, BlackboxTabular]]
    cite: str = ""


@dataclass(frozen=True)
class FunctionRecipe:
    """Computes its values when asked: there is nothing to store."""

    name: str
    summary: str
    make: Callable[[], Mapping[str, Blackbox]]
    cite: str = ""
