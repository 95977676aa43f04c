from __future__ import annotations

import numpy as np
import pytest

from cloudtune.benchmarks import from_function, joined, restricted, with_noise
from cloudtune.errors import ConfigSpaceError, OptionError
from cloudtune.space import randint
from tests.benchmarks.tables import SPACE, single_table, small_table

CONFIG = {"kind": "b", "size": 2}


def test_noise_is_the_same_for_the_same_configuration_and_seed_and_only_where_it_is_wanted() -> None:
    clean, noisy = small_table(), with_noise(small_table(), {"loss": 0.5})
    first = noisy.curves(CONFIG, 1)
    np.testing.assert_array_equal(noisy.curves(CONFIG, 1), first)
    np.testing.assert_array_equal(first[:, 1], clean.curves(CONFIG, 1)[:, 1])
    assert (first[:, 0] != clean.curves(CONFIG, 1)[:, 0]).all()
    assert not np.array_equal(with_noise(small_table(), {"loss": 0.5}, random_seed=1).curves(CONFIG, 1), first)


def test_noise_has_its_size_and_no_tendency() -> None:
    noisy = with_noise(single_table(), {"loss": 0.5}, num_seeds=400)
    drawn = [noisy.curves(CONFIG, seed)[0, 0] - 403.0 - 10 * (seed % 2) for seed in range(400)]
    assert np.mean(drawn) == pytest.approx(0.0, abs=0.08)
    assert np.std(drawn) == pytest.approx(0.5, abs=0.06)


def test_noise_on_what_is_not_there_is_refused() -> None:
    with pytest.raises(OptionError, match="'loss'"):
        with_noise(small_table(), {"los": 0.5})
    with pytest.raises(OptionError, match=r"noise of 'loss' is -0\.5"):
        with_noise(small_table(), {"loss": -0.5})
    with pytest.raises(OptionError, match="noise of 'loss' is '1'"):
        with_noise(small_table(), {"loss": "1"})  # type: ignore[dict-item]


def test_some_configurations_and_some_fidelities() -> None:
    some = restricted(small_table(), lambda config: config["kind"] == "b", fidelity_values=[1, 3])
    assert [each["size"] for each in some.all_configurations()] == [1, 2, 4]
    np.testing.assert_array_equal(some.curves(CONFIG), [[401, 5], [403, 15]])
    with pytest.raises(ConfigSpaceError, match="restrict_configurations"):
        some.curves({"kind": "a", "size": 2})
    assert restricted(small_table(), [CONFIG]).all_configurations() == [CONFIG]


def test_nothing_left_is_refused() -> None:
    with pytest.raises(OptionError, match="no configuration"):
        restricted(small_table(), lambda config: False)
    with pytest.raises(OptionError, match="fidelity 4"):
        restricted(small_table(), fidelity_values=[1, 4])
    with pytest.raises(OptionError, match="no fidelities"):
        restricted(single_table(), fidelity_values=[1])


def test_metrics_of_two_blackboxes_side_by_side() -> None:
    costs = from_function(
        SPACE, lambda config, epoch, seed: {"dollars": config["size"] * (epoch or 0)}, {"epoch": randint(1, 3)}
    )
    both = joined(small_table(), costs)
    assert both.objectives_names == ["loss", "seconds", "dollars"]
    assert both(CONFIG, fidelity=3) == {"loss": 403.0, "seconds": 15.0, "dollars": 6.0}
    some = restricted(small_table().rename_objectives({"loss": "error"}), lambda config: config["size"] == 4)
    assert joined(small_table(), some).all_configurations() == [{"kind": "a", "size": 4}, {"kind": "b", "size": 4}]


def test_what_does_not_belong_together_is_not_joined() -> None:
    with pytest.raises(OptionError, match="fidelities"):
        joined(small_table(), restricted(small_table(), fidelity_values=[1]))
    with pytest.raises(OptionError, match="twice"):
        joined(small_table(), small_table())
    other = from_function({"x": randint(1, 2)}, lambda config, epoch, seed: {"y": 0.0}, {"epoch": randint(1, 3)})
    with pytest.raises(OptionError, match="spaces"):
        joined(small_table(), other)
