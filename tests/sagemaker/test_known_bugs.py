"""What is known to go wrong in another tuner's SageMaker backend, one test each.

Its twelfth, minutes of start-up for each trial, is what warm pools are for.
"""

from __future__ import annotations

import json
import logging
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cloudtune.baselines import ASHA
from cloudtune.constants import MAX_METRICS_SUPPORTED_BY_SAGEMAKER
from cloudtune.engine.stopping import StoppingCriterion
from cloudtune.report import REPORT_PREFIX
from cloudtune.sagemaker import MetricDefinition
from cloudtune.sandbox import Delays, Sandbox
from cloudtune.sandbox.script import Run, Step
from cloudtune.trial import Status
from cloudtune.tuner import Tuner
from tests.sagemaker.support import Seen, attempt, in_virtual_time, on, opened
from tests.tuning import SPACE, asha
from tests.virtual import Reports, Training, jobs_of, virtual

LOG_GROUP = "/aws/sagemaker/TrainingJobs"


def printed(sandbox: Sandbox, name: str) -> list[int]:
    """Epochs that a job reported, as its log has them."""
    client = sandbox.client("logs")
    pages = client.get_paginator("filter_log_events").paginate(logGroupName=LOG_GROUP, logStreamNamePrefix=f"{name}/")
    lines = [event["message"] for page in pages for event in page["events"]]
    return [json.loads(line.removeprefix(REPORT_PREFIX))["epoch"] for line in lines]


def seen_by(tuner: Tuner) -> dict[str, list[int]]:
    """Epochs by training job, as the results have them."""
    found: dict[str, list[int]] = defaultdict(list)
    for row in tuner.ledger.rows:
        name = tuner.ledger.trials[row.trial_id].attempts[row.attempt].name
        assert name is not None
        found[name].append(row.metrics["epoch"])
    return found


def all_is_seen(sandbox: Sandbox, tuner: Tuner) -> bool:
    rows = seen_by(tuner)
    return all(rows[job["TrainingJobName"]] == printed(sandbox, job["TrainingJobName"]) for job in jobs_of(sandbox))


# -- 1, 2: a trial that is paused and resumed ------------------------------------------------------


def test_nothing_that_a_resumed_trial_reports_is_lost() -> None:
    with virtual(scheduler=asha("promotion"), stop_criterion=StoppingCriterion(max_num_trials_started=15)) as found:
        found.tuner.run()
        resumed = [trial for trial in found.tuner.ledger.trials if len(trial.attempts) > 1]
        assert resumed
        assert all_is_seen(found.sandbox, found.tuner)
        for trial in resumed:
            rows = [row.metrics["epoch"] for row in found.tuner.ledger.rows if row.trial_id == trial.trial.trial_id]
            assert rows == list(range(1, len(rows) + 1)), "each epoch once, none in between missing"


def test_work_that_a_job_still_does_after_it_was_told_to_pause_is_neither_lost_nor_hidden() -> None:
    stubborn = Training(seconds=10.0, after_stop=60.0)
    criterion = StoppingCriterion(max_num_trials_started=15)
    # no max_resource_attr: jobs don't end at a rung by themselves
    promotion = ASHA(SPACE, metric="loss", resource_attr="epoch", max_t=9, type="promotion", random_seed=7)
    with virtual(stubborn, promotion, criterion, delays=Delays(log_ingestion=20.0)) as (sandbox, tuner, _):
        tuner.run()
        assert any(row.late for row in tuner.ledger.rows)
        assert all_is_seen(sandbox, tuner)
        for trial in tuner.ledger.trials:
            rows = [row.metrics["epoch"] for row in tuner.ledger.rows if row.trial_id == trial.trial.trial_id]
            assert rows == list(range(1, len(rows) + 1)), "a resumed job goes on where the checkpoint is"


# -- 3: regular expressions that cut numbers -------------------------------------------------------


def values(definition: MetricDefinition, line: str) -> list[float]:
    return [value for _, value in definition.values(line)]


@pytest.mark.parametrize("regex", [r"loss=([0-9.]+)", r"loss=([-+]?\d\.?\d*)", r"loss=(\d+)"])
@pytest.mark.parametrize("text", ["1e-05", "12.34", "123.4", "6.02e+23"])
def test_a_group_that_ends_inside_a_number_still_gives_the_whole(regex: str, text: str) -> None:
    assert values(MetricDefinition("loss", regex), f"loss={text};") == [float(text)]


# -- 4, 5: a service that is behind, or refuses ----------------------------------------------------


def test_an_index_that_never_hears_of_a_job_is_no_reason_to_wait() -> None:
    with virtual(delays=Delays(search_index=1e9)) as (sandbox, tuner, clock):
        began = clock.now()
        tuner.run()
        assert all_is_seen(sandbox, tuner)
        assert {trial.status for trial in tuner.ledger.trials} <= {Status.completed, Status.stopped}
        assert clock.now() - began < 3600


@pytest.mark.parametrize("kind", ["throttled", "limit-exceeded", "capacity-refused", "unavailable"])
def test_a_refusal_at_a_launch_neither_fails_the_trial_nor_ends_the_experiment(kind: str) -> None:
    with virtual() as (sandbox, tuner, _):
        sandbox.fail_next("sagemaker.CreateTrainingJob", kind, times=3)
        tuner.run()
        assert all(trial.status is not Status.failed for trial in tuner.ledger.trials)
        assert len(jobs_of(sandbox)) == len(tuner.ledger.trials) >= 7


# -- 6: more jobs than workers ---------------------------------------------------------------------


def most_at_once(jobs: list[dict[str, Any]]) -> int:
    """Jobs that had not ended, at the worst moment."""
    changes = [(job["CreationTime"], 1) for job in jobs] + [(job["LastModifiedTime"], -1) for job in jobs]
    running = most = 0
    for _, change in sorted(changes):
        running += change
        most = max(most, running)
    return most


@pytest.mark.parametrize(("without_delay", "most"), [(False, 4), (True, 8)])
def test_never_more_jobs_than_workers_where_that_is_asked_for(without_delay: bool, most: int) -> None:
    slow = Delays(stopping=60.0)
    with virtual(n_workers=4, delays=slow, start_jobs_without_delay=without_delay) as (sandbox, tuner, _):
        tuner.run()
        assert most_at_once(jobs_of(sandbox)) <= most
        if without_delay:
            assert most_at_once(jobs_of(sandbox)) > 4


# -- 7: logs read again and again ------------------------------------------------------------------


def test_reading_a_log_costs_what_it_holds_and_not_its_square() -> None:
    reports = 300
    read: Counter[str] = Counter()
    with in_virtual_time(Training(seconds=10.0)) as (_, backend, _, seen):
        events = backend.aws.client("logs").meta.events
        events.register("after-call.*.FilterLogEvents", lambda parsed, **_: read.update(events=len(parsed["events"])))
        trial = attempt(0, x=0.5, epochs=reports)
        backend.start(trial)
        seen.finish(trial)
        assert len(seen.reports(trial)) == reports
        assert read["events"] < 30 * reports


# -- 8: configurations beyond SageMaker's limits ---------------------------------------------------


JSON_SCRIPT = """
import argparse, json
from cloudtune.checkpointing import add_checkpointing_to_argparse, add_config_json_to_argparse, load_config_json

parser = argparse.ArgumentParser()
add_checkpointing_to_argparse(parser)
add_config_json_to_argparse(parser)
args, _ = parser.parse_known_args()
print("config:", json.dumps(load_config_json(vars(args))))
"""


@pytest.mark.parametrize(
    ("config", "options"),
    [
        ({f"x{number}": number for number in range(150)}, {}),
        ({"text": "y" * 5000, "layers": [64, {"units": 3}]}, {}),
        ({"lr": 0.1}, {"pass_args_as_json": True}),
    ],
    ids=["many", "long", "on request"],
)
def test_a_configuration_beyond_the_limits_arrives_whole(
    account: Sandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture, config: dict[str, Any], options: dict[str, Any]
) -> None:
    path = tmp_path / "train.py"
    path.write_text(JSON_SCRIPT)
    backend = opened(path, f"json-{len(config)}", tmp_path, **options)
    trial = attempt(0, **config)
    with caplog.at_level(logging.WARNING, "cloudtune"):
        backend.start(trial)
    assert bool(caplog.records) == (not options)
    Seen(backend).finish(trial)
    line = next(line for line in backend.logs(0) if line.startswith("config: "))
    arrived = json.loads(line.removeprefix("config: "))
    assert {name: arrived[name] for name in config} == config
    assert arrived["st_checkpoint_dir"] == "/opt/ml/checkpoints"


# -- 9: money, tags, a tuner that comes back -------------------------------------------------------


def test_what_a_trial_cost_is_its_billable_time_and_its_job_says_whose_it_is() -> None:
    with virtual() as (sandbox, tuner, _):
        tuner.run()
        client = sandbox.client("sagemaker")
        for job in jobs_of(sandbox):
            given = client.list_tags(ResourceArn=job["TrainingJobArn"])["Tags"]
            tags = {tag["Key"]: tag["Value"] for tag in given}
            trial = tuner.ledger.trials[int(tags["cloudtune:trial"])]
            current = trial.attempts[int(tags["cloudtune:attempt"])]
            assert tags["cloudtune:experiment"] == "virtual"
            hours = job.get("BillableTimeInSeconds", 0) / 3600
            assert current.dollars_per_hour is not None
            assert current.dollars == pytest.approx(hours * current.dollars_per_hour)


def test_a_tuner_that_comes_back_sees_what_it_saw_and_what_it_missed() -> None:
    with in_virtual_time(Training(seconds=20.0)) as first:
        trial = attempt(0, x=0.5, epochs=30)
        first.backend.start(trial)
        first.seen.wait(200)
        second = on(first.sandbox, first.clock)
        second.backend.adopt([trial])
        second.seen.finish(trial)
        assert [report.metrics["epoch"] for report in second.seen.reports(trial)] == list(range(1, 31))
        keys = [report.key for report in second.seen.reports(trial)]
        known = [report.key for report in first.seen.reports(trial)]
        assert known == keys[: len(known)]


# -- 10: more than forty metrics -------------------------------------------------------------------


def test_a_report_of_more_metrics_than_sagemaker_draws_arrives_whole() -> None:
    def many(run: Run) -> Iterator[Step]:
        yield Reports(run.began).line({"epoch": 1, "loss": 0.5, **{f"m{n}": float(n) for n in range(60)}}, 10.0)

    with in_virtual_time(many) as (sandbox, backend, _, seen):
        trial = attempt(0)
        backend.start(trial)
        seen.finish(trial)
        (report,) = seen.reports(trial)
        assert {f"m{n}": float(n) for n in range(60)}.items() <= report.metrics.items()
        (job,) = jobs_of(sandbox)
        assert len(job["AlgorithmSpecification"]["MetricDefinitions"]) <= MAX_METRICS_SUPPORTED_BY_SAGEMAKER


# -- 11: names that begin like others --------------------------------------------------------------


def test_experiments_and_trials_whose_names_begin_alike_are_not_mixed_up() -> None:
    names = ["a-1", "a-10", "a", "a-1-00000"]
    with in_virtual_time(Training(seconds=20.0)) as (sandbox, _, clock, _):
        everyone = [on(sandbox, clock, name=name) for name in names]
        trials = [attempt(number, x=0.5, epochs=3 + number % 7) for number in (1, 10, 100, 10_000)]
        for one in everyone:
            for trial in trials:
                one.backend.start(trial)
        for one in everyone:
            one.seen.finish(*trials)
            assert {each.attempt for each in one.seen.all} == {trial.id for trial in trials}
            for trial in trials:
                assert [report.metrics["epoch"] for report in one.seen.reports(trial)] == list(
                    range(1, trial.config["epochs"] + 1)
                )
                assert len(list(one.backend.logs(trial.id.trial_id))) == trial.config["epochs"]


def test_more_streams_than_a_page_of_them_holds() -> None:
    with in_virtual_time(Training(seconds=20.0)) as (_, backend, _, seen):
        trials = [attempt(number, x=0.5, epochs=2) for number in range(120)]
        for trial in trials:
            backend.start(trial)
        seen.finish(*trials)
        assert all([report.metrics["epoch"] for report in seen.reports(trial)] == [1, 2] for trial in trials)
