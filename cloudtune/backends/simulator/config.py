"""What takes time around a trial's own work."""

from __future__ import annotations

from dataclasses import dataclass, fields

from cloudtune.options import check_seconds, named_options

DEFAULT_DELAY = 0.05


@named_options()
@dataclass(frozen=True)
class SimulatorConfig:
    """Delays in seconds.

    Raises ``OptionError`` for what is no number of seconds.
    """

    delay_on_trial_result: float = DEFAULT_DELAY
    """From a report on the worker until the tuner can see it."""
    delay_complete_after_final_report: float = DEFAULT_DELAY
    """From the last report on the worker until the tuner can see that the script has ended."""
    delay_complete_after_stop: float = DEFAULT_DELAY
    """From the arrival of a stop at the worker until the tuner can see that the script has ended."""
    delay_start: float = DEFAULT_DELAY
    """From the request until the script runs."""
    delay_stop: float = DEFAULT_DELAY
    """From the request to stop until it arrives at the worker, which works on meanwhile."""

    def __post_init__(self) -> None:
        for field in fields(self):
            check_seconds(field.name, getattr(self, field.name))

    @classmethod
    def without_delays(cls) -> SimulatorConfig:
        """A cloud that answers at once."""
        return cls(0.0, 0.0, 0.0, 0.0, 0.0)
