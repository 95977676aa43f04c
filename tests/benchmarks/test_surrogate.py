from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from cloudtune.benchmarks import BlackboxSurrogate, BlackboxTabular, add_surrogate, make_surrogate
from cloudtune.errors import ConfigSpaceError, OptionError
from cloudtune.space import ordinal, randint, uniform
from tests.benchmarks.tables import single_table, small_table

GRID = [0.0, 0.25, 0.5, 0.75, 1.0]


def line_table() -> BlackboxTabular:
    """``loss`` is 3 x / epoch, an epoch takes 1 + x seconds."""
    values = [[[[3 * x / epoch, (1 + x) * epoch] for epoch in (1, 2, 3)]] for x in GRID]
    frame = pd.DataFrame({"x": GRID})
    return BlackboxTabular(
        frame, {"x": ordinal(GRID)}, {"epoch": randint(1, 3)}, values, objectives_names=["loss", "seconds"]
    )


@pytest.mark.parametrize("predict_curves", [True, False])
@pytest.mark.parametrize("separate_seeds", [True, False])
def test_the_nearest_neighbour_knows_what_was_evaluated(predict_curves: bool, separate_seeds: bool) -> None:
    table = small_table()
    surrogate = add_surrogate(table, predict_curves=predict_curves, separate_seeds=separate_seeds)
    assert surrogate.num_seeds == (2 if separate_seeds else 1)
    for config in table.all_configurations():
        np.testing.assert_allclose(surrogate.curves(config), table.curves(config))
        if separate_seeds:
            np.testing.assert_allclose(surrogate.curves(config, 1), table.curves(config, 1))


def test_without_fidelities_too() -> None:
    surrogate = add_surrogate(single_table(), separate_seeds=True)
    assert surrogate({"kind": "b", "size": 4}, seed=1) == {"loss": 513.0, "seconds": 18.0}


def test_between_what_was_evaluated_the_model_fills_in() -> None:
    surrogate = add_surrogate(line_table(), LinearRegression(), {"x": uniform(0.0, 1.0)})
    found = surrogate({"x": 0.6}, fidelity=2)
    assert isinstance(found, dict)
    assert found == pytest.approx({"loss": 0.9, "seconds": 3.2})


def test_differences_of_what_adds_up_never_go_backwards() -> None:
    table = line_table()
    values = table.objectives_evaluations.copy()
    values[:, :, :, 1] = np.array([[10.0, 11.0, 30.0]])
    values[0, :, 0, 1] = 40.0  # its differences are 40, -29, 19
    uneven = BlackboxTabular(
        table.hyperparameters,
        table.configuration_space,
        table.fidelity_space,
        values,
        objectives_names=["loss", "seconds"],
    )
    surrogate = add_surrogate(uneven, fit_differences=["seconds"])
    np.testing.assert_allclose(surrogate.curves({"x": 0.0})[:, 1], [40.0, 40.0, 59.0])
    np.testing.assert_allclose(surrogate.curves({"x": 1.0})[:, 1], [10.0, 11.0, 30.0])


def test_rows_with_nan_are_left_out() -> None:
    table = line_table()
    values = table.objectives_evaluations.copy()
    values[0] = math.nan
    holed = BlackboxTabular(
        table.hyperparameters,
        table.configuration_space,
        table.fidelity_space,
        values,
        objectives_names=["loss", "seconds"],
    )
    surrogate = add_surrogate(holed)
    np.testing.assert_allclose(surrogate.curves({"x": 0.0}), table.curves({"x": 0.25}))


def test_a_regressor_of_one_number_is_fitted_for_each() -> None:
    surrogate = add_surrogate(line_table(), "GradientBoostingRegressor")
    assert surrogate.curves({"x": 0.5}).shape == (3, 2)


def test_large_tables_are_sampled() -> None:
    known, targets = line_table().hyperparameter_objectives_values(predict_curves=True)
    options: dict[str, Any] = {"fidelity_space": {"epoch": randint(1, 3)}, "fidelity_values": [1, 2, 3]}
    fitted = BlackboxSurrogate(
        known, targets, {"x": ordinal(GRID)}, ["loss", "seconds"], predict_curves=True, max_fit_samples=1, **options
    )
    curves = {tuple(fitted.curves({"x": x}).ravel()) for x in GRID}
    assert len(curves) == 1


def test_surrogates_are_named_as_in_scikit_learn_and_the_same_every_time() -> None:
    forest = make_surrogate("RandomForestRegressor", {"n_estimators": 5})
    assert (forest.n_estimators, forest.random_state) == (5, 0)  # type: ignore[attr-defined]
    assert make_surrogate().n_neighbors == 1  # type: ignore[attr-defined]
    with pytest.raises(OptionError, match="did you mean 'KNeighborsRegressor'"):
        make_surrogate("KNeighborRegressor")
    with pytest.raises(OptionError, match="did you mean 'n_neighbors'"):
        make_surrogate("KNeighborsRegressor", {"n_neighbours": 3})


def test_values_outside_of_the_space_are_refused() -> None:
    surrogate = add_surrogate(line_table())
    with pytest.raises(ConfigSpaceError, match="'x'"):
        surrogate({"x": 0.6})
    known, _ = line_table().hyperparameter_objectives_values()
    with pytest.raises(OptionError, match="must be"):
        BlackboxSurrogate(known, np.ones((3, 1)), {"x": ordinal(GRID)}, ["loss"])


def test_none_stands_for_defaults() -> None:
    table = small_table()
    plain, said = add_surrogate(table), add_surrogate(table, predict_curves=None, fit_differences=None)
    for config in table.all_configurations():
        np.testing.assert_array_equal(said.curves(config), plain.curves(config))


@pytest.mark.parametrize("count", [0, -1, "2", 2.5])
def test_samples_are_counted(count: Any) -> None:
    with pytest.raises(OptionError, match="max_fit_samples"):
        add_surrogate(small_table(), max_fit_samples=count)


def test_neighbours_that_there_are_not_are_missed_at_once() -> None:
    with pytest.raises(OptionError, match="can't predict from 12 evaluations"):
        add_surrogate(small_table(), make_surrogate("KNeighborsRegressor", {"n_neighbors": 13}))
