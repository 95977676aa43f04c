"""Being the tuner's job: load the tuner, check it, run it with its experiment in S3."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cloudtune
from cloudtune.aws import Aws
from cloudtune.backends.base import TakesEntryPoint
from cloudtune.callbacks.stop_requests import StopRequestsCallback
from cloudtune.engine.stopping import with_limits
from cloudtune.errors import CloudtuneError
from cloudtune.paths import FOLDER_VARIABLES
from cloudtune.remote import layout
from cloudtune.remote.interruption import LeaveTrials, StopSignals, StopWatch
from cloudtune.remote.payload import load_tuner
from cloudtune.remote.storage import S3Storage
from cloudtune.tuner import Tuner

logger = logging.getLogger("cloudtune.remote")

_LIMITS: Mapping[str, type[float]] = {"max_wallclock_time": float, "max_num_trials_started": int, "max_cost": float}


@dataclass(frozen=True)
class Request:
    """What the launcher wrote into the job's hyperparameters."""

    s3_path: str
    sha256: str
    python: str
    log_level: int
    no_tuner_logging: bool
    spot: bool
    limits: Mapping[str, Any]
    """What a resume has changed in the stop criterion, by its names there."""
    n_workers: int | None
    check: bool
    """Only see whether the tuner can be loaded."""


def main(arguments: Sequence[str]) -> int:
    """The job's exit code: 0 if the experiment has ended or goes on elsewhere, 1 with a failure file if it failed."""
    request = _parse(arguments)
    logging.basicConfig(
        level=request.log_level, stream=sys.stdout, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True
    )
    for chatty in ("boto3", "botocore", "s3transfer", "urllib3"):
        logging.getLogger(chatty).setLevel(max(request.log_level, logging.WARNING))
    if request.no_tuner_logging:
        logging.getLogger("cloudtune.tuner").setLevel(logging.ERROR)
    if request.check:
        _load(request)
        return 0
    try:
        return _exit_code(request)
    finally:
        logging.shutdown()
        print(layout.LAST_LINE, flush=True)


def _exit_code(request: Request) -> int:
    try:
        _run(request)
    except LeaveTrials as left:
        logger.warning("%s: trials go on; the next run of this tuner takes them over", left)
        return 0
    except CloudtuneError as error:
        logger.error("%s: %s", type(error).__name__, error)
        _write_failure(f"{type(error).__name__}: {error}")
        return 1
    except BaseException as error:
        _write_failure(f"{type(error).__name__}: {error}")
        raise
    return 0


def _run(request: Request) -> None:
    # scratch: whatever must outlive this machine is in S3
    os.environ[FOLDER_VARIABLES[0]] = tempfile.mkdtemp(prefix="cloudtune-")
    tuner = _load(request)
    _adapt(tuner, request)
    aws = Aws()
    storage = S3Storage(request.s3_path, aws)
    tuner.storage = storage
    job = os.environ.get("TRAINING_JOB_NAME", "")

    def is_stopping() -> bool:
        described = aws.call("sagemaker", "DescribeTrainingJob", TrainingJobName=job) if job else {}
        return described.get("TrainingJobStatus") == "Stopping"

    watch = StopWatch(StopSignals(lambda: storage.look(tuner.tuner_path), is_stopping), request.spot)
    watch.listen()
    tuner.callbacks = [
        each for each in tuner.callbacks if not isinstance(each, StopRequestsCallback)
    ]  # the watch looks, too
    tuner.callbacks.append(watch)
    logger.info("tuner %s, kept in %s", tuner.name, storage.uri(tuner.name))
    tuner.run()


def _load(request: Request) -> Tuner:
    return load_tuner((_here() / layout.PAYLOAD).read_bytes(), request.sha256, request.python)


def _here() -> Path:
    """Where the tarball was unpacked."""
    return Path(cloudtune.__file__).resolve().parents[1]


def _adapt(tuner: Tuner, request: Request) -> None:
    """What is different on this machine, and what a resume has changed."""
    tuner.save_tuner = False  # the launcher has put it into S3
    backend, script = tuner.trial_backend, tuner.trial_backend.entry_point
    if isinstance(backend, TakesEntryPoint) and script is not None:
        backend.set_entry_point(_here() / layout.TRIAL_SOURCE / script.name)
    tuner.trial_backend_path = layout.backend_path_not_synced_to_s3()
    if request.limits:
        tuner.stop_criterion = with_limits(tuner.stop_criterion, request.limits)
    if request.n_workers is not None:
        tuner.n_workers = request.n_workers


def _parse(arguments: Sequence[str]) -> Request:
    parser = argparse.ArgumentParser()
    parser.add_argument("--s3_path", default="")
    parser.add_argument("--tuner_sha256", required=True)
    parser.add_argument("--tuner_python", default="")
    parser.add_argument("--log_level", type=int, default=logging.INFO)
    parser.add_argument("--no_tuner_logging", type=int, default=0)
    parser.add_argument("--spot", type=int, default=0)
    for limit, kind in _LIMITS.items():
        parser.add_argument(f"--{limit}", type=kind)
    parser.add_argument("--n_workers", type=int)
    parser.add_argument("--check", action="store_true")
    given, _ = parser.parse_known_args(arguments)
    return Request(
        given.s3_path,
        given.tuner_sha256,
        given.tuner_python,
        given.log_level,
        bool(given.no_tuner_logging),
        bool(given.spot),
        {name: getattr(given, name) for name in _LIMITS if getattr(given, name) is not None},
        given.n_workers,
        given.check,
    )


def _write_failure(text: str) -> None:
    """The reason that the service shows."""
    folder = Path(os.environ.get("SM_OUTPUT_DIR", "/opt/ml/output"))
    if folder.is_dir():
        (folder / "failure").write_text(text)
