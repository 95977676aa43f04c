"""Warm pools of whole experiments, in virtual time: what is reused, what idles, what is left at the end."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from cloudtune.baselines import ASHA, RandomSearch
from cloudtune.callbacks.base import TunerCallback
from cloudtune.callbacks.status_view import status_table
from cloudtune.clock import VirtualClock
from cloudtune.engine.stopping import StoppingCriterion
from cloudtune.errors import AccessDeniedError, NotYetError, OptionError, UnreachableError
from cloudtune.journal import events as ev
from cloudtune.sagemaker import SageMakerBackend, TrainingJobTemplate, WarmPoolOptions
from cloudtune.sandbox import Delays, Sandbox
from cloudtune.sandbox.faults.named import named_plan
from cloudtune.sandbox.faults.plan import CallRule, FaultPlan, When
from cloudtune.schedulers.base import TrialScheduler
from cloudtune.space import uniform
from cloudtune.trial import Cause
from cloudtune.tuner import Tuner
from tests.sagemaker.support import attempt, in_virtual_time
from tests.tuning import KeptJournal
from tests.virtual import Training, Virtual, jobs_of, tuner_in, virtual

WORKERS = 8
POOLS = "ml.m5.large for training warm pool usage"
SPACE = {"x": uniform(0.0, 1.0), "epochs": 27}
TRAINING = Training(seconds=lambda config, epoch: 60 * (0.7 + 0.6 * config["x"]))
COLD = 100.0
"""Starts that take longer, in seconds, are not on warm instances."""


def asha(kind: str) -> TrialScheduler:
    """By "promotion", trials pause at rungs; by "short promotion", their jobs are told how far to go, and end there."""
    limit: dict[str, Any] = {"max_t": 27} if kind == "promotion" else {"max_resource_attr": "epochs"}
    kind = kind.removeprefix("short ")
    return ASHA(SPACE, metric="loss", resource_attr="epoch", type=kind, random_seed=3, **limit)


@contextmanager
def tuning(
    scheduler: TrialScheduler | None = None,
    trials: int = 40,
    workers: int = WORKERS,
    pools: int = WORKERS,
    warm_pool: WarmPoolOptions | int | None = 300,
    faults: FaultPlan | None = None,
    **options: Any,
) -> Iterator[Virtual]:
    """An experiment with the realistic delays, not begun."""
    with virtual(
        TRAINING,
        scheduler or asha("stopping"),
        StoppingCriterion(max_num_trials_started=trials),
        workers,
        Delays.realistic(),
        sandbox_options={"quotas": {POOLS: pools}, "faults": faults},
        backend_options={"warm_pool": warm_pool},
        **options,
    ) as made:
        yield made


@dataclass(frozen=True)
class Bill:
    """What the jobs of a sandbox say of their instances, long after the end."""

    launches: int
    warm: int
    """Of those after the first ``WORKERS``."""
    idle: float
    """Seconds."""
    idle_at_the_end: float
    """Of instances that nobody took over."""
    most_pools: int
    last: float
    """When the last instances were let go."""

    @property
    def share(self) -> float:
        return self.warm / max(1, self.launches - WORKERS)


def bill(sandbox: Sandbox) -> Bill:
    jobs = jobs_of(sandbox)
    assert not [job for job in jobs if job["TrainingJobStatus"] in ("InProgress", "Stopping")]
    assert not [job for job in jobs if _pool(job).get("Status") == "Available"]
    lives = [(_moment(job["CreationTime"]), _gone(job)) for job in jobs if _pool(job)]
    moments = sorted([(end, -1) for _, end in lives] + [(begin, 1) for begin, _ in lives])
    alive, most = 0, 0
    for _, change in moments:
        alive += change
        most = max(most, alive)
    warm = sum(1 for job in jobs[WORKERS:] if _start(job) < COLD)
    idle = sum(_idle(job) for job in jobs)
    last = sum(_idle(job) for job in jobs if _pool(job).get("Status") == "Terminated")
    return Bill(len(jobs), warm, idle, last, most, max((end for _, end in lives), default=0.0))


def _pool(job: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = job.get("WarmPoolStatus") or {}
    return found


def _gone(job: Mapping[str, Any]) -> float:
    """When its instances were somebody else's, or nobody's. The service rounds idle seconds up."""
    return _moment(job.get("TrainingEndTime") or job["LastModifiedTime"]) + max(0.0, _idle(job) - 1.0)


def _idle(job: Mapping[str, Any]) -> float:
    return float(_pool(job).get("ResourceRetainedBillableTimeInSeconds", 0))


def _start(job: Mapping[str, Any]) -> float:
    first = job["SecondaryStatusTransitions"][0]
    return _moment(first.get("EndTime") or first["StartTime"]) - _moment(first["StartTime"])


def _moment(time: Any) -> float:
    return float(time.timestamp())


# -- reuse -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["stopping", "promotion", "short promotion"])
def test_asha_with_eight_workers_starts_nine_of_ten_jobs_on_warm_instances(kind: str) -> None:
    with tuning(asha(kind)) as (sandbox, tuner, clock):
        tuner.run()
        ended = clock.now()
        clock.sleep(1000)
        found = bill(sandbox)
        assert found.launches > 3 * WORKERS
        assert found.share >= 0.9
        assert found.most_pools <= WORKERS
        # nothing idles after the end, and before it not much does
        assert found.last <= ended
        assert found.idle <= 15 * found.launches
        assert isinstance(tuner.trial_backend, SageMakerBackend)
        savings = tuner.trial_backend.pool_savings
    assert (savings.launches, savings.reused) == (found.launches, found.warm)
    assert savings.seconds_saved == pytest.approx(135 * found.warm, rel=0.05)
    assert savings.idle_seconds == pytest.approx(found.idle, abs=2 * found.launches)
    # jobs that were stopped at the end had been told before to keep nothing
    assert found.idle_at_the_end <= 15
    assert savings.idle_dollars == pytest.approx(savings.idle_seconds / 3600 * 0.115)


def test_without_waiting_fewer_are_reused_and_more_idle_but_there_are_never_more_pools_than_workers() -> None:
    with tuning(warm_pool=WarmPoolOptions(300, longest_wait_seconds=0)) as (sandbox, tuner, clock):
        tuner.run()
        clock.sleep(1000)
        hurried = bill(sandbox)
    with tuning() as (sandbox, tuner, clock):
        tuner.run()
        clock.sleep(1000)
        patient = bill(sandbox)
    assert hurried.most_pools <= WORKERS
    assert hurried.share < 0.9 <= patient.share
    assert hurried.idle > 2 * patient.idle


def test_while_a_launch_waits_it_says_for_what() -> None:
    with tuning(trials=12, workers=2) as (_, tuner, _clock):
        journal = KeptJournal()
        tuner.storage = journal
        tuner.run()
        held = [event.reason for event in journal.kept.read() if isinstance(event, ev.LaunchHeld)]
    assert held
    assert all(reason.startswith("waiting for a warm instance: 000") for reason in held)
    assert all(reason.endswith("-0 is stopping") for reason in held)


def test_jobs_that_count_until_they_have_stopped_leave_nothing_to_wait_for() -> None:
    with tuning(trials=12, workers=2, start_jobs_without_delay=False) as (sandbox, tuner, clock):
        journal = KeptJournal()
        tuner.storage = journal
        tuner.run()
        assert not [event for event in journal.kept.read() if isinstance(event, ev.LaunchHeld)]
        clock.sleep(1000)
        assert bill(sandbox).most_pools <= 2


# -- what goes wrong ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("plan", ["stale-views", "flaky-network", "no-capacity"])
def test_whatever_goes_wrong_there_are_no_more_pools_than_workers_and_none_in_the_end(plan: str) -> None:
    with tuning(trials=12, workers=4, faults=named_plan(plan), max_failures=100) as (sandbox, tuner, clock):
        tuner.run()
        ended = clock.now()
        clock.sleep(1000)
        found = bill(sandbox)
        assert found.most_pools <= 4
        assert found.warm > 0
        assert found.last <= ended


def test_a_job_whose_answer_was_lost_keeps_what_it_was_asked_to() -> None:
    with in_virtual_time(Training(), Delays.realistic(), quotas={POOLS: 4}, request=KEEPING) as cloud:
        cloud.backend.start(attempt(0, x=0.5, epochs=5))
        cloud.sandbox.fail_next("sagemaker.CreateTrainingJob", "reset-after")
        with pytest.raises(UnreachableError):
            cloud.backend.start(attempt(1, x=0.5, epochs=5))  # one worker, so it is asked to keep nothing
        cloud.seen.finish(attempt(0))
        cloud.backend.start(attempt(1, x=0.5, epochs=5))  # by now it would be
        cloud.seen.finish(attempt(1))
        end = cloud.seen.end(attempt(1))
        assert end is not None
        assert end.cause is Cause.NONE


KEEPING = {"ResourceConfig": {"KeepAlivePeriodInSeconds": 300}}


def test_a_launch_waits_and_then_goes_ahead_at_once() -> None:
    with in_virtual_time(Training(), Delays.realistic(), quotas={POOLS: 4}, request=KEEPING) as cloud:
        cloud.backend.start(attempt(0, x=0.5, epochs=50))
        cloud.seen.wait(300)
        cloud.backend.stop(attempt(0).id)
        with pytest.raises(NotYetError, match="00000-0 is stopping") as caught:
            cloud.backend.start(attempt(1, x=0.5, epochs=5))
        assert 0 < caught.value.retry_after <= 5
        cloud.seen.wait(30)
        cloud.backend.start(attempt(1, x=0.5, epochs=5))
        assert _pool(jobs_of(cloud.sandbox)[0])["ReusedByJob"] == "virtual-00001-0"


# -- the end -----------------------------------------------------------------------------------------------------------


def test_pools_are_let_go_while_the_last_trials_still_run() -> None:
    with tuning(
        RandomSearch(SPACE, metric="loss", random_seed=3),
        trials=12,
        workers=4,
        warm_pool=3000,
        wait_trial_completion_when_stopping=True,
    ) as (sandbox, tuner, clock):
        tuner.run()
        ended = clock.now()
        clock.sleep(4000)
        found = bill(sandbox)
        ends = sorted(_moment(job["TrainingEndTime"]) for job in jobs_of(sandbox))
    assert ends[-1] - ends[-4] > 100  # so there was something to idle for
    assert found.last <= ended
    assert found.idle <= 15 * found.launches


class Crash(BaseException):
    """The tuner's process dies."""


class Dies(TunerCallback):
    def __init__(self, after: float) -> None:
        self._after = after
        self._slept = 0.0

    def on_tuning_sleep(self, sleep_time: float) -> None:
        self._slept += sleep_time
        if self._slept >= self._after:
            raise Crash


def again(sandbox: Sandbox, clock: VirtualClock, journal: KeptJournal, trials: int = 20) -> Tuner:
    """Another process's tuner, on the same experiment."""
    criterion = StoppingCriterion(max_num_trials_started=trials)
    options = {"warm_pool": 300}
    return tuner_in(sandbox, clock, asha("stopping"), criterion, 4, backend_options=options, storage=journal)


def test_after_a_crash_the_book_is_rebuilt_and_reuse_goes_on() -> None:
    journal = KeptJournal()
    with tuning(trials=20, workers=4, storage=journal, callbacks=[Dies(900)]) as (sandbox, tuner, clock):
        with pytest.raises(Crash):
            tuner.run()
        before = len(jobs_of(sandbox))
        clock.sleep(60)
        again(sandbox, clock, journal).run()
        ended = clock.now()
        clock.sleep(1000)
        found = bill(sandbox)
        assert found.launches > before + 4
        cold = [job for job in jobs_of(sandbox)[before:] if _start(job) > COLD]
        assert len(cold) <= 2
    assert found.most_pools <= 4
    assert found.last <= ended


def test_a_resume_with_fewer_workers_lets_go_of_what_is_too_much_at_once() -> None:
    journal = KeptJournal()
    scheduler = RandomSearch(SPACE, metric="loss", random_seed=3)
    with tuning(scheduler, trials=11, workers=6, storage=journal, warm_pool=3000, callbacks=[Dies(900)]) as made:
        sandbox, tuner, clock = made
        with pytest.raises(Crash):
            tuner.run()
        died, began = clock.now(), len(jobs_of(sandbox))
        criterion = StoppingCriterion(max_num_trials_started=11)
        options = {"warm_pool": 3000}
        scheduler = RandomSearch(SPACE, metric="loss", random_seed=3)
        after = tuner_in(sandbox, clock, scheduler, criterion, 2, backend_options=options, storage=journal)
        after.wait_trial_completion_when_stopping = True
        after.run()
        jobs = jobs_of(sandbox)
        clock.sleep(4000)
        assert bill(sandbox).most_pools == 6
    later = [job for job in jobs if _moment(job["TrainingEndTime"]) > died]
    assert began == 6 and len(later) == 12
    # four of the first six were let go when they had ended, and the others used again and again
    assert [_pool(job)["Status"] for job in later[:6]].count("Terminated") == 4
    assert sum(_idle(job) for job in later) <= 15 * len(later)


def test_stopping_an_experiment_whose_tuner_died_leaves_no_pools() -> None:
    journal = KeptJournal()
    with tuning(trials=20, workers=4, storage=journal, callbacks=[Dies(900)]) as (sandbox, tuner, clock):
        with pytest.raises(Crash):
            tuner.run()
        again(sandbox, clock, journal).stop()
        ended = clock.now()
        clock.sleep(1000)
        assert bill(sandbox).last <= ended


def test_what_could_not_be_released_is_by_whoever_opens_the_experiment_again(caplog: pytest.LogCaptureFixture) -> None:
    journal = KeptJournal()
    outage = FaultPlan(calls=(CallRule("unavailable", "sagemaker.UpdateTrainingJob", When(windows=((0.0, 5000.0),))),))
    with tuning(trials=6, workers=4, storage=journal, warm_pool=20_000, faults=outage) as (sandbox, tuner, clock):
        tuner.run()
        assert "not everything could be released" in caplog.text
        assert available(sandbox)
        clock.sleep(5000)
        again(sandbox, clock, journal, trials=6).run()
        assert not available(sandbox)


def test_who_may_not_release_pools_is_told_and_nothing_else_is_amiss(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tuning(trials=6, workers=4) as (_, tuner, _clock):
        aws = tuner.trial_backend.aws  # type: ignore[attr-defined]
        call = aws.call

        def denied(service: str, operation: str, /, **request: Any) -> Any:
            if operation == "UpdateTrainingJob":
                raise AccessDeniedError("not authorized to perform: sagemaker:UpdateTrainingJob")
            return call(service, operation, **request)

        monkeypatch.setattr(aws, "call", denied)  # the sandbox has no policies that would say so
        tuner.run()
        assert tuner.tuning_status.num_trials_failed == 0
    assert caplog.text.count("not everything could be released") == 1
    assert "sagemaker:UpdateTrainingJob" in caplog.text


def available(sandbox: Sandbox) -> list[str]:
    listed = sandbox.client("sagemaker").list_training_jobs(WarmPoolStatusEquals="Available", MaxResults=100)
    return [summary["TrainingJobName"] for summary in listed["TrainingJobSummaries"]]


# -- quotas ------------------------------------------------------------------------------------------------------------


def test_without_a_quota_it_is_said_once_and_nobody_waits() -> None:
    journal = KeptJournal()
    with tuning(trials=8, workers=2, pools=0, storage=journal) as (sandbox, tuner, _clock):
        with pytest.warns(UserWarning, match=f"no pool is kept.*{POOLS!r}"):
            tuner.run()
        assert not [event for event in journal.kept.read() if isinstance(event, ev.LaunchHeld)]
        assert tuner.tuning_status.summary == ("warm pools: none is kept (quota)",)
        assert sandbox.call_counts()["sagemaker.UpdateTrainingJob"] <= 4


def test_a_missing_quota_that_nobody_may_read_shows_at_the_first_end(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: object) -> Mapping[str, float]:
        raise AccessDeniedError("not authorized to perform: servicequotas:ListServiceQuotas")

    # the sandbox has no policies that would say so
    monkeypatch.setattr("cloudtune.sagemaker.warm_pools.limits", denied)
    caplog.set_level(logging.WARNING, "cloudtune.sagemaker")
    with tuning(trials=8, workers=2, pools=0) as (_, tuner, _clock):
        tuner.run()
        assert tuner.tuning_status.summary == ("warm pools: none is kept (quota)",)
    assert caplog.text.count("no pool is kept") == 1


def test_a_quota_of_fewer_pools_than_workers_is_respected() -> None:
    with tuning(trials=16, workers=4, pools=2) as (sandbox, tuner, clock):
        with pytest.warns(UserWarning, match="keeps 2 warm pools for 4 workers"):
            tuner.run()
        clock.sleep(1000)
        assert bill(sandbox).most_pools <= 2
        assert bill(sandbox).warm > 0


# -- how it is asked for, and what is said -----------------------------------------------------------------------------


def test_the_table_says_what_reuse_saved_and_what_idling_cost() -> None:
    journal = KeptJournal()
    with tuning(trials=12, workers=4, storage=journal) as (_, tuner, _clock):
        tuner.run()
        (line,) = tuner.tuning_status.summary
        caption = str(status_table(tuner.tuning_status, "title").caption)
    assert line.startswith("warm pools: ")
    assert " launches on warm instances, about " in line
    assert " of starting saved; " in line
    assert line.endswith(" $)")
    assert line in caption
    # whoever reads the journal knows it, too
    assert [list(event.lines) for event in journal.kept.read() if isinstance(event, ev.SummaryChanged)][-1] == [line]


def test_without_pools_nothing_is_called_for_them_and_nothing_said() -> None:
    with tuning(trials=6, workers=4, warm_pool=None) as (sandbox, tuner, _clock):
        tuner.run()
        assert sandbox.call_counts()["sagemaker.UpdateTrainingJob"] == 0
        assert tuner.tuning_status.summary == ()


def template(**resources: Any) -> TrainingJobTemplate:
    config = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10, **resources}
    return TrainingJobTemplate.from_dict({"ResourceConfig": config})


@pytest.mark.parametrize("given", [600, WarmPoolOptions(600)])
def test_seconds_may_be_given_alone(given: WarmPoolOptions | int) -> None:
    backend = SageMakerBackend(template(), warm_pool=given)
    assert backend.template.request["ResourceConfig"]["KeepAlivePeriodInSeconds"] == 600
    assert backend.warm_pool == WarmPoolOptions(600)


def test_what_a_template_asks_for_counts() -> None:
    assert SageMakerBackend(template(KeepAlivePeriodInSeconds=900)).warm_pool == WarmPoolOptions(900)
    assert SageMakerBackend(template()).warm_pool is None
    both = SageMakerBackend(
        template(KeepAlivePeriodInSeconds=900), warm_pool=WarmPoolOptions(900, longest_wait_seconds=10)
    )
    assert both.warm_pool == WarmPoolOptions(900, longest_wait_seconds=10)


def test_contradictions_are_refused() -> None:
    with pytest.raises(OptionError, match="warm_pool keeps instances for 600 s, the template for 900 s"):
        SageMakerBackend(template(KeepAlivePeriodInSeconds=900), warm_pool=600)
    with pytest.raises(OptionError, match="the template has no ResourceConfig"):
        SageMakerBackend(TrainingJobTemplate.from_dict({}), warm_pool=600)
    with pytest.raises(OptionError, match="spot instances can't be kept alive"):
        spot = TrainingJobTemplate.script(__file__, use_spot=True, max_run=60)
        SageMakerBackend(spot, warm_pool=600)


@pytest.mark.parametrize("seconds", [0, -1, 21_601, 1.5, True, "600"])
def test_nonsense_is_refused(seconds: Any) -> None:
    with pytest.raises(OptionError, match=r"keep_alive_seconds|neither WarmPoolOptions nor seconds"):
        SageMakerBackend(template(), warm_pool=seconds)
    with pytest.raises(OptionError, match="longest_wait_seconds"):
        WarmPoolOptions(600, longest_wait_seconds=-1)


def test_an_experiment_that_has_ended_can_be_released_without_going_on() -> None:
    journal = KeptJournal()
    outage = FaultPlan(calls=(CallRule("unavailable", "sagemaker.UpdateTrainingJob", When(windows=((0.0, 5000.0),))),))
    with tuning(trials=6, workers=4, storage=journal, warm_pool=20_000, faults=outage) as (sandbox, tuner, clock):
        tuner.run()
        clock.sleep(5000)
        events = len(list(journal.kept.read()))
        again(sandbox, clock, journal, trials=6).release()
        assert not available(sandbox)
        assert len(list(journal.kept.read())) == events


def test_workers_by_quota_are_as_many_pools() -> None:
    quotas = {"ml.m5.large": 3, POOLS: 10}
    with virtual(
        TRAINING,
        asha("stopping"),
        StoppingCriterion(max_num_trials_started=9),
        "auto",  # type: ignore[arg-type]
        Delays.realistic(),
        sandbox_options={"quotas": quotas},
        backend_options={"warm_pool": 300},
    ) as (sandbox, tuner, clock):
        tuner.run()
        clock.sleep(1000)
        found = bill(sandbox)
    assert found.most_pools == 3
    assert found.warm > 0


def test_it_travels_with_its_backend() -> None:
    backend = SageMakerBackend(template(), warm_pool=WarmPoolOptions(600, longest_wait_seconds=30))
    there = pickle.loads(pickle.dumps(backend))
    assert there.warm_pool == backend.warm_pool
    assert there.pool_savings == backend.pool_savings
