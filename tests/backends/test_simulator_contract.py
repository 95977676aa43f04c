"""The simulator is a backend like any other."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from cloudtune.backends.base import Experiment, TrialBackend
from cloudtune.backends.simulator import Curve, SimulatorBackend, SimulatorConfig
from cloudtune.clock import Clock
from cloudtune.testing import BackendContract
from cloudtune.trial import Attempt


class ProbeCurves:
    """The probe, as its docstring says, without running it."""

    num_seeds = 1

    def check(self, experiment: Experiment) -> None:
        pass

    def curve(self, attempt: Attempt, seed: int) -> Curve:
        config = attempt.config
        behave, units, seconds = config.get("behave"), config["units"], config["seconds"]
        if behave in ("silent", "crash"):
            return Curve(
                (), (), lambda number: {}, units * seconds, "crashed" if behave == "crash" else "", bool(config["keep"])
            )
        made = config["at"] - 1 if behave == "fail" else units

        def metrics(number: int) -> dict[str, Any]:
            if behave == "odd":
                return {"value": math.nan, "high": math.inf, "low": -math.inf}
            return {"value": config.get("base", 0.0) + number + 1}

        elapsed = [seconds * (number + 1) for number in range(made)]
        failure = "it fails, as it was told to" if behave == "fail" else ""
        return Curve(range(1, made + 1), elapsed, metrics, units * seconds, failure, bool(config["keep"]))


class TestSimulatorBackend(BackendContract):
    delays = SimulatorConfig()

    @pytest.fixture
    def clock(self) -> Clock:
        self.backend = SimulatorBackend(ProbeCurves(), "epoch", simulator_config=self.delays)
        return self.backend.clock

    def build(self, entry_point: Path, place: Path) -> TrialBackend:
        return self.backend


class TestSimulatorWithoutDelays(TestSimulatorBackend):
    delays = SimulatorConfig.without_delays()


class TestSlowSimulator(TestSimulatorBackend):
    delays = SimulatorConfig(1.5, 0.7, 4.0, 30.0, 2.0)
