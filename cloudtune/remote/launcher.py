"""Run a tuner as a training job of its own."""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from cloudtune.aws import Aws, S3Uri
from cloudtune.aws import objects as s3
from cloudtune.aws.request_check import check_request
from cloudtune.backends.base import TakesEntryPoint, TrialBackend
from cloudtune.errors import InvalidRequestError, OptionError
from cloudtune.options import check_flag, check_kind, named_options
from cloudtune.paths import TUNER_FILE
from cloudtune.remote.experiment import RemoteExperiment
from cloudtune.remote.following import follow
from cloudtune.remote.launching import DIGEST, launch, refuse_second
from cloudtune.remote.packing import Upload, check_loads, pack
from cloudtune.remote.payload import Payload
from cloudtune.remote.request import TunerJobRequest, tuner_image
from cloudtune.remote.storage import S3Storage, s3_experiment_path
from cloudtune.remote.trial_logs import StoreTrialLogs
from cloudtune.remote.tuner_job import TunerJobOptions, tuner_jobs
from cloudtune.remote.tuning_metrics import RemoteTuningMetricsCallback
from cloudtune.sagemaker import preflight
from cloudtune.sagemaker.backend import SageMakerBackend
from cloudtune.sagemaker.layout import ExperimentLayout
from cloudtune.sagemaker.role import get_execution_role, role_arn
from cloudtune.sagemaker.source import SourceArchive
from cloudtune.tuner import Tuner

logger = logging.getLogger("cloudtune.remote")


@named_options({each.name: f"job=TunerJobOptions({each.name}=…) has it" for each in fields(TunerJobOptions)})
class RemoteLauncher:
    """Runs ``tuner`` as a training job: this machine may then be switched off.

    With a ``SageMakerBackend``, that job launches one training job per trial; with a ``LocalBackend``, trials are
    processes inside it.

    ``role``: ARN or name; default: AWS_ROLE, else the account's SageMaker role.
    ``instance_type``: of the tuner's job, whatever its trials run on.
    ``dependencies``: folders that the tuner's code imports, by their names.
    ``store_logs_localbackend``: with a ``LocalBackend``, copy the trials' logs to S3 at the end.
    ``log_level``: of the tuner's job; default: INFO. ``no_tuner_logging``: only errors from the tuner itself.
    ``s3_path``: the prefix of all experiments; this one lies below ``{s3_path}/{tuner name}/``.
    Default: ``s3_experiment_path()``.
    ``publish_tuning_metrics``: the best so far as metrics of the tuner's job (``RemoteTuningMetricsCallback``).
    ``image_uri``: of the tuner's job; default: AWS's own image with this Python, as far as there is one.
    ``job``: everything else about it: limits, spot, network, tags.

    Raises ``OptionError`` for arguments that make no sense.
    """

    def __init__(
        self,
        tuner: Tuner,
        role: str | None = None,
        instance_type: str = "ml.c5.4xlarge",
        dependencies: Sequence[str | Path] | None = None,
        store_logs_localbackend: bool = False,
        log_level: int | None = None,
        s3_path: str | None = None,
        no_tuner_logging: bool = False,
        publish_tuning_metrics: bool = True,
        image_uri: str | None = None,
        job: TunerJobOptions | None = None,
        aws: Aws | None = None,
    ) -> None:
        if not isinstance(tuner, Tuner):
            raise OptionError(f"tuner={tuner!r} is no Tuner", "give the tuner that you would call run() on")
        if s3_path is not None:
            S3Uri.parse(s3_path)
        for name, text in (("role", role), ("instance_type", instance_type), ("image_uri", image_uri)):
            if not isinstance(text, str) and (text is not None or name == "instance_type"):
                raise OptionError(f"{name}={text!r} is no string", "give one: the tuner's job has one of it")
        for name, flag in (
            ("store_logs_localbackend", store_logs_localbackend),
            ("no_tuner_logging", no_tuner_logging),
            ("publish_tuning_metrics", publish_tuning_metrics),
        ):
            check_flag(name, flag)
        check_kind("job", job or TunerJobOptions(), TunerJobOptions, "job=TunerJobOptions(max_run=3600), for example")
        check_kind("aws", aws or Aws(), Aws, "aws=Aws(…)")
        self.tuner = tuner
        self.role = role
        self.instance_type = instance_type
        self.dependencies = _folders(dependencies)
        self.store_logs_localbackend = store_logs_localbackend
        self.log_level = _checked_level(log_level)
        self.s3_path = s3_path
        self.no_tuner_logging = no_tuner_logging
        self.publish_tuning_metrics = publish_tuning_metrics
        self.image_uri = image_uri
        self.job = job or TunerJobOptions()
        self.aws = aws or Aws()

    def run(self, wait: bool = True) -> RemoteExperiment:
        """Launch it. With ``wait``, show its log and a table until it has ended; Ctrl-C ends the showing only.

        Raises ``UserError`` for all that can be known to be wrong before anything is sent, ``AlreadyExistsError`` if
        the experiment's tuner runs already, and with ``wait`` ``ExperimentFailedError`` if its job failed.
        """
        experiment = RemoteExperiment(self.tuner.name, self.s3_path, self.aws, self.tuner.clock)
        refuse_second(tuner_jobs(self.aws, self.tuner.name))
        upload = self.prepare_upload()
        check_loads(upload)
        self._rehearse()
        archive = upload.bundle.archive()
        request = self._request(upload.payload, archive, experiment.uri)
        _check(request, self.tuner.name)
        self._send(upload.payload, archive, experiment.uri)
        job = launch(self.aws, self.tuner.name, experiment.uri, request)
        logger.info("%s runs the tuner; the experiment lies in %s", job.name, experiment.uri)
        if wait:
            follow(experiment, job)
        return experiment

    def prepare_upload(self) -> Upload:
        """What would be sent: the package, the launcher's and the tuner's code, dependencies, and the tuner itself.

        Raises ``OptionError`` or ``ScriptError`` for what can't travel. Sends nothing.
        """
        tuner = self._traveller()
        return pack(tuner, self.dependencies, isinstance(tuner.trial_backend, TakesEntryPoint))

    def _traveller(self) -> Tuner:
        """The tuner as the job runs it; the user's own stays as it is."""
        tuner = copy.copy(self.tuner)
        storage = S3Storage(self._root(), self.aws)
        tuner.storage = storage
        tuner.trial_backend = self._travelling_backend()
        tuner.callbacks = list(tuner.callbacks)
        if self.publish_tuning_metrics:
            tuner.callbacks.append(self._tuning_metrics())
        if self.store_logs_localbackend:
            tuner.callbacks.append(StoreTrialLogs(storage.uri(tuner.name), self.aws))
        return tuner

    def _travelling_backend(self) -> TrialBackend:
        backend = copy.copy(self.tuner.trial_backend)
        if isinstance(backend, SageMakerBackend):
            backend.s3_path = backend.s3_path or S3Uri.parse(self._root())
            backend.prepare_to_travel()
        return backend

    def _rehearse(self) -> None:
        """Look for all that is wrong, and open the backend, here where it costs nothing yet."""
        preflight.check_bucket(self.aws, S3Uri.parse(self._root()))
        preflight.check_role(self.aws, self._role())
        if isinstance(self.tuner.trial_backend, SageMakerBackend):
            tuner = copy.copy(self.tuner)
            tuner.trial_backend = self._travelling_backend()
            tuner.open_backend().close()

    def _tuning_metrics(self) -> RemoteTuningMetricsCallback:
        scheduler = self.tuner.scheduler
        modes = scheduler.metric_mode()
        first = modes if isinstance(modes, str) else modes[0]
        return RemoteTuningMetricsCallback(
            scheduler.metric_names()[0],
            "max" if first == "max" else "min",
            scheduler.config_space,
            scheduler.resource_attr,
        )

    def _send(self, payload: Payload, archive: SourceArchive, experiment: S3Uri) -> None:
        source = ExperimentLayout(experiment).source(archive.sha256)
        if not s3.exists(self.aws, source):
            s3.put(self.aws, source, archive.content)
        s3.put(self.aws, experiment / TUNER_FILE, payload.content)

    def _request(self, payload: Payload, archive: SourceArchive, experiment: S3Uri) -> dict[str, Any]:
        region = self.aws.region
        image = self.image_uri or tuner_image(region, self.instance_type, payload.python)
        hyperparameters = {
            "s3_path": self._root(),
            DIGEST: payload.sha256,
            "tuner_python": payload.python,
            "log_level": self.log_level,
            "no_tuner_logging": int(self.no_tuner_logging),
            "spot": int(self.job.use_spot_instances),
        }
        return TunerJobRequest(
            tuner_name=self.tuner.name,
            experiment=experiment,
            source=ExperimentLayout(experiment).source(archive.sha256),
            role=self._role(),
            image=image,
            instance_type=self.instance_type,
            hyperparameters=hyperparameters,
            metric_definitions=self._tuning_metrics().metric_definitions() if self.publish_tuning_metrics else (),
        ).request(self.job, region)

    def _role(self) -> str:
        return get_execution_role(self.aws) if self.role is None else role_arn(self.aws, self.role)

    def _root(self) -> str:
        return self.s3_path or s3_experiment_path(aws=self.aws)


def _folders(dependencies: Sequence[str | Path] | None) -> list[Path]:
    if dependencies is not None and not isinstance(dependencies, (list, tuple)):
        raise OptionError(f"dependencies={dependencies!r} is no list", f"write [{str(dependencies)!r}]")
    return [Path(folder) for folder in dependencies or ()]


def _checked_level(level: int | None) -> int:
    if level is None:
        return logging.INFO
    if not isinstance(level, int):
        raise OptionError(f"log_level={level!r} is no level", "give logging.DEBUG, logging.INFO, …")
    return level


def _check(request: dict[str, Any], tuner_name: str) -> None:
    """Raises ``OptionError`` for what the service would reject."""
    try:
        check_request("sagemaker", "CreateTrainingJob", {**request, "TrainingJobName": tuner_name})
    except InvalidRequestError as error:
        raise OptionError(f"the tuner's job: {error.message}", error.hint) from error
