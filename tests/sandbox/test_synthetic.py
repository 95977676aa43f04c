"""Jobs that are functions of time: what has become of them is worked out when somebody asks, and never before."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError

from cloudtune.clock import VirtualClock
from cloudtune.sandbox import Delays, Sandbox
from cloudtune.sandbox.clock import SharedClock
from cloudtune.sandbox.logs.store import LogStore
from cloudtune.sandbox.script import Exit, Line, Run, Save, Script, Step, Terminated
from cloudtune.sandbox.training.execution import Mishap, no_mishaps
from cloudtune.sandbox.training.job import COMPLETED, DOWNLOADING, INTERRUPTED, STARTING, TRAINING, UPLOADING, Job
from cloudtune.sandbox.training.ledger import Ledger
from cloudtune.sandbox.training.synthetic import SyntheticExecutor
from tests.sandbox.here import Here, here_with
from tests.sandbox.support import GROUP, job_request, path_of

SLOW = Delays(
    starting=60.0, starting_warm=5.0, downloading=30.0, uploading=10.0, stopping=20.0, stop_grace=120.0,
    log_ingestion=8.0, checkpoint_sync=15.0,
)  # fmt: skip
SPOT: dict[str, Any] = {"EnableManagedSpotTraining": True}


def hourly(run: Run) -> Iterator[Step]:
    """Prints once a minute, for an hour."""
    for minute in range(1, 61):
        yield Line(f"minute {minute}", after=60.0)


def kept(here: Here) -> dict[str, str]:
    """What lies below the checkpoint's prefix now."""
    bucket = here.sandbox.bucket
    listed = here.s3.list_objects_v2(Bucket=bucket, Prefix="keep/").get("Contents", [])
    read = {each["Key"]: here.s3.get_object(Bucket=bucket, Key=each["Key"]) for each in listed}
    return {key.removeprefix("keep/"): answer["Body"].read().decode() for key, answer in read.items()}


@contextmanager
def sandbox_of(script: Script, delays: Delays = SLOW) -> Iterator[Here]:
    limit = {"StoppingCondition": {"MaxRuntimeInSeconds": 86_400}}
    with here_with(limit, jobs=script, delays=delays) as here:
        yield here


# -- time --------------------------------------------------------------------------------------------------------------


def test_a_job_is_what_its_script_says_whenever_one_looks() -> None:
    with sandbox_of(hourly) as here:
        here.create()
        assert here.at(59.0)["SecondaryStatus"] == "Starting"
        assert here.at(61.0)["SecondaryStatus"] == "Downloading"
        assert here.at(91.0)["SecondaryStatus"] == "Training"
        job = here.at(100_000.0)
        assert here.history(100_000.0) == [
            (STARTING, 0.0),
            (DOWNLOADING, 60.0),
            (TRAINING, 90.0),
            (UPLOADING, 3690.0),
            (COMPLETED, 3700.0),
        ]
        assert job["BillableTimeInSeconds"] == 3640


def test_who_never_looked_in_between_sees_the_same_history() -> None:
    seen = []
    for looks in (range(0), range(0, 4000, 37)):
        with sandbox_of(hourly) as here:
            here.create()
            for second in looks:
                here.at(float(second))
            seen.append((here.history(5000.0), here.printed()))
    assert seen[0] == seen[1]
    assert len(seen[0][1]) == 60


def test_a_line_can_be_read_once_it_was_ingested() -> None:
    with sandbox_of(hourly) as here:
        here.create()
        here.at(157.0)
        assert here.printed() == []
        here.at(158.0)
        assert here.printed() == [("minute 1", 150.0)]


def test_nothing_waits_and_nothing_runs() -> None:
    before = threading.active_count()
    with sandbox_of(hourly) as here:
        for number in range(20):
            here.create(f"job-{number}")
        here.at(1e6, "job-19")
        assert threading.active_count() == before


def test_asking_costs_what_became_due_however_many_jobs_run() -> None:
    printed: list[str] = []

    def quiet(run: Run) -> Iterator[Step]:
        yield Line("done", after=float(run.hyperparameters["seconds"]))
        printed.append(run.job_name)

    clock = VirtualClock()
    ledger = Ledger(SharedClock(clock), lambda name, job: None, lambda job: None)
    logs = LogStore(SharedClock(clock), 0.0, lambda event: None)
    executor = SyntheticExecutor(quiet, ledger, logs, Nowhere(), Delays(), SharedClock(clock))
    touched: list[str] = []
    ledger.save = lambda job: touched.append(job.name)  # type: ignore[method-assign]
    for number in range(500):
        name = f"job-{number}"
        request = {"HyperParameters": {"seconds": str(1000 + number)}}
        job = Job(name, name, request, clock.now(), clock.now())
        ledger.add(job)
        job.enter(STARTING, clock.now())
        executor.launch(job, warm=False)
    executor.catch_up()
    touched.clear()
    clock.sleep(999.0)
    executor.catch_up()
    assert touched == []
    clock.sleep(1.5)
    executor.catch_up()
    assert set(touched) == {"job-0"} and printed == ["job-0"]


class Nowhere:
    """No checkpoints."""

    def objects_below(self, bucket: str, prefix: str) -> dict[str, bytes]:
        return {}

    def put_object(self, bucket: str, key: str, content: bytes, at: float) -> None:
        raise AssertionError(key)

    def delete_object(self, bucket: str, key: str) -> None:
        raise AssertionError(key)


# -- what a script can do ----------------------------------------------------------------------------------------------


def test_a_script_is_told_what_its_job_was_created_with() -> None:
    runs: list[Run] = []

    def script(run: Run) -> list[Step]:
        runs.append(run)
        return []

    with sandbox_of(script) as here:
        here.create(HyperParameters={"lr": "0.1"}, Environment={"MODE": "fast"})
        assert here.at(200.0)["TrainingJobStatus"] == "Completed"
        (run,) = runs
        assert (run.job_name, run.hyperparameters["lr"], run.environment["MODE"]) == ("job", "0.1", "fast")
        assert (run.began - here.begin, run.restarts, run.checkpoint) == (90.0, 0, {})


def test_metric_definitions_match_what_it_prints() -> None:
    definitions = {"MetricDefinitions": [{"Name": "minute", "Regex": "minute ([0-9]+)"}]}
    with sandbox_of(hourly) as here:
        here.create(AlgorithmSpecification=definitions)
        (metric,) = here.at(5000.0)["FinalMetricDataList"]
        assert (metric["MetricName"], metric["Value"]) == ("minute", 60.0)
        assert metric["Timestamp"].timestamp() - here.begin == 3690.0


def exits(code: int, failure: str | None) -> Script:
    return lambda run: [Exit(code, failure=failure)]


def crashes(run: Run) -> Iterator[Step]:
    yield Line("importing torch", after=1.0)
    raise ImportError("no torch")


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (exits(3, None), "AlgorithmError: See job logs for more information, exit code: 3"),
        (exits(1, "out of memory"), "AlgorithmError: out of memory, exit code: 1"),
        (crashes, "AlgorithmError: ImportError: no torch, exit code: 1"),
    ],
)
def test_a_failure_says_why(script: Script, reason: str) -> None:
    with sandbox_of(script) as here:
        here.create()
        job = here.at(500.0)
        assert (job["TrainingJobStatus"], job["FailureReason"]) == ("Failed", reason)


def test_a_traceback_is_in_the_log() -> None:
    with sandbox_of(crashes) as here:
        here.create()
        here.at(500.0)
        assert [line for line, _ in here.printed()][-1] == "ImportError: no torch"


def test_a_script_that_hangs_ends_at_its_limit() -> None:
    with sandbox_of(lambda run: [Line("never", after=float("inf"))]) as here:
        here.create(StoppingCondition={"MaxRuntimeInSeconds": 600})
        assert here.history(5000.0)[2:] == [
            (TRAINING, 90.0),
            ("Stopping", 660.0),
            (UPLOADING, 660.0),
            ("MaxRuntimeExceeded", 680.0),
        ]
        assert here.at(5000.0)["TrainingJobStatus"] == "Stopped"


# -- stops -------------------------------------------------------------------------------------------------------------


def stubborn(seconds: float) -> Script:
    """Works on for a while when asked to stop, says what it had left, and leaves."""

    def script(run: Run) -> Iterator[Step]:
        try:
            yield Line("done", after=1000.0)
        except Terminated as stop:
            yield Line(f"{stop.remaining:g} s left", after=seconds)

    return script


@pytest.mark.parametrize(
    ("script", "ended", "said"),
    [
        (hourly, 200.0, []),
        (stubborn(50.0), 250.0, ["890 s left"]),
        (stubborn(500.0), 320.0, []),
    ],
)
def test_a_script_has_its_grace_when_stopped(script: Script, ended: float, said: list[str]) -> None:
    with sandbox_of(script) as here:
        here.create()
        here.at(200.0)
        here.sagemaker.stop_training_job(TrainingJobName="job")
        assert here.at(201.0)["TrainingJobStatus"] == "Stopping"
        assert here.history(5000.0)[-3:] == [
            ("Stopping", 200.0),
            (UPLOADING, ended),
            ("Stopped", ended + SLOW.stopping),
        ]
        assert [line for line, _ in here.printed() if "left" in line] == said


@pytest.mark.parametrize(("second", "status"), [(10.0, STARTING), (70.0, DOWNLOADING), (3695.0, UPLOADING)])
def test_a_job_is_stopped_before_and_after_its_script(second: float, status: str) -> None:
    with sandbox_of(hourly) as here:
        here.create()
        assert here.at(second)["SecondaryStatus"] == status
        here.sagemaker.stop_training_job(TrainingJobName="job")
        assert here.history(5000.0)[-2:] == [("Stopping", second), ("Stopped", second + SLOW.stopping)]


# -- checkpoints -------------------------------------------------------------------------------------------------------


def counting(run: Run) -> Iterator[Step]:
    """Counts on from where its checkpoint is, one more every 10 seconds; saves once more when it is stopped."""
    count = int(run.checkpoint.get("count", b"0"))
    try:
        while count < 1000:
            count += 1
            yield Save({"count": str(count).encode(), f"old-{count}": b"", f"old-{count - 1}": None}, after=10.0)
    except Terminated:
        yield Save({"count": f"{count}".encode(), "last": b"word"}, after=1.0)


def test_checkpoints_reach_s3_in_turns_and_at_the_end() -> None:
    with sandbox_of(counting) as here:
        here.create(**here.keeping())
        here.at(104.0)
        assert kept(here) == {}
        here.at(106.0)
        assert kept(here) == {"count": "1", "old-1": ""}
        here.at(121.0)
        assert kept(here)["count"] == "2", "the third was saved as the turn was over"
        here.sagemaker.stop_training_job(TrainingJobName="job")
        here.at(122.5)
        assert kept(here) == {"count": "4", "old-3": "", "last": "word"}


def test_the_next_job_of_a_prefix_goes_on_from_there() -> None:
    with sandbox_of(counting) as here:
        here.create("first", **here.keeping())
        here.at(121.0, "first")
        here.sagemaker.stop_training_job(TrainingJobName="first")
        here.at(300.0, "first")
        here.create("second", **here.keeping())
        here.at(300.0 + 90.0 + 21.0, "second")
        assert kept(here)["count"] == "5"


def test_an_object_is_as_old_as_its_virtual_time_says() -> None:
    with sandbox_of(counting) as here:
        here.create(**here.keeping())
        here.at(400.0)
        (about,) = here.s3.list_objects_v2(Bucket=here.sandbox.bucket, Prefix="keep/count")["Contents"]
        assert about["LastModified"].timestamp() - here.begin == pytest.approx(390.0, abs=1.0)


# -- what befalls it ---------------------------------------------------------------------------------------------------


def executor_of(here: Here) -> tuple[SyntheticExecutor, Callable[[str], Job]]:
    server: Any = here.sandbox._server

    def job(name: str) -> Job:
        found: Job | None = server.ledger.get(name)
        assert found is not None
        return found

    return server.executor, job


def spot(here: Here, **changes: Any) -> None:
    condition = {"MaxRuntimeInSeconds": 600, "MaxWaitTimeInSeconds": changes.pop("max_wait", 10_000)}
    here.create(**SPOT, StoppingCondition=condition, **changes)


def test_an_interrupted_job_starts_again_from_what_was_in_s3() -> None:
    with sandbox_of(counting) as here:
        spot(here, **here.keeping())
        here.at(118.0)
        executor, job = executor_of(here)
        executor.interrupt(job("job"))
        assert kept(here)["count"] == "1"
        # the second of two counts was not in S3 yet; then 60 s without instances
        assert here.history(210.0)[3:] == [
            (INTERRUPTED, 118.0), (STARTING, 118.0), (DOWNLOADING, 178.0), (TRAINING, 208.0),
        ]  # fmt: skip
        here.at(224.0)
        assert kept(here)["count"] == "2"
        streams = here.logs.describe_log_streams(logGroupName=GROUP, logStreamNamePrefix="job/")["logStreams"]
        assert len(streams) == 2
        ended = here.at(20_000.0)
        assert ended["SecondaryStatus"] == "MaxRuntimeExceeded"
        assert ended["TrainingTimeInSeconds"] == 600 + 1 + SLOW.stopping, "its last words took a second"


def test_mishaps_happen_at_their_moment_though_nobody_looks() -> None:
    def mishaps(job: Job, restarts: int) -> Mishap | None:
        return Mishap(after=100.0, pause=40.0) if restarts < 2 else None

    with sandbox_of(hourly) as here:
        executor, _ = executor_of(here)
        executor.mishaps = mishaps
        here.create(**SPOT, StoppingCondition={"MaxRuntimeInSeconds": 9000, "MaxWaitTimeInSeconds": 9000})
        history = here.history(20_000.0)
        assert [at for status, at in history if status == INTERRUPTED] == [190.0, 420.0]
        assert [at for status, at in history if status == TRAINING] == [90.0, 320.0, 550.0]
        assert history[-1] == (COMPLETED, 550.0 + 3600.0 + SLOW.uploading)


def test_a_job_fails_for_a_reason_from_outside() -> None:
    with sandbox_of(counting) as here:
        executor, job = executor_of(here)
        executor.mishaps = lambda job, restarts: Mishap(20.0, "CapacityError: no instances left")
        here.create(**here.keeping())
        ended = here.at(1000.0)
        assert (ended["TrainingJobStatus"], ended["FailureReason"]) == ("Failed", "CapacityError: no instances left")
        assert kept(here) == {"count": "1", "old-1": ""}, "nothing is uploaded after it"
        executor.mishaps = no_mishaps
        here.create("other")
        executor.fail(job("other"), "InternalServerError: sorry")
        assert here.at(1000.0, "other")["FailureReason"] == "InternalServerError: sorry"


def test_only_spot_jobs_are_interrupted() -> None:
    with sandbox_of(hourly) as here:
        here.create()
        here.at(100.0)
        executor, job = executor_of(here)
        executor.interrupt(job("job"))
        assert here.at(5000.0)["TrainingJobStatus"] == "Completed"


def test_a_spot_job_that_waits_for_too_long_ends() -> None:
    with sandbox_of(hourly) as here:
        executor, _ = executor_of(here)
        executor.mishaps = lambda job, restarts: Mishap(after=100.0, pause=1e5)
        spot(here, max_wait=700)
        assert here.history(5000.0)[-2:] == [(INTERRUPTED, 190.0), ("MaxWaitTimeExceeded", 700.0)]


# -- reaching it -------------------------------------------------------------------------------------------------------


def test_its_clients_use_no_socket_and_nothing_of_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setenv("AWS_PROFILE", "of-somebody-else")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    with sandbox_of(hourly) as here:
        session = here.sandbox.session()
        assert session.client("sts").get_caller_identity()["Account"] == here.sandbox.settings.account_id
        here.s3.put_object(Bucket=here.sandbox.bucket, Key="a b/ü+%.txt", Body=b"x" * 100_000)
        assert here.s3.get_object(Bucket=here.sandbox.bucket, Key="a b/ü+%.txt")["Body"].read() == b"x" * 100_000
        assert here.s3.head_object(Bucket=here.sandbox.bucket, Key="a b/ü+%.txt")["ContentLength"] == 100_000
        with pytest.raises(ClientError, match="Requested resource not found"):
            here.sagemaker.describe_training_job(TrainingJobName="nobody")
        assert here.sandbox.call_counts()["s3.PutObject"] == 1
    assert os.environ["AWS_ENDPOINT_URL"] == "http://127.0.0.1:9"


def test_files_of_several_parts_arrive_whole(tmp_path: Any) -> None:
    path = tmp_path / "large"
    path.write_bytes(os.urandom(9_000_000))
    with sandbox_of(hourly) as here:
        here.s3.upload_file(str(path), here.sandbox.bucket, "large")
        here.s3.copy({"Bucket": here.sandbox.bucket, "Key": "large"}, here.sandbox.bucket, "copy")
        here.s3.download_file(here.sandbox.bucket, "copy", str(tmp_path / "copy"))
        assert (tmp_path / "copy").read_bytes() == path.read_bytes()
        assert here.sandbox.call_counts()["s3.UploadPart"] == 2


def test_no_other_process_can_reach_it() -> None:
    with sandbox_of(hourly) as here, pytest.raises(RuntimeError, match="has no port"):
        here.sandbox.environment()


def test_processes_need_the_machines_time() -> None:
    with pytest.raises(ValueError, match="give their script as jobs"):
        Sandbox(clock=VirtualClock())


def test_synthetic_jobs_can_have_a_port_and_the_machines_time() -> None:
    with Sandbox(jobs=lambda run: [Line("hello")]) as sandbox:
        sandbox.client("sagemaker").create_training_job(**job_request(sandbox, "job"))
        assert path_of(sandbox.client("sagemaker").describe_training_job(TrainingJobName="job"))[-1] == COMPLETED


def test_the_sandbox_knows_how_fast_it_was_called() -> None:
    with sandbox_of(hourly) as here:
        here.sandbox.reset_call_counts()
        for pause in (0.0, 0.1, 0.4, 0.5, 0.5, 9.0):
            here.clock.sleep(pause)
            here.sagemaker.list_training_jobs()
        assert here.sandbox.peak_rate("sagemaker.ListTrainingJobs") == 3.0
        assert here.sandbox.peak_rate("sagemaker.ListTrainingJobs", seconds=10.0) == 0.5
        assert here.sandbox.peak_rate("sagemaker.Search") == 0.0


def test_a_reset_forgets_its_jobs() -> None:
    with sandbox_of(hourly) as here:
        here.create()
        here.sandbox.reset()
        here.clock.sleep(1e5)
        here.create()
        here.clock.sleep(1e5)
        assert len(here.printed()) == 60
