"""API calls per look at the account, and seconds from a printed metric to the decision on it. On the sandbox.

    python tests/performance/api_calls.py [running trials ...]

First table: a backend polls while so many training jobs run, silent ones and ones that print a metric every second;
calls to SageMaker and CloudWatch Logs, as the sandbox counts them. Beside it the calls that Syne Tune 0.13's
SageMaker backend makes for the same look: ceil(n/20) + n + 2n (Search, DescribeLogStreams, GetLogEvents of one page).

Second table: an experiment is tuned with ASHA at several poll intervals; from the script's own time stamp to the
event in the journal. The sandbox's ingestion lag is 0: CloudWatch's comes on top.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from cloudtune import StoppingCriterion, Tuner, uniform
from cloudtune.aws import Aws
from cloudtune.backends.base import Experiment
from cloudtune.baselines import ASHA
from cloudtune.clock import SystemClock
from cloudtune.journal import events as ev
from cloudtune.sagemaker import MetricDefinition, SageMakerBackend, TrainingJobTemplate
from cloudtune.sandbox import Sandbox
from cloudtune.trial import Attempt, AttemptId, AttemptStatus, StatusChange

LOOKS = 8
POLL_INTERVALS = (0.2, 1.0, 5.0)
SILENT = "sleep 600"
CHATTY = "trap exit TERM; while true; do echo acc=0.5; sleep 1; done"
SCRIPT = """
import argparse, time
from cloudtune import Reporter
parser = argparse.ArgumentParser()
parser.add_argument("--width", type=float)
parser.add_argument("--epochs", type=int)
arguments, _ = parser.parse_known_args()
report = Reporter()
for epoch in range(1, arguments.epochs + 1):
    time.sleep(0.5)
    report(epoch=epoch, loss=arguments.width + 1 / epoch)
"""


def backend_on(sandbox: Sandbox, shell: str) -> SageMakerBackend:
    request: dict[str, Any] = {
        "AlgorithmSpecification": {
            "TrainingImage": "any",
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["/bin/sh", "-c", shell],
        },
        "RoleArn": sandbox.role_arn,
        "OutputDataConfig": {"S3OutputPath": f"s3://{sandbox.bucket}/out"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
    }
    return SageMakerBackend(
        TrainingJobTemplate.from_dict(request),
        metric_definitions=[MetricDefinition("acc", r"acc=([0-9.]+)")],
        aws=Aws(rates={}),
    )


def calls_per_look(sandbox: Sandbox, count: int, shell: str, pause: float) -> list[int]:
    """Calls of each of several looks while ``count`` trials run."""
    backend = backend_on(sandbox, shell)
    name = f"calls-{count}-{'silent' if shell is SILENT else 'chatty'}"
    backend.open(Experiment(name, Path(tempfile.mkdtemp()), metric_names=("acc",)), SystemClock())
    attempts = [Attempt(AttemptId(trial_id, 0), {}) for trial_id in range(count)]
    for attempt in attempts:
        backend.start(attempt)
    await_status(backend, count, lambda status: status is AttemptStatus.RUNNING)
    made = []
    for _ in range(LOOKS):
        time.sleep(pause)
        sandbox.reset_call_counts()
        backend.poll()
        services = ("sagemaker.", "logs.")
        made.append(sum(calls for name, calls in sandbox.call_counts().items() if name.startswith(services)))
    for attempt in attempts:
        backend.stop(attempt.id)
    await_status(backend, count, lambda status: status.is_final)
    return made


def await_status(backend: SageMakerBackend, count: int, condition: Callable[[AttemptStatus], bool]) -> None:
    reached: set[AttemptId] = set()
    deadline = time.monotonic() + 300
    while len(reached) < count:
        assert time.monotonic() < deadline, f"{len(reached)} of {count} trials came that far"
        time.sleep(0.2)
        for seen in backend.poll():
            if isinstance(seen, StatusChange) and condition(seen.status):
                reached.add(seen.attempt)


def syne_tune_calls(count: int) -> int:
    return -(-count // 20) + count + 2 * count


def print_calls(sandbox: Sandbox, counts: Sequence[int]) -> None:
    table = Table("running trials", "nothing new", "one metric per trial", "Syne Tune 0.13", title="API calls per look")
    for count in counts:
        silent = calls_per_look(sandbox, count, SILENT, 0.1)
        chatty = calls_per_look(sandbox, count, CHATTY, 1.0)
        table.add_row(str(count), spread(silent), spread(chatty), str(syne_tune_calls(count)))
    Console().print(table)


def spread(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return str(low) if low == high else f"{low} to {high}"


def decision_delays(interval: float, folder: Path) -> list[float]:
    """Seconds from each report to the decision on it."""
    script = folder / "train.py"
    script.write_text(SCRIPT)
    tuner = Tuner(
        SageMakerBackend(TrainingJobTemplate.script(script), aws=Aws(rates={})),
        ASHA({"width": uniform(0, 1), "epochs": 9}, metric="loss", resource_attr="epoch", max_resource_attr="epochs"),
        StoppingCriterion(max_num_trials_started=11),
        n_workers=4,
        sleep_time=interval,
        tuner_name=f"delay-{str(interval).replace('.', '-')}",
        suffix_tuner_name=False,
        print_update_interval=1e9,
    )
    tuner.run()
    events = list(tuner.storage.journal(tuner.tuner_path).read())
    emitted = {(e.trial_id, e.attempt, e.key): e.emitted_at for e in events if isinstance(e, ev.ReportObserved)}
    return [e.at - emitted[e.trial_id, e.attempt, e.key] for e in events if isinstance(e, ev.DecisionMade)]


def print_delays(folder: Path) -> None:
    table = Table(
        "sleep_time", "decisions", "median", "90%", title="Seconds from a printed metric to the decision on it"
    )
    for interval in POLL_INTERVALS:
        delays = sorted(decision_delays(interval, folder))
        tenth = delays[int(0.9 * len(delays))]
        table.add_row(f"{interval:g} s", str(len(delays)), f"{statistics.median(delays):.2f}", f"{tenth:.2f}")
    Console().print(table)


def main() -> None:
    counts = [int(argument) for argument in sys.argv[1:]] or [1, 10, 100]
    with tempfile.TemporaryDirectory() as folder, Sandbox() as sandbox:
        os.environ.update(sandbox.environment(), CLOUDTUNE_FOLDER=folder)
        print_calls(sandbox, counts)
        print_delays(Path(folder))


if __name__ == "__main__":
    main()
