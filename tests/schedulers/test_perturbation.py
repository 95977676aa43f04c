"""Steps from one configuration to the next: how far, and never out of the space."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudtune.errors import ConfigSpaceError, OptionError
from cloudtune.schedulers.perturbation import checked_exploration, explored, perturbed, within
from cloudtune.searchers.seeding import generator
from cloudtune.space import (
    Domain,
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
from tests.space.strategies import domains


@pytest.mark.parametrize(
    ("domain", "value", "down", "up"),
    [
        (uniform(0, 1), 0.5, 0.4, 0.6),
        (uniform(0, 1), 0.9, 0.72, 1.0),
        (uniform(0.5, 1), 0.5, 0.5, 0.6),
        (uniform(-10, 10), -5.0, -4.0, -6.0),
        (uniform(-1, 1), 0.0, 0.0, 0.0),
        (loguniform(1e-4, 1e-1), 1e-2, 8e-3, 1.2e-2),
        (loguniform(1e-4, 1e-1), 1e-4, 1e-4, 1.2e-4),
        # the distance from 1 is what is tuned: 0.1 becomes 0.12 or 0.08
        (reverseloguniform(0.5, 0.999), 0.9, 0.88, 0.92),
        (normal(0, 1), 2.0, 1.6, 2.4),
        (lognormal(0, 1), 10.0, 8.0, 12.0),
        (randint(0, 100), 50, 40, 60),
        (randint(0, 100), 1, 0, 2),
        (randint(0, 100), 0, 0, 1),
        (randint(-100, 100), -50, -40, -60),
        (randint(1, 8), 8, 6, 8),
        (lograndint(1, 1000), 100, 80, 120),
        (quniform(0, 1, 0.25), 0.5, 0.25, 0.75),
        (quniform(0, 100, 5), 50, 40, 60),
        (quniform(0, 1, 0.25), 1.0, 0.75, 1.0),
        (qloguniform(0.1, 10, 0.1), 1.0, 0.8, 1.2),
        (ordinal([8, 16, 32]), 16, 8, 32),
        (ordinal([8, 16, 32]), 8, 8, 16),
        (ordinal(["small", "large"], kind="equal"), "large", "small", "large"),
        (logordinal([1, 10, 100]), 10, 1, 100),
        (finrange(0.1, 0.5, 5), 0.3, 0.2, 0.4),
        (logfinrange(1, 100, 3), 100.0, 10.0, 100.0),
    ],
)
def test_a_table_of_steps(domain: Domain, value: Any, down: Any, up: Any) -> None:
    def near(number: Any) -> Any:
        return number if isinstance(number, str) else pytest.approx(number)

    assert perturbed(domain, value, up=False) == near(down)
    assert perturbed(domain, value, up=True) == near(up)


SPACE: dict[str, Any] = {
    "lr": loguniform(1e-5, 1e-1),
    "layers": randint(1, 8),
    "batch": ordinal([16, 32, 64]),
    "activation": choice(["relu", "tanh", "gelu"]),
    "epochs": 9,
}
CONFIG = {"lr": 1e-3, "layers": 4, "batch": 32, "activation": "relu", "epochs": 9}


def draws(probability: float, count: int = 400) -> list[dict[str, Any]]:
    return [explored(CONFIG, SPACE, generator(1, "test", number), probability) for number in range(count)]


def test_without_resampling_numbers_take_one_step_and_categories_are_drawn() -> None:
    found = draws(0.0)
    assert {each["lr"] for each in found} == {1e-3 * 0.8, 1e-3 * 1.2}
    assert {each["layers"] for each in found} == {3, 5}
    assert {each["batch"] for each in found} == {16, 64}
    assert all(each["epochs"] == 9 for each in found)
    steps = Counter(each["layers"] for each in found)
    assert min(steps.values()) > 150, "both ways are equally likely"
    categories = Counter(each["activation"] for each in found)
    assert min(categories[name] for name in ("relu", "tanh", "gelu")) > 90
    assert len({(each["lr"], each["layers"], each["batch"]) for each in found}) == 8, "each goes its own way"


def test_with_resampling_values_are_drawn_as_at_first() -> None:
    found = draws(1.0)
    assert {each["layers"] for each in found} == set(range(1, 9))
    assert {each["batch"] for each in found} == {16, 32, 64}
    assert sum(each["lr"] < 1e-3 for each in found) == pytest.approx(200, abs=40), "uniform on the log scale"


def test_some_of_the_values_are_resampled() -> None:
    resampled = sum(each["lr"] not in (1e-3 * 0.8, 1e-3 * 1.2) for each in draws(0.25))
    assert resampled == pytest.approx(100, abs=30)


@settings(max_examples=300)
@given(domain=domains(), seed=st.integers(0, 2**32), ups=st.lists(st.booleans(), min_size=1, max_size=6))
def test_no_step_leaves_the_domain(domain: Domain, seed: int, ups: list[bool]) -> None:
    value = domain.sample(generator(seed, "test", 0))
    for up in ups:
        value = perturbed(domain, value, up)
        assert domain.is_valid(value), f"{value!r} is not in {domain!r}"


@given(seed=st.integers(0, 2**32), probability=st.floats(0, 1))
def test_an_exploration_is_a_complete_configuration(seed: int, probability: float) -> None:
    config = explored(CONFIG, SPACE, generator(seed, "test", 0), probability)
    assert list(config) == list(SPACE)
    for name, entry in SPACE.items():
        assert entry.is_valid(config[name]) if isinstance(entry, Domain) else config[name] == entry


# -- what users' functions return --------------------------------------------------------------------------------------


def test_numbers_are_brought_into_their_ranges_and_constants_put_back() -> None:
    config = {"lr": 7.0, "layers": 0, "batch": 32.0, "activation": "tanh", "epochs": 100, "more": 1}
    assert checked_exploration(config, SPACE) == {
        "lr": 0.1,
        "layers": 1,
        "batch": 32,
        "activation": "tanh",
        "epochs": 9,
    }
    assert within(randint(1, 8), 3.0) == 3
    assert within(finrange(0.1, 0.5, 5), 9) == 0.5


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (None, "custom_explore_fn returned None"),
        ({"lr": 1e-3}, "without 'layers'"),
        ({**CONFIG, "activation": "sine"}, "'sine' is not among"),
        ({**CONFIG, "lr": "fast"}, "fast"),
    ],
)
def test_what_is_no_configuration_is_an_error(returned: Any, said: str) -> None:
    with pytest.raises((OptionError, ConfigSpaceError), match=said):
        checked_exploration(returned, SPACE)
