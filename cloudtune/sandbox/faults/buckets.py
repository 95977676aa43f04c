"""How often an account may call: token buckets in the sandbox's own time."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from cloudtune.sandbox.faults.plan import Throttling

# beyond those that are quotas of SageMaker
DOCUMENTED = {"logs.FilterLogEvents": 5.0, "logs.GetLogEvents": 25.0, "logs.DescribeLogStreams": 25.0}
# of floating-point seconds since the epoch
_INSTANT = 1e-5
_PREFIX, _SUFFIX = "Rate of ", " requests"


def rates_of(rule: Throttling, quotas: Mapping[str, int]) -> dict[str, float]:
    """Calls per second by "service.Operation": of the quotas' names those that are rates, and what ``rule`` says."""
    rates = {
        f"sagemaker.{name.removeprefix(_PREFIX).removesuffix(_SUFFIX)}": float(limit)
        for name, limit in quotas.items()
        if name.startswith(_PREFIX)
    }
    return {**rates, **DOCUMENTED, **rule.rates}


class Buckets:
    """One bucket per operation that has a rate. A call that is refused takes nothing out."""

    def __init__(self, rates: Mapping[str, float], burst: float) -> None:
        self._rates = rates
        self._burst = burst
        self._levels: dict[str, tuple[float, float]] = {}
        self._lock = threading.Lock()

    def take(self, operation: str, now: float) -> bool:
        """Whether ``operation`` may be called at ``now`` (seconds)."""
        rate = self._rates.get(operation)
        if rate is None:
            return True
        full = max(1.0, rate * self._burst) if rate > 0 else 0.0
        with self._lock:
            level, since = self._levels.get(operation, (full, now))
            level = min(full, level + rate * max(0.0, now - since))
            allowed = level >= 1.0 - _INSTANT
            self._levels[operation] = (level - 1.0 if allowed else level, max(now, since))
        return allowed
