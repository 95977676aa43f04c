"""Simulated time, by hand: when everything happens, and what is reported then."""

from __future__ import annotations

import math
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from cloudtune.backends.base import Experiment
from cloudtune.backends.simulator import Curve, SimulatorBackend, SimulatorClock, SimulatorConfig
from cloudtune.backends.simulator.clock import START
from cloudtune.clock import VirtualClock
from cloudtune.errors import OptionError
from cloudtune.trial import Attempt, AttemptId, AttemptStatus, Observation, Report, StatusChange

DELAYS = SimulatorConfig(
    delay_on_trial_result=0.25,
    delay_complete_after_final_report=0.5,
    delay_complete_after_stop=1.0,
    delay_start=2.0,
    delay_stop=4.0,
)
NONE = SimulatorConfig.without_delays()


class Steady:
    """Nine epochs of ``seconds`` each, in two repetitions; ``loss`` is the epoch, plus 100 in the second repetition."""

    num_seeds = 2

    def check(self, experiment: Experiment) -> None:
        pass

    def curve(self, attempt: Attempt, seed: int) -> Curve:
        seconds = attempt.config.get("seconds", 10.0)
        elapsed = [seconds * epoch for epoch in range(1, 10)]
        return Curve(range(1, 10), elapsed, lambda number: {"loss": number + 1 + 100.0 * seed})


def opened(delays: SimulatorConfig = NONE, seed: int | None = 0, **options: Any) -> SimulatorBackend:
    backend = SimulatorBackend(
        Steady(), "epoch", "elapsed", "epochs", seed, simulator_config=delays, time_this_resource_attr="took", **options
    )
    backend.open(Experiment("by-hand", Path("nowhere")), backend.clock)
    return backend


def attempt(trial_id: int = 0, number: int = 0, **config: Any) -> Attempt:
    return Attempt(AttemptId(trial_id, number), config)


def play(backend: SimulatorBackend, until: float = math.inf) -> list[tuple[float, Any, Observation]]:
    """From event to event: (when it was seen, epoch or status, the observation); times from the beginning."""
    seen: list[tuple[float, Any, Observation]] = []
    while True:
        for each in backend.poll():
            what = each.metrics["epoch"] if isinstance(each, Report) else _status(each)
            seen.append((backend.clock.now() - START, what, each))
        following = backend.clock.next_event()
        if following == math.inf or following - START > until:
            return seen
        backend.clock.sleep(0.0)


def _status(observation: Observation) -> AttemptStatus:
    assert isinstance(observation, StatusChange)
    return observation.status


def times(seen: Sequence[tuple[float, Any, Observation]]) -> list[tuple[float, Any]]:
    return [(at, what) for at, what, _ in seen if what is not AttemptStatus.RUNNING]


def reports(seen: Sequence[tuple[float, Any, Observation]]) -> list[Report]:
    return [each for _, _, each in seen if isinstance(each, Report)]


# -- the clock ---------------------------------------------------------------------------------------------------------


def test_a_sleep_ends_with_the_first_event_that_is_not_over_by_then() -> None:
    clock = SimulatorClock()
    began = clock.now()
    clock.next_event = lambda: began + 7.0
    clock.sleep(3.0)
    assert clock.now() == began + 7.0
    clock.sleep(3.0)
    assert clock.now() == began + 10.0


def test_where_nothing_is_to_come_time_passes_all_the_same() -> None:
    clock = SimulatorClock()
    began = clock.now()
    clock.sleep(0.0)
    assert clock.now() > began
    now = clock.now()
    clock.sleep(5.0)
    assert clock.now() == now + 5.0


def test_time_stands_still_while_anybody_computes_unless_that_is_charged() -> None:
    free, charged = SimulatorClock(), SimulatorClock(charge_tuner_time=True)
    before = free.now(), charged.now()
    sum(range(100_000))
    assert free.now() == before[0]
    assert charged.now() > before[1]
    charged.forgive()
    first = charged.now()
    assert first < charged.now()


# -- one attempt -------------------------------------------------------------------------------------------------------


def test_every_delay_is_where_it_belongs() -> None:
    backend = opened(DELAYS)
    backend.start(attempt(epochs=2))
    seen = play(backend)
    # the script runs from 2 to 22 and reports at 12 and at 22
    assert times(seen) == [(12.25, 1), (22.25, 2), (22.5, AttemptStatus.COMPLETED)]
    assert [each.emitted_at - START for each in reports(seen)] == [12.0, 22.0]
    (running,) = [each for _, what, each in seen if what is AttemptStatus.RUNNING]
    assert isinstance(running, StatusChange)
    assert running.at - START == 2.0


def test_what_is_reported_until_a_stop_arrives_is_still_seen() -> None:
    backend = opened(DELAYS)
    backend.start(attempt())
    play(backend, until=12.25)
    backend.clock.sleep(7.5)  # at 22.25, the stop arrives at 26.25; the third epoch would end at 32
    backend.stop(AttemptId(0, 0))
    assert times(play(backend)) == [(22.25, 2), (27.25, AttemptStatus.STOPPED)]


def test_an_end_never_comes_before_the_last_report() -> None:
    backend = opened(SimulatorConfig(5.0, 0.5, 1.0, 0.0, 0.0))
    backend.start(attempt(epochs=1))
    assert times(play(backend)) == [(15.0, 1), (15.0, AttemptStatus.COMPLETED)]
    backend.start(attempt(1))
    play(backend, until=25.0)
    backend.clock.sleep(0.0)  # 30: the second epoch's end, at 35, is on its way
    backend.clock._now = START + 36.0
    backend.stop(AttemptId(1, 0))
    assert [what for _, what in times(play(backend))] == [1, 2, AttemptStatus.STOPPED]


def test_a_stop_before_the_script_runs_leaves_nothing_but_the_end() -> None:
    backend = opened(SimulatorConfig(0.0, 0.0, 1.0, 60.0, 2.0))
    backend.start(attempt())
    backend.stop(AttemptId(0, 0))
    assert [(at, what) for at, what, _ in play(backend)] == [(3.0, AttemptStatus.STOPPED)]


def test_a_stop_that_arrives_after_the_end_changes_nothing() -> None:
    backend = opened(DELAYS)
    backend.start(attempt(epochs=1))
    backend.clock._now = START + 9.0  # it ends at 12, the stop arrives at 13
    backend.stop(AttemptId(0, 0))
    assert times(play(backend)) == [(12.25, 1), (12.5, AttemptStatus.COMPLETED)]


def test_attempts_of_any_number_run_side_by_side() -> None:
    backend = opened()
    for trial_id in range(64):
        backend.start(attempt(trial_id, epochs=1, seconds=1.0 + trial_id))
    assert [at for at, what in times(play(backend)) if what == 1] == [1.0 + trial_id for trial_id in range(64)]


# -- pause and resume --------------------------------------------------------------------------------------------------


def test_a_resumed_trial_goes_on_where_it_was_and_its_seconds_begin_anew() -> None:
    backend = opened()
    backend.start(attempt(epochs=3))
    play(backend)
    backend.clock.sleep(70.0)  # at 100
    backend.start(attempt(0, 1, epochs=5))
    seen = play(backend)
    assert times(seen) == [(110.0, 4), (120.0, 5), (120.0, AttemptStatus.COMPLETED)]
    assert [each.metrics for each in reports(seen)] == [
        {"loss": 4.0, "epoch": 4, "elapsed": 10.0, "took": 10.0},
        {"loss": 5.0, "epoch": 5, "elapsed": 20.0, "took": 10.0},
    ]


def test_a_trial_that_was_stopped_in_the_middle_of_an_epoch_does_that_epoch_again() -> None:
    backend = opened()
    backend.start(attempt())
    play(backend, until=20.0)
    backend.clock._now = START + 27.0
    backend.stop(AttemptId(0, 0))
    assert times(play(backend)) == [(27.0, AttemptStatus.STOPPED)]
    backend.start(attempt(0, 1, epochs=3))
    assert times(play(backend)) == [(37.0, 3), (37.0, AttemptStatus.COMPLETED)]


def test_without_checkpoints_a_resumed_trial_begins_again() -> None:
    backend = opened(support_checkpointing=False)
    assert not backend.capabilities.has_checkpoints
    backend.start(attempt(epochs=2))
    play(backend)
    backend.start(attempt(0, 1, epochs=3))
    assert [what for _, what in times(play(backend))] == [1, 2, 3, AttemptStatus.COMPLETED]


def test_the_copy_of_a_running_trials_checkpoint_is_as_far_as_it_has_come() -> None:
    backend = opened()
    backend.start(attempt())
    play(backend, until=30.0)
    backend.copy_checkpoint(0, 1)
    backend.stop(AttemptId(0, 0))
    backend.start(attempt(1, 0, epochs=5, seconds=2.0))
    # the work of the target's own configuration: epochs 4 and 5, 2 seconds each
    assert [each for each in times(play(backend)) if each[0] > 30.0] == [
        (32.0, 4),
        (34.0, 5),
        (34.0, AttemptStatus.COMPLETED),
    ]


# -- seeds -------------------------------------------------------------------------------------------------------------


def _seed_of(backend: SimulatorBackend, trial_id: int, number: int = 0) -> int:
    backend.start(attempt(trial_id, number, epochs=number + 1))
    (report,) = reports(play(backend))
    return int(report.metrics["loss"] > 100)


def test_a_seed_is_drawn_per_trial_and_kept_when_it_is_resumed() -> None:
    drawn = [_seed_of(opened(seed=None), trial_id) for trial_id in range(40)]
    assert set(drawn) == {0, 1}
    backend = opened(seed=None)
    assert [_seed_of(backend, trial_id) for trial_id in range(40)] == drawn
    assert [_seed_of(backend, trial_id, 1) for trial_id in range(40)] == drawn
    other = [_seed_of(opened(seed=None, random_seed=1), trial_id) for trial_id in range(40)]
    assert other != drawn


def test_a_seed_that_is_given_is_everybodys() -> None:
    assert [_seed_of(opened(seed=1), trial_id) for trial_id in range(10)] == [1] * 10


# -- what it refuses ---------------------------------------------------------------------------------------------------


def test_it_works_with_its_own_clock_only() -> None:
    with pytest.raises(OptionError, match="not the simulator's"):
        SimulatorBackend(Steady()).open(Experiment("other", Path("nowhere")), VirtualClock())


def test_a_resource_that_trials_do_not_report_is_found_before_they_begin() -> None:
    backend = SimulatorBackend(Steady(), "epoch")
    with pytest.raises(OptionError, match="give 'epoch'"):
        backend.open(Experiment("typo", Path("nowhere"), resource_attr="epochs"), backend.clock)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": 2}, "seed=2"),
        ({"seed": -1}, "seed=-1"),
        ({"support_checkpointing": 1}, "support_checkpointing"),
        ({"simulator_config": {"delay_start": 1.0}}, "SimulatorConfig"),
        ({"tuner_sleep_time": 0}, "sleep_time of the Tuner"),
        ({"elapsed_time": "x"}, "elapsed_time_attr"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        SimulatorBackend(Steady(), "epoch", **options)


def test_delays_are_seconds() -> None:
    with pytest.raises(OptionError, match="delay_start=-1"):
        SimulatorConfig(delay_start=-1)
    with pytest.raises(OptionError, match="delay_stop"):
        SimulatorConfig(delay_stopp=1)  # type: ignore[call-arg]


# -- experiments one after the other ---------------------------------------------------------------------------------


def test_another_experiment_begins_at_the_beginning() -> None:
    backend = opened()
    backend.start(attempt(epochs=1))
    play(backend)
    backend.open(Experiment("another", Path("nowhere")), backend.clock)
    assert backend.clock.now() == START
    backend.start(attempt(epochs=1))
    assert times(play(backend)) == [(10.0, 1), (10.0, AttemptStatus.COMPLETED)]


def test_a_new_process_starts_what_ran_anew_under_the_same_keys() -> None:
    backend = opened()
    backend.start(attempt(epochs=2))
    keys = [each.key for each in reports(play(backend))]
    again: SimulatorBackend = pickle.loads(pickle.dumps(backend))
    again.open(Experiment("by-hand", Path("nowhere")), again.clock)
    again.adopt([attempt(epochs=2)])
    assert [each.key for each in reports(play(again))] == keys
