"""The posterior: against dense formulas, appended points against starting over, fantasies, gradients."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from cloudtune.surrogates.acquisition import (
    DifferentiableScore,
    LogExpectedImprovement,
    LowerConfidenceBound,
    Score,
    worth,
)
from cloudtune.surrogates.gaussian_process import Factor, GaussianProcess
from cloudtune.surrogates.likelihood import JITTER, features_of
from cloudtune.surrogates.mixture import Mixture
from cloudtune.surrogates.prediction import Array
from tests.surrogates.problems import MIXED, PLAIN, data, learned, slopes


def kernel(left: Array, right: Array) -> Array:
    s = np.sqrt(5 * ((left[:, None] - right[None]) ** 2).sum(axis=2))
    return np.asarray((1 + s + s**2 / 3) * np.exp(-s))


@pytest.mark.parametrize("warped", [False, True])
def test_it_is_the_naive_posterior(warped: bool) -> None:
    dimensions, parameters = (MIXED if warped else PLAIN), learned(warped)
    points, values = data(25)
    process = GaussianProcess.given(Factor.of(points, parameters, dimensions), values)
    where, _ = data(10, seed=5)
    there, known = features_of(where, parameters, dimensions), features_of(points, parameters, dimensions)
    matrix = kernel(known, known) + (parameters.noise + JITTER) * np.eye(25)
    cross = kernel(there, known)
    mean = process.mean[0] + cross @ np.linalg.solve(matrix, values - process.mean[0])
    variance = process.signal**2 * (1 - (cross * np.linalg.solve(matrix, cross.T).T).sum(axis=1))
    prediction = process.predict(where)
    np.testing.assert_allclose(prediction.mean[:, 0], mean, atol=1e-8)
    np.testing.assert_allclose(prediction.std[:, 0] ** 2, variance, atol=1e-8)


def test_without_noise_it_goes_through_the_observations() -> None:
    points, values = data(15)
    process = GaussianProcess.given(Factor.of(points, learned(noise=1e-9), PLAIN), values)
    prediction = process.predict(points)
    np.testing.assert_allclose(prediction.mean[:, 0], values, atol=1e-5)
    assert prediction.std.max() < 1e-3
    assert process.incumbents(values[:, None])[0] == pytest.approx(values.min(), abs=1e-5)


@pytest.mark.parametrize("together", [1, 3])
def test_appending_points_is_starting_over_with_them(together: int) -> None:
    points, values = data(30)
    factor = Factor.of(points[:21], learned(), PLAIN)
    for start in range(21, 30, together):
        factor = factor.append(points[start : start + together])
    whole = Factor.of(points, learned(), PLAIN)
    np.testing.assert_allclose(np.tril(factor.lower), np.tril(whole.lower), atol=1e-10)
    where, _ = data(5, seed=9)
    appended, over = (GaussianProcess.given(each, values).predict(where) for each in (factor, whole))
    np.testing.assert_allclose(appended.mean, over.mean, atol=1e-9)
    np.testing.assert_allclose(appended.std, over.std, atol=1e-9)


def test_points_in_one_place_are_survived() -> None:
    points = np.repeat(np.array([[0.5] * 5, [0.2] * 5]), 20, axis=0)
    factor = Factor.of(points, learned(noise=1e-12), PLAIN).append(points[:3])
    process = GaussianProcess.given(factor, np.zeros(43))
    prediction = process.predict(points[:2])
    assert np.isfinite(prediction.mean).all()
    assert np.isfinite(prediction.std).all()


def test_fantasies_are_drawn_from_the_posterior_and_leave_no_doubt_where_they_are() -> None:
    points, values = data(12)
    process = GaussianProcess.given(Factor.of(points, learned(), PLAIN), values)
    pending, _ = data(2, seed=7)
    before = process.predict(pending)
    fantasies = process.fantasize(pending, values, 4000, np.random.default_rng(0))
    drawn = fantasies.values[-2:]
    noise = learned().noise * process.signal**2
    np.testing.assert_allclose(drawn.mean(axis=1), before.mean[:, 0], atol=0.05)
    np.testing.assert_allclose(drawn.var(axis=1), before.std[:, 0] ** 2 + noise, rtol=0.1)
    after = fantasies.process.predict(pending)
    assert (after.std < 0.2 * before.std).all()
    # averaged over fantasies, nothing is expected to change
    where, _ = data(4, seed=8)
    np.testing.assert_allclose(
        fantasies.process.predict(where).mean.mean(axis=1), process.predict(where).mean[:, 0], atol=0.05
    )


def value_at(score: Score, point: Array) -> float:
    return float(score.values(point[None])[0])


@pytest.mark.parametrize("warped", [False, True])
def test_slopes_of_scores_agree_with_finite_differences(warped: bool) -> None:
    dimensions, parameters = (MIXED if warped else PLAIN), learned(warped, noise=1e-2)
    points, values = data(12)
    process = GaussianProcess.given(Factor.of(points, parameters, dimensions), values)
    fantasies = process.fantasize(data(3, seed=2)[0], values, 6, np.random.default_rng(1))
    others = process.fantasize(data(3, seed=2)[0], values, 6, np.random.default_rng(2))
    least = fantasies.process.incumbents(fantasies.values)
    for predictor, incumbents in (
        (process, process.incumbents(values[:, None])),
        (fantasies.process, least),
        (Mixture([fantasies.process, others.process]), np.concatenate([least, least])),
    ):
        for acquisition in (LogExpectedImprovement(incumbents), LowerConfidenceBound(0.5)):
            score = worth(predictor, acquisition)
            assert isinstance(score, DifferentiableScore)
            where, _ = data(5, seed=11)
            found, gradients = score.values_and_gradients(where)
            np.testing.assert_allclose(found, score.values(where), rtol=1e-10, atol=1e-10)
            for point, gradient in zip(where, gradients, strict=True):
                numeric = slopes(partial(value_at, score), point, 1e-6)
                np.testing.assert_allclose(gradient, numeric, rtol=1e-3, atol=1e-3)


def test_a_mixture_has_the_moments_of_all_its_members() -> None:
    points, values = data(12)
    factor = Factor.of(points, learned(), PLAIN)
    parts = [GaussianProcess.given(factor, values), GaussianProcess.given(factor, values + 1)]
    where, _ = data(3, seed=4)
    mean, std = Mixture(parts).predict(where).moments
    first, second = (part.predict(where) for part in parts)
    np.testing.assert_allclose(mean, 0.5 * (first.mean + second.mean)[:, 0])
    assert (std > first.std[:, 0]).all()
