"""The contract between a scheduler and whatever proposes configurations."""

from __future__ import annotations

from abc import ABC, abstractmethod

from cloudtune.trial import Config, Metrics


class Searcher(ABC):
    """Proposes configurations.

    ``suggest`` has no side effect; the scheduler tells back what was launched. Random numbers for the proposal of
    trial ``n`` come from a generator seeded by (experiment seed, purpose, ``n``), so that a replay, and any order of
    arrival with the same knowledge, proposes the same.
    """

    @abstractmethod
    def suggest(self, trial_id: int) -> Config | None:
        """A complete configuration for new trial ``trial_id``, constants included; None if none is left."""

    def on_trial_add(self, trial_id: int, config: Config) -> None:
        """Trial ``trial_id`` was launched with ``config``: not to be proposed again, pending until its results come."""

    def register_pending(self, trial_id: int, resource: int | None = None) -> None:
        """A result of this trial is expected, at ``resource`` units of work for multi-fidelity schedulers."""

    def on_result(self, trial_id: int, config: Config, result: Metrics, update: bool) -> None:
        """A report; ``update`` tells whether the scheduler wants it among the data of the model."""

    def remove_case(self, trial_id: int, resource: int) -> None:
        """Take one earlier result out of the data again."""

    def cleanup_pending(self, trial_id: int) -> None:
        """No more results are expected from this trial."""

    def on_trial_error(self, trial_id: int) -> None:
        """The trial failed: its configuration is not proposed again."""
