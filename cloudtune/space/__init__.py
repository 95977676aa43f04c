"""The configuration space: domains, their place in the unit cube, JSON, and helpers.

A space is a dict from the names of a training script's arguments to domains (tuned) and constants (passed on)::

    config_space = {"lr": loguniform(1e-5, 1e-1), "layers": randint(1, 8), "epochs": 27}

Domains are written with the functions below; their classes are for ``isinstance``. numpy is loaded when a value is
first drawn or encoded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloudtune.space.domain import Domain
from cloudtune.space.factories import (
    choice,
    finrange,
    logfinrange,
    lognormal,
    logordinal,
    lograndint,
    loguniform,
    normal,
    ordinal,
    qlognormal,
    qlograndint,
    qloguniform,
    qnormal,
    qrandint,
    quniform,
    randint,
    reverseloguniform,
    uniform,
)
from cloudtune.space.finite import Categorical, FiniteDomain, FiniteRange, Ordinal, OrdinalNearestNeighbor
from cloudtune.space.helpers import (
    cast_config_values,
    config_space_size,
    config_to_match_string,
    is_log_space,
    is_uniform_space,
    non_constant_hyperparameter_keys,
    restrict_domain,
)
from cloudtune.space.numeric import Float, Integer, Normal, Quantized
from cloudtune.space.points import impute_points_to_evaluate
from cloudtune.space.serialize import (
    config_space_from_json_dict,
    config_space_to_json_dict,
    domain_from_dict,
    to_dict,
)
from cloudtune.space.streamline import (
    convert_choice_domain,
    convert_domain,
    convert_linear_to_log_domain,
    fit_to_regular_grid,
    streamline_config_space,
)
from cloudtune.space.text import add_to_argparse, from_cli_string, to_cli_string
from cloudtune.space.validate import validate_config_space

if TYPE_CHECKING:
    from cloudtune.space.unit_cube import UnitCube

__all__ = [
    # domains
    "uniform",
    "loguniform",
    "reverseloguniform",
    "randint",
    "lograndint",
    "choice",
    "ordinal",
    "logordinal",
    "finrange",
    "logfinrange",
    "normal",
    "lognormal",
    "quniform",
    "qloguniform",
    "qrandint",
    "qlograndint",
    "qnormal",
    "qlognormal",
    # their types
    "Domain",
    "Float",
    "Integer",
    "Normal",
    "Quantized",
    "FiniteDomain",
    "Categorical",
    "Ordinal",
    "OrdinalNearestNeighbor",
    "FiniteRange",
    # encoding
    "UnitCube",
    # spaces and configurations
    "validate_config_space",
    "impute_points_to_evaluate",
    "non_constant_hyperparameter_keys",
    "cast_config_values",
    "config_space_size",
    "config_to_match_string",
    "restrict_domain",
    "is_log_space",
    "is_uniform_space",
    # text and JSON
    "add_to_argparse",
    "to_cli_string",
    "from_cli_string",
    "to_dict",
    "domain_from_dict",
    "config_space_to_json_dict",
    "config_space_from_json_dict",
    # conversion
    "streamline_config_space",
    "convert_domain",
    "convert_choice_domain",
    "convert_linear_to_log_domain",
    "fit_to_regular_grid",
]


def __getattr__(name: str) -> Any:
    if name == "UnitCube":
        from cloudtune.space.unit_cube import UnitCube

        return UnitCube
    raise AttributeError(f"module 'cloudtune.space' has no attribute {name!r}")
