"""Lines that come late, twice and in odd pages: all of them come, and when is the plan's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cloudtune.sandbox import FaultPlan, Sandbox
from cloudtune.sandbox.faults.plan import LogRule, Pages
from cloudtune.sandbox.script import Line, Run, Step
from tests.sandbox.here import Here, here_with
from tests.sandbox.support import GROUP, client, create, lines_of, wait_for_end

Event = dict[str, Any]


def talking(run: Run) -> Iterator[Step]:
    for number in range(30):
        yield Line(f"{run.job_name} {number}", after=10.0)


def messages(here: Here) -> list[str]:
    return [event["message"] for event in here.events()]


def arrivals(here: Here, name: str) -> list[float]:
    """How much later than it was printed each line can be read, in seconds."""
    found = here.events(logStreamNamePrefix=f"{name}/")
    return [(event["ingestionTime"] - event["timestamp"]) / 1000 for event in found]


@contextmanager
def world(rule: LogRule = LogRule(), seed: int = 0, **parts: Any) -> Iterator[Here]:  # noqa: B008 - it is frozen
    with here_with(jobs=talking, faults=FaultPlan(seed=seed, logs=rule, **parts)) as here:
        yield here


# -- late --------------------------------------------------------------------------------------------------------------


def test_late_lines_are_readable_minutes_after_their_neighbours() -> None:
    with world(LogRule(late=180.0, late_lines=0.3)) as here:
        here.create("job")
        here.until(305.0)
        early = messages(here)
        assert 0 < len(early) < 30
        here.until(600.0)
        # where they belong, by time: behind a reader who has gone on
        assert messages(here) == [f"job {number}" for number in range(30)]
        late = [seconds for seconds in arrivals(here, "job") if seconds > 0]
        assert len(late) == here.sandbox.faults_injected()["late-line"]
        assert 3 <= len(late) <= 16
        assert all(90.0 <= seconds <= 180.0 for seconds in late)
        assert len(set(late)) > 1


def test_streams_are_out_of_order_with_each_other() -> None:
    """What one job printed first can be read after what another one printed later."""
    with world(LogRule(late=180.0, late_streams=0.5)) as here:
        names = [f"job-{number}" for number in range(6)]
        for name in names:
            here.create(name)
        here.until(1000.0)
        lags = {name: set(arrivals(here, name)) for name in names}
        assert all(len(found) == 1 for found in lags.values())
        assert len(set.union(*lags.values())) > 2


def test_the_same_lines_are_late_whoever_prints_first() -> None:
    seen = []
    for names in (["a", "b", "c"], ["c", "b", "a"]):
        with world(LogRule(late=60.0, late_lines=0.5, duplicated=0.2)) as here:
            for name in names:
                here.create(name)
            here.until(1000.0)
            seen.append({name: arrivals(here, name) for name in names})
    assert seen[0] == seen[1]
    with world(LogRule(late=60.0, late_lines=0.5, duplicated=0.2), seed=1) as here:
        here.create("a")
        here.until(1000.0)
        assert arrivals(here, "a") != seen[0]["a"]


# -- twice -------------------------------------------------------------------------------------------------------------


def test_a_doubled_line_has_the_same_moment_and_another_id() -> None:
    with world(LogRule(duplicated=0.3, again_after=50.0)) as here:
        here.create("job")
        here.until(300.0)
        first = messages(here)
        here.until(1000.0)
        events = here.events()
        doubled = here.sandbox.faults_injected()["duplicated-line"]
        assert len({event["eventId"] for event in events}) == len(events) == 30 + doubled
        assert 3 <= doubled <= 16
        assert len(first) < len(events)
        moments: dict[str, set[int]] = {}
        for event in events:
            moments.setdefault(event["message"], set()).add(event["timestamp"])
        assert len(moments) == 30
        assert all(len(found) == 1 for found in moments.values())
        page = here.logs.get_log_events(logGroupName=GROUP, logStreamName=events[0]["logStreamName"])
        assert len(page["events"]) == len(events)


def test_a_page_begins_with_the_end_of_the_one_before_under_the_same_ids() -> None:
    with world(LogRule(repeated=0.5), pages=Pages(events=4)) as here:
        here.create("job")
        here.until(1000.0)
        events = here.events()
        repeated = here.sandbox.faults_injected()["repeated-page"]
        assert repeated > 0
        ids = Counter(event["eventId"] for event in events)
        assert len(ids) == 30
        assert sum(ids.values()) == 30 + repeated


def test_newest_first_pages_are_repeated_too() -> None:
    with world(LogRule(repeated=1.0), pages=Pages(events=4)) as here:
        here.create("job")
        here.until(1000.0)
        ids = Counter(event["eventId"] for event in here.events(startFromHead=False))
        assert len(ids) == 30
        assert max(ids.values()) == 2


# -- pages -------------------------------------------------------------------------------------------------------------


def test_a_page_is_empty_though_its_token_goes_on() -> None:
    with world(LogRule(empty_pages=0.5), pages=Pages(events=5)) as here:
        here.create("job")
        here.until(1000.0)
        pages = [*here.logs.get_paginator("filter_log_events").paginate(logGroupName=GROUP)]
        empty = [page for page in pages if not page["events"]]
        assert len(empty) == here.sandbox.faults_injected()["empty-page"] > 0
        assert all("nextToken" in page for page in empty)
        assert [event["message"] for page in pages for event in page["events"]] == [f"job {n}" for n in range(30)]


def test_a_first_page_is_empty_and_keeps_to_its_times() -> None:
    with world(LogRule(empty_pages=0.9)) as here:
        here.create("job")
        here.until(1000.0)
        begin = int((here.begin + 100) * 1000)
        for options in ({"startTime": begin}, {"startTime": begin, "startFromHead": False}):
            messages = [event["message"] for event in here.events(**options)]
            assert sorted(messages) == sorted(f"job {number}" for number in range(9, 30))


def test_events_come_in_small_pages() -> None:
    with world(pages=Pages(events=7)) as here:
        here.create("job")
        here.until(1000.0)
        pages = [*here.logs.get_paginator("filter_log_events").paginate(logGroupName=GROUP)]
        assert [len(page["events"]) for page in pages if page["events"]] == [7, 7, 7, 7, 2]
        assert here.sandbox.faults_injected() == {"small-page": 4}
        stream = pages[0]["events"][0]["logStreamName"]
        page = here.logs.get_log_events(logGroupName=GROUP, logStreamName=stream, startFromHead=True)
        assert [event["message"] for event in page["events"]] == [f"job {number}" for number in range(7)]


def test_real_lines_are_late_and_doubled_too() -> None:
    rule = LogRule(late=600.0, late_lines=0.5, duplicated=0.5)
    with Sandbox(faults=FaultPlan(logs=rule)) as sandbox:
        create(sandbox, "real", "for n in range(20): print(n)")
        wait_for_end(sandbox, "real")
        injected = sandbox.faults_injected()
        readable = lines_of(sandbox, "real")
        assert len(set(readable)) == 20 - injected["late-line"]
        assert len(readable) > len(set(readable))
        streams = client(sandbox, "logs").describe_log_streams(logGroupName=GROUP)["logStreams"]
        assert len(streams) == 1
