"""``early_checkpoint_removal_kwargs`` of ``HyperbandScheduler``, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from cloudtune.errors import OptionError
from cloudtune.options import nearest_name
from cloudtune.schedulers.resumption import BetaBinomialEstimator

BASELINES = ("random", "by_level")


@dataclass(frozen=True)
class EarlyCheckpointRemoval:
    """As documented at ``HyperbandRemoveCheckpointsCallback``; ``baseline`` stands for its simple alternatives."""

    max_num_checkpoints: int
    approx_steps: int = 25
    max_wallclock_time: float | None = None
    prior_beta_mean: float = 0.33
    prior_beta_size: float = 2
    min_data_at_rung: int = 5
    baseline: str | None = None

    def __post_init__(self) -> None:
        for name in ("max_num_checkpoints", "approx_steps"):
            _check_count(name, getattr(self, name), 1)
        _check_count("min_data_at_rung", self.min_data_at_rung, 0)
        seconds = self.max_wallclock_time
        if seconds is not None and (isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or seconds <= 0):
            raise OptionError(
                f"max_wallclock_time is {seconds!r}", "give seconds, or leave it to the StoppingCriterion"
            )
        if self.baseline is not None and self.baseline not in BASELINES:
            raise OptionError(f"baseline {self.baseline!r} is not known", nearest_name(str(self.baseline), BASELINES))
        BetaBinomialEstimator(self.prior_beta_mean, self.prior_beta_size)

    @classmethod
    def of(cls, given: object) -> EarlyCheckpointRemoval:
        """From the user's dict. Raises ``OptionError`` for a name that isn't known, with the nearest."""
        if not isinstance(given, Mapping):
            raise OptionError(
                f"early_checkpoint_removal_kwargs is {given!r}", 'give a dict, such as {"max_num_checkpoints": 20}'
            )
        known = [field.name for field in fields(cls)]
        for name in given:
            if name not in known:
                raise OptionError(f"early_checkpoint_removal_kwargs has {name!r}", nearest_name(str(name), known))
        if "max_num_checkpoints" not in given:
            raise OptionError(
                "early_checkpoint_removal_kwargs has no max_num_checkpoints", "say how many checkpoints may be kept"
            )
        return cls(**{str(name): value for name, value in given.items()})


def _check_count(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise OptionError(f"{name} is {value!r}", f"give a whole number of at least {least}")
