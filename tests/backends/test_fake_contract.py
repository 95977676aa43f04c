from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cloudtune.backends.base import TrialBackend
from cloudtune.clock import Clock, VirtualClock
from cloudtune.testing import BackendContract, FakeBackend, FakeCloud, FakeFaults, FakeTiming
from cloudtune.trial import Attempt, Config


def probe(config: Config, unit: int) -> Mapping[str, Any]:
    if config.get("behave") == "odd":
        return {"value": math.nan, "high": math.inf, "low": -math.inf}
    return {"value": config.get("base", 0.0) + unit}


def probe_faults(attempt: Attempt) -> FakeFaults:
    behave = attempt.config.get("behave")
    return FakeFaults(
        fail_at=attempt.config["at"] if behave == "fail" else None,
        crash_at_import=behave == "crash",
        silent=behave == "silent",
        ignores_stop=behave == "stubborn",
        keeps_nothing=not attempt.config["keep"],
    )


class TestFakeBackend(BackendContract):
    timing = FakeTiming(lambda config: config["seconds"])

    @pytest.fixture
    def clock(self) -> Clock:
        self.shared = VirtualClock()
        self.clouds: dict[Path, FakeCloud] = {}
        return self.shared

    def build(self, entry_point: Path, place: Path) -> TrialBackend:
        if place not in self.clouds:
            self.clouds[place] = FakeCloud(probe, "units", timing=self.timing, faults=probe_faults, clock=self.shared)
        return FakeBackend(self.clouds[place])


class TestSlowFakeBackend(TestFakeBackend):
    """A cloud where everything takes its time."""

    timing = FakeTiming(lambda config: config["seconds"], start_delay=3.0, stop_delay=2.0, log_lag=1.5, kill_after=30.0)
