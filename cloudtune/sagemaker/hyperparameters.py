"""A configuration on its way into a training job: as strings, the way its container reads them, or as a file.

How a container decodes is told by the template's own request:

- *script mode* (``sagemaker_program`` or ``sagemaker_submit_directory`` among the hyperparameters: frameworks of SDK
  2, ``TrainingJobTemplate.script``): everything is JSON;
- *drivers* (the channel ``sm_drivers`` of SDK 3's ModelTrainer) and *plain* (any other algorithm): strings as they
  are, the rest as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import Enum
from typing import Any

from cloudtune.errors import ConfigSpaceError
from cloudtune.trial import Config

MAX_ENTRIES = 100
MAX_VALUE = 2500
"""Limits of CreateTrainingJob: hyperparameters of one job, characters of one value."""

PROGRAM = "sagemaker_program"
SUBMIT_DIRECTORY = "sagemaker_submit_directory"
DRIVER_CHANNEL = "sm_drivers"
CODE_CHANNEL = "code"


class Dialect(Enum):
    """How a container reads its hyperparameters."""

    SCRIPT_MODE = "script mode"
    DRIVERS = "drivers"
    PLAIN = "plain"

    def encode(self, value: Any) -> str:
        """One value. Raises TypeError if it isn't JSON."""
        value = _plain(value)
        if isinstance(value, str) and self is not Dialect.SCRIPT_MODE:
            return value
        return json.dumps(value)


def dialect_of(request: Mapping[str, Any]) -> Dialect:
    """By the shape of a CreateTrainingJob request."""
    hyperparameters = request.get("HyperParameters") or {}
    if PROGRAM in hyperparameters or SUBMIT_DIRECTORY in hyperparameters:
        return Dialect.SCRIPT_MODE
    if any(channel.get("ChannelName") == DRIVER_CHANNEL for channel in request.get("InputDataConfig") or []):
        return Dialect.DRIVERS
    return Dialect.PLAIN


def encode_config(config: Config, dialect: Dialect) -> dict[str, str]:
    """Every entry as a string. Raises ``ConfigSpaceError`` naming the entry that isn't JSON."""
    encoded = {}
    for name, value in config.items():
        try:
            encoded[name] = dialect.encode(value)
        except TypeError as error:
            raise ConfigSpaceError(
                f"{name}={value!r} can't travel into a training job: {error}",
                "values are numbers, strings, booleans, None, and lists and dicts of them",
            ) from error
    return encoded


def why_not_as_strings(config: Config, encoded: Mapping[str, str], others: int, dialect: Dialect) -> str | None:
    """Why this configuration must travel as a file; None if strings will do.

    ``others``: hyperparameters the job has besides the configuration.
    """
    if len(encoded) + others > MAX_ENTRIES:
        return f"{len(encoded) + others} hyperparameters are more than SageMaker's {MAX_ENTRIES}"
    for name, text in encoded.items():
        if len(text) > MAX_VALUE:
            return f"{name!r} has {len(text)} characters, more than SageMaker's {MAX_VALUE}"
        if isinstance(_plain(config[name]), (list, tuple, Mapping)):
            return f"{name!r} is a list or a dict, which no command line carries intact"
        if dialect is Dialect.DRIVERS and "'" in text:
            return f"{name!r} has a quote, which the SDK's driver can't pass on"
    return None


def config_file(config: Config) -> bytes:
    """The configuration as the script's ``load_config_json`` reads it."""
    return json.dumps({name: _plain(value) for name, value in config.items()}, indent=1).encode()


def _plain(value: Any) -> Any:
    """numpy scalars as Python's own; containers with them, too."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        return value.tolist()
    return value
