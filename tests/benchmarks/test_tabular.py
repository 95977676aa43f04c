from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cloudtune.benchmarks import BlackboxTabular, from_function, metrics_for_configuration, tabulated
from cloudtune.errors import ConfigSpaceError, OptionError
from cloudtune.space import choice, ordinal, randint, uniform
from tests.benchmarks.tables import SPACE, single_table, small_table


def test_a_configuration_has_its_row() -> None:
    table = small_table()
    config = {"kind": "b", "size": 2}
    assert table(config, fidelity=3, seed=1) == {"loss": 413.0, "seconds": 15.0}
    assert table(config, fidelity={"epoch": 1}) == {"loss": 401.0, "seconds": 5.0}
    np.testing.assert_array_equal(table(config, seed=1), [[411, 5], [412, 10], [413, 15]])
    assert single_table()(config, seed=1) == {"loss": 413.0, "seconds": 15.0}


def test_constants_and_strangers_in_a_configuration_do_not_matter() -> None:
    assert small_table()({"kind": "a", "size": 1, "epochs": 27, "x": 0.5}, fidelity=1) == {"loss": 1.0, "seconds": 1.0}


def test_floats_that_agree_in_ten_digits_are_one_value() -> None:
    rate = 0.1 + 0.2
    table = BlackboxTabular(pd.DataFrame({"rate": [rate]}), {"rate": ordinal([rate])}, None, np.ones((1, 1, 1, 1)))
    assert table({"rate": 0.3}) == {"metric_0": 1.0}


def test_all_configurations_are_plain_values() -> None:
    configurations = small_table().all_configurations()
    assert configurations[:2] == [{"kind": "a", "size": 1}, {"kind": "a", "size": 2}]
    assert len(configurations) == 6
    assert all(type(each["size"]) is int for each in configurations)


def test_what_is_asked_wrongly_is_refused_with_what_there_is() -> None:
    table = small_table()
    with pytest.raises(ConfigSpaceError, match="surrogate"):
        table({"kind": "c", "size": 1})
    with pytest.raises(ConfigSpaceError, match="lacks 'size'"):
        table({"kind": "a"})
    with pytest.raises(OptionError, match="1 to 3"):
        table({"kind": "a", "size": 1}, fidelity=4)
    with pytest.raises(OptionError, match="epoch"):
        table({"kind": "a", "size": 1}, fidelity={"step": 1})
    with pytest.raises(OptionError, match="there are 2"):
        table({"kind": "a", "size": 1}, seed=2)
    with pytest.raises(OptionError, match="'seconds'"):
        table.place_of("second")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objectives_evaluations": np.ones((5, 2, 3, 2))}, "6 configurations"),
        ({"objectives_evaluations": np.ones((6, 3))}, "seeds, fidelities, objectives"),
        ({"objectives_names": ["loss"]}, "2 objectives"),
        ({"objectives_names": ["loss", "loss"]}, "twice"),
        ({"fidelity_values": [1, 3, 2]}, "ascending"),
        ({"fidelity_values": [1, 2]}, "3 fidelities"),
        ({"fidelity_space": None}, "without a fidelity_space"),
        ({"fidelity_space": {"epoch": randint(1, 3), "step": randint(1, 3)}}, "2 fidelities"),
        ({"configuration_space": {**SPACE, "missing": choice([1, 2])}}, "'missing'"),
    ],
)
def test_shapes_that_do_not_match_are_refused(changes: dict[str, Any], message: str) -> None:
    table = small_table()
    arguments: dict[str, Any] = {
        "hyperparameters": table.hyperparameters,
        "configuration_space": SPACE,
        "fidelity_space": {"epoch": randint(1, 3)},
        "objectives_evaluations": table.objectives_evaluations,
        "objectives_names": ["loss", "seconds"],
    }
    with pytest.raises(OptionError, match=message):
        BlackboxTabular(**{**arguments, **changes})


def test_a_configuration_with_two_rows_is_refused() -> None:
    table = BlackboxTabular(pd.DataFrame({"x": [0.5, 0.5]}), {"x": uniform(0, 1)}, None, np.ones((2, 1, 1, 1)))
    with pytest.raises(OptionError, match="twice"):
        table({"x": 0.5})


def test_objectives_can_be_renamed_and_left_out() -> None:
    table = small_table().rename_objectives({"seconds": "elapsed"})
    assert table({"kind": "b", "size": 2}, fidelity=1) == {"elapsed": 5.0}


def test_the_largest_fidelity_goes_into_the_space() -> None:
    assert small_table().configuration_space_with_max_resource_attr("epochs") == {**SPACE, "epochs": 3}
    with pytest.raises(OptionError):
        single_table().configuration_space_with_max_resource_attr("epochs")


def test_what_models_are_fitted_on_has_a_row_per_evaluation() -> None:
    known, targets = small_table().hyperparameter_objectives_values()
    assert list(known) == ["kind", "size", "epoch"]
    assert list(targets) == ["loss", "seconds"]
    assert len(known) == len(targets) == 6 * 2 * 3
    row = known.index[(known["kind"] == "b") & (known["size"] == 4) & (known["epoch"] == 2)].tolist()
    assert sorted(targets["loss"][row]) == [502.0, 512.0]


def test_or_one_per_curve() -> None:
    known, targets = small_table().hyperparameter_objectives_values(predict_curves=True)
    assert list(known) == ["kind", "size"]
    assert targets.shape == (12, 6)
    # the second seed's rows come after all of the first's; the objectives of an epoch side by side
    assert targets.iloc[6 + 1].tolist() == [111.0, 2.0, 112.0, 4.0, 113.0, 6.0]


def test_results_of_a_configuration_within_a_range_of_fidelities() -> None:
    found = metrics_for_configuration(small_table(), {"kind": "a", "size": 2}, "epoch", (2, 3), seed=1)
    assert found == [
        {"epoch": 2, "loss": 112.0, "seconds": 4.0},
        {"epoch": 3, "loss": 113.0, "seconds": 6.0},
    ]


def test_a_function_is_a_blackbox_and_becomes_a_table() -> None:
    space = {"x": ordinal([1, 2])}
    function = from_function(
        space,
        lambda config, epoch, seed: {"y": config["x"] + 10 * (epoch or 0) + 100 * seed},
        {"epoch": randint(1, 2)},
        num_seeds=2,
    )
    assert function.objectives_names == ["y"]
    assert function({"x": 2}, fidelity=2, seed=1) == {"y": 122.0}
    with pytest.raises(OptionError, match="no list of configurations"):
        function.all_configurations()
    table = tabulated(function, [{"x": 1}, {"x": 2}])
    np.testing.assert_array_equal(
        table.objectives_evaluations[..., 0], [[[11, 21], [111, 121]], [[12, 22], [112, 122]]]
    )


def test_a_table_travels() -> None:
    table = small_table()
    table({"kind": "a", "size": 1}, fidelity=1)
    assert pickle.loads(pickle.dumps(table))({"kind": "b", "size": 2}, fidelity=1) == {"loss": 401.0, "seconds": 5.0}
