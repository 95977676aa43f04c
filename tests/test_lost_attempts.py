"""What the cloud takes away costs time, never a trial; what a script does wrong costs one, unless the user says not."""

from __future__ import annotations

import io
import logging
import math
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from cloudtune.callbacks.status_view import status_table
from cloudtune.engine.policies import CAPACITY_LOSSES_IN_A_ROW, SERVICE_FAILURES_IN_A_ROW
from cloudtune.engine.stopping import StoppingCriterion
from cloudtune.errors import ExperimentFailedError, MetricError, OptionError
from cloudtune.journal import events as ev
from cloudtune.testing.fake_cloud import FakeCloud, FakeFaults, FakeTiming
from cloudtune.trial import Attempt, AttemptId, Config, Status
from cloudtune.tuner import Tuner
from tests.engine.scripted import Scripted
from tests.tuning import KeptJournal, asha, curve, tuner_on


def cloud_of(faults: Callable[[Attempt], FakeFaults], **options: Any) -> FakeCloud:
    return FakeCloud(options.pop("curve", curve), options.pop("units", 5), faults=faults, **options)


def only_first(**faults: Any) -> Callable[[Attempt], FakeFaults]:
    """The first attempt of each trial has these faults, the others none."""
    return lambda attempt: FakeFaults(**faults) if attempt.id.number == 0 else FakeFaults()


def events_of(tuner: Tuner, kind: type[Any]) -> list[Any]:
    return [event for event in tuner.storage.journal(tuner.tuner_path).read() if isinstance(event, kind)]


def run(cloud: FakeCloud, scheduler: Scripted | None = None, **options: Any) -> Tuner:
    options.setdefault("max_failures", 0)
    tuner = tuner_on(cloud, scheduler or Scripted(size=2, resource_attr="epoch"), **options)
    tuner.run()
    return tuner


# -- lost by the cloud -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["lost_at", "service_fails_at"])
def test_what_the_cloud_loses_goes_on_in_another_attempt_and_its_scheduler_hears_nothing(fault: str) -> None:
    scheduler = Scripted(size=2, resource_attr="epoch")
    tuner = run(cloud_of(only_first(**{fault: 3})), scheduler)
    assert [trial.status for trial in tuner.ledger.trials] == [Status.completed] * 2
    assert [len(trial.attempts) for trial in tuner.ledger.trials] == [2, 2]
    assert tuner.tuning_status.num_trials_failed == 0
    assert scheduler.told.count(("result", 0)) == 5
    assert {what for what, _ in scheduler.told} == {"add", "result", "complete"}


def test_a_relaunch_keeps_configuration_and_checkpoint() -> None:
    cloud = cloud_of(only_first(lost_at=3))
    tuner = run(cloud)
    first, second = (cloud.jobs[AttemptId(0, number)] for number in (0, 1))
    assert first.attempt.config == second.attempt.config
    assert [row.metrics["epoch"] for row in tuner.ledger.rows if row.trial_id == 0] == [1, 2, 3, 4, 5]


def test_a_lost_attempt_whose_trial_was_to_stop_or_to_pause_is_not_launched_again() -> None:
    for say, status in (("STOP", Status.stopped), ("PAUSE", Status.paused)):
        cloud = FakeCloud(
            lambda config, unit, say=say: {"loss": 1.0, "say": say if unit == 2 else "CONTINUE"},  # type: ignore[misc]
            9,
            timing=FakeTiming(stop_delay=5.0),
            faults=only_first(lost_at=4),
        )
        tuner = run(cloud, tuner_name=f"bench-{say}".lower())
        assert [trial.status for trial in tuner.ledger.trials] == [status] * 2
        assert [len(trial.attempts) for trial in tuner.ledger.trials] == [1, 1]


def test_pauses_before_a_relaunch_grow_and_are_visible() -> None:
    waiting: set[str] = set()

    class Looking(Scripted):
        def suggest(self, trial_id: int) -> Any:
            return super().suggest(trial_id)

    def watched(status: Any) -> bool:
        waiting.update(status.waiting())
        return False

    cloud = cloud_of(lambda attempt: FakeFaults(lost_at=1 if attempt.id.number < 6 else None))
    tuner = run(cloud, Looking(size=1, resource_attr="epoch"), stop_criterion=watched)
    launches = events_of(tuner, ev.LaunchIntended)
    assert [event.not_before - event.at for event in launches[1:]] == [30, 60, 120, 240, 300, 300]
    assert waiting == {"again after: CapacityError: no machine left"}
    assert "Completed" in str(tuner.tuning_status)


def test_while_it_waits_a_lost_trial_keeps_its_worker() -> None:
    tuner = run(cloud_of(only_first(lost_at=2)), Scripted(size=3, resource_attr="epoch"), n_workers=1)
    order = [(event.trial_id, event.attempt) for event in events_of(tuner, ev.LaunchIntended)]
    assert order == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]


@pytest.mark.parametrize(
    ("fault", "limit"), [("service_fails_at", SERVICE_FAILURES_IN_A_ROW), ("lost_at", CAPACITY_LOSSES_IN_A_ROW)]
)
def test_a_trial_that_is_lost_again_and_again_without_getting_on_has_failed(fault: str, limit: int) -> None:
    cloud = cloud_of(lambda attempt: FakeFaults(**{fault: 3}))  # type: ignore[arg-type]
    tuner = run(cloud, Scripted(size=1, resource_attr="epoch"), max_failures=1)
    assert len(tuner.ledger.trials[0].attempts) == limit
    assert f"for the {limit}th time in a row without a new report" in tuner.ledger.trials[0].reason


def test_a_trial_that_gets_on_may_be_lost_as_often_as_the_cloud_likes() -> None:
    cloud = cloud_of(lambda attempt: FakeFaults(service_fails_at=attempt.id.number + 2), units=20)
    tuner = run(cloud, Scripted(size=1, resource_attr="epoch"))
    assert tuner.ledger.trials[0].status is Status.completed
    assert len(tuner.ledger.trials[0].attempts) == 20


def test_at_the_end_of_the_experiment_a_lost_trial_is_stopped_and_not_failed() -> None:
    cloud = cloud_of(lambda attempt: FakeFaults(lost_at=2), units=100)
    tuner = run(cloud, stop_criterion=StoppingCriterion(max_wallclock_time=10))
    assert [trial.status for trial in tuner.ledger.trials] == [Status.stopped] * 2
    assert set(cloud.creations) == {AttemptId(0, 0), AttemptId(1, 0)}
    assert tuner.ledger.finished


def test_one_that_is_ended_by_somebody_else_is_stopped_and_that_is_said(caplog: pytest.LogCaptureFixture) -> None:
    tuner = run(cloud_of(only_first(ended_outside_at=2)))
    assert [trial.status for trial in tuner.ledger.trials] == [Status.stopped] * 2
    assert "trial 0 was ended, though not by this tuner: stopped by somebody else" in caplog.text


# -- the script's own failures -----------------------------------------------------------------------------------------


def test_a_script_that_fails_is_tried_again_as_often_as_the_user_says() -> None:
    twice = cloud_of(lambda attempt: FakeFaults(fail_at=3 if attempt.id.number < 2 else None))
    tuner = run(twice, max_retries_per_trial=2)
    assert [trial.status for trial in tuner.ledger.trials] == [Status.completed] * 2
    assert [event.not_before - event.at for event in events_of(tuner, ev.LaunchIntended)[2:]] == [0.0] * 4

    always = cloud_of(lambda attempt: FakeFaults(fail_at=3))
    with pytest.raises(ExperimentFailedError, match=r"trial 0: fails in unit 3, as planned \(and so did 2 retries\)"):
        run(always, max_retries_per_trial=2, tuner_name="other")
    assert max(attempt.number for attempt in always.jobs) == 2


def test_a_resume_with_other_policies_changes_nothing_that_has_happened() -> None:
    cloud, storage = cloud_of(only_first(fail_at=3)), KeptJournal()
    first = run(cloud, Scripted(size=2), storage=storage, max_retries_per_trial=1)
    again = tuner_on(cloud, Scripted(size=2), storage=storage, max_retries_per_trial=0, max_failures=0)
    again.run()
    assert [trial.status for trial in again.ledger.trials] == [Status.completed] * 2
    assert again.ledger.rows == first.ledger.rows


@pytest.mark.parametrize(("option", "value"), [("max_retries_per_trial", -1), ("trial_without_metric", "ignored")])
def test_policies_that_make_no_sense_are_refused(option: str, value: object) -> None:
    with pytest.raises(OptionError, match=f"{option}={value!r}"):
        tuner_on(cloud_of(only_first()), **{option: value})  # type: ignore[arg-type]


# -- interruptions and repeated work -----------------------------------------------------------------------------------


def test_an_interruption_is_neither_a_failure_nor_an_attempt() -> None:
    scheduler = Scripted(size=2, resource_attr="epoch")
    tuner = run(cloud_of(lambda attempt: FakeFaults(interrupted_at=(2, 4))), scheduler)
    assert [len(trial.attempts) for trial in tuner.ledger.trials] == [1, 1]
    assert [trial.current.interruptions for trial in tuner.ledger.trials] == [2, 2]
    status = tuner.tuning_status
    assert status.num_interruptions == 4
    assert "interrupted 4 times" in str(status)
    assert list(status.get_dataframe()["interruptions"]) == [2, 2]
    shown = io.StringIO()
    Console(file=shown, width=120).print(status_table(status, "trials"))
    assert shown.getvalue().count("Completed (interrupted 2x)") == 2
    assert scheduler.told.count(("result", 0)) == 5


@pytest.mark.parametrize("fault", [{"interrupted_at": (4,)}, {"lost_at": 4}], ids=["interrupted", "lost"])
def test_work_that_is_done_once_more_is_kept_and_marked_and_counts_once(fault: dict[str, Any]) -> None:
    scheduler = Scripted(size=1, resource_attr="epoch")
    tuner = run(cloud_of(only_first(keeps_every=2, **fault)), scheduler)
    rows = [(row.metrics["epoch"], row.repeated) for row in tuner.ledger.rows]
    assert rows == [(1, False), (2, False), (3, False), (3, True), (4, False), (5, False)]
    assert scheduler.told.count(("result", 0)) == 5
    assert tuner.tuning_status.num_evaluations == 5
    assert tuner.tuning_status.num_started_over == 0


def test_a_better_value_at_the_second_try_of_the_same_work_is_not_the_best() -> None:
    tried = []

    def lucky(config: Config, unit: int) -> dict[str, float]:
        tried.append(unit)
        return {"loss": 0.0 if tried.count(3) == 2 and unit == 3 else 1.0 / unit}

    tuner = run(cloud_of(only_first(keeps_every=2, interrupted_at=(4,)), curve=lucky), Scripted(1, "epoch"))
    best = tuner.tuning_status.best()
    assert tried.count(3) == 2
    assert best is not None
    assert best[1]["epoch"] == 5


@pytest.mark.parametrize("fault", [{"interrupted_at": (4,)}, {"lost_at": 4}], ids=["interrupted", "lost"])
def test_a_trial_that_starts_again_from_scratch_is_reported_loudly_once(
    fault: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        tuner = run(cloud_of(only_first(keeps_nothing=True, **fault)), Scripted(1, "epoch"))
    assert tuner.tuning_status.num_started_over == 1
    assert "1 starts from scratch" in str(tuner.tuning_status)
    said = [record.message for record in caplog.records if "starts again from scratch" in record.message]
    assert len(said) == 1
    assert "trial 0 starts again from scratch in attempt" in said[0]
    assert "had come to epoch 3" in said[0]
    assert "cloudtune.checkpointing" in said[0]


def test_it_is_reported_for_schedulers_without_a_resource_too(caplog: pytest.LogCaptureFixture) -> None:
    cloud = cloud_of(only_first(keeps_nothing=True, interrupted_at=(4,)))
    tuner = run(cloud, Scripted(1))
    assert tuner.tuning_status.num_started_over == 1
    assert "trial 0 starts again from scratch in attempt 0 although it had reported before" in caplog.text


def test_a_paused_trial_that_starts_again_from_scratch_is_reported_too(caplog: pytest.LogCaptureFixture) -> None:
    cloud = FakeCloud(curve, "epochs", faults=lambda attempt: FakeFaults(keeps_nothing=True))
    tuner = tuner_on(cloud, asha("promotion"), StoppingCriterion(max_num_trials_started=8))
    tuner.run()
    resumed = [trial for trial in tuner.ledger.trials if len(trial.attempts) > 1]
    assert resumed
    assert tuner.tuning_status.num_started_over == sum(len(trial.attempts) - 1 for trial in resumed)
    assert caplog.text.count("starts again from scratch") == tuner.tuning_status.num_started_over


def test_without_a_resource_reports_count_as_they_come() -> None:
    scheduler = Scripted(size=1)
    tuner = run(cloud_of(only_first(keeps_every=2, interrupted_at=(4,))), scheduler)
    assert not any(row.repeated for row in tuner.ledger.rows)
    assert scheduler.told.count(("result", 0)) == 6


# -- metrics that are missing, or no numbers ---------------------------------------------------------------------------


def test_a_trial_without_its_metric_may_count_as_completed() -> None:
    scheduler = Scripted(size=3)
    silent = cloud_of(lambda attempt: FakeFaults(silent=attempt.id.trial_id == 0))
    tuner = run(silent, scheduler, trial_without_metric="completed")
    assert [trial.status for trial in tuner.ledger.trials] == [Status.completed] * 3
    assert tuner.tuning_status.num_trials_failed == 0
    assert [what for what, trial_id in scheduler.told if trial_id == 0] == ["add", "remove"]


def test_by_default_it_counts_as_failed() -> None:
    silent = cloud_of(lambda attempt: FakeFaults(silent=attempt.id.trial_id == 0))
    tuner = run(silent, Scripted(size=3), max_failures=1)
    assert tuner.ledger.trials[0].status is Status.failed


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("kind", ["stopping", "promotion"])
def test_what_is_no_finite_number_is_never_the_best_and_crashes_nobody(odd: float, kind: str) -> None:
    def sometimes(config: Config, epoch: int) -> dict[str, float]:
        return {"loss": odd} if config["n"] % 2 else curve(config, epoch)

    cloud = FakeCloud(sometimes, "epochs")
    criterion = StoppingCriterion(
        max_num_trials_started=11, min_metric_value={"loss": -1e9}, max_metric_value={"loss": 1e9}
    )
    tuner = tuner_on(cloud, asha(kind), criterion, max_failures=0)
    tuner.run()
    assert any(trial.trial.config["n"] % 2 for trial in tuner.ledger.trials)
    assert tuner.tuning_status.num_trials_started == 12
    trial_id, _ = tuner.best_config()
    assert tuner.ledger.trials[trial_id].trial.config["n"] % 2 == 0


def test_an_experiment_of_nothing_but_nan_has_no_best() -> None:
    tuner = tuner_on(FakeCloud(lambda config, epoch: {"loss": math.nan}, "epochs"))
    tuner.run()
    with pytest.raises(MetricError, match="carries 'loss' as a finite number"):
        tuner.best_config()


def test_a_threshold_for_a_metric_that_nobody_reports_is_noticed(caplog: pytest.LogCaptureFixture) -> None:
    criterion = StoppingCriterion(max_num_trials_started=11, max_metric_value={"acuracy": 0.9, "loss": 1e9})
    tuner_on(FakeCloud(curve, "epochs"), stop_criterion=criterion).run()
    said = [record.message for record in caplog.records if "threshold" in record.message]
    assert len(said) == 1
    assert "threshold for 'acuracy', which none of" in said[0]
    assert "'loss'" in said[0]
