"""Hyperparameter tuning on AWS: every trial its own training job.

The names below are the public top level. They resolve on first use, so that ``import cloudtune`` stays
cheap: no boto3, no scipy, no pandas. This file also travels into trials' containers beside ``report.py`` and
``checkpointing.py``, where Python may be 3.8 and nothing else of the package exists.
"""

from typing import TYPE_CHECKING, Any, List

from cloudtune.version import __version__

_HOMES = {
    "Reporter": "cloudtune.report",
    "Tuner": "cloudtune.tuner",
    "StoppingCriterion": "cloudtune.engine.stopping",
    "choice": "cloudtune.space",
    "finrange": "cloudtune.space",
    "logfinrange": "cloudtune.space",
    "logordinal": "cloudtune.space",
    "lograndint": "cloudtune.space",
    "loguniform": "cloudtune.space",
    "lognormal": "cloudtune.space",
    "normal": "cloudtune.space",
    "ordinal": "cloudtune.space",
    "qloguniform": "cloudtune.space",
    "quniform": "cloudtune.space",
    "randint": "cloudtune.space",
    "reverseloguniform": "cloudtune.space",
    "uniform": "cloudtune.space",
}

# spelled out for type checkers
__all__ = [
    "__version__",
    "Reporter",
    "Tuner",
    "StoppingCriterion",
    "choice",
    "finrange",
    "logfinrange",
    "logordinal",
    "lograndint",
    "loguniform",
    "lognormal",
    "normal",
    "ordinal",
    "qloguniform",
    "quniform",
    "randint",
    "reverseloguniform",
    "uniform",
]

if TYPE_CHECKING:
    from cloudtune.engine.stopping import StoppingCriterion
    from cloudtune.report import Reporter
    from cloudtune.space import (
        choice,
        finrange,
        logfinrange,
        lognormal,
        logordinal,
        lograndint,
        loguniform,
        normal,
        ordinal,
        qloguniform,
        quniform,
        randint,
        reverseloguniform,
        uniform,
    )
    from cloudtune.tuner import Tuner


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'cloudtune' has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> List[str]:
    return sorted(__all__)
