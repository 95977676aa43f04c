"""Impossible domains and spaces are refused with the value and a way out."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cloudtune.errors import ConfigSpaceError, UserError
from cloudtune.space import (
    Domain,
    choice,
    config_space_size,
    finrange,
    logfinrange,
    lognormal,
    logordinal,
    lograndint,
    loguniform,
    normal,
    ordinal,
    qrandint,
    quniform,
    randint,
    reverseloguniform,
    uniform,
    validate_config_space,
)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: uniform(2, 1), r"uniform\(2, 1\): lower 2\.0 is above upper 1\.0"),
        (lambda: uniform(0, math.inf), r"upper is inf"),
        (lambda: uniform(math.nan, 1), r"lower is nan"),
        (lambda: uniform("0", 1), r"lower is '0', not a number"),  # type: ignore[arg-type]
        (lambda: uniform(False, 1), r"lower is False, not a number"),
        (lambda: uniform(-1.7e308, 1.7e308), r"wider than a float can measure"),
        (lambda: loguniform(0, 1), r"loguniform\(0, 1\): lower is 0\.0, and a logarithmic scale needs values above 0"),
        (lambda: loguniform(5e-324, 1), r"5e-324 is subnormal"),
        (lambda: reverseloguniform(0.9, 1), r"lie in \[0, 1\)"),
        (lambda: reverseloguniform(-0.1, 0.5), r"lie in \[0, 1\)"),
        (lambda: randint(3, 1), r"lower 3 is above upper 1"),
        (lambda: randint(0.5, 3), r"lower is 0\.5, not an integer"),  # type: ignore[arg-type]
        (lambda: randint(0, 2**60), r"beyond ±2\*\*53"),
        (lambda: randint(0, 2**53), r"more than 2\*\*50 integers"),
        (lambda: lograndint(0, 10), r"lograndint\(0, 10\): lower is 0"),
        (lambda: lograndint(1, 2**53), r"can't be kept apart on a log scale"),
        (lambda: normal(0, 0), r"sigma 0\.0 is not above 0"),
        (lambda: normal(1e18, 1e-3), r"out of proportion"),
        (lambda: lognormal(1000, 1), r"which no float holds"),
        (lambda: choice([]), r"empty"),
        (lambda: choice("adam"), r"categories are 'adam'"),
        (lambda: choice({"a", "b"}), r"give a list"),  # type: ignore[arg-type]
        (lambda: choice(3), r"categories are 3"),  # type: ignore[arg-type]
        (lambda: choice([1, 0.5]), r"1 is int and 0\.5 is float; categories have one type"),
        (lambda: choice([1, "auto"]), r"1 is int and 'auto' is str"),
        (lambda: choice([0, False]), r"0 is int and False is bool"),
        (lambda: choice([None, "a"]), r"None can't be a category"),
        (lambda: choice([[64, 64], [128]]), r"\[64, 64\] can't be a category"),
        (lambda: choice([0.1, math.nan]), r"category is nan"),
        (lambda: ordinal([1, 2], kind="log"), r"kind 'log' is unknown"),  # type: ignore[arg-type]
        (lambda: ordinal([2, 1], kind="nn"), r"\[2, 1\] is not strictly increasing"),
        (lambda: ordinal([1, 1], kind="nn"), r"\[1, 1\] is not strictly increasing"),
        (lambda: ordinal(["s", "m"], kind="nn"), r"'s' is not a number"),
        (lambda: logordinal([0, 1]), r"logarithmic scale needs values above 0"),
        (lambda: ordinal([-1.0, 1e-30, 2e-30], kind="nn"), r"too close to tell apart"),
        (lambda: finrange(0, 1, 1), r"size 1 is below 2"),
        (lambda: finrange(0, 1, 2.5), r"size is 2\.5, not an integer"),  # type: ignore[arg-type]
        (lambda: finrange(1, 0, 3), r"lower 1\.0 is above upper 0\.0"),
        (lambda: finrange(0, 1, 2**21), r"above 2\*\*20"),
        (lambda: logfinrange(0, 1, 3), r"logarithmic scale needs values above 0"),
        (lambda: quniform(0, 1, 0), r"q is not above 0"),
        (lambda: quniform(0.2, 0.3, 1), r"no multiple of 1\.0 lies inside"),
        (lambda: quniform(-1, 1, 1e-18), r"q is too fine"),
        (lambda: qrandint(0, 10, 0.5), r"q is 0\.5, not an integer"),  # type: ignore[arg-type]
    ],
)
def test_impossible_domains(make: Callable[[], Domain], message: str) -> None:
    with pytest.raises(ConfigSpaceError, match=message) as caught:
        make()
    assert caught.value.hint
    assert isinstance(caught.value, UserError)
    assert isinstance(caught.value, ValueError)


def test_numbers_from_numpy_and_whole_floats_are_welcome() -> None:
    assert uniform(np.float32(0.5), np.int64(2)) == uniform(0.5, 2)  # type: ignore[arg-type]
    assert randint(1, 1e6) == randint(1, 10**6)  # type: ignore[arg-type]
    assert choice(list(np.array([1, 2, 3]))) == choice([1, 2, 3])
    assert choice(np.array([0.5, 1.5])).values == (0.5, 1.5)  # type: ignore[arg-type]


def test_constants_singletons_and_finite_spaces_are_legal() -> None:
    space = {
        "lr": uniform(0.1, 0.1),
        "layers": randint(2, 2),
        "optimizer": choice(["adam"]),
        "epochs": 3,
        "rate": 0.5,
        "name": "x",
        "fast": True,
        "nothing": None,
        "sizes": [64, [32, 16]],
        "nested": {"a": {"b": [1.5, None]}},
    }
    validate_config_space(space)
    assert config_space_size(space) == 1
    validate_config_space({})


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ([("lr", 1)], r"the configuration space is \[\('lr', 1\)\]"),
        ({1: uniform(0, 1)}, r"1 can't name a hyperparameter"),
        ({"": 1}, r"'' can't name"),
        ({"--lr": 1}, r"'--lr' can't name"),
        ({"learning rate": 1}, r"'learning rate' can't name"),
        ({"a=b": 1}, r"'a=b' can't name"),
        ({"lr": (0.1, 0.2)}, r"(?s)'lr' is \(0\.1, 0\.2\), a tuple.*choice\(\[0\.1, 0\.2\]\)"),
        ({"lr": range(2)}, r"(?s)'lr' is range\(0, 2\).*choice\(\[0, 1\]\)"),
        ({"lr": np.int64(3)}, r"(?s)'lr' is .*\.item\(\)"),
        ({"lr": np.zeros(2)}, r"(?s)'lr' is .*\.tolist\(\)"),
        ({"lr": math.nan}, r"'lr' is nan, which JSON can't hold"),
        ({"lr": uniform}, r"'lr' is <function uniform"),
        ({"net": {"layers": [1, math.inf]}}, r"'net'\['layers'\]\[1\] is inf"),
        ({"net": {"lr": uniform(0, 1)}}, r"(?s)'net'\['lr'\] is uniform.*top of the space"),
        ({"net": {1: 2}}, r"'net' has the key 1"),
    ],
    ids=lambda value: re.sub(" at 0x[0-9a-f]+", "", repr(value)),
)
def test_impossible_spaces_name_the_parameter(space: Any, message: str) -> None:
    with pytest.raises(ConfigSpaceError, match=message) as caught:
        validate_config_space(space)
    assert caught.value.hint
