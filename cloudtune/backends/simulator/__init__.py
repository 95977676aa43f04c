"""Trials in simulated time."""

from cloudtune.backends.simulator.backend import SimulatorBackend
from cloudtune.backends.simulator.clock import SimulatorClock
from cloudtune.backends.simulator.config import SimulatorConfig
from cloudtune.backends.simulator.curves import Curve, CurveSource

__all__ = ["SimulatorBackend", "SimulatorClock", "SimulatorConfig", "Curve", "CurveSource"]
