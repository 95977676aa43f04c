"""S3 as the machinery around a container uses it."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from cloudtune.sandbox.container.spec import ContainerError, ContainerSpec
from cloudtune.sandbox.unconfigured import botocore_session

USER_AGENT = "cloudtune-sandbox-container"
"""In the user agent of every call that the service makes here, and not the job."""

ERRORS = (Boto3Error, BotoCoreError, ClientError)
_TRANSFER = TransferConfig(use_threads=False)
_THREADS = 4
_making = threading.Lock()


@dataclass(frozen=True)
class Location:
    """A key, or a prefix of keys, in a bucket."""

    bucket: str
    key: str

    @classmethod
    def parse(cls, uri: str) -> Location:
        """From ``s3://bucket/key``. Raises ContainerError for anything else."""
        scheme, separator, rest = uri.partition("://")
        bucket, _, key = rest.partition("/")
        if scheme != "s3" or not separator or not bucket:
            raise ContainerError(f"{uri!r} is no S3 URI: give s3://bucket/key")
        return cls(bucket, key)

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    def below(self, name: str) -> Location:
        """The key ``name`` in this one taken as a directory."""
        directory = self.key if not self.key or self.key.endswith("/") else self.key + "/"
        return Location(self.bucket, directory + name)


@dataclass(frozen=True)
class Store:
    """Reads and writes objects. Raises ContainerError where the service refuses."""

    client: Any

    @classmethod
    def of(cls, spec: ContainerSpec) -> Store:
        given = spec.environment
        keys = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
        with _making:
            return cls(_client(spec.endpoint_url, spec.region, *(given.get(key) for key in keys)))

    def objects(self, prefix: Location) -> list[Location]:
        """All objects whose keys begin with the prefix, in order of their keys."""
        return [*self._listed(prefix)]

    def _listed(self, prefix: Location) -> Iterator[Location]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=prefix.bucket, Prefix=prefix.key)
        try:
            for page in pages:
                for item in page.get("Contents", []):
                    yield Location(prefix.bucket, item["Key"])
        except ERRORS as error:
            raise ContainerError(f"{prefix} can't be listed: {error}") from error

    def download(self, source: Location, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            self.client.download_file(source.bucket, source.key, str(target), Config=_TRANSFER)
        except ERRORS as error:
            raise ContainerError(f"{source} can't be downloaded: {error}") from error

    def download_all(self, pairs: list[tuple[Location, Path]]) -> None:
        """Download each source to its target, a few at a time."""
        if len(pairs) < 2:
            for source, target in pairs:
                self.download(source, target)
            return
        with ThreadPoolExecutor(_THREADS) as pool:
            for _ in pool.map(lambda pair: self.download(*pair), pairs):
                pass

    def upload(self, source: Path, target: Location) -> None:
        """Raises FileNotFoundError if the file has gone."""
        try:
            self.client.upload_file(str(source), target.bucket, target.key, Config=_TRANSFER)
        except ERRORS as error:
            raise ContainerError(f"{target} can't be written: {error}") from error

    def delete(self, target: Location) -> None:
        try:
            self.client.delete_object(Bucket=target.bucket, Key=target.key)
        except ERRORS as error:
            raise ContainerError(f"{target} can't be deleted: {error}") from error


@functools.lru_cache(maxsize=16)
def _client(endpoint: str, region: str, key: str | None, secret: str | None, token: str | None) -> Any:
    session = boto3.session.Session(
        botocore_session=botocore_session(),
        aws_access_key_id=key or "sandbox",
        aws_secret_access_key=secret or "sandbox",
        aws_session_token=token,
        region_name=region,
    )
    config = Config(
        user_agent_extra=USER_AGENT,
        proxies={},
        s3={"addressing_style": "path"},
        max_pool_connections=32,
        # the service is on this machine: what doesn't answer soon has gone
        retries={"mode": "standard", "total_max_attempts": 3},
        connect_timeout=5,
    )
    return session.client("s3", endpoint_url=endpoint, config=config)


def relative_path(key: str, prefix: str) -> str:
    """Where an object found by ``prefix`` lies below a local directory.

    Below the prefix if that is a directory or the object itself, else below the directory that holds the prefix.
    """
    if key.startswith(prefix) and (prefix.endswith("/") or not prefix or key[len(prefix) :].startswith("/")):
        return key[len(prefix) :].lstrip("/")
    return key[prefix.rfind("/") + 1 :]


def local_path(directory: Path, relative: str) -> Path:
    """``relative`` below ``directory``. Raises ContainerError where a key would lead out of it."""
    path = directory / relative
    if ".." in relative.split("/") or not path.is_relative_to(directory):
        raise ContainerError(f"the key {relative!r} leads out of the job's directory")
    return path
