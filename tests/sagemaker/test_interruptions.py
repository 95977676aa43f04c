"""Machines that are taken away from running jobs: each time is told once, and is no end."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from cloudtune.sagemaker import FLOAT, MetricDefinition
from cloudtune.sagemaker.following import FollowedAttempt
from cloudtune.sagemaker.lines import LineReader, LogLine, RegexReader, ReporterReader
from cloudtune.sagemaker.states import JobState
from cloudtune.sandbox.faults.plan import FaultPlan, RunRule
from cloudtune.trial import AttemptId, AttemptStatus, Interruption, Observation, StatusChange
from tests.sagemaker.support import attempt, in_virtual_time, on
from tests.virtual import Training

SPOT = {"EnableManagedSpotTraining": True, "StoppingCondition": {"MaxWaitTimeInSeconds": 100_000}}


def followed(reader: LineReader | None = None, older: bool = False) -> FollowedAttempt:
    stop_asked = None if older else False
    return FollowedAttempt(AttemptId(0, 0), "a-00000-0", None, reader or ReporterReader(), 0.0, stop_asked)


def described(*steps: str, status: str = "InProgress", modified: float = 0.0) -> JobState:
    transitions = [{"Status": step, "StatusMessage": f"{step} {number}"} for number, step in enumerate(steps)]
    return JobState.of(
        {
            "TrainingJobName": "a-00000-0",
            "TrainingJobStatus": status,
            "SecondaryStatus": steps[-1],
            "LastModifiedTime": modified or len(steps),
            "SecondaryStatusTransitions": transitions,
        }
    )


def numbers(observations: Any) -> list[int]:
    return [each.number for each in observations if isinstance(each, Interruption)]


@pytest.mark.parametrize(
    ("steps", "count"),
    [
        (["Starting", "Downloading", "Training", "Uploading", "Completed"], 0),
        (["Starting", "Training", "Interrupted"], 1),
        (["Starting", "Training", "Interrupted", "Starting", "Downloading", "Training"], 1),
        (["Starting", "Training", "Interrupted", "Restarting", "Training"], 1),
        (["Starting", "Training", "Interrupted", "Starting", "Restarting", "Training"], 1),
        (["Starting", "Training", "Restarting", "Training"], 1),
        (["Starting", "Training", "Interrupted", "Interrupted", "Training"], 2),
        (["Starting", "Training", "Interrupted", "Starting", "Training", "Restarting", "Training", "Completed"], 2),
    ],
)
def test_a_description_tells_all_there_were(steps: list[str], count: int) -> None:
    assert numbers(followed().take_state(described(*steps), 5.0)) == list(range(1, count + 1))


def test_each_is_counted_once_whoever_tells_of_it() -> None:
    attempt = followed()
    told: list[Observation] = []
    told += attempt.take_state(described("Training", "Interrupted"), 1.0)
    told += attempt.take_state(described("Training", "Interrupted", "Starting", "Training"), 2.0)
    told += attempt.take_lines([LogLine("1", 1.0, "x", "a-00000-0/algo-1-100")], 3.0)
    told += attempt.take_lines([LogLine("2", 2.0, "x", "a-00000-0/algo-1-200")], 4.0)
    told += attempt.take_whole_log([LogLine("3", 1.0, "x", f"a-00000-0/algo-1-{n}00") for n in (1, 2)], 5.0)
    assert numbers(told) == [1]
    told += attempt.take_lines([LogLine("4", 3.0, "x", "a-00000-0/algo-1-300")], 6.0)
    assert numbers(told) == [1, 2]
    told += attempt.take_state(described("Training", "Interrupted", "Training", "Interrupted"), 7.0)
    assert numbers(told) == [1, 2]


def test_what_was_said_of_it_is_the_reason() -> None:
    told = list(followed().take_state(described("Training", "Interrupted"), 5.0))
    assert Interruption(AttemptId(0, 0), 1, 5.0, "Interrupted 1") in told


def test_a_second_stream_tells_of_one_that_no_listing_showed_before_its_first_report() -> None:
    attempt = followed()
    lines = [
        LogLine("1", 1.0, '[tune-metric]: {"epoch": 1}', "a-00000-0/algo-1-100"),
        LogLine("2", 2.0, '[tune-metric]: {"epoch": 1}', "a-00000-0/algo-1-200"),
    ]
    kinds = [type(each).__name__ for each in attempt.take_lines(lines, 5.0)]
    assert kinds == ["StatusChange", "Report", "Interruption", "Report"]


def test_an_attempt_that_waits_for_another_machine_keeps_its_worker() -> None:
    attempt = followed()
    told: list[Observation] = list(attempt.take_state(described("Training"), 1.0))
    told += attempt.take_state(described("Training", "Interrupted"), 2.0)
    told += attempt.take_state(described("Training", "Interrupted", "Starting"), 3.0)
    statuses = [each.status for each in told if isinstance(each, StatusChange)]
    assert statuses == [AttemptStatus.RUNNING]


@pytest.mark.parametrize("secondary", ["Interrupted", "Restarting", "Starting"])
def test_a_listing_that_shows_it_makes_a_description_wanted(secondary: str) -> None:
    attempt = followed()
    wanted = []
    for state in (
        JobState("a-00000-0", "InProgress", "Training", 0.0, 1.0),
        JobState("a-00000-0", "InProgress", secondary, 0.0, 2.0),
        described("Training", secondary, modified=2.0),
    ):
        list(attempt.take_state(state, 1.0))
        wanted.append(attempt.wants_description)
    assert wanted == [False, True, False]


def test_an_adopted_attempt_is_described_for_what_happened_before() -> None:
    attempt = followed(older=True)
    list(attempt.take_state(JobState("a-00000-0", "InProgress", "Training", 0.0, 1.0), 1.0))
    assert attempt.wants_description


def test_a_counted_resource_starts_again_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    attempt = followed(RegexReader([MetricDefinition("acc", rf"acc={FLOAT}")], "acc", "epoch"))
    lines = [LogLine(f"{n}", float(n), "acc=0.5", f"a-00000-0/algo-1-{n // 3}") for n in range(5)]
    with caplog.at_level(logging.WARNING, "cloudtune"):
        reports = [each.metrics["epoch"] for each in attempt.take_lines(lines, 5.0) if hasattr(each, "metrics")]
    assert reports == [1, 2, 3, 1, 2]
    assert "counted from 1 again" in caplog.text


# -- on the sandbox --------------------------------------------------------------------------------


TWICE = FaultPlan(runs=(RunRule("interrupted", at=(250.0, 150.0), pause=60.0),))
"""After 250 seconds of training, and 150 seconds into the second run."""


def test_interrupted_twice_and_done_all_the_same() -> None:
    with in_virtual_time(Training(seconds=100.0), request=SPOT, faults=TWICE) as (sandbox, backend, _, seen):
        trial = attempt(0, x=0.5, epochs=5)
        backend.start(trial)
        seen.finish(trial)
        assert seen.interruptions(trial) == [1, 2]
        assert seen.end(trial).status is AttemptStatus.COMPLETED  # type: ignore[union-attr]
        keys = [report.key for report in seen.reports(trial)]
        assert len(set(keys)) == len(keys) >= 5
        assert seen.reports(trial)[-1].metrics["epoch"] == 5
        assert sandbox.call_counts()["sagemaker.DescribeTrainingJob"] <= 5, "no more than one per change"


def test_what_happened_between_two_looks_is_told_all_the_same() -> None:
    with in_virtual_time(Training(seconds=100.0), request=SPOT, faults=TWICE) as (_, backend, clock, seen):
        trial = attempt(0, x=0.5, epochs=5)
        backend.start(trial)
        clock.sleep(5_000)
        seen.finish(trial)
        assert seen.interruptions(trial) == [1, 2]


def test_after_a_crash_of_the_tuner_they_have_the_same_numbers() -> None:
    with in_virtual_time(Training(seconds=100.0), request=SPOT, faults=TWICE) as first:
        trial = attempt(0, x=0.5, epochs=5)
        first.backend.start(trial)
        first.seen.until(lambda: first.seen.interruptions(trial) == [1])
        second = on(first.sandbox, first.clock, request=SPOT)
        second.backend.adopt([trial])
        second.seen.wait(30)
        assert second.seen.interruptions(trial) == [1]
        second.seen.finish(trial)
        assert second.seen.interruptions(trial) == [1, 2]
        known = {report.key for report in first.seen.reports(trial)}
        assert known <= {report.key for report in second.seen.reports(trial)}
