"""Scales of targets: there and back, and targets nobody would expect."""

from __future__ import annotations

import numpy as np
import pytest

from cloudtune.surrogates.targets import BoxCox, Scale, Standard, boxcox, boxcox_slope


@pytest.mark.parametrize(
    "targets", [[1.0, 2.0, 5.0], [0.0, 0.0], [7.0], [1e100, -1e100, 3.0], [1e-300, 2e-300], [1e9 + 1e-8, 1e9]]
)
def test_standard_targets_are_of_the_order_of_one(targets: list[float]) -> None:
    given = np.array(targets)
    scale = Standard.of(given)
    values = scale.forward(given)
    assert np.isfinite(values).all()
    assert np.abs(values).max() < 10
    np.testing.assert_allclose(scale.backward(values), given, rtol=1e-6, atol=1e-12 * np.abs(given).max())


def test_a_target_far_above_leaves_the_others_their_differences() -> None:
    targets = np.array([*np.linspace(0.0, 1.0, 20), 1e30])
    scale = Standard.of(targets)
    values = scale.forward(targets)
    assert np.ptp(values[:-1]) > 0.8
    assert values[-1] > values[:-1].max()
    np.testing.assert_allclose(scale.backward(values[:-1]), targets[:-1], atol=1e-9)


@pytest.mark.parametrize(("count", "knee"), [(10, 15.0), (20, 30.0), (50, 120.0), (100, 270.0)])
def test_what_is_bent_lies_thrice_as_far_up_as_half_of_few_or_all_but_ten_of_many(count: int, knee: float) -> None:
    targets = np.arange(1.0, count + 1)
    targets[-1] = 1e6
    scale = Standard.of(targets)
    assert scale.knee == pytest.approx(knee, abs=4)
    bent = float(scale.forward(targets)[-1]) * scale.scale + scale.shift
    assert scale.knee + 0.99 * scale.width < bent < scale.knee + scale.width


@pytest.mark.parametrize(("share", "is_bent"), [(0.5, True), (0.9, False), (1.0, False)])
def test_what_is_far_above_half_may_be_among_nine_in_ten(share: float, is_bent: bool) -> None:
    targets = np.array([*np.linspace(0.0, 1.0, 12), *np.linspace(10.0, 20.0, 8)])
    plain = (targets - targets.mean()) / targets.std()
    assert np.allclose(Standard.of(targets, share).forward(targets), plain) is not is_bent


def test_with_all_for_ordinary_nothing_is_bent() -> None:
    targets = np.array([*np.linspace(0.0, 1.0, 20), 1000.0])
    np.testing.assert_allclose(Standard.of(targets, 1.0).forward(targets), (targets - targets.mean()) / targets.std())


def test_ordinary_targets_are_only_shifted_and_scaled() -> None:
    targets = np.random.default_rng(0).standard_normal(50)
    np.testing.assert_allclose(Standard.of(targets).forward(targets), (targets - targets.mean()) / targets.std())


def test_boxcox_is_the_logarithm_at_0_and_minus_one_at_1() -> None:
    y = np.array([0.1, 1.0, 7.0])
    np.testing.assert_allclose(boxcox(np.log(y), 0.0), np.log(y))
    np.testing.assert_allclose(boxcox(np.log(y), 1e-7), np.log(y), rtol=1e-5)
    np.testing.assert_allclose(boxcox(np.log(y), 1.0), y - 1)


@pytest.mark.parametrize("exponent", [-0.7, 0.0, 1e-5, 0.3, 1.0])
def test_its_slope_by_lambda(exponent: float) -> None:
    logs = np.array([-1.0, 0.2, 1.5])
    numeric = (boxcox(logs, exponent + 1e-5) - boxcox(logs, exponent - 1e-5)) / 2e-5
    np.testing.assert_allclose(boxcox_slope(logs, exponent), numeric, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("exponent", [-0.5, 0.0, 0.5, 1.0])
def test_boxcox_comes_back(exponent: float) -> None:
    targets = np.array([0.01, 0.5, 3.0, 20.0])
    base = BoxCox.of(targets)
    scale: Scale = BoxCox(base.mean, base.scale, exponent)
    np.testing.assert_allclose(scale.backward(scale.forward(targets)), targets, rtol=1e-9)
    assert (np.diff(scale.forward(targets)) > 0).all()
