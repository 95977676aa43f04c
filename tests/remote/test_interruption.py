"""What the tuner's job does when it is told to end, on a tuner without trials and a clock that jumps."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cloudtune import Tuner
from cloudtune.clock import VirtualClock
from cloudtune.errors import UnreachableError
from cloudtune.remote.interruption import GRACE, LOOK_INTERVAL, LeaveTrials, StopSignals, StopWatch
from tests.remote.support import local_tuner, training_script


@dataclass
class Outside:
    """What can be seen of the world, and how often it was looked at."""

    marker: bool = False
    stopping: bool = False
    reachable: bool = True
    looks: int = field(default=0)

    def signals(self) -> StopSignals:
        return StopSignals(self.is_marked, lambda: self.stopping)

    def is_marked(self) -> bool:
        self.looks += 1
        if not self.reachable:
            raise UnreachableError("HeadObject: timed out")
        return self.marker


@dataclass
class Case:
    outside: Outside
    clock: VirtualClock
    reasons: list[str]
    watch: StopWatch

    def turn(self, seconds: float = LOOK_INTERVAL) -> None:
        """One turn of the tuner's loop, so much later."""
        self.clock.sleep(seconds)
        self.watch.on_fetch_status_results({}, [])


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bool], Case]]:
    before = signal.getsignal(signal.SIGTERM)

    def make(spot: bool) -> Case:
        outside, clock, reasons = Outside(), VirtualClock(), list[str]()
        tuner = local_tuner(training_script(tmp_path))
        tuner.clock = clock
        monkeypatch.setattr(Tuner, "request_stop", lambda self, why: reasons.append(why))
        watch = StopWatch(outside.signals(), spot)
        watch.listen()
        watch.on_tuning_start(tuner)
        return Case(outside, clock, reasons, watch)

    yield make
    signal.signal(signal.SIGTERM, before)


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_as_long_as_nobody_wants_anything_it_goes_on(case: Callable[[bool], Case]) -> None:
    running = case(False)
    for _ in range(5):
        running.turn()
    assert running.reasons == []


def test_looking_costs_little(case: Callable[[bool], Case]) -> None:
    running = case(False)
    for _ in range(30):
        running.turn(LOOK_INTERVAL / 10)
    assert running.outside.looks <= 4


@pytest.mark.parametrize("spot", [False, True])
def test_a_marker_stops_the_experiment_once(case: Callable[[bool], Case], spot: bool) -> None:
    running = case(spot)
    running.outside.marker = True
    for _ in range(3):
        running.turn()
    assert running.reasons == ["a stop was requested"]


def test_a_job_stopped_in_the_console_stops_its_trials_even_if_the_image_passes_no_signal_on(
    case: Callable[[bool], Case],
) -> None:
    running = case(False)
    running.outside.stopping = True
    running.turn()
    assert running.reasons == ["the tuner's job was told to end"]


def test_sigterm_stops_the_experiment_at_the_next_turn(case: Callable[[bool], Case]) -> None:
    running = case(False)
    terminate()
    assert running.reasons == []
    running.turn(0.1)
    assert running.reasons == ["the tuner's job was told to end"]


def test_a_spot_interruption_leaves_the_trials_running(case: Callable[[bool], Case]) -> None:
    running = case(True)
    terminate()
    with pytest.raises(LeaveTrials, match="spot"):
        running.turn(0.1)
    assert running.reasons == []


def test_a_spot_job_that_was_asked_to_stop_stops(case: Callable[[bool], Case]) -> None:
    running = case(True)
    running.outside.marker = True
    terminate()
    running.turn(0.1)
    assert running.reasons == ["a stop was requested"]


def test_a_spot_job_that_was_stopped_in_the_console_stops(case: Callable[[bool], Case]) -> None:
    running = case(True)
    running.outside.stopping = True
    terminate()
    running.turn(0.1)
    assert running.reasons == ["the tuner's job was told to end"]


def test_after_sigterm_the_time_is_used_but_not_more(case: Callable[[bool], Case]) -> None:
    running = case(False)
    terminate()
    running.turn(0.1)
    running.turn(GRACE - 1)
    with pytest.raises(LeaveTrials, match="used up"):
        running.turn(2)


def test_an_unreachable_s3_changes_nothing(case: Callable[[bool], Case], caplog: pytest.LogCaptureFixture) -> None:
    running = case(False)
    running.outside.reachable = False
    running.turn()
    assert running.reasons == []
    assert "can't see now" in caplog.text
    terminate()
    running.turn(0.1)
    assert running.reasons == ["the tuner's job was told to end"]
