"""What displays and criteria see."""

from __future__ import annotations

from cloudtune.engine.status import StatusKeeper, best_report, print_best_metric_found
from tests.engine.test_stopping import status


def test_counts() -> None:
    view = status()
    assert (view.num_trials_started, view.num_trials_completed, view.num_trials_failed) == (4, 1, 1)
    assert (view.num_trials_finished, view.num_trials_running, view.num_evaluations) == (3, 1, 3)
    assert view.wallclock_time == 100.0
    assert round(view.cost, 6) == 0.3
    assert str(view) == ("4 trials (1 Completed, 1 Failed, 1 InProgress, 1 Stopped), 3 reports, 100 s, 0.30 $")


def test_best_ignores_what_is_not_a_number() -> None:
    view = status()
    assert view.best() == (1, {"loss": 2.0})
    assert view.best("loss", "max") == (0, {"loss": 3.0})
    assert view.best("unheard of") is None


def test_statistics_carry_over_from_view_to_view() -> None:
    ledger = status()._ledger
    keeper = StatusKeeper(ledger)
    first, again = keeper.view(100.0), keeper.view(101.0)
    assert first.num_evaluations == again.num_evaluations == 3
    assert again.overall_metric_statistics.min_metrics == {"loss": 2.0}
    assert best_report(ledger) == (1, {"loss": 2.0})


def test_table_has_a_row_per_trial() -> None:
    frame = status().get_dataframe()
    assert list(frame["status"]) == ["Completed", "Stopped", "Failed", "InProgress"]
    assert list(frame["iter"]) == [1, 1, 0, 1]


def test_print_best_metric_found(capsys: object) -> None:
    assert print_best_metric_found(status(), ["loss"]) == (1, 2.0)
    assert print_best_metric_found(status(), ["unheard of"]) is None
