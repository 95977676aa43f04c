"""What tests of tuners rely on. That the fake is a backend like any other is in ``test_fake_contract``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cloudtune.backends import Capabilities, Experiment
from cloudtune.errors import NoCapacityError, OptionError, QuotaReachedError, ThrottledError, UnreachableError
from cloudtune.testing import FakeBackend, FakeCloud, FakeFailureError, FakeFaults, FakeTiming
from cloudtune.trial import (
    Attempt,
    AttemptId,
    AttemptStatus,
    Cause,
    Config,
    Interruption,
    Observation,
    Report,
    StatusChange,
)


def curve(config: Config, unit: int) -> Mapping[str, Any]:
    return {"loss": 1 / unit}


def backend_on(cloud: FakeCloud, capabilities: Capabilities | None = None) -> FakeBackend:
    backend = FakeBackend(cloud, capabilities)
    backend.open(Experiment("fake", Path("unused")), cloud.clock)
    return backend


def attempt(trial_id: int = 0, number: int = 0, **config: object) -> Attempt:
    return Attempt(AttemptId(trial_id, number), config)


def told(observations: object) -> list[object]:
    """Units for reports, statuses for changes."""
    assert isinstance(observations, list)
    return [each.metrics["epoch"] if isinstance(each, Report) else each.status for each in observations]


def at(cloud: FakeCloud, start: float, seconds: float) -> None:
    """Let it be ``seconds`` after ``start``."""
    cloud.clock.sleep(start + seconds - cloud.clock.now())


RUNNING, STOPPING, DRAINING = AttemptStatus.RUNNING, AttemptStatus.STOPPING, AttemptStatus.DRAINING
COMPLETED, FAILED, STOPPED = AttemptStatus.COMPLETED, AttemptStatus.FAILED, AttemptStatus.STOPPED


def test_work_is_done_as_time_passes() -> None:
    cloud = FakeCloud(curve, units=3, timing=FakeTiming(seconds_per_unit=10.0, start_delay=5.0))
    backend, start = backend_on(cloud), cloud.clock.now()
    backend.start(attempt())
    assert told(backend.poll()) == []
    at(cloud, start, 5.0)
    assert told(backend.poll()) == [RUNNING]
    at(cloud, start, 14.0)
    assert told(backend.poll()) == []
    at(cloud, start, 25.0)
    assert told(backend.poll()) == [1, 2]
    at(cloud, start, 1000.0)
    news = backend.poll()
    assert told(news) == [3, COMPLETED]
    assert [each.emitted_at if isinstance(each, Report) else each.at for each in news] == [start + 35.0] * 2


def test_the_configuration_says_how_much_work_and_how_slow() -> None:
    timing = FakeTiming(lambda config: config["slow"])
    cloud = FakeCloud(curve, units="epochs", timing=timing)
    backend = backend_on(cloud)
    backend.start(attempt(0, epochs=2, slow=1.0))
    backend.start(attempt(1, epochs=9, slow=4.0))
    cloud.clock.sleep(8.0)
    news = backend.poll()
    assert told([each for each in news if each.attempt.trial_id == 0]) == [RUNNING, 1, 2, COMPLETED]
    assert told([each for each in news if each.attempt.trial_id == 1]) == [RUNNING, 1, 2]
    with pytest.raises(OptionError, match="'epochs'"):
        backend.start(attempt(2, slow=1.0))
    assert AttemptId(2, 0) not in cloud.jobs


def test_reports_that_lag_keep_the_attempt_draining() -> None:
    cloud = FakeCloud(curve, units=2, timing=FakeTiming(seconds_per_unit=1.0, log_lag=10.0))
    backend, start = backend_on(cloud), cloud.clock.now()
    backend.start(attempt())
    at(cloud, start, 2.0)
    assert told(backend.poll()) == [RUNNING, DRAINING]
    assert cloud.busy() == 0
    at(cloud, start, 11.0)
    assert told(backend.poll()) == [1]
    at(cloud, start, 12.0)
    assert told(backend.poll()) == [2, COMPLETED]


def test_work_goes_on_until_a_stop_takes_effect() -> None:
    cloud = FakeCloud(curve, units=100, timing=FakeTiming(stop_delay=3.5))
    backend = backend_on(cloud)
    backend.start(attempt())
    cloud.clock.sleep(1.0)
    backend.stop(AttemptId(0, 0))
    assert told(backend.poll()) == [RUNNING, 1, STOPPING]
    cloud.clock.sleep(100.0)
    assert told(backend.poll()) == [2, 3, 4, STOPPED]
    assert cloud.checkpoints == {0: 4}


@pytest.mark.parametrize(
    ("faults", "seen", "reason"),
    [
        (FakeFaults(crash_at_import=True), [RUNNING, FAILED], "import"),
        (FakeFaults(fail_at=3), [RUNNING, 1, 2, FAILED], "unit 3"),
        (FakeFaults(silent=True), [RUNNING, COMPLETED], ""),
    ],
)
def test_faults_happen_as_planned(faults: FakeFaults, seen: list[object], reason: str) -> None:
    cloud = FakeCloud(curve, units=5, faults=lambda attempt: faults)
    backend = backend_on(cloud)
    backend.start(attempt())
    cloud.clock.sleep(100.0)
    news = backend.poll()
    assert told(news) == seen
    ending = news[-1]
    assert isinstance(ending, StatusChange)
    assert reason in ending.reason


def test_a_curve_may_fail_or_say_nothing() -> None:
    def odd(config: Config, unit: int) -> Mapping[str, Any] | None:
        if unit == 3:
            raise FakeFailureError("diverged")
        return None if unit == 1 else {"loss": 0.0}

    cloud = FakeCloud(odd, units=5)
    backend = backend_on(cloud)
    backend.start(attempt())
    cloud.clock.sleep(100.0)
    news = backend.poll()
    assert told(news) == [RUNNING, 2, FAILED]
    assert isinstance(news[-1], StatusChange)
    assert news[-1].reason == "diverged"


def test_an_attempt_is_created_once_whoever_asks() -> None:
    cloud = FakeCloud(curve, units=3)
    first, second = backend_on(cloud), backend_on(cloud)
    assert first.start(attempt()) == first.start(attempt()) == second.start(attempt())
    assert cloud.creations == {AttemptId(0, 0): 1}
    assert cloud.calls["start"] == 3


def test_a_second_tuner_sees_only_what_it_follows_and_that_from_the_beginning() -> None:
    cloud = FakeCloud(curve, units=4)
    first = backend_on(cloud)
    for trial_id in range(2):
        first.start(attempt(trial_id))
    cloud.clock.sleep(2.0)
    first.poll()
    second = backend_on(cloud)
    cloud.clock.sleep(1.0)
    assert told(second.poll()) == []
    second.adopt([attempt(1), attempt(7)])
    assert told(second.poll()) == [RUNNING, 1, 2, 3]
    second.adopt([attempt(1)])
    cloud.clock.sleep(1.0)
    assert told(second.poll()) == [4, COMPLETED]


def test_errors_come_when_planned_and_as_often() -> None:
    cloud = FakeCloud(curve)
    backend = backend_on(cloud)
    cloud.fail_next("start", NoCapacityError("none left"), times=2)
    cloud.fail_next("poll", ThrottledError("slow down"))
    for _ in range(2):
        with pytest.raises(NoCapacityError):
            backend.start(attempt())
    assert not cloud.jobs
    backend.start(attempt())
    with pytest.raises(ThrottledError):
        backend.poll()
    assert told(backend.poll()) == [RUNNING]


def test_an_answer_can_be_lost_after_the_job_was_made() -> None:
    cloud = FakeCloud(curve)
    backend = backend_on(cloud)
    cloud.fail_next("start", UnreachableError("time-out"), after=True)
    with pytest.raises(UnreachableError):
        backend.start(attempt())
    assert cloud.creations == {AttemptId(0, 0): 1}
    backend.start(attempt())
    assert cloud.creations == {AttemptId(0, 0): 1}


def test_slots_are_a_quota() -> None:
    cloud = FakeCloud(curve, slots=1)
    backend = backend_on(cloud)
    backend.start(attempt(0))
    with pytest.raises(QuotaReachedError):
        backend.start(attempt(1))
    cloud.clock.sleep(1.0)
    backend.start(attempt(1))


def test_a_job_has_its_bill() -> None:
    cloud = FakeCloud(curve, units=2, timing=FakeTiming(seconds_per_unit=900.0, start_delay=60.0), dollars_per_hour=4.0)
    backend = backend_on(cloud)
    assert backend.start(attempt()).dollars_per_hour == 4.0
    cloud.clock.sleep(10_000.0)
    news = backend.poll()
    assert [each.metrics["st_worker_cost"] for each in news if isinstance(each, Report)] == [1.0, 2.0]
    assert isinstance(news[-1], StatusChange)
    assert news[-1].dollars == 2.0


def test_it_can_pretend_to_be_less_able() -> None:
    cloud = FakeCloud(curve, units=9)
    less = Capabilities(can_stop=False, survives_tuner=False)
    backend = backend_on(cloud, less)
    backend.start(attempt())
    backend.stop(AttemptId(0, 0))
    assert told(backend.poll()) == [RUNNING]
    later = backend_on(cloud, less)
    later.adopt([attempt()])
    assert told(later.poll()) == [RUNNING, FAILED]


def test_the_same_calls_at_the_same_times_give_the_same_answers() -> None:
    def story() -> list[Observation]:
        cloud = FakeCloud(
            curve, units="units", timing=FakeTiming(seconds_per_unit=1.0, start_delay=0.5, stop_delay=1.0, log_lag=2.0)
        )
        backend = backend_on(cloud)
        seen: list[Observation] = []
        for step in range(40):
            if step < 8:
                backend.start(attempt(step, units=3 + step % 4))
            if step == 6:
                backend.stop(AttemptId(5, 0))
            seen += backend.poll()
            cloud.clock.sleep(0.75)
        return seen

    assert story() == story()


@pytest.mark.parametrize(
    ("faults", "status", "cause"),
    [
        (FakeFaults(fail_at=2), FAILED, Cause.SCRIPT),
        (FakeFaults(crash_at_import=True), FAILED, Cause.SCRIPT),
        (FakeFaults(lost_at=2), FAILED, Cause.CAPACITY),
        (FakeFaults(service_fails_at=2), FAILED, Cause.SERVICE),
        (FakeFaults(ended_outside_at=2), STOPPED, Cause.OUTSIDE),
        (FakeFaults(), COMPLETED, Cause.NONE),
    ],
)
def test_an_end_says_whose_fault_it_was(faults: FakeFaults, status: AttemptStatus, cause: Cause) -> None:
    cloud = FakeCloud(curve, units=3, faults=lambda attempt: faults)
    backend = backend_on(cloud)
    backend.start(attempt())
    cloud.clock.sleep(10.0)
    end = backend.poll()[-1]
    assert isinstance(end, StatusChange)
    assert (end.status, end.cause) == (status, cause)


@pytest.mark.parametrize(
    ("keeps_every", "units"), [(1, [1, 2, 3, 4]), (2, [1, 2, 3, 3, 4]), (9, [1, 2, 3, 1, 2, 3, 4])]
)
def test_an_interrupted_attempt_goes_on_from_its_checkpoint(keeps_every: int, units: list[int]) -> None:
    faults = FakeFaults(interrupted_at=(4,), keeps_every=keeps_every)
    cloud = FakeCloud(curve, units=4, timing=FakeTiming(start_delay=30.0), faults=lambda attempt: faults)
    backend = backend_on(cloud)
    backend.start(attempt())
    cloud.clock.sleep(200.0)
    seen = list(backend.poll())
    reports = [each for each in seen if isinstance(each, Report)]
    assert [each.metrics["epoch"] for each in reports] == units
    assert len({each.key for each in reports}) == len(units)
    assert [each.number for each in seen if isinstance(each, Interruption)] == [1]
    assert cloud.creations[AttemptId(0, 0)] == 1


def test_lag_may_differ_from_attempt_to_attempt() -> None:
    cloud = FakeCloud(curve, units=1, timing=FakeTiming(log_lag=lambda id: 60.0 * id.trial_id))
    backend = backend_on(cloud)
    for trial_id in range(3):
        backend.start(attempt(trial_id))
    cloud.clock.sleep(70.0)
    assert {each.attempt.trial_id for each in backend.poll() if isinstance(each, Report)} == {0, 1}
    assert backend.capabilities.reports_lag
