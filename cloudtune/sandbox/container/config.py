"""``input/config``: what a job is told about itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cloudtune.sandbox.container.layout import Layout

GROUP = "homogeneousCluster"
HOST = "algo-1"
# algo-1 is this machine
NETWORK_INTERFACE = "lo"
HOSTS = Path("/etc/hosts")


def write_config(layout: Layout, request: Mapping[str, Any]) -> None:
    """Write ``hyperparameters.json``, ``resourceconfig.json`` and ``inputdataconfig.json``."""
    given = request.get("HyperParameters", {})
    _write(layout.config / "hyperparameters.json", {key: layout.seen_by_job(value) for key, value in given.items()})
    _write(layout.config / "resourceconfig.json", resources(layout, request))
    _write(layout.config / "inputdataconfig.json", channels(request))


def resources(layout: Layout, request: Mapping[str, Any]) -> dict[str, Any]:
    """One host, whatever was asked for. Where ``algo-1`` can't be made to resolve, it is called localhost."""
    host = HOST if layout.private else "localhost"
    asked = request.get("ResourceConfig", {})
    group: Mapping[str, Any] = next(iter(asked.get("InstanceGroups", [])), {})
    preference: Mapping[str, Any] = next(iter(asked.get("InstancePreferences", [])), {})
    kind = asked.get("SelectedInstanceType") or asked.get("InstanceType") or group.get("InstanceType")
    kind = kind or preference.get("InstanceType") or "local"
    name = group.get("InstanceGroupName", GROUP)
    return {
        "current_host": host,
        "current_instance_type": kind,
        "current_group_name": name,
        "hosts": [host],
        "instance_groups": [{"instance_group_name": name, "instance_type": kind, "hosts": [host]}],
        "network_interface_name": NETWORK_INTERFACE,
    }


def instances(request: Mapping[str, Any]) -> int:
    """How many instances the request asks for."""
    asked = request.get("ResourceConfig", {})
    groups = asked.get("InstanceGroups", [])
    return sum(group["InstanceCount"] for group in groups) if groups else int(asked.get("InstanceCount", 1))


def channels(request: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    mode = request.get("AlgorithmSpecification", {}).get("TrainingInputMode", "File")
    described = {}
    for channel in request.get("InputDataConfig", []):
        source = channel["DataSource"].get("S3DataSource", {})
        described[channel["ChannelName"]] = {
            "TrainingInputMode": channel.get("InputMode", mode),
            "S3DistributionType": source.get("S3DataDistributionType", "FullyReplicated"),
            "RecordWrapperType": channel.get("RecordWrapperType", "None"),
        }
        if "ContentType" in channel:
            described[channel["ChannelName"]]["ContentType"] = channel["ContentType"]
    return described


def write_hosts(path: Path) -> None:
    """A hosts file like this machine's, in which ``algo-1`` is this machine."""
    text = HOSTS.read_text(encoding="utf-8", errors="replace") if HOSTS.exists() else "127.0.0.1 localhost\n"
    path.write_text(f"{text.rstrip()}\n127.0.0.1 {HOST}\n", encoding="utf-8")


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")
