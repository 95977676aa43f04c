"""What a searcher is told by its scheduler."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cloudtune.errors import OptionError
from cloudtune.trial import Mode


@dataclass(frozen=True)
class SearchProblem:
    """What is searched, and what reports will say about it.

    ``metrics``: the objective first; ``modes``: one per metric. ``resource_attr``: the metric that counts units of
    work, of a scheduler that compares trials at several resources (multi-fidelity), which run to ``max_t`` at most;
    None of one whose trials run to their end, and count by their last report.
    """

    config_space: Mapping[str, Any]
    points_to_evaluate: Sequence[Mapping[str, Any]] | None
    random_seed: int
    metrics: tuple[str, ...]
    modes: tuple[Mode, ...]
    resource_attr: str | None = None
    max_t: int | None = None

    @property
    def metric(self) -> str:
        return self.metrics[0]

    @property
    def mode(self) -> Mode:
        return self.modes[0]

    def check_space(self, config_space: Mapping[str, Any], name: str) -> None:
        """Raises ``OptionError`` if a searcher of that ``name``, made for ``config_space``, has other names to fill."""
        if set(config_space) != set(self.config_space):
            raise OptionError(
                f"the scheduler's space has {sorted(self.config_space)}, its {name}'s {sorted(config_space)}",
                "give both the same",
            )
