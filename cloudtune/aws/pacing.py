"""One rate limit per API operation, shared by all threads of a tuner.

Others in the account call, too, and its limits count all calls. Whoever is throttled calls half as often from then on,
and wins back a little for each second that goes well: so several tuners come to equal shares without knowing of each
other (additive increase, multiplicative decrease: Chiu and Jain, "Analysis of the increase and decrease algorithms for
congestion avoidance in computer networks", 1989).
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass

from cloudtune.clock import Clock
from cloudtune.errors import OptionError

logger = logging.getLogger("cloudtune.aws")

RECOVERY_SECONDS = 1200.0
"""From nothing to the whole rate, if all goes well."""

SMALLEST_SHARE = 1 / 32
"""Of the rate, however often we are throttled."""

_GOLDEN = 0.6180339887498949
"""Multiples of it, whole parts left out, fall evenly between 0 and 1, however many there are."""

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


HEADROOM = 0.9
"""Of what an account is granted, so much is used by one tuner: another that comes later finds a gap to call in."""

_GRANTED = {
    "CreateTrainingJob": 1.0,
    "DescribeTrainingJob": 2.0,
    "StopTrainingJob": 1.0,
    "UpdateTrainingJob": 1.0,
    "ListTrainingJobs": 2.0,
    "Search": 2.0,
    "FilterLogEvents": 5.0,
    "DescribeLogStreams": 10.0,
    "ListServiceQuotas": 5.0,
    "SimulatePrincipalPolicy": 5.0,
}

RATES: Mapping[str, Rate] = {operation: Rate(HEADROOM * granted) for operation, granted in _GRANTED.items()}
"""Below what AWS grants an account (ListTrainingJobs: 2 per second, not adjustable), in any second; what is not named
has no limit."""


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


@dataclass
class _Pace:
    """``share``: of its rate and burst that an operation may use now. ``tokens`` below 0 are spoken for."""

    tokens: float
    at: float
    share: float = 1.0
    raised: float = 0.0
    halved: float = float("-inf")


class Pacer:
    """Token buckets by operation name. ``wait`` is safe to call from many threads: each waits for its own token."""

    def __init__(self, clock: Clock, rates: Mapping[str, Rate]) -> None:
        self._clock = clock
        self._rates = rates
        self._lock = threading.Lock()
        self._paces: dict[str, _Pace] = {}
        self._uneven = 0.0

    def wait(self, operation: str) -> None:
        """Return when a call of this operation is within its rate."""
        rate = self._rates.get(operation)
        if rate is not None:
            self._clock.sleep(self._reserve(operation, rate))

    def sleep(self, seconds: float) -> None:
        self._clock.sleep(seconds)

    def paces(self, operation: str) -> bool:
        """Whether calls of this operation have a rate."""
        return operation in self._rates

    def share(self, operation: str) -> float:
        """The part of its rate that an operation uses at most, between 0 and 1."""
        with self._lock:
            return self._paces[operation].share if operation in self._paces else 1.0

    def throttled(self, operation: str) -> None:
        """The account's limit was hit: half as many calls from now on."""
        rate = self._rates.get(operation)
        if rate is None:
            return
        with self._lock:
            now = self._clock.now()
            pace = self._pace(operation, rate, now)
            # calls that were under way together are one sign of congestion, not several
            if now - pace.halved >= 1 / rate.per_second:
                pace.share = max(SMALLEST_SHARE, pace.share / 2)
                pace.halved = pace.raised = now
            pace.tokens = min(pace.tokens, 0.0)
            allowed = rate.per_second * pace.share
        logger.debug("%s was throttled: %.3g of %.3g calls per second from now on", operation, allowed, rate.per_second)

    def succeeded(self, operation: str) -> None:
        """A call went through: a little more from now on, the same for everybody who was throttled."""
        rate = self._rates.get(operation)
        if rate is None:
            return
        with self._lock:
            now = self._clock.now()
            pace = self._pace(operation, rate, now)
            if pace.share < 1.0:
                pace.share = min(1.0, pace.share + max(0.0, now - pace.raised) / RECOVERY_SECONDS)
                pace.raised = now

    def _reserve(self, operation: str, rate: Rate) -> float:
        """Take a token, also one that only comes later; seconds until it is there."""
        with self._lock:
            pace = self._pace(operation, rate, self._clock.now())
            pace.tokens -= 1.0
            return max(0.0, self._unevenly(pace) - pace.tokens) / (rate.per_second * pace.share)

    def _unevenly(self, pace: _Pace) -> float:
        """A quarter of an interval more or less, for who is slowed down: in step with another tuner, one of them would
        always find the tokens gone. The same from run to run; on average nothing."""
        if pace.share == 1.0:
            return 0.0
        self._uneven = (self._uneven + _GOLDEN) % 1.0
        return (self._uneven - 0.5) / 2

    def _pace(self, operation: str, rate: Rate, now: float) -> _Pace:
        """With the tokens that have come by now. While it is slowed down, no burst gathers."""
        pace = self._paces.setdefault(operation, _Pace(float(rate.burst), now))
        most = float(rate.burst) if pace.share == 1.0 else 1.0
        pace.tokens = min(most, pace.tokens + max(0.0, now - pace.at) * rate.per_second * pace.share)
        pace.at = now
        return pace
