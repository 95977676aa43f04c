"""A space as a unit cube."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudtune.errors import ConfigSpaceError
from cloudtune.space import Domain, UnitCube, choice, lograndint, loguniform, randint, uniform, validate_config_space
from tests.space.strategies import domains, values_of

SPACE: dict[str, Any] = {
    "lr": loguniform(1e-4, 1),
    "epochs": randint(1, 4),
    "dataset": "digits",
    "optimizer": choice(["adam", "sgd", "lion"]),
    "sizes": [64, 32],
    "nesterov": choice([True, False]),
}
CONFIG = {"lr": 0.01, "epochs": 2, "dataset": "digits", "optimizer": "sgd", "sizes": [64, 32], "nesterov": True}


def test_dimensions_follow_the_space_without_its_constants() -> None:
    cube = UnitCube(SPACE)
    assert cube.names == ("lr", "epochs", "optimizer", "nesterov")
    assert cube.constants == {"dataset": "digits", "sizes": [64, 32]}
    assert cube.dimension == 6
    assert cube.dimension_names == ("lr", "epochs", "optimizer=adam", "optimizer=sgd", "optimizer=lion", "nesterov")
    assert cube.bounds.tolist() == [[0, 1]] * 6
    assert cube.encode_one(CONFIG) == pytest.approx([0.5, 0.375, 0, 1, 0, 0])


def test_decoding_puts_constants_back_in_the_order_of_the_space() -> None:
    decoded = UnitCube(SPACE).decode_one([0.5, 0.375, 0, 1, 0, 0])
    assert decoded == CONFIG
    assert list(decoded) == list(SPACE)


def test_configurations_do_not_share_mutable_constants() -> None:
    first, second = UnitCube(SPACE).decode(np.zeros((2, 6)))
    first["sizes"].append(16)
    assert second["sizes"] == SPACE["sizes"] == [64, 32]


@given(st.lists(domains(), max_size=6), st.integers(0, 2**32 - 1), st.integers(0, 5))
def test_samples_survive_the_cube(drawn: list[Domain], seed: int, n: int) -> None:
    cube = UnitCube({"constant": "c", **{f"x{index}": domain for index, domain in enumerate(drawn)}})
    configs = cube.sample(np.random.default_rng(seed), n)
    matrix = cube.encode(configs)
    assert matrix.shape == (n, cube.dimension)
    assert ((matrix >= 0) & (matrix <= 1)).all()
    assert cube.decode(matrix) == configs


def test_encoding_many_is_encoding_each() -> None:
    cube = UnitCube(SPACE)
    configs = cube.sample(np.random.default_rng(1), 50)
    assert np.array_equal(cube.encode(configs), np.array([cube.encode_one(config) for config in configs]))


def test_a_resource_can_be_last_and_fixed() -> None:
    cube = UnitCube(SPACE, last="epochs", last_value=4)
    assert cube.names[-1] == "epochs"
    assert cube.bounds[-1].tolist() == [0.875, 0.875]
    assert {config["epochs"] for config in cube.sample(np.random.default_rng(0), 20)} == {4}
    assert cube.decode_one(cube.encode_one(CONFIG)) == CONFIG


def test_match_strings_ignore_constants() -> None:
    cube = UnitCube(SPACE)
    assert cube.match_string(CONFIG) == cube.match_string({**CONFIG, "dataset": "other"})
    assert cube.match_string(CONFIG) != cube.match_string({**CONFIG, "epochs": 3})


@given(st.data())
def test_match_keys_are_equal_where_match_strings_are(data: st.DataObject) -> None:
    space = data.draw(st.dictionaries(st.sampled_from("abcd"), domains(), min_size=1))
    cube = UnitCube(space)
    one, other = ({name: data.draw(values_of(domain)) for name, domain in space.items()} for _ in range(2))
    other = {name: one[name] if data.draw(st.booleans()) else value for name, value in other.items()}
    assert (cube.match_key(one) == cube.match_key(other)) is (cube.match_string(one) == cube.match_string(other))
    assert hash(cube.match_key(one)) == hash(cube.match_key(dict(one)))


def test_match_keys_forgive_round_off_and_other_types_of_number() -> None:
    cube = UnitCube(SPACE)
    near = {**CONFIG, "lr": np.float64(0.01 * (1 + 1e-14)), "epochs": np.int64(2)}
    assert cube.match_key(near) == cube.match_key(CONFIG)
    assert hash(cube.match_key(near)) == hash(cube.match_key(CONFIG))


def test_configurations_share_no_mutable_constant() -> None:
    first, second = UnitCube({"x": uniform(0, 1), "layers": [8, 8]}).sample(np.random.default_rng(0), 2)
    first["layers"].append(4)
    assert second["layers"] == [8, 8]


def test_a_space_of_constants_has_one_configuration_and_no_dimension() -> None:
    cube = UnitCube({"a": 1})
    assert cube.dimension == 0
    assert cube.decode(cube.encode([{"a": 1}, {"a": 1}])) == [{"a": 1}, {"a": 1}]


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda cube: cube.encode_one({"lr": 0.1}), "no value for 'epochs'"),
        (lambda cube: cube.encode_one({**CONFIG, "epochs": 9}), "'epochs': 9 is not in randint"),
        (lambda cube: cube.decode([[0.5]]), r"shape \(1, 1\)"),
        (lambda cube: cube.decode_one([float("nan")] * 6), "nan"),
        (lambda cube: UnitCube(cube.config_space, last="epoch"), "(?s)last is 'epoch'.*did you mean 'epochs'"),
        (lambda cube: UnitCube(cube.config_space, last="epochs", last_value=9), "9 is not in randint"),
        (lambda cube: UnitCube({"lr": (1, 2)}), "'lr' is"),
    ],
)
def test_misfits_are_named(action: Any, message: str) -> None:
    with pytest.raises(ConfigSpaceError, match=message):
        action(UnitCube(SPACE))


def test_five_thousand_configurations_of_two_hundred_parameters() -> None:
    space = {f"x{index}": (uniform(0, 1), lograndint(1, 512))[index % 2] for index in range(200)}
    validate_config_space(space)
    cube = UnitCube(space)
    configs = cube.sample(np.random.default_rng(0), 5000)
    assert cube.decode(cube.encode(configs)) == configs
