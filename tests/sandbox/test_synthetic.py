"""The state machine needs no threads and no processes: a job can be a function of time."""

from __future__ import annotations

from typing import Any

from cloudtune.sandbox.logs.store import LogStore
from cloudtune.sandbox.training.api import TrainingApi
from cloudtune.sandbox.training.instances import Quotas
from cloudtune.sandbox.training.job import COMPLETED, DOWNLOADING, STOPPED, STOPPING, TRAINING, Job
from cloudtune.sandbox.training.ledger import Ledger
from tests.sandbox.support import Hand

REQUEST: dict[str, Any] = {
    "TrainingJobName": "synthetic",
    "RoleArn": "arn:aws:iam::123456789012:role/x",
    "AlgorithmSpecification": {"TrainingImage": "x", "TrainingInputMode": "File"},
    "OutputDataConfig": {"S3OutputPath": "s3://b/o"},
    "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
}
PHASES = ((60.0, DOWNLOADING), (90.0, TRAINING), (3690.0, COMPLETED))


class Everything:
    """An account that has it all."""

    def has_bucket(self, name: str) -> bool:
        return True

    def has_role(self, arn: str) -> bool:
        return True


class Synthetic:
    """Jobs that are a minute late, download for half of one, and train for an hour, printing once a minute."""

    def __init__(self, ledger: Ledger, logs: LogStore) -> None:
        self._ledger = ledger
        self._logs = logs
        self._printed: dict[str, int] = {}

    def launch(self, job: Job, warm: bool) -> None:
        self._printed[job.name] = 0

    def stop(self, job: Job) -> None:
        with self._ledger.changing(job) as now:
            job.enter(STOPPED, now)

    def catch_up(self) -> None:
        with self._ledger.reading() as jobs:
            unfinished = [job for job in jobs.values() if not job.ended]
        for job in unfinished:
            with self._ledger.changing(job) as now:
                self._advance(job, now)

    def _advance(self, job: Job, now: float) -> None:
        for offset, phase in PHASES[len(job.transitions) - 1 :]:
            due = job.created + offset
            self._print(job, min(now, due))
            if due > now:
                return
            job.enter(phase, due)

    def _print(self, job: Job, until: float) -> None:
        if job.secondary != TRAINING:
            return
        started = job.transitions[-1].start
        while started + 60 * (self._printed[job.name] + 1) <= until:
            self._printed[job.name] += 1
            minute = self._printed[job.name]
            self._logs.write(f"{job.name}/algo-1-0", f"minute {minute}", at=started + 60 * minute)

    def close(self) -> None:
        pass


class World:
    def __init__(self) -> None:
        self.clock = Hand()
        self.begin = self.clock.now()
        self.ledger = Ledger(self.clock, lambda name, job: None, lambda job: None)
        self.logs = LogStore(self.clock, 0.0, lambda event: None)
        executor = Synthetic(self.ledger, self.logs)
        self.api = TrainingApi(self.ledger, executor, Everything(), Quotas({}), "arn:job/", 0.0)

    def call(self, operation: str, **request: Any) -> dict[str, Any]:
        answer = self.api.answer(operation, request)
        assert answer is not None
        return answer

    def describe(self, at: float) -> dict[str, Any]:
        self.clock.time = self.begin + at
        return self.call("DescribeTrainingJob", TrainingJobName="synthetic")


def test_a_job_is_what_its_function_says_whenever_one_looks() -> None:
    world = World()
    world.call("CreateTrainingJob", **REQUEST)
    assert world.describe(at=59.0)["SecondaryStatus"] == "Starting"
    assert world.describe(at=61.0)["SecondaryStatus"] == "Downloading"
    assert world.describe(at=150.0)["SecondaryStatus"] == "Training"
    job = world.describe(at=100_000.0)
    assert job["TrainingJobStatus"] == "Completed"
    assert job["TrainingEndTime"] - job["CreationTime"] == 3690.0
    assert job["BillableTimeInSeconds"] == 3630


def test_who_never_looked_in_between_sees_the_same_history() -> None:
    seldom, often = World(), World()
    for world in (seldom, often):
        world.call("CreateTrainingJob", **REQUEST)
    for second in range(0, 4000, 7):
        often.describe(at=float(second))
    assert often.describe(at=5000.0) == seldom.describe(at=5000.0)
    histories = [
        [(event.timestamp, event.message) for event in world.logs.walk(None, (0, 0))] for world in (seldom, often)
    ]
    assert histories[0] == histories[1]
    assert len(histories[0]) == 60


def test_a_synthetic_job_stops_when_it_is_told_to() -> None:
    world = World()
    world.call("CreateTrainingJob", **REQUEST)
    world.clock.time += 200.0
    world.call("StopTrainingJob", TrainingJobName="synthetic")
    job = world.describe(at=300.0)
    assert job["TrainingJobStatus"] == "Stopped"
    assert [step["Status"] for step in job["SecondaryStatusTransitions"]][-2:] == [STOPPING, "Stopped"]
    assert job["TrainingEndTime"] == world.begin + 200.0
