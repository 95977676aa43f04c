"""A name that scripts for Syne Tune's simulator use."""

from __future__ import annotations

from cloudtune.callbacks.store_results import ExtraResultsComposer, StoreResultsCallback


class SimulatorCallback(StoreResultsCallback):
    """Stores results, as every tuner does by itself.

    Simulated time needs no callback here: a tuner takes its backend's clock. The name is kept for scripts that have it.
    """

    def __init__(self, extra_results_composer: ExtraResultsComposer | None = None) -> None:
        super().__init__(extra_results_composer=extra_results_composer, results_update_interval=3600.0)
