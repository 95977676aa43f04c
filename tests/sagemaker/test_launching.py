"""Launches where there is no room, or room on other instances: on a sandbox in virtual time."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cloudtune.baselines import RandomSearch
from cloudtune.clock import VirtualClock
from cloudtune.engine.stopping import StoppingCriterion
from cloudtune.errors import NotYetError, ThrottledError, UnreachableError
from cloudtune.journal import events as ev
from cloudtune.sagemaker import SageMakerBackend
from cloudtune.sandbox import FaultPlan, Sandbox
from cloudtune.sandbox.faults.plan import CallRule, Lag, LaunchRule, Views, When
from cloudtune.trial import Attempt, AttemptStatus, Status
from tests.sagemaker.support import Seen, attempt, experiment
from tests.tuning import SPACE
from tests.virtual import Training, Virtual, backend_on, jobs_of, request_on, virtual

LARGE, XLARGE = "ml.m5.large", "ml.m5.xlarge"
PRICES = {LARGE: 0.115, XLARGE: 0.23}


@contextmanager
def account(
    place: Path, request: dict[str, Any] | None = None, fallbacks: Sequence[str] = (), **options: Any
) -> Iterator[tuple[Sandbox, SageMakerBackend, VirtualClock]]:
    """A backend that is open. ``options``: the sandbox's."""
    clock = VirtualClock()
    with Sandbox(jobs=Training(), clock=clock, **options) as sandbox:
        backend = backend_with(sandbox, clock, request or {}, fallbacks)
        backend.open(experiment("exp", place), clock)
        yield sandbox, backend, clock


def backend_with(
    sandbox: Sandbox, clock: VirtualClock, request: dict[str, Any], fallbacks: Sequence[str] = ()
) -> SageMakerBackend:
    return backend_on(sandbox, clock, request, fallback_instance_types=fallbacks, allow_spot_without_checkpoints=True)


def spot_of(resources: dict[str, Any] | None = None) -> dict[str, Any]:
    stopping = {"MaxRuntimeInSeconds": 3600, "MaxWaitTimeInSeconds": 7200}
    return {"EnableManagedSpotTraining": True, "StoppingCondition": stopping, "ResourceConfig": resources or {}}


def trials(count: int, **config: Any) -> list[Any]:
    return [attempt(number, x=0.5, n=1, epochs=9, **config) for number in range(count)]


def searching(n_trials: int) -> dict[str, Any]:
    return {
        "scheduler": RandomSearch(SPACE, metric="loss", random_seed=7),
        "stop_criterion": StoppingCriterion(max_num_trials_started=n_trials),
        "wait_trial_completion_when_stopping": True,
    }


def events_of(here: Virtual, kind: type[Any]) -> list[Any]:
    return [event for event in here.tuner.storage.kept.read() if isinstance(event, kind)]  # type: ignore[attr-defined]


# -- a full quota ------------------------------------------------------------------------------------------


def test_trials_wait_for_a_full_quota_visibly_and_none_fails() -> None:
    with virtual(n_workers=8, **searching(8), sandbox_options={"quotas": {LARGE: 2}}) as here:
        with pytest.warns(UserWarning, match="n_workers need 8 instances"):
            here.tuner.run()
        jobs = jobs_of(here.sandbox)
        assert len(jobs) >= 8
        assert {job["TrainingJobStatus"] for job in jobs} == {"Completed"}
        held = {event.reason for event in events_of(here, ev.LaunchHeld)}
        assert held == {"waiting for ml.m5.large: 2 of 2 in use"}
        assert events_of(here, ev.LaunchFailed) == []
        # nine minutes each, two at a time: who waits hardly asks
        assert here.sandbox.call_counts()["sagemaker.CreateTrainingJob"] < 2.5 * len(jobs)


def test_two_hundred_waiting_trials_do_not_make_two_hundred_calls_a_minute(tmp_path: Path) -> None:
    with account(tmp_path, quotas={LARGE: 1}) as (sandbox, backend, clock):
        first, *waiting = trials(200)
        backend.start(first)
        sandbox.reset_call_counts()
        for _ in range(6):
            for trial in waiting:
                with pytest.raises(NotYetError) as caught:
                    backend.start(trial)
                assert caught.value.message == "waiting for ml.m5.large: 1 of 1 in use"
                assert 0 < caught.value.retry_after <= 10
            clock.sleep(10)
        assert sandbox.call_counts()["sagemaker.CreateTrainingJob"] <= 3
        assert set(sandbox.call_counts()) == {"sagemaker.CreateTrainingJob"}


def test_who_waits_for_a_quota_goes_as_soon_as_a_job_of_ours_ends(tmp_path: Path) -> None:
    with account(tmp_path, quotas={LARGE: 1}) as (sandbox, backend, clock):
        first, second, third = trials(3)
        backend.start(first)
        for pause in (0, 15, 30, 60, 120):
            clock.sleep(pause)
            with pytest.raises(NotYetError):
                backend.start(second)
        backend.stop(first.id)
        while not any(getattr(news, "status", None) is AttemptStatus.DRAINING for news in backend.poll()):
            clock.sleep(5)
        sandbox.reset_call_counts()
        assert backend.start(second).name == "exp-00001-0"
        with pytest.raises(NotYetError):
            backend.start(third)
        assert sandbox.call_counts()["sagemaker.CreateTrainingJob"] == 1


def test_who_waits_copies_no_checkpoint_again_and_again(tmp_path: Path) -> None:
    with account(tmp_path, quotas={LARGE: 1}) as (sandbox, backend, _):
        first, second = trials(2)
        backend.start(first)
        with pytest.raises(NotYetError):
            backend.start(second)
        sandbox.reset_call_counts()
        with pytest.raises(NotYetError, match=r"waiting for ml\.m5\.large: 1 of 1 in use"):
            backend.copy_checkpoint(0, 1)
        assert not sandbox.call_counts()


@pytest.mark.parametrize(
    ("request_", "quotas", "says"),
    [
        ({}, {LARGE: 0}, "waiting for ml.m5.large: the account's quota 'ml.m5.large for training job usage' is 0"),
        (spot_of(), {f"{LARGE} for spot training job usage": 0}, "waiting for spot ml.m5.large: the account's quota"),
        ({"ResourceConfig": {"InstanceCount": 3}}, {LARGE: 2}, "waiting for 3 ml.m5.large: 0 of 2 in use"),
    ],
    ids=["none at all", "spot", "several each"],
)
def test_what_is_waited_for_is_said(
    tmp_path: Path, request_: dict[str, Any], quotas: dict[str, int], says: str
) -> None:
    with pytest.warns(UserWarning, match="the account's quota"), account(tmp_path, request_, quotas=quotas) as here:
        with pytest.raises(NotYetError) as caught:
            here[1].start(trials(1)[0])
        assert caught.value.message.startswith(says)


def test_a_throttled_probe_lets_the_next_one_try(tmp_path: Path) -> None:
    throttled = CallRule("throttled", "sagemaker.CreateTrainingJob", When(counts=(2,)))
    quotas = {f"{LARGE} for training job usage": 1}
    with account(tmp_path, quotas=quotas, faults=FaultPlan(calls=(throttled,))) as (_, backend, _clock):
        first, second = trials(2)
        backend.start(first)
        with pytest.raises(ThrottledError):
            backend.start(second)
        with pytest.raises(NotYetError):
            backend.start(second)


# -- no capacity -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["capacity-refused", "no-capacity"])
def test_missing_capacity_holds_all_trials_and_fails_none(kind: str) -> None:
    outage = LaunchRule(kind, when=When(windows=((0.0, 3600.0),)), wait=120.0)
    options = {"faults": FaultPlan(launches=(outage,))}
    with virtual(n_workers=8, **searching(8), sandbox_options=options) as here:
        here.tuner.run()
        assert {state.status for state in here.tuner.ledger.trials} == {Status.completed}
        n_trials = len(here.tuner.ledger.trials)
        assert n_trials >= 8
        assert here.clock.now() < 1_700_000_000 + 4 * 3600
        # an hour of one probe every five minutes, not of eight trials asking
        assert here.sandbox.call_counts()["sagemaker.CreateTrainingJob"] < 2 * n_trials + 20
        if kind == "capacity-refused":
            held = {event.reason for event in events_of(here, ev.LaunchHeld)}
            assert held == {"waiting for ml.m5.large: the region has none right now"}


# -- several instance types ----------------------------------------------------------------------------------


def test_the_service_is_given_the_list_where_it_takes_one(tmp_path: Path) -> None:
    with account(tmp_path, fallbacks=[XLARGE]) as (sandbox, backend, _):
        launch = backend.start(trials(1)[0])
        (job,) = jobs_of(sandbox)
        asked = {name: job["ResourceConfig"][name] for name in ("InstancePreferences", "InstanceCount")}
        types = [{"InstanceType": LARGE}, {"InstanceType": XLARGE}]
        assert asked == {"InstancePreferences": types, "InstanceCount": 1}
        # until it is known which one it was: the dearest
        assert launch.dollars_per_hour == PRICES[XLARGE]


def test_the_bill_is_by_the_type_that_the_service_selected(tmp_path: Path) -> None:
    refusal = LaunchRule("capacity-refused", LARGE, When(counts=(1,)))
    with account(tmp_path, fallbacks=[XLARGE], faults=FaultPlan(launches=(refusal,))) as (sandbox, backend, clock):
        both = trials(2)
        for trial in both:
            backend.start(trial)
        assert sandbox.call_counts()["sagemaker.CreateTrainingJob"] == 2
        assert [job["ResourceConfig"]["SelectedInstanceType"] for job in jobs_of(sandbox)] == [XLARGE, LARGE]
        assert_billed(backend, clock, sandbox, both, [PRICES[XLARGE], PRICES[LARGE]])


def assert_billed(
    backend: SageMakerBackend, clock: VirtualClock, sandbox: Sandbox, trials: Sequence[Attempt], prices: list[float]
) -> None:
    seen = Seen(backend)
    while not all(seen.end(trial) for trial in trials):
        clock.sleep(30)
        seen.poll()
    for trial, job, price in zip(trials, jobs_of(sandbox), prices, strict=True):
        end = seen.end(trial)
        assert end is not None
        assert end.dollars == pytest.approx(job["BillableTimeInSeconds"] / 3600 * price)


def test_of_the_list_those_with_a_full_quota_are_left_out(tmp_path: Path) -> None:
    with account(tmp_path, fallbacks=[XLARGE], quotas={LARGE: 1}) as (sandbox, backend, _):
        first, second, third = trials(3)
        for trial in (first, second, third):
            backend.start(trial)
        _, *others = jobs_of(sandbox)
        assert [job["ResourceConfig"]["InstanceType"] for job in others] == [XLARGE, XLARGE]
        assert sandbox.call_counts()["sagemaker.CreateTrainingJob"] == 4


def test_spot_instances_are_tried_in_order_by_ourselves(tmp_path: Path) -> None:
    quotas = {f"{LARGE} for spot training job usage": 1, f"{XLARGE} for spot training job usage": 2}
    with account(tmp_path, spot_of(), [XLARGE], quotas=quotas) as (sandbox, backend, _):
        *room, last = trials(4)
        launches = [backend.start(trial) for trial in room]
        assert [launch.dollars_per_hour for launch in launches] == [PRICES[LARGE], PRICES[XLARGE], PRICES[XLARGE]]
        assert [launch.name for launch in launches] == ["exp-00000-0", "exp-00001-0", "exp-00002-0"]
        assert [job["ResourceConfig"]["InstanceType"] for job in jobs_of(sandbox)] == [LARGE, XLARGE, XLARGE]
        with pytest.raises(NotYetError) as caught:
            backend.start(last)
        assert caught.value.message == "waiting for spot ml.m5.large: 1 of 1 in use; spot ml.m5.xlarge: 2 of 2 in use"
        environments = [job["Environment"]["CLOUDTUNE_DOLLARS_PER_HOUR"] for job in jobs_of(sandbox)]
        assert list(map(float, environments)) == [PRICES[LARGE], PRICES[XLARGE], PRICES[XLARGE]]


def test_an_older_botocore_without_lists_tries_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cloudtune.sagemaker.choices.takes_preferences", lambda: False)
    refusal = LaunchRule("capacity-refused", LARGE, When(windows=((0.0, 600.0),)))
    plan = FaultPlan(launches=(refusal,))
    with account(tmp_path, fallbacks=[XLARGE], faults=plan) as (sandbox, backend, clock):
        first, second, third = trials(3)
        assert backend.start(first).dollars_per_hour == PRICES[XLARGE]
        assert backend.start(second).dollars_per_hour == PRICES[XLARGE]
        assert sandbox.call_counts()["sagemaker.CreateTrainingJob"] == 3, "the second knew without asking"
        clock.sleep(600)
        assert backend.start(third).dollars_per_hour == PRICES[LARGE]


def test_the_bill_is_that_of_the_instances_a_trial_had(tmp_path: Path) -> None:
    quotas = {f"{LARGE} for spot training job usage": 1}
    with account(tmp_path, spot_of(), [XLARGE], quotas=quotas) as (sandbox, backend, clock):
        both = trials(2)
        for trial in both:
            backend.start(trial)
        assert_billed(backend, clock, sandbox, both, [PRICES[LARGE], PRICES[XLARGE]])


def test_a_trial_that_is_about_its_instance_type_has_no_other(tmp_path: Path) -> None:
    with account(tmp_path, fallbacks=[XLARGE]) as (sandbox, backend, _):
        backend.start(trials(1, st_instance_type="ml.c5.xlarge")[0])
        (job,) = jobs_of(sandbox)
        assert job["ResourceConfig"]["InstanceType"] == "ml.c5.xlarge"


# -- lost answers ------------------------------------------------------------------------------------------


def test_a_launch_whose_answer_was_lost_is_ours_at_the_price_of_what_it_got(tmp_path: Path) -> None:
    lost = CallRule("reset-after", "sagemaker.CreateTrainingJob", When(counts=(1,)))
    gone = LaunchRule("capacity-refused", LARGE, When(counts=(2,)))
    plan = FaultPlan(calls=(lost,), launches=(gone,))
    with account(tmp_path, spot_of(), [XLARGE], faults=plan) as (sandbox, backend, _):
        first, second = trials(2)
        with pytest.raises(UnreachableError):
            backend.start(first)
        # by the time it is tried again there is no room on the type that it has
        assert backend.start(second).dollars_per_hour == PRICES[XLARGE]
        launch = backend.start(first)
        assert (launch.name, launch.dollars_per_hour) == ("exp-00000-0", PRICES[LARGE])
        assert Counter(job["ResourceConfig"]["InstanceType"] for job in jobs_of(sandbox)) == {LARGE: 1, XLARGE: 1}
        assert backend.launched([first, second])[first.id] == launch
        backend.poll()


def test_a_launch_whose_answer_was_lost_does_not_wait_for_the_room_that_it_takes(tmp_path: Path) -> None:
    lost = CallRule("reset-after", "sagemaker.CreateTrainingJob", When(counts=(1,)))
    with account(tmp_path, quotas={LARGE: 1}, faults=FaultPlan(calls=(lost,))) as (sandbox, backend, _):
        first, second = trials(2)
        with pytest.raises(UnreachableError):
            backend.start(first)
        with pytest.raises(NotYetError):
            backend.start(second)
        backend.copy_checkpoint(1, 0)
        assert backend.start(first).name == "exp-00000-0"
        assert len(jobs_of(sandbox)) == 1


def test_botocore_s_own_repetition_of_a_lost_create_is_confirmed_as_ours(tmp_path: Path) -> None:
    clock = VirtualClock()
    lost = CallRule("reset-after", "sagemaker.CreateTrainingJob", When(counts=(1,)))
    with Sandbox(jobs=Training(), clock=clock, faults=FaultPlan(calls=(lost,))) as sandbox:
        backend = backend_on(sandbox, clock, attempts=2)
        backend.open(experiment("exp", tmp_path), clock)
        assert backend.start(trials(1)[0]).dollars_per_hour == PRICES[LARGE]
        assert sandbox.call_counts()["sagemaker.CreateTrainingJob"] == 2
        assert len(jobs_of(sandbox)) == 1


def test_a_lost_launch_that_cannot_be_described_yet_is_looked_at_again(tmp_path: Path) -> None:
    lost = CallRule("reset-after", "sagemaker.CreateTrainingJob", When(counts=(1,)))
    plan = FaultPlan(calls=(lost,), views=Views(describe=Lag(created=30.0)))
    with account(tmp_path, spot_of(), [XLARGE], faults=plan) as (_, backend, clock):
        (first,) = trials(1)
        for _ in range(2):
            with pytest.raises(UnreachableError):
                backend.start(first)
        assert backend.launched([first])[first.id].dollars_per_hour in PRICES.values()
        clock.sleep(30)
        assert backend.start(first).name == "exp-00000-0"


# -- how many workers --------------------------------------------------------------------------------------


def test_as_many_workers_as_the_account_has_room_for(tmp_path: Path) -> None:
    with account(tmp_path, fallbacks=[XLARGE], quotas={LARGE: 5, XLARGE: 3}) as (sandbox, backend, clock):
        assert backend.workers_available() == 8
        backend.start(trials(1)[0])
        assert backend.workers_available() == 8, "our own jobs are no others"
        theirs = request_on(sandbox, {"HyperParameters": {"x": "0.5", "epochs": "9"}})
        sandbox.client("sagemaker").create_training_job(TrainingJobName="theirs", **theirs)
        clock.sleep(60)  # the search index comes later
        assert backend.workers_available() == 7


def test_a_tuner_takes_as_many_workers_as_there_is_room_for_and_none_waits() -> None:
    options: dict[str, Any] = {"sandbox_options": {"quotas": {LARGE: 3}}, "start_jobs_without_delay": False}
    with virtual(n_workers="auto", **searching(6), **options) as here:  # type: ignore[arg-type]
        here.tuner.run()
        assert events_of(here, ev.LaunchHeld) == []
        starts = [(job["TrainingStartTime"], 1) for job in jobs_of(here.sandbox)]
        ends = [(job["TrainingEndTime"], -1) for job in jobs_of(here.sandbox)]
        running = list(itertools.accumulate(change for _, change in sorted([*starts, *ends])))
        assert max(running) == 3
