"""One rate limit per API operation, shared by all threads of a tuner."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass

from cloudtune.clock import Clock
from cloudtune.errors import OptionError

RATES_VARIABLE = "CLOUDTUNE_API_RATES"
"""Overrides ``RATES`` for accounts whose quotas differ: ``CreateTrainingJob=5,ListTrainingJobs=2`` (per second)."""


@dataclass(frozen=True)
class Rate:
    """``per_second`` calls in the long run, ``burst`` at once after a rest."""

    per_second: float
    burst: int = 1

    def __post_init__(self) -> None:
        if self.per_second <= 0 or self.burst < 1:
            raise OptionError(f"a rate of {self.per_second} per second with a burst of {self.burst} lets nothing pass")


RATES: Mapping[str, Rate] = {
    "CreateTrainingJob": Rate(1),
    "DescribeTrainingJob": Rate(2),
    "StopTrainingJob": Rate(1),
    "UpdateTrainingJob": Rate(1),
    "ListTrainingJobs": Rate(2),
    "Search": Rate(2),
    "FilterLogEvents": Rate(5),
    "DescribeLogStreams": Rate(10, burst=10),
    "ListServiceQuotas": Rate(5, burst=5),
    "SimulatePrincipalPolicy": Rate(5, burst=5),
}
"""What AWS grants an account or less (ListTrainingJobs: 2 per second, not adjustable), without a burst where no second
may have more. Operations not named: no limit."""


def rates_of_environment() -> Mapping[str, Rate]:
    """``RATES`` with what ``CLOUDTUNE_API_RATES`` says. Raises ``OptionError`` if that can't be read."""
    text = os.environ.get(RATES_VARIABLE, "")
    rates = dict(RATES)
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = item.partition("=")
        try:
            per_second = float(value)
        except ValueError:
            raise OptionError(
                f"{RATES_VARIABLE}={text!r}: {item!r} is not <operation>=<calls per second>",
                f"for example {RATES_VARIABLE}=CreateTrainingJob=5,DescribeTrainingJob=10",
            ) from None
        rates[name.strip()] = Rate(per_second)
    return rates


class Pacer:
    """Token buckets by operation name. ``wait`` is safe to call from many threads: each waits for its own token."""

    def __init__(self, clock: Clock, rates: Mapping[str, Rate]) -> None:
        self._clock = clock
        self._rates = rates
        self._lock = threading.Lock()
        self._buckets: dict[str, tuple[float, float]] = {}

    def wait(self, operation: str) -> None:
        """Return when a call of this operation is within its rate."""
        rate = self._rates.get(operation)
        if rate is not None:
            self._clock.sleep(self._reserve(operation, rate))

    def sleep(self, seconds: float) -> None:
        self._clock.sleep(seconds)

    def _reserve(self, operation: str, rate: Rate) -> float:
        """Take a token, also one that only comes later; seconds until it is there."""
        with self._lock:
            now = self._clock.now()
            tokens, at = self._buckets.get(operation, (float(rate.burst), now))
            tokens = min(float(rate.burst), tokens + max(0.0, now - at) * rate.per_second) - 1.0
            self._buckets[operation] = (tokens, now)
            return max(0.0, -tokens / rate.per_second)
