"""What a job's metric definitions find in its log, as the service reads it: the first group, as a number."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any


class MetricMatcher:
    """The request's ``MetricDefinitions``, compiled once."""

    def __init__(self, definitions: Sequence[Mapping[str, Any]]) -> None:
        self._patterns = [(entry["Name"], re.compile(entry["Regex"])) for entry in definitions]

    def matches(self, line: str) -> Iterator[tuple[str, float]]:
        """Metric name and value of each match in ``line``; what is no finite number is no metric."""
        for name, pattern in self._patterns:
            if pattern.groups == 0:
                continue
            for found in pattern.finditer(line):
                value = _number(found.group(1))
                if value is not None:
                    yield name, value


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text is not None else math.nan
    except ValueError:
        return None
    # CloudWatch refuses NaN and infinities, and so neither appears among the final metrics
    return value if math.isfinite(value) else None


def as_float32(value: float) -> float:
    """``value`` with the precision of the service's answers; what doesn't fit becomes the largest that does."""
    largest = 3.4028234663852886e38
    clipped = max(-largest, min(largest, value))
    return float(struct.unpack("f", struct.pack("f", clipped))[0])
