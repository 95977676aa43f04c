"""Script mode: what the ``sagemaker-training`` toolkit (5.1.4) makes of a job's configuration.

:class:`Training` gives a user's script its arguments and its ``SM_*`` variables. Names, order and formats are the
toolkit's; a test runs both and compares.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from typing import Any

# read by the toolkit itself
_OWN = (
    "sagemaker_program",
    "sagemaker_submit_directory",
    "sagemaker_enable_cloudwatch_metrics",
    "sagemaker_region",
    "sagemaker_container_log_level",
    "sagemaker_job_name",
    "default_user_module_name",
    "_tuning_objective_metric",
    "sagemaker_s3_output",
)
# any of these spreads the script over the instances of a group
_DISTRIBUTIONS = (
    "sagemaker_mpi_enabled",
    "sagemaker_parameter_server_enabled",
    "sagemaker_distributed_dataparallel_enabled",
    "sagemaker_pytorch_ddp_enabled",
    "sagemaker_pytorch_xla_multi_worker_enabled",
    "sagemaker_multi_worker_mirrored_strategy_enabled",
    "sagemaker_torch_distributed_enabled",
)
_LOG_LEVEL_INFO = 20


def decode(value: Any) -> Any:
    """A hyperparameter as the request carries it: JSON, or else the text itself."""
    try:
        return json.loads(value)
    except (ValueError, TypeError):
        return value


def as_arguments(hyperparameters: Mapping[str, Any]) -> list[str]:
    """``--name value`` for each, sorted by name; ``-n value`` for names of one letter."""
    arguments = []
    for name in sorted(hyperparameters):
        arguments.append("" if not name else f"-{name}" if len(name) == 1 else f"--{name}")
        arguments.append(_argument(hyperparameters[name]))
    return arguments


def _argument(value: Any) -> str:
    if isinstance(value, dict):
        return ",".join(f"{key}={each}" for key, each in sorted(value.items()))
    return "" if value is None else str(value)


def as_variables(values: Mapping[str, Any]) -> dict[str, str]:
    """``SM_{NAME}``, upper case; text as it is, nothing for None, else JSON with sorted keys."""
    return {f"SM_{name.upper()}" if name else "": _variable(value) for name, value in values.items()}


def _variable(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, separators=(",", ":"))


class Training:
    """A job's configuration, as its script is told of it."""

    def __init__(self, base: str) -> None:
        self.base = base
        config = os.path.join(base, "input", "config")
        self.resources = _read(os.path.join(config, "resourceconfig.json"))
        self.channels = _read(os.path.join(config, "inputdataconfig.json"))
        everything = {
            name: decode(value) for name, value in _read(os.path.join(config, "hyperparameters.json")).items()
        }
        self._own = {name: value for name, value in everything.items() if name in _OWN}
        self._framework = {
            name: value for name, value in everything.items() if name.startswith("sagemaker_") and name not in _OWN
        }
        self.hyperparameters = {
            name: value for name, value in everything.items() if name not in self._own and name not in self._framework
        }

    @property
    def code_directory(self) -> str:
        return os.path.join(self.base, "code")

    @property
    def source(self) -> str:
        """Where the source was submitted: URI, archive or directory."""
        return str(self._own.get("sagemaker_submit_directory", self.code_directory))

    @property
    def entry_point(self) -> Any:
        return os.environ.get("SAGEMAKER_PROGRAM") or self._own.get("sagemaker_program")

    @property
    def distributions(self) -> list[str]:
        """The kinds of distribution the job asks for."""
        return [name for name in _DISTRIBUTIONS if self._framework.get(name)]

    def arguments(self) -> list[str]:
        return as_arguments(self.hyperparameters)

    def variables(self) -> dict[str, str]:
        """All that the script finds in its environment beside what the container already has."""
        training = self._training_environment()
        values = dict(
            {name: training[name] for name in _EXPORTED},
            hps=self.hyperparameters,
            framework_params=self._framework,
            channels=sorted(self.channels),
            training_env=training,
            user_args=self.arguments(),
        )
        if training["topology"]:
            values["topology"] = training["topology"]
        values.update({f"channel_{name}": path for name, path in training["channel_input_dirs"].items()})
        values.update({f"hp_{name}": value for name, value in self.hyperparameters.items()})
        variables = as_variables(values)
        variables["SAGEMAKER_JOB_NAME"] = str(self._own.get("sagemaker_job_name", ""))
        variables["SAGEMAKER_REGION"] = str(
            self._own.get("sagemaker_region", os.environ.get("AWS_DEFAULT_REGION", "")) or ""
        )
        variables["CURRENT_HOST"] = str(self.resources["current_host"])
        return variables

    def _training_environment(self) -> dict[str, Any]:
        """``SM_TRAINING_ENV`` as an object."""
        module = os.environ.get("SAGEMAKER_PROGRAM") or str(self._own.get("sagemaker_program"))
        return dict(
            self._directories(),
            **self._cluster(),
            **self._machine(),
            additional_framework_parameters=self._framework,
            framework_module=os.environ.get("SAGEMAKER_TRAINING_MODULE"),
            hyperparameters=self.hyperparameters,
            input_data_config=self.channels,
            job_name=os.environ.get("TRAINING_JOB_NAME"),
            log_level=self._own.get("sagemaker_container_log_level", _LOG_LEVEL_INFO),
            module_dir=self.source,
            module_name=module[:-3] if module.endswith(".py") else module,
            resource_config=self.resources,
            user_entry_point=self.entry_point,
        )

    def _directories(self) -> dict[str, Any]:
        data = os.path.join(self.base, "input", "data")
        return {
            "channel_input_dirs": {name: os.path.join(data, name) for name in self.channels},
            "input_config_dir": os.path.join(self.base, "input", "config"),
            "input_dir": os.path.join(self.base, "input"),
            "model_dir": os.path.join(self.base, "model"),
            "output_data_dir": os.path.join(self.base, "output", "data"),
            "output_dir": os.path.join(self.base, "output"),
            "output_intermediate_dir": os.path.join(self.base, "output", "intermediate"),
        }

    def _cluster(self) -> dict[str, Any]:
        groups = self.resources.get("instance_groups", [])
        current = self.resources.get("current_group_name", "homogeneousCluster")
        spread = self._framework.get("sagemaker_distribution_instance_groups", [current] if self.distributions else [])
        hosts = self.resources["hosts"]
        spread_hosts = [host for group in groups if group["instance_group_name"] in spread for host in group["hosts"]]
        if not groups:
            spread_hosts = list(hosts)
        master = (spread_hosts or hosts)[0]
        return {
            "current_host": self.resources["current_host"],
            "current_instance_group": current,
            "current_instance_group_hosts": next(
                (group["hosts"] for group in groups if group["instance_group_name"] == current), []
            ),
            "current_instance_type": self.resources.get("current_instance_type", "local"),
            "distribution_hosts": spread_hosts,
            "distribution_instance_groups": spread,
            "hosts": hosts,
            "instance_groups": [group["instance_group_name"] for group in groups],
            "instance_groups_dict": {group["instance_group_name"]: group for group in groups},
            "is_hetero": len(groups) > 1,
            "is_master": self.resources["current_host"] == master,
            "master_hostname": master,
            "network_interface_name": self.resources.get("network_interface_name", "eth0"),
            "topology": self.resources.get("topology", []),
        }

    def _machine(self) -> dict[str, Any]:
        parallel = os.environ.get("SM_HP_MP_PARAMETERS")
        return {
            "is_modelparallel_enabled": parallel and parallel != "{}",
            "is_smddpmprun_installed": shutil.which("smddpmprun") is not None,
            "is_smddprun_installed": shutil.which("smddprun") is not None,
            "num_cpus": os.cpu_count(),
            "num_gpus": _gpus(),
            "num_neurons": _neurons(),
        }


_EXPORTED = (
    "hosts",
    "network_interface_name",
    "user_entry_point",
    "resource_config",
    "input_data_config",
    "output_data_dir",
    "current_host",
    "current_instance_type",
    "current_instance_group",
    "current_instance_group_hosts",
    "instance_groups",
    "instance_groups_dict",
    "distribution_instance_groups",
    "is_hetero",
    "module_name",
    "log_level",
    "framework_module",
    "input_dir",
    "input_config_dir",
    "output_dir",
    "num_cpus",
    "num_gpus",
    "num_neurons",
    "model_dir",
    "module_dir",
    "output_intermediate_dir",
)


def _read(path: str) -> dict[str, Any]:
    with open(path, encoding="utf-8") as file:
        content: dict[str, Any] = json.load(file)
    return content


def _gpus() -> int:
    return sum(line.startswith("GPU ") for line in _output("nvidia-smi", "--list-gpus").splitlines())


def _neurons() -> int:
    listed = _output("neuron-ls", "-j")
    return sum(device.get("nc_count", 0) for device in json.loads(listed)) if listed else 0


def _output(*command: str) -> str:
    """What a tool prints; nothing where it isn't installed or fails."""
    if shutil.which(command[0]) is None:
        return ""
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    return done.stdout if done.returncode == 0 else ""
