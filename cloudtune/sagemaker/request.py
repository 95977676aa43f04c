"""The CreateTrainingJob request of one attempt: the template, and what the tuner owns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cloudtune.aws import S3Uri
from cloudtune.aws.request_check import check_request
from cloudtune.constants import (
    MAX_METRICS_SUPPORTED_BY_SAGEMAKER,
    ST_CHECKPOINT_DIR,
    ST_CONFIG_JSON_FNAME_ARG,
    ST_INSTANCE_COUNT,
    ST_INSTANCE_TYPE,
)
from cloudtune.errors import InvalidRequestError, OptionError
from cloudtune.names import job_name
from cloudtune.report import DOLLARS_PER_HOUR_VARIABLE
from cloudtune.sagemaker.choices import Choice, choices_of, together
from cloudtune.sagemaker.hyperparameters import (
    Dialect,
    config_file,
    dialect_of,
    encode_config,
    why_not_as_strings,
)
from cloudtune.sagemaker.instances import price_of_resources
from cloudtune.sagemaker.layout import ExperimentLayout
from cloudtune.sagemaker.metrics import MetricDefinition
from cloudtune.trial import Attempt, Config

CONFIG_CHANNEL = "st_config"
CONFIG_NAME = "config.json"
MAX_CHANNELS = 20
CHECKPOINT_FOLDER = "/opt/ml/checkpoints"

TAG_EXPERIMENT = "cloudtune:experiment"
TAG_TRIAL = "cloudtune:trial"
TAG_ATTEMPT = "cloudtune:attempt"


@dataclass(frozen=True)
class RequestOptions:
    """What is the same for every attempt of an experiment. ``template``: a complete CreateTrainingJob request.

    ``fallback_instance_types``: to be tried in this order where the template's is not to be had.
    """

    tuner_name: str
    template: Mapping[str, Any]
    layout: ExperimentLayout
    definitions: Sequence[MetricDefinition] = ()
    pass_args_as_json: bool = False
    checkpoint_argument: bool = True
    fallback_instance_types: Sequence[str] = ()

    def choices(self, config: Config) -> tuple[Choice, ...]:
        """On which instances a job with this configuration may run, in the order to be tried."""
        return choices_of(self.template, self.fallback_instance_types, config)


@dataclass(frozen=True)
class AttemptRequest:
    """``request`` for CreateTrainingJob. ``config_file``: where to put which bytes before it is sent, if anywhere.

    ``why_file``: what kept the configuration out of the hyperparameters, where nobody asked for that.
    """

    name: str
    request: Mapping[str, Any]
    dollars_per_hour: float | None
    config_file: tuple[S3Uri, bytes] | None = None
    why_file: str | None = None


def attempt_request(
    options: RequestOptions, attempt: Attempt, resources: Mapping[str, Any] | None = None
) -> AttemptRequest:
    """What to send for this attempt: a function of its arguments. ``resources``: the ResourceConfig, where only some of
    the possible instances are to be asked for. The job's name doesn't depend on them.

    Raises ``ConfigSpaceError`` for a value that can't travel, ``InvalidRequestError`` naming field, value and limit
    for what the service would reject.
    """
    request = dict(options.template)
    trial_id, number = attempt.id.trial_id, attempt.id.number
    name = job_name(options.tuner_name, trial_id, number)
    if resources is None:
        choices = options.choices(attempt.config)
        resources = together(choices) or choices[0].resources
    price = price_of_resources(resources)
    config = {key: value for key, value in attempt.config.items() if key not in (ST_INSTANCE_TYPE, ST_INSTANCE_COUNT)}
    hyperparameters, why_file = _hyperparameters(options, config)
    request.update(
        TrainingJobName=name,
        HyperParameters=hyperparameters,
        OutputDataConfig=_at(request.get("OutputDataConfig"), S3OutputPath=options.layout.output(trial_id)),
        CheckpointConfig=_at(request.get("CheckpointConfig"), S3Uri=options.layout.checkpoints(trial_id)),
        Tags=_tags(request.get("Tags") or [], options.tuner_name, trial_id, number),
    )
    algorithm = _algorithm(request.get("AlgorithmSpecification") or {}, options.definitions)
    # a job without instances of its own, or without an algorithm, stays one
    if resources:
        request["ResourceConfig"] = dict(resources)
    if algorithm:
        request["AlgorithmSpecification"] = algorithm
    if price is not None:
        request["Environment"] = {**(request.get("Environment") or {}), DOLLARS_PER_HOUR_VARIABLE: repr(price)}
    file = None
    if ST_CONFIG_JSON_FNAME_ARG in hyperparameters:
        folder = options.layout.config(trial_id, number)
        request["InputDataConfig"] = _with_config_channel(request.get("InputDataConfig") or [], folder)
        file = (folder / CONFIG_NAME, config_file(config))
    check_request("sagemaker", "CreateTrainingJob", request)
    return AttemptRequest(name, request, price, file, None if options.pass_args_as_json else why_file)


def checkpoint_folder(template: Mapping[str, Any]) -> str:
    """Where a job of this template finds its checkpoints, in its container."""
    folder = (template.get("CheckpointConfig") or {}).get("LocalPath") or CHECKPOINT_FOLDER
    return str(folder).rstrip("/")


def _at(given: Mapping[str, Any] | None, **place: S3Uri) -> dict[str, Any]:
    """The template's settings, with the tuner's place."""
    return {**(given or {}), **{name: str(uri) for name, uri in place.items()}}


def _hyperparameters(options: RequestOptions, config: Config) -> tuple[dict[str, str], str | None]:
    """All hyperparameters, and why the configuration had to leave them, if it had."""
    dialect: Dialect = dialect_of(options.template)
    own: dict[str, Any] = {}
    if options.checkpoint_argument:
        own[ST_CHECKPOINT_DIR] = checkpoint_folder(options.template)
    given = dict(options.template.get("HyperParameters") or {})
    encoded = encode_config(config, dialect)
    others = len(set(given) - set(encoded)) + len(own)
    why = why_not_as_strings(config, encoded, others, dialect)
    if why or options.pass_args_as_json:
        own[ST_CONFIG_JSON_FNAME_ARG] = f"/opt/ml/input/data/{CONFIG_CHANNEL}/{CONFIG_NAME}"
        encoded = {}
        # what the file says must not be contradicted by the template's defaults on the command line
        given = {name: value for name, value in given.items() if name not in config}
    return {**given, **encoded, **encode_config(own, dialect)}, why


def _tags(given: Sequence[Mapping[str, str]], tuner_name: str, trial_id: int, attempt: int) -> list[dict[str, str]]:
    ours = {TAG_EXPERIMENT: tuner_name, TAG_TRIAL: str(trial_id), TAG_ATTEMPT: str(attempt)}
    theirs = [dict(tag) for tag in given if tag["Key"] not in ours]
    return [*theirs, *({"Key": key, "Value": value} for key, value in ours.items())]


def _algorithm(given: Mapping[str, Any], definitions: Sequence[MetricDefinition]) -> dict[str, Any]:
    algorithm = dict(given)
    theirs = list(algorithm.get("MetricDefinitions") or [])
    names = {definition["Name"] for definition in theirs}
    ours = [definition.as_request() for definition in definitions if definition.name not in names]
    if theirs or ours:
        algorithm["MetricDefinitions"] = [*theirs, *ours][: max(MAX_METRICS_SUPPORTED_BY_SAGEMAKER, len(theirs))]
    return algorithm


def _with_config_channel(given: Sequence[Mapping[str, Any]], folder: S3Uri) -> list[Mapping[str, Any]]:
    if len(given) >= MAX_CHANNELS:
        raise InvalidRequestError(
            f"the configuration needs an input channel of its own, and the template has {len(given)} of {MAX_CHANNELS}",
            "merge two of the template's channels",
        )
    source = {"S3DataType": "S3Prefix", "S3Uri": str(folder), "S3DataDistributionType": "FullyReplicated"}
    channel = {"ChannelName": CONFIG_CHANNEL, "DataSource": {"S3DataSource": source}, "InputMode": "File"}
    return [*given, channel]


def check_names(template: Mapping[str, Any]) -> None:
    """Raises ``OptionError`` if the template uses a channel name that is ours."""
    if any(channel.get("ChannelName") == CONFIG_CHANNEL for channel in template.get("InputDataConfig") or []):
        raise OptionError(f"the template has a channel {CONFIG_CHANNEL!r}, which the tuner uses itself", "rename it")
