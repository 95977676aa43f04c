"""The environment of a job's processes: made from the request, not inherited."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cloudtune.sandbox.container.layout import Layout
from cloudtune.sandbox.container.spec import ContainerSpec

# of the machine rather than of the user's session: devices, certificates, proxies, package indexes, thread counts
_KEPT = {
    "LANG",
    "LANGUAGE",
    "TZ",
    "LD_LIBRARY_PATH",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "UV_INDEX_URL",
}
_KEPT_PREFIXES = ("LC_", "CUDA_", "NVIDIA_", "PIP_")
_KEPT_SUFFIXES = ("_proxy", "_PROXY", "_NUM_THREADS")


def job_environment(spec: ContainerSpec, layout: Layout, parent: Mapping[str, Any]) -> dict[str, str]:
    """What the job's main process finds, before script mode adds to it. ``parent``: the interpreter's facts."""
    request = spec.request
    environment = _of_the_machine()
    environment.update(
        HOME=str(layout.home),
        TMPDIR=str(layout.temporary),
        PATH=_path(layout, parent),
        PYTHONUNBUFFERED="1",
        # pip's own cache may be shared: it is made for that
        PIP_CACHE_DIR=environment.get("PIP_CACHE_DIR", str(spec.cache_directory / "pip")),
        PIP_DISABLE_PIP_VERSION_CHECK="1",
        PIP_ROOT_USER_ACTION="ignore",
        AWS_EC2_METADATA_DISABLED="true",
        AWS_REGION=spec.region,
        AWS_DEFAULT_REGION=spec.region,
        AWS_ENDPOINT_URL=spec.endpoint_url,
    )
    if not layout.private:
        environment["SAGEMAKER_BASE_DIR"] = layout.base
    environment.update(spec.environment)
    environment.update({name: layout.seen_by_job(text) for name, text in request.get("Environment", {}).items()})
    environment.update(
        TRAINING_JOB_NAME=spec.job_name,
        TRAINING_JOB_ARN=spec.job_arn,
    )
    return environment


def _of_the_machine() -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _KEPT or name.startswith(_KEPT_PREFIXES) or name.endswith(_KEPT_SUFFIXES)
    }
    kept.setdefault("LANG", "C.UTF-8")
    settings = _pip_settings()
    if settings is not None:
        kept.setdefault("PIP_CONFIG_FILE", str(settings))
    return kept


def _pip_settings() -> Path | None:
    """The user's own, which pip wouldn't find in the job's home directory."""
    home = Path.home()
    return next((path for path in (home / ".config/pip/pip.conf", home / ".pip/pip.conf") if path.is_file()), None)


def _path(layout: Layout, parent: Mapping[str, Any]) -> str:
    """The job's own environment first, then the commands of its interpreter, then the machine's.

    The machine's exclude those of the environment that the sandbox itself may run in.
    """
    active = os.environ.get("VIRTUAL_ENV")
    own = str(Path(active) / "bin") if active else None
    machine = [entry for entry in os.environ.get("PATH", os.defpath).split(os.pathsep) if entry and entry != own]
    first = [str(layout.python / "bin"), str(Path(parent["executable"]).parent)]
    return os.pathsep.join(dict.fromkeys([*first, *machine]))
