"""Bringing code to where trials find it, once per experiment, with the Reporter inside."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from typing import Any

from cloudtune.aws import Aws, S3Uri, objects
from cloudtune.errors import AccessDeniedError, NotFoundError, ScriptError
from cloudtune.options import nearest_name
from cloudtune.sagemaker.hyperparameters import CODE_CHANNEL, PROGRAM, SUBMIT_DIRECTORY, Dialect, dialect_of
from cloudtune.sagemaker.layout import ExperimentLayout
from cloudtune.sagemaker.source import Member, SourceArchive, members_digest, with_reporter

_LAST_FILE = "cloudtune/version.py"
"""Uploaded last: where it is, everything is."""


def staged(
    aws: Aws, layout: ExperimentLayout, template: Mapping[str, Any], archive: SourceArchive | None
) -> dict[str, Any]:
    """The template's request, pointing at code in the experiment's own prefix.

    ``archive``: of a script on this machine. Without one, the code that the request points at is completed with the
    Reporter; code inside an image is left alone. Raises ``ScriptError`` if the request's code is missing or unusable.
    """
    request = dict(template)
    dialect = dialect_of(request)
    if archive is not None:
        hyperparameters = {
            "sagemaker_container_log_level": "20",
            "sagemaker_region": json.dumps(aws.region),
            **request["HyperParameters"],
        }
        return {**request, "HyperParameters": {**hyperparameters, **_submit_directory(aws, layout, archive)}}
    try:
        if dialect is Dialect.SCRIPT_MODE:
            return _with_own_archive(aws, layout, request)
        if dialect is Dialect.DRIVERS:
            return _with_own_code_channel(aws, layout, request)
    except AccessDeniedError as error:
        warnings.warn(
            f"the template's code can't be read, so the Reporter is not added to it; the image must have it: {error}",
            stacklevel=2,
        )
    except NotFoundError as error:
        raise ScriptError(f"the template's code is gone: {error.message}", "make the template anew") from error
    return request


def _submit_directory(aws: Aws, layout: ExperimentLayout, archive: SourceArchive) -> dict[str, str]:
    uri = layout.source(archive.sha256)
    if not objects.exists(aws, uri):
        objects.put(aws, uri, archive.content)
    return {SUBMIT_DIRECTORY: json.dumps(str(uri))}


def _with_own_archive(aws: Aws, layout: ExperimentLayout, request: dict[str, Any]) -> dict[str, Any]:
    hyperparameters = request["HyperParameters"]
    place = _decoded(hyperparameters.get(SUBMIT_DIRECTORY, ""))
    if not place.startswith("s3://"):
        return request
    members = SourceArchive(objects.get(aws, S3Uri.parse(place))).members()
    _check_program(_decoded(hyperparameters.get(PROGRAM, "")), members, place)
    completed = with_reporter(members)
    if completed == members:
        return request
    archive = SourceArchive.of(completed)
    return {**request, "HyperParameters": {**hyperparameters, **_submit_directory(aws, layout, archive)}}


def _check_program(program: str, members: Mapping[str, Member], place: str) -> None:
    """Other names than those of scripts may be modules that a setup.py installs."""
    if program.endswith((".py", ".sh")) and program not in members:
        raise ScriptError(
            f"{PROGRAM}={program!r} is not in {place}", nearest_name(program, sorted(members)) + "; make it anew"
        )


def _with_own_code_channel(aws: Aws, layout: ExperimentLayout, request: dict[str, Any]) -> dict[str, Any]:
    channels = list(request["InputDataConfig"])
    for number, channel in enumerate(channels):
        source = (channel.get("DataSource") or {}).get("S3DataSource") or {}
        if channel.get("ChannelName") == CODE_CHANNEL and source.get("S3DataType") == "S3Prefix":
            place = _completed_folder(aws, layout, S3Uri.parse(source["S3Uri"]))
            source = {**source, "S3Uri": str(place)}
            channels[number] = {**channel, "DataSource": {**channel["DataSource"], "S3DataSource": source}}
    return {**request, "InputDataConfig": channels}


def _completed_folder(aws: Aws, layout: ExperimentLayout, folder: S3Uri) -> S3Uri:
    below = folder.as_prefix
    members = {
        stored.uri.key[len(below.key) :]: Member(objects.get(aws, stored.uri))
        for stored in objects.listed(aws, below)
        if not stored.uri.key.endswith("/")
    }
    completed = with_reporter(members)
    place = layout.source(members_digest(completed), "code/")
    if not objects.exists(aws, place / _LAST_FILE):
        for name in sorted(completed, key=lambda name: (name == _LAST_FILE, name)):
            objects.put(aws, place / name, completed[name].content)
    return place


def _decoded(text: str) -> str:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, str) else text
