"""Expected improvement against numerical integration; its logarithm where it underflows; sums of scores."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from cloudtune.surrogates.acquisition import (
    DifferentiableScore,
    LogExpectedImprovement,
    LowerConfidenceBound,
    Worth,
    expected_improvement,
    log_h,
    total,
    worth,
)
from cloudtune.surrogates.prediction import Array, Prediction


def one(mean: float, std: float) -> Prediction:
    return Prediction(np.array([[mean]]), np.array([[std]]))


@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (1.0, 0.5), (-2.0, 0.3), (2.0, 0.7)])
def test_expected_improvement_is_the_integral(mean: float, std: float) -> None:
    integral, _ = quad(lambda y: (0.4 - y) * norm.pdf(y, mean, std), mean - 12 * std, 0.4)
    closed = expected_improvement(np.array([0.4]), np.array([mean]), np.array([std]))
    assert closed[0] == pytest.approx(integral, rel=1e-6)
    assert LogExpectedImprovement(np.array([0.4])).values(one(mean, std))[0] == pytest.approx(
        np.log(integral), rel=1e-5
    )


def test_its_logarithm_has_no_seams_and_never_underflows() -> None:
    z = np.concatenate([-np.geomspace(1e12, 1e-3, 2000), np.linspace(0, 30, 200)])
    values = log_h(z)
    assert np.isfinite(values).all()
    assert (np.diff(values) > 0).all()
    # phi(z) / z^2 far below
    np.testing.assert_allclose(log_h(np.array([-1e4])), norm.logpdf(-1e4) - 2 * np.log(1e4), rtol=1e-9)
    near = np.array([-1.0 - 1e-9, -1.0 + 1e-9])
    np.testing.assert_allclose(np.diff(log_h(near)), 0.0, atol=1e-7)


def test_members_are_averaged_in_the_improvement_not_in_its_logarithm() -> None:
    prediction = Prediction(np.array([[0.0, 1.0]]), np.array([[0.5]]))
    each = [expected_improvement(np.array([0.2]), np.array([m]), np.array([0.5]))[0] for m in (0.0, 1.0)]
    found = LogExpectedImprovement(np.array([0.2])).values(prediction)
    assert found[0] == pytest.approx(np.log(np.mean(each)))


def test_the_confidence_bound_prefers_low_and_uncertain() -> None:
    acquisition = LowerConfidenceBound(2.0)
    assert acquisition.values(one(1.0, 0.5))[0] == pytest.approx(0.0)
    assert acquisition.values(one(0.0, 0.5))[0] > acquisition.values(one(0.0, 0.4))[0]


def test_no_doubt_at_all_is_survived() -> None:
    values, by_mean, by_std = LogExpectedImprovement(np.array([0.0])).slopes(one(1.0, 0.0))
    assert np.isfinite(values).all()
    assert np.isfinite(by_mean).all()
    assert np.isfinite(by_std).all()


class Flat:
    """A predictor of one's own, without slopes."""

    def predict(self, points: Array) -> Prediction:
        return Prediction(points[:, :1], np.ones((len(points), 1)))


class Sloped(Flat):
    def predict_with_pullback(self, points: Array):  # type: ignore[no-untyped-def]
        return self.predict(points), lambda by_mean, by_std: np.pad(by_mean, ((0, 0), (0, points.shape[1] - 1)))


def test_scores_add_up_and_keep_their_slopes_if_all_have_them() -> None:
    points = np.random.default_rng(0).random((4, 2))
    bound = LowerConfidenceBound(1.0)
    flat, sloped = worth(Flat(), bound), worth(Sloped(), bound)
    assert isinstance(flat, Worth)
    assert not isinstance(total([flat, sloped]), DifferentiableScore)
    both = total([sloped, sloped])
    assert isinstance(both, DifferentiableScore)
    np.testing.assert_allclose(both.values(points), 2 * sloped.values(points))
    np.testing.assert_allclose(both.values_and_gradients(points)[1][:, 0], -2.0)
