"""The first configurations of an experiment."""

from __future__ import annotations

from typing import Any

import pytest

from cloudtune.errors import ConfigSpaceError
from cloudtune.space import choice, finrange, impute_points_to_evaluate, lograndint, loguniform, randint, uniform

SPACE: dict[str, Any] = {
    "lr": loguniform(1e-4, 1),
    "n": lograndint(1, 100),
    "opt": choice(["sgd", "adam"]),
    "momentum": finrange(0.1, 1, 10),
    "epochs": 27,
}
MIDDLE = {"lr": 0.01, "n": 10, "opt": "sgd", "momentum": 0.6, "epochs": 27}


def test_none_is_one_point_of_middles_and_an_empty_list_is_none() -> None:
    assert impute_points_to_evaluate(None, SPACE) == [MIDDLE]
    assert impute_points_to_evaluate([{}], SPACE) == [MIDDLE]
    assert impute_points_to_evaluate([], SPACE) == []


def test_partial_points_are_completed_in_order() -> None:
    points: list[dict[str, Any]] = [{"opt": "adam"}, {"lr": 0.5, "n": 3}, {}]
    assert impute_points_to_evaluate(points, SPACE) == [
        {**MIDDLE, "opt": "adam"},
        {**MIDDLE, "lr": 0.5, "n": 3},
        MIDDLE,
    ]
    assert points == [{"opt": "adam"}, {"lr": 0.5, "n": 3}, {}]


def test_repetitions_go_also_those_that_appear_by_completion() -> None:
    assert impute_points_to_evaluate([{}, {"opt": "sgd"}, {"n": 10, "lr": 0.01}, {"n": 3}], SPACE) == [
        MIDDLE,
        {**MIDDLE, "n": 3},
    ]


def test_what_is_nearly_of_the_type_is_converted() -> None:
    (point,) = impute_points_to_evaluate([{"lr": 1, "n": 3.0, "momentum": 0.1 + 0.2, "epochs": 27}], SPACE)
    assert point == {**MIDDLE, "lr": 1.0, "n": 3, "momentum": 0.3}
    assert [type(point[name]) for name in ("lr", "n")] == [float, int]


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([{"lrr": 0.1}], r"(?s)\[0\]: 'lrr' is not in the space.*did you mean 'lr'"),
        ([{}, {"lr": 2.0}], r"\[1\]\['lr'\] is 2\.0, which is not in loguniform"),
        ([{"n": 0}], r"\['n'\] is 0, which is not in"),
        ([{"n": 2.5}], r"\['n'\] is 2\.5, which is not in"),
        ([{"momentum": 0.35}], r"\['momentum'\] is 0\.35, which is not in finrange"),
        ([{"opt": "adm"}], r"(?s)'adm' is not among.*did you mean 'adam'"),
        ([{"lr": "0.1"}], r"(?s)is the string '0\.1'.*write 0\.1"),
        ([{"lr": None}], r"None is not a number"),
        ([{"epochs": 9}], r"\['epochs'\] is 9, but the space fixes it to 27"),
        ({"lr": 0.1}, r"points_to_evaluate is \{'lr': 0\.1\}"),
        (["lr"], r"points_to_evaluate\[0\] is 'lr'"),
    ],
    ids=repr,
)
def test_points_outside_are_refused_and_never_moved(points: Any, message: str) -> None:
    with pytest.raises(ConfigSpaceError, match=message) as caught:
        impute_points_to_evaluate(points, SPACE)
    assert caught.value.hint


def test_singletons_complete_to_their_value() -> None:
    assert impute_points_to_evaluate(None, {"a": uniform(2, 2), "b": randint(3, 3)}) == [{"a": 2.0, "b": 3}]
