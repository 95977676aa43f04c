"""The blackboxes that are computed or trained here."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cloudtune.benchmarks import Blackbox, load_blackbox
from cloudtune.benchmarks.recipes import RECIPES, MlpDigits
from cloudtune.benchmarks.recipes.synthetic import MULTI, PROBLEMS, SINGLE
from cloudtune.errors import OptionError

TINY = MlpDigits(
    activations=("relu",),
    units_1=(8, 64),
    units_2=(8,),
    learning_rates=(1e-4, 1e-2),
    batch_sizes=(32,),
    alphas=(1e-5,),
    epochs=4,
    seeds=2,
    workers=1,
)


def loss(blackbox: Blackbox, fidelity: float | None = None, **config: Any) -> float:
    found = blackbox(config, fidelity)
    assert isinstance(found, dict)
    return found["loss"]


@pytest.mark.parametrize(
    ("name", "at", "least"),
    [
        ("branin", (np.pi, 2.275), 0.397887),
        ("branin", (-np.pi, 12.275), 0.397887),
        ("hartmann3", (0.114614, 0.555649, 0.852547), -3.86278),
        ("hartmann6", (0.20169, 0.150011, 0.476874, 0.275332, 0.311652, 0.6573), -3.32237),
        ("ackley", (0.0,) * 10, 0.0),
    ],
)
def test_functions_have_their_minimum_where_it_is_published(name: str, at: tuple[float, ...], least: float) -> None:
    config = dict(zip(PROBLEMS[name].space, at, strict=True))
    assert loss(load_blackbox(name)[SINGLE], **config) == pytest.approx(least, abs=1e-5)
    assert PROBLEMS[name].minimum == pytest.approx(least, abs=1e-5)


@pytest.mark.parametrize("name", PROBLEMS)
def test_trained_functions_fall_to_their_value(name: str) -> None:
    blackboxes = load_blackbox(name)
    random = np.random.default_rng(0)
    rates = []
    for _ in range(20):
        config = {key: domain.sample(random) for key, domain in PROBLEMS[name].space.items()}
        curve = blackboxes[MULTI].curves(config)
        assert (np.diff(curve[:, 0]) < 0).all()
        assert curve[-1, 0] == pytest.approx(loss(blackboxes[SINGLE], **config))
        assert (np.diff(curve[:, 1]) > 0).all()
        rates.append(curve[0, 1])
    assert 4.0 <= min(rates) < max(rates) <= 20.0


def test_families_of_curves_are_hard_in_the_way_they_say() -> None:
    families = load_blackbox("curves")
    good, bad = {"limit": 0.1, "width": 2.0}, {"limit": 0.9, "width": 2.0}
    parallel = [
        loss(families["parallel"], epoch, **good) < loss(families["parallel"], epoch, **bad) for epoch in (1, 27)
    ]
    crossing = [loss(families["crossing"], e, **good) < loss(families["crossing"], e, **bad) for e in (1, 3, 4, 27)]
    assert parallel == [True, True]
    assert crossing == [False, False, True, True]
    cheap, dear = {"limit": 0.5, "width": 1.0}, {"limit": 0.5, "width": 32.0}
    assert families["costs"].curves(dear)[-1].tolist() < families["costs"].curves(cheap)[-1].tolist()
    assert families["costs"].curves(dear)[-1, 1] == 32 * families["costs"].curves(cheap)[-1, 1]
    assert families["noisy"].num_seeds == 5


def test_the_digits_are_really_trained() -> None:
    table = TINY.blackbox()
    assert table.objectives_evaluations.shape == (4, 2, 4, 4)
    assert table.configuration_space.keys() == table.all_configurations()[0].keys()
    errors = table.objectives_evaluations[..., 0]
    assert (errors[:, :, -1] <= errors[:, :, 0]).all()
    by_rate = [(config["learning_rate"], config["units_1"]) for config in table.all_configurations()]
    assert errors[by_rate.index((1e-2, 64)), :, -1].max() < 0.2 < errors[by_rate.index((1e-4, 64)), :, -1].min()
    assert (np.diff(table.objectives_evaluations[..., 3], axis=2) > 0).all()


def test_they_are_trained_the_same_every_time_but_for_the_time_it_takes() -> None:
    one = MlpDigits(("relu",), (8,), (8,), (1e-2,), (512,), (1e-5,), epochs=2, seeds=2, workers=1).blackbox()
    two = MlpDigits(("relu",), (8,), (8,), (1e-2,), (512,), (1e-5,), epochs=2, seeds=2, workers=1).blackbox()
    np.testing.assert_array_equal(one.objectives_evaluations[..., :3], two.objectives_evaluations[..., :3])
    assert not np.array_equal(one.objectives_evaluations[0, 0], one.objectives_evaluations[0, 1])


def test_the_default_grid_is_as_large_as_it_says() -> None:
    recipe = MlpDigits()
    assert len(recipe.configurations()) == 648
    assert (recipe.epochs, recipe.seeds) == (27, 3)
    with pytest.raises(OptionError, match="epochs"):
        MlpDigits(epochs=0)
    assert RECIPES["mlp-digits"].name == "mlp-digits"
