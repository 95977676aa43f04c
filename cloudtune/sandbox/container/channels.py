"""Input channels: what the request names, in ``input/data/{channel}``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cloudtune.sandbox.container.s3 import Location, Store, local_path, relative_path
from cloudtune.sandbox.container.spec import ContainerError


def download_channel(store: Store, channel: Mapping[str, Any], directory: Path, default_mode: str) -> None:
    """Fill ``directory`` with the channel's data, as in File mode (FastFile looks the same to a script).

    Raises ContainerError where data is missing, or the sandbox can't provide it.
    """
    name = channel["ChannelName"]
    if channel.get("InputMode", default_mode) == "Pipe":
        raise ContainerError(f"channel {name!r} uses Pipe mode, which the sandbox lacks: use File or FastFile")
    source = channel["DataSource"].get("S3DataSource")
    if source is None:
        kinds = ", ".join(channel["DataSource"])
        raise ContainerError(f"channel {name!r} reads from {kinds}, which the sandbox lacks: use S3DataSource")
    directory.mkdir(parents=True, exist_ok=True)
    uri = Location.parse(source["S3Uri"])
    kind = source.get("S3DataType", "S3Prefix")
    if kind == "ManifestFile":
        pairs = _manifest(store, uri, directory)
    elif kind == "AugmentedManifestFile":
        pairs = _augmented_manifest(store, uri, directory)
    else:
        pairs = _prefix(store, uri, directory)
    if not pairs:
        raise ContainerError(f"Data download failed: no S3 objects found under {uri} for channel {name!r}")
    store.download_all(pairs)


def _prefix(store: Store, uri: Location, directory: Path) -> list[tuple[Location, Path]]:
    pairs = []
    for item in store.objects(uri):
        relative = relative_path(item.key, uri.key)
        if relative.endswith("/") or not relative:
            local_path(directory, relative).mkdir(parents=True, exist_ok=True)
        else:
            pairs.append((item, local_path(directory, relative)))
    return pairs


def _manifest(store: Store, uri: Location, directory: Path) -> list[tuple[Location, Path]]:
    """A JSON list: ``{"prefix": "s3://…/"}``, then keys below it."""
    entries = _read(store, uri, directory)
    try:
        head, *names = json.loads(entries)
        prefix = Location.parse(head["prefix"])
        return [(Location(prefix.bucket, prefix.key + name), local_path(directory, name)) for name in names]
    except (ValueError, KeyError, TypeError) as error:
        raise ContainerError(f"{uri} is no manifest, a list of a prefix and keys: {error}") from error


def _augmented_manifest(store: Store, uri: Location, directory: Path) -> list[tuple[Location, Path]]:
    """JSON lines; the manifest itself, and every object that an attribute ending in ``-ref`` names."""
    text = _read(store, uri, directory)
    pairs = {uri: local_path(directory, Path(uri.key).name)}
    try:
        records = [json.loads(line) for line in text.splitlines() if line.strip()]
    except ValueError as error:
        raise ContainerError(f"{uri} isn't JSON lines: {error}") from error
    for record in records:
        for name, value in record.items():
            if name.endswith("-ref") and isinstance(value, str):
                item = Location.parse(value)
                pairs[item] = local_path(directory, Path(item.key).name)
    return list(pairs.items())


def _read(store: Store, uri: Location, directory: Path) -> str:
    path = directory / ".manifest"
    store.download(uri, path)
    text = path.read_text(encoding="utf-8")
    path.unlink()
    return text
