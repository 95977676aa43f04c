"""Tuners on the sandbox in virtual time: the real backend and the real botocore, but no process and no waiting.

::

    with virtual() as (sandbox, tuner, clock):
        tuner.run()

Trials follow a learning curve; ``Training`` says how long an epoch takes, what is saved, and how it reacts to a stop.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from cloudtune import report
from cloudtune.aws import Aws
from cloudtune.callbacks.base import TunerCallback
from cloudtune.callbacks.progress import ProgressCallback
from cloudtune.clock import VirtualClock
from cloudtune.engine.status import TuningStatus
from cloudtune.engine.stopping import StoppingCriterion
from cloudtune.sagemaker import SageMakerBackend, TrainingJobTemplate
from cloudtune.sandbox import Delays, Sandbox
from cloudtune.sandbox.script import Exit, Line, Run, Save, Script, Step, Terminated
from cloudtune.schedulers.base import TrialScheduler
from cloudtune.storage import ExperimentStorage
from cloudtune.trial import Config
from cloudtune.tuner import Tuner
from tests.tuning import KeptJournal, asha, curve

CHECKPOINT = "state.json"


class Virtual(NamedTuple):
    """What one experiment in virtual time consists of."""

    sandbox: Sandbox
    tuner: Tuner
    clock: VirtualClock


class Reports:
    """What a ``Reporter`` prints in one run of a script, as the real one writes it, at a moment of virtual time."""

    def __init__(self, began: float) -> None:
        self._began = began
        self._made = 0

    def line(self, metrics: Mapping[str, Any], after: float = 0.0) -> Line:
        """A report, ``after`` seconds of work."""
        number, self._made = self._made, self._made + 1

        def text(at: float) -> str:
            automatic = {
                report.ST_WORKER_TIMESTAMP: at,
                report.ST_WORKER_ITER: number,
                report.ST_WORKER_TIME: at - self._began,
            }
            fields = {**report._checked(dict(metrics)), **automatic}
            return report._encoded(fields).decode("ascii").rstrip("\n")

        return Line(text, after)


@dataclass(frozen=True)
class Training:
    """A training script: reports ``curve(config, epoch)`` once per epoch.

    ``seconds``: of an epoch, or a function of configuration and epoch. ``checkpoints``: saves the epoch it has reached
    before each report, and goes on from there. ``after_stop``: seconds for which it goes on when asked to stop.
    """

    curve: Callable[[Config, int], Mapping[str, Any]] = curve
    seconds: float | Callable[[Config, int], float] = 60.0
    checkpoints: bool = True
    after_stop: float = 0.0
    resource: str = "epoch"
    max_resource: str = "epochs"

    def __call__(self, run: Run) -> Iterator[Step]:
        left = math.inf
        for step in self._work(run):
            if step.after > left:
                yield Exit(after=left)
            try:
                yield step
            except Terminated as stop:
                if stop.remaining > self.after_stop:
                    yield Exit(after=self.after_stop)
                left = self.after_stop - stop.remaining
                yield replace(step, after=stop.remaining)
            else:
                left -= step.after

    def _work(self, run: Run) -> Iterator[Step]:
        """All epochs from the checkpoint's on."""
        config, reports = config_of(run), Reports(run.began)
        begin = json.loads(run.checkpoint[CHECKPOINT])[self.resource] if CHECKPOINT in run.checkpoint else 0
        for epoch in range(begin + 1, int(config[self.max_resource]) + 1):
            seconds = self.seconds(config, epoch) if callable(self.seconds) else self.seconds
            if self.checkpoints:
                yield Save({CHECKPOINT: json.dumps({self.resource: epoch}).encode()}, seconds)
                seconds = 0.0
            yield reports.line({self.resource: epoch, **self.curve(config, epoch)}, seconds)


def config_of(run: Run) -> dict[str, Any]:
    """A run's configuration: hyperparameters as a script's argparse reads them."""
    return {name: _value(text) for name, text in run.hyperparameters.items()}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


@contextmanager
def virtual(
    jobs: Script | None = None,
    scheduler: TrialScheduler | None = None,
    stop_criterion: Callable[[TuningStatus], bool] | None = None,
    n_workers: int = 4,
    delays: Delays | None = None,
    sandbox_options: Mapping[str, Any] | None = None,
    **options: Any,
) -> Iterator[Virtual]:
    """A sandbox on a virtual clock, and a tuner on it that has not begun. ``options`` as of ``tuner_in``."""
    clock = VirtualClock()
    with Sandbox(jobs=jobs or Training(), clock=clock, delays=delays, **(sandbox_options or {})) as sandbox:
        yield Virtual(sandbox, tuner_in(sandbox, clock, scheduler, stop_criterion, n_workers, **options), clock)


def tuner_in(
    sandbox: Sandbox,
    clock: VirtualClock,
    scheduler: TrialScheduler | None = None,
    stop_criterion: Callable[[TuningStatus], bool] | None = None,
    n_workers: int = 4,
    request: Mapping[str, Any] | None = None,
    backend_options: Mapping[str, Any] | None = None,
    storage: ExperimentStorage | None = None,
    callbacks: Sequence[TunerCallback] = (),
    **options: Any,
) -> Tuner:
    """A tuner on ``sandbox``: ASHA and seven trials unless told otherwise. ``request``: changes to the template;
    ``options``: the tuner's.
    """
    return Tuner(
        backend_on(sandbox, clock, request, **(backend_options or {})),
        scheduler or asha(),
        stop_criterion or StoppingCriterion(max_num_trials_started=7),
        n_workers,
        clock=clock,
        storage=storage or KeptJournal(),
        callbacks=[*callbacks, ProgressCallback(1e9)],
        tuner_name=options.pop("tuner_name", "virtual"),
        suffix_tuner_name=False,
        save_tuner=options.pop("save_tuner", False),
        results_update_interval=options.pop("results_update_interval", 1e9),
        **options,
    )


def backend_on(
    sandbox: Sandbox, clock: VirtualClock, request: Mapping[str, Any] | None = None, attempts: int = 1, **options: Any
) -> SageMakerBackend:
    """``attempts``: at each call, as botocore counts them; ``options``: the backend's."""
    return SageMakerBackend(
        TrainingJobTemplate.from_dict(request_on(sandbox, request or {})),
        aws=Aws(session=sandbox.session(), attempts=attempts, clock=clock),
        **options,
    )


def request_on(sandbox: Sandbox, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The template of a training job; ``changes`` go into its members, one level deep."""
    request: dict[str, Any] = {
        "AlgorithmSpecification": {"TrainingImage": "synthetic", "TrainingInputMode": "File"},
        "RoleArn": sandbox.role_arn,
        "OutputDataConfig": {"S3OutputPath": f"s3://{sandbox.bucket}/out"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10},
        "StoppingCondition": {"MaxRuntimeInSeconds": 86_400},
    }
    for member, value in changes.items():
        both = isinstance(value, Mapping) and isinstance(request.get(member), dict)
        request[member] = {**request[member], **value} if both else value
    return request


def jobs_of(sandbox: Sandbox) -> list[dict[str, Any]]:
    """The description of every training job, in the order of their creation."""
    client = sandbox.client("sagemaker")
    pages = client.get_paginator("list_training_jobs").paginate(SortBy="CreationTime", SortOrder="Ascending")
    names = [summary["TrainingJobName"] for page in pages for summary in page["TrainingJobSummaries"]]
    return [client.describe_training_job(TrainingJobName=name) for name in names]
