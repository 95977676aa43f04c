"""In which order observations are processed, and what has to wait for what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from cloudtune.engine.arrival import LITTLE_LAG, LONGEST_HOLD, Arrivals, LagGauge
from cloudtune.trial import AttemptId, AttemptStatus, Observation, Report, StatusChange

RUNNING, DRAINING, COMPLETED = AttemptStatus.RUNNING, AttemptStatus.DRAINING, AttemptStatus.COMPLETED


def report(trial_id: int, emitted_at: float, seen_at: float | None = None) -> Report:
    seen = emitted_at if seen_at is None else seen_at
    return Report(AttemptId(trial_id, 0), f"{trial_id}@{emitted_at:g}", {"loss": 1.0}, emitted_at, seen)


def status(trial_id: int, status: AttemptStatus, at: float = 0.0) -> StatusChange:
    return StatusChange(AttemptId(trial_id, 0), status, at)


def names(observations: Sequence[Observation]) -> list[str]:
    """Of reports "trial@emitted", of statuses "trial Status"."""
    return [
        each.key if isinstance(each, Report) else f"{each.attempt.trial_id} {each.status.value}"
        for each in observations
        if isinstance(each, (Report, StatusChange))
    ]


def arrivals(undecided: Sequence[int] = range(10), known: Sequence[str] = (), reports_lag: bool = True) -> Arrivals:
    return Arrivals(lambda id: id.trial_id in undecided, lambda report: report.key in known, reports_lag)


def quick() -> Arrivals:
    """Of an experiment of which it is known that nothing lags."""
    order = arrivals()
    for trial_id in range(1, 6):
        order.take([status(trial_id, RUNNING, 1.0), status(trial_id, COMPLETED, 2.0)], 2.0)
    return order


def running(*trials: int) -> list[Observation]:
    return [status(trial_id, RUNNING) for trial_id in trials]


# -- order -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reports_lag", [True, False])
def test_what_is_seen_together_is_processed_in_the_order_in_which_it_happened(reports_lag: bool) -> None:
    order = arrivals(reports_lag=reports_lag)
    seen = [*running(0, 1), report(0, 30), report(0, 50), report(1, 20), report(1, 40), status(1, COMPLETED, 45)]
    taken = order.take([*seen, status(0, COMPLETED, 60)], 60)
    assert names(taken)[2:] == ["1@20", "0@30", "1@40", "1 Completed", "0@50", "0 Completed"]


def test_an_attempt_keeps_the_order_of_its_backend_even_if_its_clock_jumps() -> None:
    taken = arrivals(reports_lag=False).take([report(0, 30), report(0, 10), report(1, 20)], 40)
    assert names(taken) == ["1@20", "0@30", "0@10"]


def test_simultaneous_reports_come_in_the_order_of_their_trials() -> None:
    assert names(arrivals().take([report(3, 10), report(1, 10)], 10)) == ["1@10", "3@10"]


# -- waiting -----------------------------------------------------------------------------------------------------------


def test_a_report_waits_until_every_other_running_trial_has_shown_something_younger() -> None:
    order = arrivals()
    assert names(order.take([*running(0, 1), report(0, 30)], 30)) == ["0 Running", "1 Running"]
    assert order.waiting == 1
    assert names(order.take([report(1, 20)], 50)) == ["1@20"]
    assert names(order.take([report(1, 40)], 60)) == ["0@30"]
    assert order.waiting == 1


def numbered(number: int, emitted_at: float) -> Report:
    return replace(report(0, emitted_at), metrics={"loss": 1.0, "st_worker_iter": number})


def test_reports_of_a_script_wait_for_one_before_them_that_is_missing_and_let_it_go_first() -> None:
    order = quick()  # nothing was late so far
    assert names(order.take([*running(0), numbered(0, 1000)], 1000))[1:] == ["0@1000"]
    assert order.take([numbered(2, 1020)], 1020) == order.take([numbered(3, 1030)], 1030) == []
    assert names(order.take([numbered(1, 1010)], 1040)) == ["0@1010", "0@1020", "0@1030"]
    assert order.take([numbered(5, 1050)], 1050) == []
    assert names(order.take([], 1050 + LONGEST_HOLD)) == ["0@1050"]


def test_a_script_that_starts_again_numbers_its_reports_from_0() -> None:
    order = quick()
    assert names(order.take([*running(0), numbered(0, 1000), numbered(1, 1010)], 1010))[1:] == ["0@1000", "0@1010"]
    assert names(order.take([numbered(0, 1100), numbered(1, 1110)], 1110)) == ["0@1100", "0@1110"]


def test_no_longer_than_the_limit() -> None:
    order = arrivals()
    order.take([*running(0, 1), report(0, 30)], 30)
    assert not order.take([], 30 + LONGEST_HOLD - 1)
    assert names(order.take([], 30 + LONGEST_HOLD)) == ["0@30"]


def test_nobody_waits_for_a_trial_that_has_ended_or_began_later_or_is_decided_on_or_does_not_run() -> None:
    assert names(arrivals().take([*running(0, 1), status(1, COMPLETED), report(0, 30)], 30))[-1] == "0@30"
    assert names(arrivals().take([*running(0), status(1, RUNNING, 31), report(0, 30)], 31))[-1] == "0@30"
    assert names(arrivals(undecided=[0]).take([*running(0, 1), report(0, 30)], 30))[-1] == "0@30"
    assert names(arrivals().take([*running(0), report(0, 30)], 30))[-1] == "0@30"


def test_the_end_of_a_trial_waits_behind_its_reports_but_that_its_worker_is_free_is_known_at_once() -> None:
    order = arrivals()
    seen = [*running(0, 1), report(0, 30), status(0, DRAINING, 31), status(0, COMPLETED, 31)]
    assert names(order.take(seen, 32)) == ["0 Running", "1 Running", "0 Draining"]
    assert names(order.take([report(1, 30)], 40)) == ["0@30", "1@30", "0 Completed"]


def test_at_the_end_of_the_experiment_nothing_waits() -> None:
    order = arrivals()
    order.take([*running(0, 1), report(0, 30)], 30)
    assert names(order.take([], 31, hold=False)) == ["0@30"]


def test_where_reports_do_not_lag_nothing_waits() -> None:
    assert names(arrivals(reports_lag=False).take([*running(0, 1), report(0, 30)], 30))[-1] == "0@30"


# -- how much lag is expected ------------------------------------------------------------------------------------------


def gauge_of(*lags: float, first: int = 4) -> LagGauge:
    """One report each of so many attempts, seen by looks 5 s apart."""
    gauge = LagGauge()
    for trial_id in range(first):
        gauge.runs(AttemptId(trial_id, 0))
    gauge.look([], 995.0)
    for number, lag in enumerate(lags):
        now = 1000.0 + 5 * number
        gauge.look([report(number, now - lag, now)], now)
    return gauge


def test_until_four_attempts_have_shown_their_lag_the_longest_is_expected() -> None:
    assert gauge_of(0, 0, 0).expected() == LONGEST_HOLD
    assert gauge_of(0, 0, 0, 0).expected() == 0


def test_the_first_four_to_run_are_watched_and_not_the_first_four_that_are_seen() -> None:
    gauge = gauge_of(first=4)
    gauge.look([report(trial_id, 999.0) for trial_id in (0, 1, 2, 7, 8, 9)], 1000.0)
    assert gauge.expected() == LONGEST_HOLD
    gauge.is_done(AttemptId(3, 0))
    assert gauge.expected() == 0


def test_one_of_them_that_says_nothing_is_replaced_by_many_others() -> None:
    gauge = gauge_of()
    gauge.look([report(trial_id, 999.0) for trial_id in range(1, 16)], 1000.0)
    assert gauge.expected() == LONGEST_HOLD
    gauge.look([report(16, 1004.0)], 1005.0)
    assert gauge.expected() == 0


def test_what_a_look_could_not_have_seen_is_no_lag() -> None:
    assert gauge_of(4.9, 4.9, 4.9, 4.9).expected() == 0
    assert gauge_of(5.1, 4.9, 4.9, 4.9).expected() == pytest.approx(10.2)


def test_little_lag_is_awaited_twice_and_much_lag_as_long_as_may_be() -> None:
    assert gauge_of(20, 0, 0, 0).expected() == 40
    assert gauge_of(0, 0, 0, LITTLE_LAG + 1).expected() == LONGEST_HOLD


def test_lag_is_forgotten_after_some_hundred_reports_without() -> None:
    gauge = gauge_of(100, 0, 0, 0)
    gauge.look([report(1, 1999.0 + number / 1000) for number in range(512)], 2000.0)
    assert gauge.expected() == 0


def test_what_comes_again_says_nothing_about_lag() -> None:
    old = [report(trial_id, 10.0) for trial_id in range(4)]
    order = arrivals(known=[each.key for each in old])
    order.take([*running(0, 1, 2, 3)], 1000.0)
    order.take([report(trial_id, 1004.0) for trial_id in range(4)], 1005.0)
    order.take(old, 1010.0)
    assert names(order.take([report(0, 1014.0)], 1015.0)) == ["0@1014"]
