"""The contract between a scheduler and whatever proposes configurations."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from cloudtune.errors import MetricError
from cloudtune.searchers.problem import SearchProblem
from cloudtune.trial import Config, Metrics


class Searcher(ABC):
    """Proposes configurations.

    ``suggest`` has no side effect; the scheduler tells back what was launched. Random numbers for the proposal of
    trial ``n`` come from a generator seeded by (experiment seed, purpose, ``n``), so that a replay, and any order of
    arrival with the same knowledge, proposes the same.
    """

    @property
    def name(self) -> str:
        """What the experiment's metadata call it."""
        return type(self).__name__

    @abstractmethod
    def suggest(self, trial_id: int) -> Config | None:
        """A complete configuration for new trial ``trial_id``, constants included; None if none is left."""

    def carried(self, trial_id: int) -> Mapping[str, Any] | None:
        """JSON that goes with the proposal just made for ``trial_id``: what a model hands to its next fit.

        It is journaled with the launch and comes back in ``on_carried``, so that warm starts, too, depend on what has
        happened and not on what was asked. A model that was not fitted hands on nothing.
        """
        return None

    def on_carried(self, trial_id: int, carried: Mapping[str, Any]) -> None:
        """What the proposal of trial ``trial_id`` handed on; comes right before its ``on_trial_add``."""

    def complaint(self) -> MetricError | None:
        """What the results so far lack, if that makes it pointless to go on: the experiment ends in order."""
        return None

    def check_fits(self, problem: SearchProblem) -> None:
        """Raises ``OptionError`` if this searcher can't work for a scheduler with this problem."""

    def on_trial_add(self, trial_id: int, config: Config) -> None:
        """Trial ``trial_id`` was launched with ``config``: not to be proposed again, pending until its results come."""

    def register_pending(self, trial_id: int, resource: int | None = None) -> None:
        """A result of this trial is expected, at ``resource`` units of work for multi-fidelity schedulers."""

    def on_result(self, trial_id: int, config: Config, result: Metrics, update: bool) -> None:
        """A report; ``update`` tells whether the scheduler wants it among the data of the model.

        Of work that a resumed trial does once more, too, without ``update``: what it costs may be of interest.
        """

    def remove_case(self, trial_id: int, resource: int) -> None:
        """Take one earlier result out of the data again."""

    def cleanup_pending(self, trial_id: int) -> None:
        """No more results are expected from this trial."""

    def on_trial_error(self, trial_id: int) -> None:
        """The trial failed: its configuration is not proposed again."""
