"""What every trial's training job has in common: a CreateTrainingJob request, whole and unchanged."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cloudtune.aws import Aws
from cloudtune.aws.request_check import input_shape, problems_of
from cloudtune.errors import OptionError
from cloudtune.options import check_count, check_flag, check_texts, named_arguments
from cloudtune.sagemaker import sdk
from cloudtune.sagemaker.choices import checked_fallbacks
from cloudtune.sagemaker.hyperparameters import PROGRAM
from cloudtune.sagemaker.source import ScriptSource
from cloudtune.sagemaker.spot import DEFAULT_MAX_RUN

DEFAULT_INSTANCE = "ml.m5.xlarge"

_FILLED_IN = frozenset({"TrainingJobName", "OutputDataConfig", "RoleArn"})
"""Required by the service, and found by the backend where the template lacks them."""

_SEE = "fields and limits: `aws sagemaker create-training-job help`"


@dataclass(frozen=True)
class TrainingJobTemplate:
    """A CreateTrainingJob request from which every trial's is made.

    Only what the tuner owns changes per trial: name, output path, checkpoint URI, and what it adds to hyperparameters,
    tags, environment and metric definitions. Every other field, known to us or not, arrives unchanged.
    ``source`` is a script on this machine still to be packed; None if the request brings its own code. ``role``: name
    or ARN of the role, where the request has no RoleArn. ``fallback_instance_types``: to be tried, in this order, where
    the request's own InstanceType is not to be had.

    Make one by ``from_dict``, ``from_estimator`` (SDK 2), ``from_model_trainer`` (SDK 3), ``from_training_job`` or
    ``script``. Raises ``OptionError`` for a field the service would reject.
    """

    _request: Mapping[str, Any]
    source: ScriptSource | None = None
    role: str | None = None
    fallback_instance_types: Sequence[str] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "_request", copy.deepcopy(dict(self._request)))
        problems = [
            problem
            for problem in problems_of("sagemaker", "CreateTrainingJob", self._request)
            if not (problem.field.split(".")[0] in _FILLED_IN and problem.says == "is missing")
        ]
        if problems:
            raise OptionError(
                "the training job template: " + "; ".join(f"{problem.field}: {problem.says}" for problem in problems),
                next((problem.hint for problem in problems if problem.hint), _SEE),
            )
        fallbacks = checked_fallbacks(self._request, self.fallback_instance_types)
        object.__setattr__(self, "fallback_instance_types", fallbacks)

    @property
    def request(self) -> dict[str, Any]:
        """A copy of the request; changing it changes nothing here."""
        return copy.deepcopy(dict(self._request))

    @property
    def entry_point(self) -> Path | None:
        """The training script: on this machine if it is, else just its name."""
        if self.source is not None:
            return self.source.script
        program = (self._request.get("HyperParameters") or {}).get(PROGRAM)
        return None if program is None else Path(_unquoted(program))

    @property
    def instance_type(self) -> str | None:
        """None where the request has groups or preferences of instances."""
        kind = (self._request.get("ResourceConfig") or {}).get("InstanceType")
        return None if kind is None else str(kind)

    @property
    def instance_count(self) -> int:
        return int((self._request.get("ResourceConfig") or {}).get("InstanceCount") or 1)

    # -- where templates come from -------------------------------------------------------------------------------

    @classmethod
    def from_dict(cls, request: Mapping[str, Any]) -> TrainingJobTemplate:
        """From a request as ``boto3``'s ``create_training_job`` takes it; its TrainingJobName is ignored."""
        return cls(request)

    @classmethod
    def from_estimator(cls, estimator: Any, inputs: Any = None) -> TrainingJobTemplate:
        """From an estimator of the SageMaker SDK 2; ``inputs`` as its ``fit`` takes them. Uploads its source once."""
        return cls(sdk.request_of_estimator(estimator, inputs))

    @classmethod
    def from_model_trainer(cls, trainer: Any, input_data_config: Any = None) -> TrainingJobTemplate:
        """From a ModelTrainer of the SageMaker SDK 3; ``input_data_config`` as its ``train`` takes it."""
        return cls(sdk.request_of_model_trainer(trainer, input_data_config))

    @classmethod
    def from_training_job(cls, name: str, aws: Aws | None = None) -> TrainingJobTemplate:
        """Tune an existing job: its request, with its tags. Raises ``NotFoundError`` if there is none of that name."""
        aws = aws or Aws()
        described = aws.call("sagemaker", "DescribeTrainingJob", TrainingJobName=name)
        request = _restricted(input_shape("sagemaker", "CreateTrainingJob"), described)
        for outcome in ("SelectedInstanceType", "SelectedInstanceCount"):
            request.get("ResourceConfig", {}).pop(outcome, None)
        arn = described["TrainingJobArn"]
        tags = [tag for page in aws.pages("sagemaker", "ListTags", ResourceArn=arn) for tag in page.get("Tags", [])]
        kept = [tag for tag in tags if not tag["Key"].startswith("aws:")]  # AWS's own can't be given
        return cls({**request, "Tags": kept} if kept else request)

    @classmethod
    def of(cls, given: Any, inputs: Any = None) -> TrainingJobTemplate:
        """Whatever describes a training job: a template, a dict, an SDK 2 estimator or an SDK 3 ModelTrainer."""
        if isinstance(given, TrainingJobTemplate):
            return given.with_inputs(inputs) if inputs else given
        if isinstance(given, Mapping):
            return cls.from_dict(given).with_inputs(inputs)
        if sdk.is_model_trainer(given):
            return cls.from_model_trainer(given, inputs)
        if sdk.is_estimator(given):
            return cls.from_estimator(given, inputs)
        raise OptionError(
            f"{type(given).__name__} describes no training job",
            "give a TrainingJobTemplate, a dict, an Estimator (SDK 2) or a ModelTrainer (SDK 3)",
        )

    @classmethod
    @named_arguments
    def script(
        cls,
        entry_point: str | Path,
        source_dir: str | Path | None = None,
        role: str | None = None,
        image_uri: str | None = None,
        instance_type: str | Sequence[str] = DEFAULT_INSTANCE,
        instance_count: int = 1,
        dependencies: Sequence[str | Path] = (),
        hyperparameters: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
        inputs: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        volume_size: int = 30,
        max_run: int = DEFAULT_MAX_RUN,
        keep_alive_period_in_seconds: int | None = None,
        use_spot: bool = False,
        max_wait: int | None = None,
        max_pending: int | None = None,
    ) -> TrainingJobTemplate:
        """From a training script, without any SDK, for images that run SageMaker's script mode.

        ``role``: ARN or name; default: AWS_ROLE, else the account's SageMaker role. ``image_uri``: default
        SageMaker's scikit-learn image, PyTorch's on instances with GPUs. ``instance_type``: of several, in order, a
        trial gets the first that is to be had. ``inputs``: S3 URIs by channel name. ``volume_size`` in GB.
        In seconds: ``max_run``; ``keep_alive_period_in_seconds``; ``max_wait``, with ``use_spot``, for waiting and
        running together (default: twice ``max_run``); ``max_pending``, for waiting for accelerators on demand.
        Raises ``ScriptError``, ``OptionError``.
        """
        source = ScriptSource(
            Path(entry_point), None if source_dir is None else Path(source_dir), tuple(Path(d) for d in dependencies)
        )
        if not instance_type or not isinstance(instance_type, (str, list, tuple)):
            raise OptionError(f"instance_type={instance_type!r} names none", f"for example {DEFAULT_INSTANCE!r}")
        first, *others = [instance_type] if isinstance(instance_type, str) else instance_type
        counts = {
            "instance_count": instance_count,
            "volume_size": volume_size,
            "max_run": max_run,
            "max_wait": max_wait,
            "max_pending": max_pending,
        }
        for name, count in counts.items():
            if count is not None:
                check_count(name, count, least=1)
        if keep_alive_period_in_seconds is not None:
            check_count("keep_alive_period_in_seconds", keep_alive_period_in_seconds)
        check_flag("use_spot", use_spot)
        for name, texts in (("environment", environment), ("tags", tags)):
            check_texts(name, texts or {})
        if not isinstance(hyperparameters or {}, Mapping):
            raise OptionError(f"hyperparameters={hyperparameters!r} is no dict", 'for example {"epochs": 9}')
        if role is not None and not isinstance(role, str):
            raise OptionError(f"role={role!r} is no name and no ARN of a role", "for example 'SageMakerRole'")
        resources: dict[str, Any] = {
            "InstanceType": first,
            "InstanceCount": instance_count,
            "VolumeSizeInGB": volume_size,
        }
        if keep_alive_period_in_seconds is not None:
            resources["KeepAlivePeriodInSeconds"] = keep_alive_period_in_seconds
        stopping = {"MaxRuntimeInSeconds": max_run}
        request: dict[str, Any] = {
            "AlgorithmSpecification": {"TrainingInputMode": "File"},
            "HyperParameters": {
                **{name: _encoded(name, value) for name, value in (hyperparameters or {}).items()},
                PROGRAM: json.dumps(source.program),
            },
            "ResourceConfig": resources,
            "StoppingCondition": stopping,
        }
        if image_uri is not None:
            request["AlgorithmSpecification"]["TrainingImage"] = image_uri
        if environment:
            request["Environment"] = dict(environment)
        if tags:
            request["Tags"] = [{"Key": key, "Value": value} for key, value in tags.items()]
        if use_spot:
            request["EnableManagedSpotTraining"] = True
            max_wait = 2 * max_run if max_wait is None else max_wait
        if max_wait is not None:
            stopping["MaxWaitTimeInSeconds"] = max_wait
        if max_pending is not None:
            stopping["MaxPendingTimeInSeconds"] = max_pending
        if role is not None and role.startswith("arn:"):
            request["RoleArn"], role = role, None
        return cls(request, source, role, tuple(others)).with_inputs(inputs)

    def with_inputs(self, inputs: Mapping[str, str] | None) -> TrainingJobTemplate:
        """With a channel per entry of ``inputs``, S3 URIs by channel name."""
        if not inputs:
            return self
        if not isinstance(inputs, Mapping) or not all(isinstance(uri, str) for uri in inputs.values()):
            raise OptionError(f"inputs={inputs!r} are no S3 URIs by channel name", "for example {'train': 's3://...'}")
        channels = [
            {
                "ChannelName": name,
                "DataSource": {
                    "S3DataSource": {
                        "S3DataType": "S3Prefix",
                        "S3Uri": uri,
                        "S3DataDistributionType": "FullyReplicated",
                    }
                },
            }
            for name, uri in inputs.items()
        ]
        return self.replaced(InputDataConfig=[*(self._request.get("InputDataConfig") or []), *channels])

    def with_fallbacks(self, instance_types: Sequence[str]) -> TrainingJobTemplate:
        """To be tried, in this order, where its own InstanceType is not to be had."""
        return replace(self, fallback_instance_types=instance_types) if instance_types else self

    def replaced(self, **fields: Any) -> TrainingJobTemplate:
        """With these top-level fields of the request instead."""
        return replace(self, _request={**self._request, **fields})


def _encoded(name: str, value: Any) -> str:
    try:
        return json.dumps(value)
    except (TypeError, ValueError) as error:
        raise OptionError(
            f"hyperparameter {name}={value!r} is not JSON: {error}", "use numbers, strings, lists and dicts"
        ) from error


def _unquoted(text: str) -> str:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, str) else text


def _restricted(shape: Any, value: Any) -> Any:
    """What of a response fits a request's shape."""
    if shape.type_name == "structure" and isinstance(value, Mapping):
        known = {name: member for name, member in value.items() if name in shape.members and member is not None}
        return {name: _restricted(shape.members[name], member) for name, member in known.items()}
    if shape.type_name == "list" and isinstance(value, list):
        return [_restricted(shape.member, item) for item in value]
    return value
