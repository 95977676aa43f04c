"""What a job leaves: ``model.tar.gz`` and ``output.tar.gz``."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path

from cloudtune.sandbox.container.layout import Layout
from cloudtune.sandbox.container.s3 import Location, Store
from cloudtune.sandbox.container.spec import Artifacts, ContainerError, ContainerSpec


def upload_artifacts(spec: ContainerSpec, layout: Layout, store: Store) -> Artifacts:
    """Upload what there is below ``{S3OutputPath}/{job}/output/``; nothing for an empty directory.

    As archives, or file by file where the request's CompressionType is NONE. Raises ContainerError.
    """
    config = spec.request["OutputDataConfig"]
    target = Location.parse(config["S3OutputPath"]).below(spec.job_name).below("output")
    model = dict(_files(layout.model))
    output = dict(_files(layout.output_data))
    if layout.failure.is_file():
        output.setdefault("failure", layout.failure)
    if config.get("CompressionType") == "NONE":
        return Artifacts(_upload_each(store, target, "model", model), _upload_each(store, target, "data", output))
    return Artifacts(
        _upload_archive(store, target, "model.tar.gz", model, layout.directory),
        _upload_archive(store, target, "output.tar.gz", output, layout.directory),
    )


def _files(directory: Path) -> Iterator[tuple[str, Path]]:
    """Entries of a directory that belong into an archive, by their names in it."""
    if directory.is_dir():
        for path in sorted(directory.iterdir()):
            yield path.name, path


def _upload_archive(store: Store, target: Location, name: str, entries: dict[str, Path], scratch: Path) -> str | None:
    if not entries:
        return None
    path = scratch / name
    try:
        with tarfile.open(path, "w:gz", compresslevel=1) as archive:
            for inside, entry in entries.items():
                archive.add(entry, inside)
    except OSError as error:
        raise ContainerError(f"{name} can't be packed: {error}") from error
    store.upload(path, target.below(name))
    return str(target.below(name))


def _upload_each(store: Store, target: Location, name: str, entries: dict[str, Path]) -> str | None:
    if not entries:
        return None
    below = target.below(name)
    for inside, entry in entries.items():
        for path in sorted(entry.rglob("*")) if entry.is_dir() else [entry]:
            if path.is_file():
                relative = inside if path == entry else f"{inside}/{path.relative_to(entry).as_posix()}"
                store.upload(path, below.below(relative))
    return f"{below}/"
