"""What trials that ended early tell a model that learns from results at a higher resource."""

from __future__ import annotations

from cloudtune.searchers.levels import with_those_that_ended_below
from cloudtune.searchers.observations import Observations


def told(curves: dict[int, list[tuple[int, float]]], at_work: tuple[int, ...] = ()) -> Observations:
    observations = Observations("loss", "min", "epoch")
    for trial_id, curve in curves.items():
        observations.on_trial_add(trial_id, {"x": trial_id})
        for epoch, loss in curve:
            observations.on_result(trial_id, {"x": trial_id}, {"loss": loss, "epoch": epoch}, update=True)
        if trial_id not in at_work:
            observations.cleanup_pending(trial_id)
    return observations


CURVES = {
    0: [(1, 5.0), (3, 3.0)],
    1: [(1, 9.0)],
    2: [(1, 6.0), (3, 4.5), (9, 4.0)],
    3: [(1, 8.0), (3, 5.0)],
    4: [(1, 7.5)],
}


def learned(observations: Observations, least: int) -> tuple[dict[int, float], float | None]:
    data = with_those_that_ended_below(observations, observations.training_set(least))
    assert [config["x"] for config in data.configs] == list(data.trial_ids)
    return dict(zip(data.trial_ids, data.targets.tolist(), strict=True)), data.resource


def test_their_last_result_counts_moved_as_others_moved() -> None:
    """From 1 to 3 epochs, three trials came down by 2, 1.5 and 3."""
    assert learned(told(CURVES), 3) == ({0: 3.0, 1: 7.0, 2: 4.5, 3: 5.0, 4: 5.5}, 3.0)


def test_each_by_the_resource_it_reached() -> None:
    """From 1 to 9 epochs trial 2 came down by 2, from 3 to 9 by a half."""
    assert learned(told(CURVES), 1) == ({0: 2.5, 1: 7.0, 2: 4.0, 3: 4.5, 4: 5.5}, 9.0)


def test_trials_at_work_are_not_estimated() -> None:
    targets, _ = learned(told(CURVES, at_work=(4,)), 3)
    assert set(targets) == {0, 1, 2, 3}


def test_a_result_taken_back_counts_no_more() -> None:
    observations = told(CURVES)
    observations.remove_case(3, 3)
    assert learned(observations, 2)[0][3] == 8.0 - 1.75
    observations.remove_case(3, 1)
    assert 3 not in learned(observations, 2)[0]


def test_without_resources_nothing_changes() -> None:
    observations = Observations("loss", "min")
    observations.on_trial_add(0, {"x": 0})
    observations.on_result(0, {"x": 0}, {"loss": 1.0}, update=True)
    data = observations.training_set(1)
    assert with_those_that_ended_below(observations, data) is data
