"""What plots show, as numbers."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from cloudtune.results.curves import best_so_far, learning_curves, numbers_only

RESULTS = pd.DataFrame(
    {
        "trial_id": [0, 1, 0, 1, 2, 0],
        "epoch": [1, 1, 2, 2, 1, 2],
        "loss": [3.0, 5.0, 2.0, math.nan, math.inf, 1.0],
        "st_status": ["InProgress", "InProgress", "InProgress", "Stopped", "Failed", "Completed"],
        "st_tuner_time": [1.0, 2.0, 4.0, 3.0, 5.0, 6.0],
    }
)


@pytest.mark.parametrize(
    ("mode", "seconds", "values"),
    [("min", [1, 2, 4, 6], [3, 3, 2, 1]), ("max", [1, 2, 4, 6], [3, 5, 5, 5])],
)
def test_best_so_far_is_monotone_in_time(mode: str, seconds: list[float], values: list[float]) -> None:
    best = best_so_far(RESULTS, "loss", "min" if mode == "min" else "max")
    np.testing.assert_array_equal(best.seconds, seconds)
    np.testing.assert_array_equal(best.values, values)
    np.testing.assert_array_equal(best.observed[:, 1], [3, 5, 2, 1])


def test_learning_curves_run_over_the_resource_and_keep_the_later_of_two_reports() -> None:
    curves = {curve.trial_id: curve for curve in learning_curves(RESULTS, "loss", "epoch")}
    np.testing.assert_array_equal(curves[0].resource, [1, 2])
    np.testing.assert_array_equal(curves[0].values, [3.0, 1.0])
    assert curves[0].status == "Completed"
    np.testing.assert_array_equal(curves[1].values, [5.0])


def test_without_a_resource_reports_are_counted() -> None:
    (curve, *_) = learning_curves(RESULTS, "loss", None)
    np.testing.assert_array_equal(curve.resource, [1, 2, 3])


def test_work_that_was_done_once_more_is_left_out() -> None:
    frame = RESULTS.assign(repeated=[False, False, False, False, False, True])
    assert list(numbers_only(frame, "loss")["loss"]) == [3.0, 5.0, 2.0]


def test_what_is_no_finite_number_is_left_out() -> None:
    frame = pd.DataFrame({"trial_id": [0, 0, 0], "loss": ["1e-05", "n/a", None]})
    assert list(numbers_only(frame, "loss")["loss"]) == [1e-05]
    assert numbers_only(frame, "unheard of").empty
