"""The circuit breaker per kind of instances."""

from __future__ import annotations

import pytest

from cloudtune.sagemaker.capacity import FIRST_PAUSE, LONGEST_PAUSE, PROBE_LIMIT, Breakers, Instances

G5 = Instances("ml.g5.2xlarge")
FULL = "waiting for ml.g5.2xlarge: 4 of 4 in use"
NONE = "waiting for ml.g5.2xlarge: the region has none right now"


def refused(now: float = 0.0, stock: bool = False) -> Breakers:
    breakers = Breakers()
    breakers.trying(G5, now)
    breakers.refused(G5, now, NONE if stock else FULL, stock)
    return breakers


def again(breakers: Breakers, now: float, stock: bool = False) -> None:
    """A probe that is refused."""
    assert breakers.delay(G5, now) == 0
    breakers.trying(G5, now)
    breakers.refused(G5, now, NONE if stock else FULL, stock)
    breakers.undecided(G5)


def test_launches_pass_until_one_is_refused() -> None:
    breakers = Breakers()
    assert (breakers.delay(G5, 0.0), breakers.why(G5)) == (0.0, "")
    breakers = refused()
    assert (breakers.delay(G5, 0.0), breakers.why(G5)) == (FIRST_PAUSE, FULL)


@pytest.mark.parametrize("stock", [False, True], ids=["quota", "stock"])
def test_pauses_grow_with_each_refusal_up_to_a_limit(stock: bool) -> None:
    breakers, now, pauses = refused(stock=stock), 0.0, []
    for _ in range(8):
        pauses.append(breakers.delay(G5, now))
        now += pauses[-1]
        again(breakers, now, stock)
    assert pauses == [15, 30, 60, 120, 240, 300, 300, 300]
    assert max(pauses) == LONGEST_PAUSE


def test_one_launch_at_a_time_finds_out() -> None:
    breakers = refused()
    breakers.trying(G5, FIRST_PAUSE)
    assert breakers.delay(G5, FIRST_PAUSE) > 0
    breakers.undecided(G5)
    assert breakers.delay(G5, FIRST_PAUSE) == 0, "a throttle says nothing about room"


def test_what_the_service_accepts_shows_that_a_quota_has_room() -> None:
    breakers = refused()
    breakers.trying(G5, FIRST_PAUSE)
    breakers.accepted(G5, FIRST_PAUSE)
    assert (breakers.delay(G5, FIRST_PAUSE), breakers.why(G5)) == (0.0, "")


def test_a_job_of_ours_that_ends_makes_room_for_one() -> None:
    breakers = refused()
    breakers.freed(G5)
    breakers.freed(G5)
    for _ in range(2):
        assert breakers.delay(G5, 1.0) == 0
        breakers.trying(G5, 1.0)
        breakers.accepted(G5, 1.0)
    assert breakers.delay(G5, 1.0) == FIRST_PAUSE, "the quota is full again, and nobody has to ask"


def test_room_that_a_throttle_kept_from_being_used_is_still_there() -> None:
    breakers = refused()
    breakers.freed(G5)
    breakers.trying(G5, 1.0)
    breakers.undecided(G5)
    assert breakers.delay(G5, 1.0) == 0
    breakers.trying(G5, 1.0)
    breakers.accepted(G5, 1.0)
    breakers.undecided(G5)
    assert breakers.delay(G5, 1.0) > 0


def test_room_that_somebody_else_took_is_gone() -> None:
    breakers = refused()
    breakers.freed(G5)
    breakers.freed(G5)
    again(breakers, 1.0)
    assert breakers.delay(G5, 1.0) == 2 * FIRST_PAUSE


def test_stock_shows_only_when_a_job_runs() -> None:
    breakers = refused(stock=True)
    breakers.freed(G5)
    assert breakers.delay(G5, 1.0) == FIRST_PAUSE - 1.0, "what we give back isn't kept for us"
    breakers.trying(G5, FIRST_PAUSE)
    breakers.accepted(G5, FIRST_PAUSE)
    assert breakers.delay(G5, FIRST_PAUSE + 60) > 0, "it may still wait for its instances"
    breakers.running(G5)
    assert breakers.delay(G5, FIRST_PAUSE + 60) == 0


def test_a_probe_that_waits_for_very_long_keeps_nobody_any_more() -> None:
    breakers = refused(stock=True)
    breakers.trying(G5, 100.0)
    breakers.accepted(G5, 100.0)
    assert breakers.delay(G5, 100.0 + PROBE_LIMIT) == 0


def test_many_jobs_lost_together_are_one_piece_of_news() -> None:
    breakers = refused(stock=True)
    for _ in range(8):
        breakers.refused(G5, 1.0, NONE, stock=True)
    assert breakers.delay(G5, 1.0) == FIRST_PAUSE - 1.0


def test_kinds_of_instances_have_breakers_of_their_own() -> None:
    breakers = refused()
    others = [Instances("ml.g5.2xlarge", spot=True), Instances("ml.g5.2xlarge", 2), Instances("ml.g5.xlarge")]
    assert [breakers.delay(each, 0.0) for each in others] == [0.0, 0.0, 0.0]
    assert [str(each) for each in others] == ["spot ml.g5.2xlarge", "2 ml.g5.2xlarge", "ml.g5.xlarge"]
    breakers.freed(Instances("ml.g5.2xlarge", spot=True))
    assert breakers.delay(G5, 0.0) > 0
    breakers.freed(Instances("ml.g5.2xlarge", 2))
    assert breakers.delay(G5, 0.0) == 0, "room for two is room for one"
