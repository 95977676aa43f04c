"""What a trial gets parses back to what was proposed; what a journal stores is read back as it was."""

from __future__ import annotations

import json
import subprocess
import sys
from argparse import ArgumentParser
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cloudtune
import cloudtune.space as space_module
from cloudtune.errors import ConfigSpaceError
from cloudtune.space import (
    Domain,
    add_to_argparse,
    choice,
    config_space_from_json_dict,
    config_space_to_json_dict,
    domain_from_dict,
    finrange,
    from_cli_string,
    lograndint,
    loguniform,
    ordinal,
    quniform,
    randint,
    to_cli_string,
    to_dict,
    uniform,
)
from tests.space.strategies import domains, texts, values_of

numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
constants = st.recursive(
    numbers | texts | st.booleans() | st.none(),
    lambda s: st.lists(s, max_size=3) | st.dictionaries(texts, s, max_size=3),
)


def parse(config_space: dict[str, Any], arguments: list[str]) -> dict[str, Any]:
    parser = ArgumentParser(exit_on_error=False)
    add_to_argparse(parser, config_space)
    return vars(parser.parse_args(arguments))


@given(st.dictionaries(st.sampled_from(["lr", "n_units", "x"]), domains(), max_size=3), st.data())
def test_a_training_script_parses_exactly_what_was_proposed(drawn: dict[str, Domain], data: st.DataObject) -> None:
    config = {name: data.draw(values_of(domain)) for name, domain in drawn.items()}
    arguments = [part for name, value in config.items() for part in (f"--{name}", to_cli_string(value))]
    if any(isinstance(value, str) and value.startswith("-") for value in config.values()):
        arguments = [f"--{name}={to_cli_string(value)}" for name, value in config.items()]
    parsed = parse({**drawn, "constant": 3}, arguments)
    assert parsed == config
    assert {name: type(value) for name, value in parsed.items()} == {n: d.value_type for n, d in drawn.items()}


@given(constants)
def test_constants_survive_their_text(value: Any) -> None:
    assert from_cli_string(value, to_cli_string(value)) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e-05, "1e-05"),
        (-1e-05, "-0.00001"),
        (-2.5e22, "-25000000000000000000000"),
        (0.1 + 0.2, "0.30000000000000004"),
        (np.float64(0.1), "0.1"),
        (True, "True"),
        (7, "7"),
        ("sgd", "sgd"),
        ([64, {"a": None}], '[64, {"a": null}]'),
        (None, "None"),
    ],
)
def test_the_text_of_values(value: Any, text: str) -> None:
    assert to_cli_string(value) == text


def test_text_of_the_wrong_type_is_refused() -> None:
    with pytest.raises(ConfigSpaceError, match="'x' is not a int"):
        from_cli_string(3, "x")
    with pytest.raises(ConfigSpaceError, match="'x' is not a number"):
        from_cli_string(uniform(0, 1), "x")


def test_a_missing_or_unreadable_argument_stops_the_script(capsys: pytest.CaptureFixture[str]) -> None:
    parser = ArgumentParser()
    add_to_argparse(parser, {"lr": uniform(0, 1), "epochs": 3})
    for arguments in ([], ["--lr", "fast"], ["--lr", "0.5", "--epochs", "3"]):
        with pytest.raises(SystemExit):
            parser.parse_args(arguments)
    assert "invalid float value: 'fast'" in capsys.readouterr().err


def test_the_help_of_a_script_shows_the_domains() -> None:
    parser = ArgumentParser()
    add_to_argparse(parser, {"lr": uniform(0, 1), "share": choice(["50%", "100%"])})
    assert "uniform(lower=0.0, upper=1.0)" in " ".join(parser.format_help().split())
    assert "['50%', '100%']" in " ".join(parser.format_help().split())


@given(domains())
def test_domains_survive_json(domain: Domain) -> None:
    restored = domain_from_dict(json.loads(json.dumps(to_dict(domain), allow_nan=False)))
    assert restored == domain
    assert type(restored) is type(domain)
    assert restored.value_type is domain.value_type


@given(st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), domains() | constants, max_size=5))
def test_spaces_survive_json(config_space: dict[str, Any]) -> None:
    restored = config_space_from_json_dict(json.loads(json.dumps(config_space_to_json_dict(config_space))))
    assert restored == config_space
    assert list(restored) == list(config_space)


def test_the_json_is_readable() -> None:
    config_space = {
        "lr": loguniform(1e-4, 1),
        "n": lograndint(4, 1024),
        "o": ordinal(["s", "m"]),
        "f": finrange(0, 1, 3),
        "q": quniform(0, 1, 0.5),
        "k": {"domain": "uniform"},
        "c": 3,
    }
    assert config_space_to_json_dict(config_space) == {
        "lr": {"domain": "loguniform", "lower": 1e-4, "upper": 1.0},
        "n": {"domain": "lograndint", "lower": 4, "upper": 1024},
        "o": {"domain": "ordinal", "categories": ["s", "m"], "kind": "equal"},
        "f": {"domain": "finrange", "lower": 0.0, "upper": 1.0, "size": 3, "cast_int": False},
        "q": {"domain": "quniform", "lower": 0.0, "upper": 1.0, "q": 0.5},
        "k": {"constant": {"domain": "uniform"}},
        "c": 3,
    }


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"domain": "unifrom", "lower": 0, "upper": 1}, "(?s)'lr': 'unifrom' names no domain.*'uniform'"),
        ({"domain": "uniform", "low": 0}, "(?s)'lr': uniform can't be made from"),
        ({"domain": "uniform", "lower": 2, "upper": 1}, "'lr': uniform.*lower 2.0 is above"),
        ({"lower": 2, "upper": 1}, "'lr': None names no domain"),
    ],
)
def test_json_of_another_making_is_refused(entry: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigSpaceError, match=message):
        config_space_from_json_dict({"lr": entry})


def test_every_public_name_exists_and_the_top_level_shows_the_domains() -> None:
    for name in space_module.__all__:
        assert getattr(space_module, name) is not None
    for factory in (uniform, loguniform, randint, lograndint, choice, ordinal, finrange, quniform):
        assert getattr(cloudtune, factory.__name__) is factory
    with pytest.raises(AttributeError, match="no attribute 'unifrom'"):
        space_module.unifrom  # noqa: B018


def test_writing_a_space_does_not_load_numpy() -> None:
    program = "import sys, cloudtune.space as s; s.uniform(0, 1); s.choice([1, 2]); sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
