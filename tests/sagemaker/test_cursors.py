"""Reading the two feeds: nothing lost, nothing twice, whatever pages look like."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cloudtune.sagemaker.cursors import LogCursor, StatusCursor, Window, lines_of
from cloudtune.sagemaker.lines import LogLine
from cloudtune.trial import AttemptId


def summary(name: str, modified: float, status: str = "InProgress") -> dict[str, Any]:
    moment = datetime.fromtimestamp(modified, timezone.utc)
    return {
        "TrainingJobName": name,
        "TrainingJobStatus": status,
        "CreationTime": moment,
        "LastModifiedTime": moment,
    }


def event(stream: str, at: float, identity: str = "", text: str = "x") -> dict[str, Any]:
    return {
        "logStreamName": stream,
        "timestamp": int(at * 1000),
        "eventId": identity or f"{stream}@{at}",
        "message": text,
    }


def names(cursor: StatusCursor, *jobs: str) -> list[AttemptId]:
    page = {"TrainingJobSummaries": [summary(name, 100.0) for name in jobs]}
    return [attempt for attempt, _ in cursor.take(page)]


# -- whose jobs ------------------------------------------------------------------------------------


def test_experiment_a_1_never_sees_a_10_nor_any_other_that_contains_its_name() -> None:
    others = ["a-10-00000-0", "b-a-1-00000-0", "a-1-x-00000-0", "a-1-00000", "a-1-0000-0", "a-1-00000-0-1", "a-1"]
    assert names(StatusCursor("a-1"), "a-1-00003-2", "a-1-123456-0", *others) == [AttemptId(3, 2), AttemptId(123456, 0)]
    page = {"events": [event(f"{job}/algo-1-1", 1.0) for job in ("a-1-00003-2", *others)]}
    assert [attempt for attempt, _ in lines_of(page, "a-1")] == [AttemptId(3, 2)]
    assert StatusCursor("a-1").request(None)["NameContains"] == "a-1-"
    assert LogCursor("a-1").request()["logStreamNamePrefix"] == "a-1-"


def test_of_several_instances_the_first_speaks() -> None:
    page = {"events": [event(f"a-00000-0/algo-{host}-1700000000", 1.0) for host in (1, 2, 10)]}
    assert len(list(lines_of(page, "a"))) == 1
    assert len(list(lines_of(page, "a", every_host=True))) == 3


# -- statuses --------------------------------------------------------------------------------------


def test_the_first_look_is_at_everything_and_later_ones_at_what_changed() -> None:
    cursor = StatusCursor("a", overlap=30)
    assert "LastModifiedTimeAfter" not in cursor.request(None)
    list(cursor.take({"TrainingJobSummaries": [summary("a-00000-0", 1000.0), summary("a-00001-0", 900.0)]}))
    cursor.finish()
    assert cursor.request(None)["LastModifiedTimeAfter"].timestamp() == 970.0
    assert "LastModifiedTimeAfter" not in cursor.request(None, everything=True)
    assert cursor.request(500.0)["CreationTimeAfter"].timestamp() == 500.0


def test_a_look_that_broke_off_is_repeated_from_where_it_began() -> None:
    cursor = StatusCursor("a", overlap=30)
    list(cursor.take({"TrainingJobSummaries": [summary("a-00000-0", 1000.0)]}))
    assert "LastModifiedTimeAfter" not in cursor.request(None)


def test_empty_pages_change_nothing() -> None:
    cursor = StatusCursor("a")
    assert list(cursor.take({})) == []
    assert list(cursor.take({"TrainingJobSummaries": []})) == []
    cursor.finish()
    assert "LastModifiedTimeAfter" not in cursor.request(None)


# -- log lines -------------------------------------------------------------------------------------


def test_the_log_is_read_again_from_a_little_before_the_newest_line() -> None:
    cursor = LogCursor("a", '"[tune-metric]:"', overlap=60)
    cursor.reach_back(1000.0)
    assert cursor.request()["startTime"] == 1_000_000
    assert cursor.request()["filterPattern"] == '"[tune-metric]:"'
    list(cursor.take({"events": [event("a-00000-0/algo-1-1", 1500.0), event("a-00000-0/algo-1-1", 1400.0)]}))
    assert cursor.request()["startTime"] == 1_000_000
    cursor.finish()
    assert cursor.request()["startTime"] == 1_440_000


def test_the_overlap_never_reaches_before_the_beginning() -> None:
    cursor = LogCursor("a", overlap=60)
    cursor.reach_back(1000.0)
    list(cursor.take({"events": [event("a-00000-0/algo-1-1", 1001.0)]}))
    cursor.finish()
    assert cursor.request()["startTime"] == 1_000_000


def test_an_attempt_found_later_is_read_from_its_own_beginning() -> None:
    cursor = LogCursor("a", overlap=60)
    cursor.reach_back(1000.0)
    list(cursor.take({"events": [event("a-00000-0/algo-1-1", 5000.0)]}))
    cursor.finish()
    cursor.reach_back(2000.0)
    assert cursor.request()["startTime"] == 2_000_000


def line(at: float, identity: str) -> LogLine:
    return LogLine(identity, at, "x")


def test_a_line_is_new_once_and_late_lines_are_new_within_the_overlap() -> None:
    window = Window(60)
    assert window.is_new(line(1000.0, "a"))
    assert not window.is_new(line(1000.0, "a"))
    assert window.is_new(line(950.0, "late"))
    assert not window.is_new(line(900.0, "too late, and maybe read before"))


@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 500), st.integers(0, 1000)), max_size=20).map(
            lambda batch: sorted(set(batch), key=lambda each: each[0])
        ),
        max_size=10,
    )
)
def test_no_line_is_ever_read_twice(batches: list[list[tuple[int, int]]]) -> None:
    window = Window(60)
    read = [
        (at, identity)
        for batch in batches
        for at, identity in batch
        if window.is_new(line(float(at), f"{at}-{identity}"))
    ]
    assert len(read) == len(set(read))


def test_memory_is_bounded_by_the_overlap() -> None:
    window = Window(60)
    for second in range(100_000):
        window.is_new(line(float(second), str(second)))
    assert len(window._seen) <= 240
