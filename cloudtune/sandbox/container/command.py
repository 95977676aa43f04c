"""What a job's main process runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cloudtune.sandbox.container.inside import BOOT
from cloudtune.sandbox.container.inside.script_mode import decode
from cloudtune.sandbox.container.isolation import HERE
from cloudtune.sandbox.container.layout import Layout
from cloudtune.sandbox.container.spec import ContainerError, ContainerSpec


@dataclass(frozen=True)
class Command:
    """Arguments, the first being the program. ``passes_on``: it only waits for the user's own process."""

    arguments: tuple[str, ...]
    passes_on: bool


def submitted_source(request: Mapping[str, Any]) -> str | None:
    """The S3 URI of the source that script mode unpacks; None if it lies in the container already."""
    if not uses_script_mode(request):
        return None
    source = decode(request.get("HyperParameters", {}).get("sagemaker_submit_directory"))
    return source if isinstance(source, str) and source.startswith("s3://") else None


def uses_script_mode(request: Mapping[str, Any]) -> bool:
    """Whether the image's ``train`` would run a script of the user's."""
    if request.get("AlgorithmSpecification", {}).get("ContainerEntrypoint"):
        return False
    return "sagemaker_program" in request.get("HyperParameters", {}) or "SAGEMAKER_PROGRAM" in request.get(
        "Environment", {}
    )


def main_command(spec: ContainerSpec, layout: Layout, parent: Mapping[str, Any]) -> Command:
    """Raises ContainerError if only the image knows what to run."""
    algorithm = spec.request.get("AlgorithmSpecification", {})
    entry_point = algorithm.get("ContainerEntrypoint")
    arguments = algorithm.get("ContainerArguments", [])
    if entry_point:
        return Command(tuple(layout.seen_by_job(each) for each in (*entry_point, *arguments)), passes_on=False)
    if uses_script_mode(spec.request):
        return _runner(spec, layout, parent)
    if spec.image_command:
        return Command((*spec.image_command, *(arguments or ["train"])), passes_on=False)
    image = algorithm.get("TrainingImage") or algorithm.get("AlgorithmName", "none")
    raise ContainerError(
        f"the sandbox has no images, so it doesn't know what {image!r} runs: give the hyperparameter "
        "'sagemaker_program' (script mode) or a ContainerEntrypoint"
    )


def _runner(spec: ContainerSpec, layout: Layout, parent: Mapping[str, Any]) -> Command:
    plan = {
        "base": layout.base,
        "source": str(layout.source) if submitted_source(spec.request) else None,
        "parent": parent,
        "cache": str(spec.cache_directory),
    }
    python = str(layout.python / "bin" / "python")
    return Command((python, "-c", BOOT, HERE, "train", json.dumps(plan)), passes_on=True)
