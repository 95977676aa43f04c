"""SageMaker on this machine: real HTTP, real processes, no cloud account.

``with Sandbox() as sandbox:`` starts a server on 127.0.0.1 that any AWS client can use. S3, STS, IAM, CloudWatch
and CloudWatch Logs come from moto; SageMaker training jobs are really executed. Needs the extra ``sandbox``.
"""

from typing import TYPE_CHECKING, Any

_HOMES = {
    "Sandbox": "cloudtune.sandbox.sandbox",
    "Delays": "cloudtune.sandbox.settings",
    "Settings": "cloudtune.sandbox.settings",
    "FaultPlan": "cloudtune.sandbox.faults.plan",
    "Address": "cloudtune.sandbox.address",
    "find_running": "cloudtune.sandbox.detached",
}

__all__ = ["Sandbox", "Delays", "Settings", "FaultPlan", "Address", "find_running"]

if TYPE_CHECKING:
    from cloudtune.sandbox.address import Address
    from cloudtune.sandbox.detached import find_running
    from cloudtune.sandbox.faults.plan import FaultPlan
    from cloudtune.sandbox.sandbox import Sandbox
    from cloudtune.sandbox.settings import Delays, Settings


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'cloudtune.sandbox' has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value
